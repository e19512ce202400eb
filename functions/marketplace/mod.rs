//! Routes of `/v1/marketplace/personas`. What one finds there is public within its mode: live and test workspaces have a
//! marketplace each.

use persona::{Error, error::Code, id::ListingId};

pub mod delete;
pub mod get;
pub mod install;
pub mod list;

use crate::serve::Call;

/// The listing that a path names.
fn id<B>(call: &Call<B>) -> Result<ListingId, Error> {
    call.path("listing").parse().map_err(|_| unknown(call.path("listing")))
}

/// 404: the same text whether it never was, was taken off, or is of the other mode.
fn unknown(name: &str) -> Error {
    let shown: String = name.chars().take(80).collect();
    let message = format!(
        "No listing \"{shown}\" in the marketplace. Find those that there are with GET /v1/marketplace/personas."
    );
    Error::new(Code::NotFound, message)
}
