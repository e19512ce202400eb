//! `/v1/chat/conversations`.

pub mod access;
pub mod create;
pub mod delete;
pub mod drift;
pub mod get;
pub mod list;
pub mod messages;
pub(crate) mod speaking;
