//! `/v1/chat/conversations/{conversation}/messages`.

pub mod create;
pub mod list;
