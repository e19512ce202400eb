//! Signing in: how a person becomes a key of a workspace. What callers see is told in docs/SIGNING_IN.md.
//!
//! We are an authorization server towards our command line, and a relying party towards the deployment's OpenID Connect
//! provider. A sign-in has no tenant until a membership was checked: what it needs to remember lies in partitions that
//! begin with `AUTH#` (`store/auth`), each under the digest of a ticket that only its holder knows.

pub mod browser;
mod grant;
pub mod key;
mod person;
mod provider;
mod refusal;
mod ticket;

pub use grant::{Asked, Grant, joined};
pub use person::{Email, Person};
pub use provider::{Config, Provider};
pub use refusal::{Reason, Refusal, Result, not_set_up};
pub use ticket::{Challenge, Ticket, UserCode};

/// The one client there is: our command line, which is public and has no secret.
pub const CLIENT: &str = "persona-cli";
/// What people are told of it.
pub const CLIENT_NAME: &str = "Persona CLI";

/// Seconds in which a person signs in and decides.
pub const SIGN_IN_SECONDS: i64 = 600;
/// Seconds in which a code must be redeemed.
pub const CODE_SECONDS: i64 = 60;
/// Seconds in which a device must be approved.
pub const DEVICE_SECONDS: i64 = 600;
/// Seconds between two questions of a device.
pub const INTERVAL_SECONDS: i64 = 5;
/// Seconds for which what is over is still known, so that it is called expired or replayed and not unknown.
pub const REMEMBERED_SECONDS: i64 = 24 * 60 * 60;
/// Wrong user codes that one person may enter in [`SIGN_IN_SECONDS`].
pub const GUESSES_MOST: i64 = 5;
