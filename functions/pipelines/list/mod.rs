//! `GET /v1/pipelines`: the pipelines as data.

use persona::{Result, app::App, config::Setting, key::Scope, pipeline::Pipeline};
use serde_json::Value;

use super::{object, own_object};
use crate::{
    Form, Route,
    serve::{Call, Paging, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "pipelines-list",
    method: "GET",
    path: "/v1/pipelines",
    summary: "List the pipelines: steps, dependencies, prompts, schemas, models by role.",
    scope: Scope::Read,
    streaming: false,
    query: &["limit", "cursor"],
    headers: &[],
    body: None,
    answers: &[(200, Form::List("pipeline"))],
    errors: &[],
    settings: &[Setting::WorkspacesTable, Setting::SigningSecret],
};

/// The service's own in their order, then the workspace's by name; a cursor continues after the pipeline of its name.
/// There are so few that each page reads them all.
pub async fn handle(app: App, call: Call) -> Result<Reply> {
    let paging = Paging::of(&app, &call, &ROUTE, "").await?;
    let own = app.store().await.pipeline_rows(call.caller.tenant()).await?;
    let mut all: Vec<Value> = Pipeline::all_built_in().iter().map(object).collect();
    for row in &own {
        all.push(own_object(row)?);
    }
    let passed =
        paging.after.as_deref().and_then(|name| all.iter().position(|pipeline| pipeline["name"] == name));
    let rest = all.split_off(passed.map_or(0, |at| at + 1));
    let page: Vec<Value> = rest.iter().take(paging.limit).cloned().collect();
    let next = page
        .last()
        .filter(|_| page.len() < rest.len())
        .and_then(|last| last["name"].as_str())
        .map(str::to_owned);
    paging.reply(page, next.as_deref()).await
}
