//! What signing in remembers. Before a membership was checked there is no tenant, so these partitions begin with `AUTH#`;
//! each is named by the digest of a ticket, of a user code, of an address or of a person, and ends in time by itself.

mod devices;
mod grants;
mod people;
mod sign_ins;

pub use devices::{Decided, Device, Polled};
pub use grants::{Place, Redeemed};
pub use people::{Entered, Member};
pub use sign_ins::{Destination, SignIn, Stage};

use crate::auth::REMEMBERED_SECONDS;

/// Seconds since the epoch at which an item that ends at `ends` is forgotten.
const fn forgotten(ends: i64) -> i64 {
    ends + REMEMBERED_SECONDS
}
