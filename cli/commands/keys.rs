//! `persona keys`: their secrets are shown once.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::listing::{self, Column, Extent};
use crate::{Result, arguments::Session, screen::Screen};

const COLUMNS: &[Column] = &[
    ("id", "/id"),
    ("name", "/name"),
    ("key", "/masked"),
    ("scopes", "/scopes"),
    ("status", "/status"),
    ("expires", "/expires_at"),
];

/// The keys of the workspace.
#[derive(Subcommand)]
pub(crate) enum Keys {
    /// Show the keys, masked
    List(Extent),
    /// Make a key; its secret is shown this once
    Create(Create),
    /// Replace a key by another; the old one goes on for a grace
    Rotate(Rotate),
    /// End a key at once
    Revoke(Revoke),
}

/// What keys may do.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Scope {
    /// Read
    Read,
    /// Create and edit
    Write,
    /// Talk to personas
    Chat,
    /// Keys, webhooks, the workspace
    Admin,
}

impl Scope {
    /// As the API names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Chat => "chat",
            Self::Admin => "admin",
        }
    }
}

/// A new key.
#[derive(Args)]
pub(crate) struct Create {
    /// What to call it
    name: String,
    /// What it may do
    #[arg(long, value_enum, value_delimiter = ',', default_value = "read,write,chat")]
    scopes: Vec<Scope>,
    /// Days until it ends, 1 to 90
    #[arg(long, value_name = "DAYS")]
    expires_in_days: Option<u64>,
}

/// A key to replace.
#[derive(Args)]
pub(crate) struct Rotate {
    /// The key's id
    key: String,
    /// How long the old one goes on, in seconds
    #[arg(long, value_name = "SECONDS")]
    grace_seconds: Option<u64>,
}

/// A key to end.
#[derive(Args)]
pub(crate) struct Revoke {
    /// The key's id
    key: String,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl Keys {
    /// Does it.
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<()> {
        let (api, screen) = (session.api()?, session.screen);
        match self {
            Self::List(extent) => {
                listing::print(screen, &api, &extent, COLUMNS, |api| api.get(&["keys"])).await
            }
            Self::Create(new) => {
                let scopes: Vec<&str> = new.scopes.iter().map(|scope| scope.name()).collect();
                let mut body = json!({"name": new.name, "scopes": scopes});
                if let Some(days) = new.expires_in_days {
                    body["expires_in_days"] = json!(days);
                }
                shown_once(screen, &api.post(&["keys"]).json(&body).value().await?)
            }
            Self::Rotate(old) => {
                let body =
                    old.grace_seconds.map_or_else(|| json!({}), |grace| json!({"grace_seconds": grace}));
                shown_once(screen, &api.post(&["keys", &old.key, "rotate"]).json(&body).value().await?)
            }
            Self::Revoke(old) => {
                screen.confirmed(old.yes, &format!("Whatever uses {} stops working. Revoke it?", old.key))?;
                let gone = api.delete(&["keys", &old.key]).value().await?;
                screen.done(&gone, format!("Revoked {}.", old.key))
            }
        }
    }
}

/// The secret alone on standard output, so that it can be piped to where it belongs.
fn shown_once(screen: &Screen, key: &Value) -> Result<()> {
    if screen.is_json() {
        return screen.json_line(key);
    }
    let text = |name: &str| key[name].as_str().unwrap_or_default();
    screen.note(format_args!(
        "{} ({}), until {}. This is shown once:",
        text("id"),
        text("name"),
        text("expires_at")
    ));
    screen.line(text("secret"))
}
