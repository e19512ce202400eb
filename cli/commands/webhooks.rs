//! `persona webhooks`: addresses that are told of events, and this terminal as one of them.

mod listen;
mod receiver;
mod signing;
mod watching;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::listing::{self, Column, Extent};
use crate::{Result, arguments::Session, screen::Screen};

const COLUMNS: &[Column] = &[
    ("id", "/id"),
    ("enabled", "/enabled"),
    ("url", "/url"),
    ("events", "/events"),
    ("failing since", "/failing_since"),
];
const DELIVERIES: &[Column] = &[
    ("id", "/id"),
    ("event", "/event_type"),
    ("status", "/status"),
    ("next attempt", "/next_attempt_at"),
    ("made", "/created_at"),
];
/// Every kind of event.
pub(super) const EVENTS: [&str; 9] = [
    "run.completed",
    "run.failed",
    "persona.created",
    "persona.updated",
    "persona.deleted",
    "persona.published",
    "conversation.drift_detected",
    "key.expiring",
    "budget.threshold_reached",
];

/// Webhooks of the workspace.
#[derive(Subcommand)]
pub(crate) enum Webhooks {
    /// Show them
    List(Extent),
    /// Have an address told of events; its secret is shown this once
    Create(Create),
    /// Read one
    Get {
        /// Its id
        webhook: String,
    },
    /// Change one
    Update(Update),
    /// Remove one
    Delete {
        /// Its id
        webhook: String,
    },
    /// Replace its secret; the old one signs too for a grace
    RotateSecret {
        /// Its id
        webhook: String,
        /// How long the old one goes on, in seconds
        #[arg(long, value_name = "SECONDS")]
        grace_seconds: Option<u64>,
    },
    /// Send it a sample
    Test {
        /// Its id
        webhook: String,
    },
    /// Show what it was sent
    Deliveries {
        /// Its id
        webhook: String,
        #[command(flatten)]
        extent: Extent,
    },
    /// Send an event once more
    Redeliver {
        /// Its id
        webhook: String,
        /// The delivery to repeat
        delivery: String,
    },
    /// Check the signature of a delivery, whose body is on standard input
    Verify(signing::Verify),
    /// Print events as they happen, and forward them to a server of this machine
    Listen(listen::Listen),
}

/// A new webhook.
#[derive(Args)]
pub(crate) struct Create {
    /// The address
    url: String,
    /// What to tell it of [default: everything]
    #[arg(long, value_delimiter = ',')]
    events: Vec<String>,
    /// What to call it
    #[arg(long)]
    description: Option<String>,
}

/// A webhook to change.
#[derive(Args)]
pub(crate) struct Update {
    /// Its id
    webhook: String,
    /// Another address
    #[arg(long)]
    url: Option<String>,
    /// What to tell it of
    #[arg(long, value_delimiter = ',')]
    events: Vec<String>,
    /// What to call it
    #[arg(long)]
    description: Option<String>,
    /// Whether it is told anything
    #[arg(long, value_name = "true|false")]
    enabled: Option<bool>,
}

impl Webhooks {
    /// Does it.
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<()> {
        if let Self::Verify(verify) = self {
            return verify.run(session.screen).await;
        }
        let (api, screen) = (session.api()?, session.screen);
        match self {
            Self::Verify(verify) => verify.run(screen).await,
            Self::List(extent) => {
                listing::print(screen, &api, &extent, COLUMNS, |api| api.get(&["webhooks"])).await
            }
            Self::Create(new) => {
                let events = if new.events.is_empty() { json!(EVENTS) } else { json!(new.events) };
                let mut body = json!({"url": new.url, "events": events});
                if let Some(description) = new.description {
                    body["description"] = json!(description);
                }
                shown_once(screen, &api.post(&["webhooks"]).json(&body).value().await?)
            }
            Self::Get { webhook } => screen.object(&api.get(&["webhooks", &webhook]).value().await?),
            Self::Update(update) => {
                let changes = update.changes();
                screen.object(&api.patch(&["webhooks", &update.webhook]).json(&changes).value().await?)
            }
            Self::Delete { webhook } => {
                let gone = api.delete(&["webhooks", &webhook]).value().await?;
                screen.done(&gone, format!("Removed {webhook}."))
            }
            Self::RotateSecret { webhook, grace_seconds } => {
                let body = grace_seconds.map_or_else(|| json!({}), |grace| json!({"grace_seconds": grace}));
                let path = ["webhooks", &webhook, "rotate-secret"];
                shown_once(screen, &api.post(&path).json(&body).value().await?)
            }
            Self::Test { webhook } => {
                let delivery = api.post(&["webhooks", &webhook, "test"]).value().await?;
                screen.done(&delivery, format!("Sent {}.", listing::cell(delivery.get("id"))))?;
                screen.hint(format_args!("see how it went: persona webhooks deliveries {webhook}"));
                Ok(())
            }
            Self::Deliveries { webhook, extent } => {
                let path = ["webhooks", &webhook, "deliveries"];
                listing::print(screen, &api, &extent, DELIVERIES, |api| api.get(&path)).await
            }
            Self::Redeliver { webhook, delivery } => {
                let path = ["webhooks", &webhook, "deliveries", &delivery, "redeliver"];
                let again = api.post(&path).value().await?;
                screen.done(&again, format!("Sent as {}.", listing::cell(again.get("id"))))
            }
            Self::Listen(listen) => listen.run(&api, screen).await,
        }
    }
}

impl Update {
    fn changes(&self) -> Value {
        let mut changes = Map::new();
        for (name, value) in [("url", &self.url), ("description", &self.description)] {
            if let Some(value) = value {
                changes.insert(name.to_owned(), json!(value));
            }
        }
        if !self.events.is_empty() {
            changes.insert("events".to_owned(), json!(self.events));
        }
        if let Some(enabled) = self.enabled {
            changes.insert("enabled".to_owned(), json!(enabled));
        }
        Value::Object(changes)
    }
}

/// The secret alone on standard output, so that it can be piped to where it belongs.
fn shown_once(screen: &Screen, webhook: &Value) -> Result<()> {
    if screen.is_json() {
        return screen.json_line(webhook);
    }
    let text = |name: &str| listing::cell(webhook.get(name));
    screen.note(format_args!("{} ({}). Its secret is shown once:", text("id"), text("url")));
    screen.line(text("secret"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kinds_of_events_are_the_apis() {
        assert_eq!(serde_json::json!(EVENTS), crate::published("Webhook")["events"]["items"]["enum"]);
    }
}
