//! `GET /v1/pipelines`: the pipelines as data.

use persona::{Result, app::App, config::Setting, key::Scope, pipeline::Pipeline};

use super::object;
use crate::{
    Form, Route,
    serve::{Call, Reply},
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
    settings: &[Setting::WorkspacesTable],
};

/// All built-in pipelines; they fit one page.
#[expect(clippy::unused_async, reason = "every handler has this signature")]
pub async fn handle(_app: App, call: Call) -> Result<Reply> {
    let limit = call.query.limit()?;
    Ok(Reply::list(Pipeline::all_built_in().iter().take(limit).map(object).collect(), None))
}
