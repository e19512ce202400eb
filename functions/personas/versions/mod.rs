//! `GET /v1/personas/{persona}/versions`: who made each version, by which run, and what it changed.

use persona::{Result, app::App, config::Setting, key::Scope};

use super::access;
use crate::{
    Form, Route,
    serve::{Call, Paging, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "personas-versions",
    method: "GET",
    path: "/v1/personas/{persona}/versions",
    summary: "List a persona's versions: author key, run, and what changed.",
    scope: Scope::Read,
    streaming: false,
    query: &["limit", "cursor"],
    headers: &[],
    body: None,
    answers: &[(200, Form::List("persona_version"))],
    errors: &[],
    settings: &[Setting::WorkspacesTable, Setting::PersonasTable, Setting::SigningSecret],
};

/// Newest first. A cursor is bound to the persona.
pub async fn handle(app: App, call: Call) -> Result<Reply> {
    let persona = access::find(&app, &call.caller, call.path("persona"), None).await?.id;
    let bound = format!("persona={persona}");
    let paging = Paging::of(&app, &call, &ROUTE, &bound).await?;
    let store = app.store().await;
    let page = store.editions(call.caller.tenant(), persona, paging.after.as_deref(), paging.limit).await?;
    let data = page.items.iter().map(|(_, edition)| edition.to_object(persona)).collect();
    paging.reply(data, page.next.as_deref()).await
}
