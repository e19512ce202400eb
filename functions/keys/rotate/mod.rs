//! `POST /v1/keys/{key}/rotate`: a new key in the place of another, which goes on for a while.

use std::time::Duration;

use persona::{Error, Result, app::App, config::Setting, error::Code, key::Scope};
use serde::Deserialize;

use super::{find, shown_once};
use crate::{
    Form, Route,
    serve::{Call, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "keys-rotate",
    method: "POST",
    path: "/v1/keys/{key}/rotate",
    summary: "Replace a key by a new one; the old one ends after a grace.",
    scope: Scope::Admin,
    streaming: false,
    query: &[],
    headers: &[],
    body: Some(include_str!("request.json")),
    answers: &[(201, Form::Object("key"))],
    errors: &[],
    settings: &[Setting::WorkspacesTable, Setting::WebhooksTable],
};

/// Body of the call.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RotateKey {
    /// Seconds that the old key still works, at most seven days.
    #[serde(default)]
    grace_seconds: u64,
}

/// A new key with the old one's name and scopes.
pub async fn handle(app: App, call: Call<RotateKey>) -> Result<Reply> {
    let old = find(&app, &call.caller, call.id("key", "key")?).await?;
    let grace = Duration::from_secs(call.body.grace_seconds);
    let rotated = app.store().await.rotate_key(call.caller.tenant(), &old, grace, app.clock().now()).await?;
    let (record, secret) = rotated.ok_or_else(|| {
        let message = format!(
            "The key {} was revoked, was rotated before, or has expired. Create a new one instead.",
            old.masked
        );
        Error::new(Code::RequestInvalid, message)
    })?;
    Ok(shown_once(&app, &record, &secret))
}
