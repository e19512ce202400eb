//! `POST /v1/webhooks`: an address that is told of events. Its secret is shown here, and never again.

use persona::{
    Result,
    app::App,
    config::Setting,
    key::Scope,
    webhook::{self, NewWebhook},
};

use super::access;
use crate::{
    Form, Route,
    serve::{Call, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "webhooks-create",
    method: "POST",
    path: "/v1/webhooks",
    summary: "Make a webhook; its secret is shown once.",
    scope: Scope::Admin,
    streaming: false,
    query: &[],
    headers: &[],
    body: Some(include_str!("request.json")),
    answers: &[(201, Form::Object("webhook"))],
    errors: &[],
    settings: &[Setting::WorkspacesTable, Setting::WebhooksTable, Setting::WebhooksSecret],
};

/// The webhook with its secret.
pub async fn handle(app: App, call: Call<NewWebhook>) -> Result<Reply> {
    let (made, secret) = webhook::create(&app, call.caller.tenant(), call.body).await?;
    let location = format!("/v1/webhooks/{}", made.id);
    Ok(access::reply(201, &made, Some(&secret)).with_header("location", location))
}
