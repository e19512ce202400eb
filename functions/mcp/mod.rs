//! `/v1/mcp`: personas for the hosts of the Model Context Protocol. The protocol itself (messages, revisions, headers) is
//! the crate `rmcp`'s; what happens is the same as on the other routes. See docs/MCP.md.

pub mod call;
mod failure;
mod prompts;
mod resources;
mod server;
mod tools;
mod transport;

pub(crate) use failure::refusal;

/// Whether a path is the server's: then what is wrong with a message is told as a message.
pub(crate) fn has(path: &str) -> bool {
    path.trim_end_matches('/') == call::ROUTE.path
}
