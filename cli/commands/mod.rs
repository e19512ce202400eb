//! The commands, a file for each noun.

pub(crate) mod auth;
pub(crate) mod chat;
pub(crate) mod completion;
pub(crate) mod conversations;
pub(crate) mod fields;
pub(crate) mod input;
pub(crate) mod keys;
pub(crate) mod listing;
pub(crate) mod marketplace;
pub(crate) mod mcp;
pub(crate) mod personas;
pub(crate) mod pipelines;
pub(crate) mod runs;
pub(crate) mod usage;
pub(crate) mod webhooks;
pub(crate) mod workspace;
