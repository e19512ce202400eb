//! Routes of `/v1/webhooks`. All of them need an admin key: a webhook is told of everything in its workspace, the
//! private personas of other keys included, as only admin keys are.

mod access;
pub mod create;
pub mod delete;
pub mod deliveries;
pub mod get;
pub mod list;
pub mod patch;
pub mod rotate_secret;
pub mod test;
