//! Configuration from the environment. Read lazily: a function fails only for what it itself lacks.

use std::{env, time::Duration};

use crate::error::{Error, Result};

/// A name that the deployment must provide; see `infra/data.yaml` and `template.yaml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    /// Table of workspaces and keys.
    WorkspacesTable,
    /// Table of personas.
    PersonasTable,
    /// Table of runs.
    RunsTable,
    /// Table of conversations.
    ConversationsTable,
    /// Table of webhooks, events and deliveries.
    WebhooksTable,
    /// Table of public listings.
    MarketplaceTable,
    /// URL of the queue of steps.
    StepsQueueUrl,
    /// URL of the queue of events.
    EventsQueueUrl,
    /// URL of the queue of deliveries.
    DeliveriesQueueUrl,
    /// Name of the secret with the model providers.
    ProvidersSecret,
    /// Name of the secret that signs cursors.
    SigningSecret,
    /// Name of the secret that the secrets of webhooks are derived from.
    WebhooksSecret,
    /// Name of the secret that says who signs people in.
    SignInSecret,
}

impl Setting {
    /// All of them, as the template's environment names them.
    pub const ALL: &'static [Self] = &[
        Self::WorkspacesTable,
        Self::PersonasTable,
        Self::RunsTable,
        Self::ConversationsTable,
        Self::WebhooksTable,
        Self::MarketplaceTable,
        Self::StepsQueueUrl,
        Self::EventsQueueUrl,
        Self::DeliveriesQueueUrl,
        Self::ProvidersSecret,
        Self::SigningSecret,
        Self::WebhooksSecret,
        Self::SignInSecret,
    ];

    /// The environment variable.
    pub const fn variable(self) -> &'static str {
        match self {
            Self::WorkspacesTable => "WORKSPACES_TABLE",
            Self::PersonasTable => "PERSONAS_TABLE",
            Self::RunsTable => "RUNS_TABLE",
            Self::ConversationsTable => "CONVERSATIONS_TABLE",
            Self::WebhooksTable => "WEBHOOKS_TABLE",
            Self::MarketplaceTable => "MARKETPLACE_TABLE",
            Self::StepsQueueUrl => "STEPS_QUEUE_URL",
            Self::EventsQueueUrl => "EVENTS_QUEUE_URL",
            Self::DeliveriesQueueUrl => "DELIVERIES_QUEUE_URL",
            Self::ProvidersSecret => "PROVIDERS_SECRET",
            Self::SigningSecret => "SIGNING_SECRET",
            Self::WebhooksSecret => "WEBHOOKS_SECRET",
            Self::SignInSecret => "SIGN_IN_SECRET",
        }
    }

    /// The value; an error of ours, not of the caller's, when it is missing.
    pub fn read(self) -> Result<String> {
        env::var(self.variable()).map_err(|_| {
            Error::internal(format!(
                "{} is not set; template.yaml must give it to this function",
                self.variable()
            ))
        })
    }
}

/// How long a worker holds a step without a sign of life. `PERSONA_LEASE_SECONDS`, default 30.
pub fn lease() -> Duration {
    seconds("PERSONA_LEASE_SECONDS", 30.0)
}

/// How often a tailing reader looks for new events. `PERSONA_POLL_SECONDS`, default 0.1.
pub fn poll() -> Duration {
    seconds("PERSONA_POLL_SECONDS", 0.1)
}

/// Silence after which a stream sends a comment. `PERSONA_KEEP_ALIVE_SECONDS`, default 15.
pub fn keep_alive() -> Duration {
    seconds("PERSONA_KEEP_ALIVE_SECONDS", 15.0)
}

/// Host names under which the MCP server may be called: `PERSONA_HOSTS`, separated by commas. Empty where the gateway in front
/// of it lets through no others; a server on one's own machine names itself, so that no web page can reach it by a name that
/// was made to lead there.
pub fn hosts() -> Vec<String> {
    listed("PERSONA_HOSTS")
}

/// Origins of web pages that may call the MCP server, besides its own and those of one's own machine: `PERSONA_ORIGINS`,
/// separated by commas.
pub fn origins() -> Vec<String> {
    listed("PERSONA_ORIGINS")
}

fn listed(variable: &str) -> Vec<String> {
    let value = env::var(variable).unwrap_or_default();
    value.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// Whether webhooks may lead to this machine: `PERSONA_WEBHOOKS_LOOPBACK=open`, for development alone.
pub fn loopback_is_open() -> bool {
    env::var("PERSONA_WEBHOOKS_LOOPBACK").is_ok_and(|value| value == "open")
}

fn seconds(variable: &str, default: f64) -> Duration {
    let value = env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    Duration::try_from_secs_f64(value).unwrap_or(Duration::from_secs(30))
}
