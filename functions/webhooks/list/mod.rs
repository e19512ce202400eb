//! `GET /v1/webhooks`: a page of webhooks, newest first.

use persona::{
    Result,
    app::App,
    clock::{Clock, SystemClock},
    config::Setting,
    key::Scope,
};

use crate::{
    Form, Route,
    serve::{Call, Paging, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "webhooks-list",
    method: "GET",
    path: "/v1/webhooks",
    summary: "List webhooks.",
    scope: Scope::Admin,
    streaming: false,
    query: &["limit", "cursor"],
    headers: &[],
    body: None,
    answers: &[(200, Form::List("webhook"))],
    errors: &[],
    settings: &[Setting::WorkspacesTable, Setting::WebhooksTable, Setting::SigningSecret],
};

/// Without secrets, as everywhere but at their making.
pub async fn handle(app: App, call: Call) -> Result<Reply> {
    let filters = call.query.filters();
    let paging = Paging::of(&app, &call, &ROUTE, &filters).await?;
    let store = app.store().await;
    let page = store.webhooks(call.caller.tenant(), paging.after.as_deref(), paging.limit).await?;
    let now = SystemClock.epoch_millis();
    let data = page.items.iter().map(|(_, webhook)| webhook.to_object(None, now)).collect();
    paging.reply(data, page.next.as_deref()).await
}
