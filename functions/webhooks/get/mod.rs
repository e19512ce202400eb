//! `GET /v1/webhooks/{webhook}`.

use persona::{Result, app::App, config::Setting, key::Scope};

use super::access;
use crate::{
    Form, Route,
    serve::{Call, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "webhooks-get",
    method: "GET",
    path: "/v1/webhooks/{webhook}",
    summary: "Read a webhook: whether it is enabled, and since when it fails.",
    scope: Scope::Admin,
    streaming: false,
    query: &[],
    headers: &[],
    body: None,
    answers: &[(200, Form::Object("webhook"))],
    errors: &[],
    settings: &[Setting::WorkspacesTable, Setting::WebhooksTable],
};

/// The webhook without its secret.
pub async fn handle(app: App, call: Call) -> Result<Reply> {
    Ok(access::reply(200, &access::find(&app, &call).await?, None))
}
