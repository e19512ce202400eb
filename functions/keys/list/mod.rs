//! `GET /v1/keys`: a page of keys, newest first, those that have ended included.

use persona::{Result, app::App, config::Setting, key::Scope};

use crate::{
    Form, Route,
    serve::{Call, Paging, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "keys-list",
    method: "GET",
    path: "/v1/keys",
    summary: "List keys, masked.",
    scope: Scope::Admin,
    streaming: false,
    query: &["limit", "cursor"],
    headers: &[],
    body: None,
    answers: &[(200, Form::List("key"))],
    errors: &[],
    settings: &[Setting::WorkspacesTable, Setting::SigningSecret],
};

/// A page.
pub async fn handle(app: App, call: Call) -> Result<Reply> {
    let filters = call.query.filters();
    let paging = Paging::of(&app, &call, &ROUTE, &filters).await?;
    let now = app.clock().epoch_millis();
    let page = app.store().await.keys(call.caller.tenant(), paging.after.as_deref(), paging.limit).await?;
    let data = page.items.iter().map(|(_, key)| key.to_object(now)).collect();
    paging.reply(data, page.next.as_deref()).await
}
