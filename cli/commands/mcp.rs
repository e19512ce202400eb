//! `persona mcp serve`.

use clap::Subcommand;

use crate::{Result, arguments::Session};

mod bridge;
mod message;

/// The Model Context Protocol.
#[derive(Subcommand)]
pub(crate) enum Mcp {
    /// Serve MCP on standard input and output, by the service's own endpoint
    Serve,
}

impl Mcp {
    /// Serves until standard input ends.
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<()> {
        let Self::Serve = self;
        bridge::serve(session).await
    }
}
