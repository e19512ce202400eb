//! The domain of Persona. It knows neither Lambda nor any HTTP framework: `functions/` translates.
//!
//! Read `docs/ARCHITECTURE.md` for the walk through the tree.

pub mod app;
pub mod auth;
pub mod card;
pub mod clock;
pub mod config;
pub mod consistency;
pub mod conversation;
pub mod cursor;
pub mod drift;
pub mod error;
pub mod id;
pub mod key;
pub mod marketplace;
pub mod moderation;
pub mod money;
pub mod openai;
pub mod persona;
pub mod pipeline;
pub mod provider;
pub mod queue;
pub mod run;
pub mod search;
pub mod store;
pub mod tenant;
pub mod webhook;

pub use error::{Error, Result};
pub use money::Usd;
pub use tenant::Tenant;

/// The tracing target of lines whose fields are metrics: the functions write them whatever the filter says.
pub const METRICS: &str = "persona::metrics";

/// The version of the API that this build speaks.
pub const API_VERSION: &str = "2026-11-01";
