//! `POST /v1/webhooks/{webhook}/rotate-secret`: another secret, shown here and never again.

use std::time::Duration;

use persona::{Result, app::App, config::Setting, id::WebhookId, key::Scope, webhook};
use serde::Deserialize;

use super::access;
use crate::{
    Form, Route,
    serve::{Call, Reply},
};

/// Body of the call.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rotate {
    /// For how long the older secret signs too; at most seven days.
    #[serde(default = "a_day")]
    pub grace_seconds: u64,
}

const fn a_day() -> u64 {
    86_400
}

/// The route.
pub const ROUTE: Route = Route {
    bin: "webhooks-rotate-secret",
    method: "POST",
    path: "/v1/webhooks/{webhook}/rotate-secret",
    summary: "Rotate a webhook's secret; the one before signs too while the grace lasts.",
    scope: Scope::Admin,
    streaming: false,
    query: &[],
    headers: &[],
    body: Some(include_str!("request.json")),
    answers: &[(200, Form::Object("webhook"))],
    errors: &[],
    settings: &[Setting::WorkspacesTable, Setting::WebhooksTable, Setting::WebhooksSecret],
};

/// The webhook with its new secret.
pub async fn handle(app: App, call: Call<Rotate>) -> Result<Reply> {
    let id: WebhookId = call.id("webhook", "webhook")?;
    let grace = Duration::from_secs(call.body.grace_seconds);
    let rotated = webhook::rotate_secret(&app, call.caller.tenant(), id, grace).await?;
    let (rotated, secret) = rotated.ok_or_else(|| access::unknown(id))?;
    Ok(access::reply(200, &rotated, Some(&secret)))
}
