//! `POST /v1/webhooks/{webhook}/deliveries/{delivery}/redeliver`: the same event once more, in a delivery of its own.

use persona::{Error, Result, app::App, config::Setting, id::DeliveryId, key::Scope, webhook};

use crate::{
    Form, Route,
    serve::{Call, Reply},
    webhooks::access,
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "deliveries-redeliver",
    method: "POST",
    path: "/v1/webhooks/{webhook}/deliveries/{delivery}/redeliver",
    summary: "Deliver an event again, in a new delivery.",
    scope: Scope::Admin,
    streaming: false,
    query: &[],
    headers: &[],
    body: None,
    answers: &[(201, Form::Object("delivery"))],
    errors: &[],
    settings: &[Setting::WorkspacesTable, Setting::WebhooksTable, Setting::DeliveriesQueueUrl],
};

/// The new delivery, whatever became of the old one.
pub async fn handle(app: App, call: Call) -> Result<Reply> {
    let webhook = access::find(&app, &call).await?;
    let id: DeliveryId = call.id("delivery", "delivery")?;
    let sent = webhook::redeliver(&app, call.caller.tenant(), &webhook, id).await?;
    let sent = sent.ok_or_else(|| Error::not_found("delivery", &id.to_string()))?;
    Ok(Reply::json(201, sent.to_object()))
}
