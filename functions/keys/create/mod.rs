//! `POST /v1/keys`: another key of the workspace; its secret is in this answer alone.

use persona::{Result, app::App, config::Setting, key::Scope, store::keys::KeyDraft};
use serde::Deserialize;

use super::shown_once;
use crate::{
    Form, Route,
    serve::{Call, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "keys-create",
    method: "POST",
    path: "/v1/keys",
    summary: "Create a key; its secret is shown this once.",
    scope: Scope::Admin,
    streaming: false,
    query: &[],
    headers: &[],
    body: Some(include_str!("request.json")),
    answers: &[(201, Form::Object("key"))],
    errors: &[],
    settings: &[Setting::WorkspacesTable, Setting::WebhooksTable],
};

/// Body of `POST /v1/keys`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateKey {
    /// What the owner calls it.
    name: String,
    /// What it may do.
    scopes: Vec<Scope>,
    /// Days until it ends, 1 to 90.
    #[serde(default)]
    expires_in_days: Option<u64>,
}

/// Writes the key and shows it.
pub async fn handle(app: App, call: Call<CreateKey>) -> Result<Reply> {
    let CreateKey { name, scopes, expires_in_days } = call.body;
    let draft = KeyDraft { name, scopes, expires_in_days };
    let (record, secret) =
        app.store().await.create_key(call.caller.tenant(), &draft, app.clock().now()).await?;
    Ok(shown_once(&app, &record, &secret))
}
