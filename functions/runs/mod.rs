//! Routes of `/v1/runs`.

mod access;
pub mod cancel;
pub mod diff;
pub mod events;
pub mod get;
pub mod list;
pub mod replay;
