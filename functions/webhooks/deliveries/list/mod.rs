//! `GET /v1/webhooks/{webhook}/deliveries`: what was sent, each attempt with its answer, newest first; for 30 days.

use persona::{Result, app::App, config::Setting, key::Scope};

use crate::{
    Form, Route,
    serve::{Call, Paging, Reply},
    webhooks::access,
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "deliveries-list",
    method: "GET",
    path: "/v1/webhooks/{webhook}/deliveries",
    summary: "List a webhook's deliveries, each with its attempts.",
    scope: Scope::Admin,
    streaming: false,
    query: &["limit", "cursor"],
    headers: &[],
    body: None,
    answers: &[(200, Form::List("delivery"))],
    errors: &[],
    settings: &[Setting::WorkspacesTable, Setting::WebhooksTable, Setting::SigningSecret],
};

/// With all attempts of each.
pub async fn handle(app: App, call: Call) -> Result<Reply> {
    let webhook = access::find(&app, &call).await?;
    let filters = webhook.id.to_string();
    let paging = Paging::of(&app, &call, &ROUTE, &filters).await?;
    let (store, tenant) = (app.store().await, call.caller.tenant());
    let page = store.deliveries(tenant, webhook.id, paging.after.as_deref(), paging.limit).await?;
    let data = page.items.iter().map(|(_, delivery)| delivery.to_object()).collect();
    paging.reply(data, page.next.as_deref()).await
}
