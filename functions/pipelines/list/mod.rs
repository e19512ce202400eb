//! `GET /v1/pipelines`: the pipelines as data.

use persona::{Result, app::App, config::Setting, key::Scope, pipeline::Pipeline};

use super::object;
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

/// The built-in pipelines, in their own order; a cursor continues after the pipeline of its name.
pub async fn handle(app: App, call: Call) -> Result<Reply> {
    let paging = Paging::of(&app, &call, &ROUTE, "").await?;
    let all = Pipeline::all_built_in();
    let passed =
        paging.after.as_deref().and_then(|name| all.iter().position(|pipeline| pipeline.name == name));
    let rest = all.get(passed.map_or(0, |at| at + 1)..).unwrap_or_default();
    let page = rest.get(..paging.limit).unwrap_or(rest);
    let next = page.last().filter(|_| page.len() < rest.len()).map(|pipeline| pipeline.name.as_str());
    paging.reply(page.iter().map(object).collect(), next).await
}
