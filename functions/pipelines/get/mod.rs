//! `GET /v1/pipelines/{pipeline}`.

use persona::{Error, Result, app::App, config::Setting, key::Scope, pipeline::Pipeline};

use super::{object, own_object, reply};
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

/// One of the service's own, or one of the workspace's.
pub async fn handle(app: App, call: Call) -> Result<Reply> {
    let name = call.path("pipeline");
    if let Some(pipeline) = Pipeline::built_in(name) {
        return Ok(reply(200, object(pipeline), pipeline.version));
    }
    let row = app.store().await.pipeline_row(call.caller.tenant(), name).await?;
    let row = row.ok_or_else(|| Error::not_found("pipeline", name))?;
    Ok(reply(200, own_object(&row)?, row.version))
}
