//! `persona conversations`: what was said, and how far it drifted.

use clap::{Args, Subcommand};

use super::listing::{self, Column, Extent};
use crate::{Result, arguments::Session};

const COLUMNS: &[Column] = &[
    ("id", "/id"),
    ("persona", "/persona_id"),
    ("version", "/persona_version"),
    ("turns", "/turns"),
    ("drift", "/drift/average"),
    ("updated", "/updated_at"),
    ("title", "/title"),
];
const MESSAGES: &[Column] =
    &[("id", "/id"), ("role", "/role"), ("said", "/created_at"), ("content", "/content")];
const DRIFT: &[Column] = &[
    ("message", "/message_id"),
    ("voice", "/drift/voice"),
    ("values", "/drift/values"),
    ("verdict", "/drift/verdict"),
    ("coherence", "/coherence"),
    ("average", "/average"),
    ("crossed", "/crossed"),
];

/// Conversations with personas.
#[derive(Subcommand)]
pub(crate) enum Conversations {
    /// Show them, newest first
    List(List),
    /// Read one
    Get {
        /// Its id
        conversation: String,
    },
    /// Read what was said, newest first
    Messages {
        /// Its id
        conversation: String,
        #[command(flatten)]
        extent: Extent,
    },
    /// Follow its drift, turn by turn
    Drift {
        /// Its id
        conversation: String,
        #[command(flatten)]
        extent: Extent,
    },
    /// Delete one with all that was said
    Delete {
        /// Its id
        conversation: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// Which conversations.
#[derive(Args)]
pub(crate) struct List {
    /// Only those with this persona
    #[arg(long)]
    persona: Option<String>,
    #[command(flatten)]
    extent: Extent,
}

impl Conversations {
    /// Does it.
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<()> {
        let (api, screen) = (session.api()?, session.screen);
        match self {
            Self::List(List { persona, extent }) => {
                listing::print(screen, &api, &extent, COLUMNS, |api| {
                    api.get(&["chat", "conversations"]).query("persona", persona.as_ref())
                })
                .await
            }
            Self::Get { conversation } => {
                screen.object(&api.get(&["chat", "conversations", &conversation]).value().await?)
            }
            Self::Messages { conversation, extent } => {
                let path = ["chat", "conversations", &conversation, "messages"];
                listing::print(screen, &api, &extent, MESSAGES, |api| api.get(&path)).await
            }
            Self::Drift { conversation, extent } => {
                let path = ["chat", "conversations", &conversation, "drift"];
                listing::print(screen, &api, &extent, DRIFT, |api| api.get(&path)).await
            }
            Self::Delete { conversation, yes } => {
                screen.confirmed(yes, &format!("Delete {conversation} and all that was said in it?"))?;
                let gone = api.delete(&["chat", "conversations", &conversation]).value().await?;
                screen.done(&gone, format!("Deleted {conversation}."))
            }
        }
    }
}
