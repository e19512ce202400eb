//! `GET /v1/pipelines/{pipeline}`.

use persona::{Error, Result, app::App, config::Setting, key::Scope, pipeline::Pipeline};

use super::object;
use crate::{
    Form, Route,
    serve::{Call, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "pipelines-get",
    method: "GET",
    path: "/v1/pipelines/{pipeline}",
    summary: "Read one pipeline.",
    scope: Scope::Read,
    streaming: false,
    query: &[],
    headers: &[],
    body: None,
    answers: &[(200, Form::Object("pipeline"))],
    errors: &[],
    settings: &[Setting::WorkspacesTable],
};

/// One pipeline by name.
#[expect(clippy::unused_async, reason = "every handler has this signature")]
pub async fn handle(_app: App, call: Call) -> Result<Reply> {
    let name = call.path("pipeline");
    let pipeline = Pipeline::built_in(name).ok_or_else(|| Error::not_found("pipeline", name))?;
    Ok(Reply::json(200, object(pipeline)))
}
