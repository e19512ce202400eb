//! `POST /v1/webhooks/{webhook}/test`: a sample of the first kind of event that it is told of.

use persona::{Result, app::App, config::Setting, key::Scope, webhook};

use super::access;
use crate::{
    Form, Route,
    serve::{Call, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "webhooks-test",
    method: "POST",
    path: "/v1/webhooks/{webhook}/test",
    summary: "Send a sample event, which says that it is a test.",
    scope: Scope::Admin,
    streaming: false,
    query: &[],
    headers: &[],
    body: None,
    answers: &[(201, Form::Object("delivery"))],
    errors: &[],
    settings: &[Setting::WorkspacesTable, Setting::WebhooksTable, Setting::DeliveriesQueueUrl],
};

/// The delivery, which is on its way; the list of deliveries tells what became of it.
pub async fn handle(app: App, call: Call) -> Result<Reply> {
    let webhook = access::find(&app, &call).await?;
    let sent = webhook::test(&app, call.caller.tenant(), &webhook).await?;
    Ok(Reply::json(201, sent.to_object()))
}
