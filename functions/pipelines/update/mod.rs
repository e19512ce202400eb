//! `PUT /v1/pipelines/{pipeline}`: a pipeline of the workspace's own, as JSON or YAML.

use persona::{
    Error, Result,
    app::App,
    config::Setting,
    error::Code,
    key::{Plan, Scope},
    pipeline,
    store::pipelines::{PIPELINES_MOST, PipelineRow},
};
use serde_json::Value;

use super::{etag, own_object, reply};
use crate::{
    Form, Route,
    serve::{Call, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "pipelines-update",
    method: "PUT",
    path: "/v1/pipelines/{pipeline}",
    summary: "Make or change a pipeline of the workspace's own; runs that have begun keep the one they follow.",
    scope: Scope::Write,
    streaming: false,
    query: &[],
    headers: &["If-Match"],
    body: Some(include_str!("request.json")),
    answers: &[(200, Form::Object("pipeline")), (201, Form::Object("pipeline"))],
    errors: &[Code::UpgradeRequired, Code::PreconditionFailed],
    settings: &[Setting::WorkspacesTable],
};

/// Another change in between is met this often.
const TRIES: u32 = 8;

/// 201 where it is new, 200 where it was there; the same definition again changes nothing.
pub async fn handle(app: App, call: Call<Value>) -> Result<Reply> {
    call.caller.require_plan(Plan::Team, "pipeline")?;
    let (store, tenant, name) = (app.store().await, call.caller.tenant(), call.path("pipeline"));
    let read = |version: u32| pipeline::read(name, version, &call.body);
    read(1)?;
    for _ in 0..TRIES {
        let before = store.pipeline_row(tenant, name).await?;
        let current = before.as_ref().map(|row| etag(row.version));
        call.precondition("pipeline", current.as_deref())?;
        if let Some(before) = &before {
            let same = read(before.version)?;
            if same.digest == before.pipeline()?.digest {
                return Ok(reply(200, own_object(before)?, before.version));
            }
        } else if store.pipeline_rows(tenant).await?.len() >= PIPELINES_MOST {
            let message = format!(
                "The workspace has {PIPELINES_MOST} pipelines, the most that it may have. Delete one first."
            );
            return Err(Error::invalid("name", message));
        }
        let pipeline = read(before.as_ref().map_or(1, |before| before.version + 1))?;
        let at = app.clock().timestamp();
        let row = PipelineRow::new(&pipeline, before.as_ref().map_or(&at, |before| &before.created_at), &at)?;
        if store.put_pipeline(tenant, &row, before.as_ref().map(|before| before.version)).await? {
            return Ok(reply(if before.is_some() { 200 } else { 201 }, own_object(&row)?, row.version));
        }
    }
    Err(Error::new(
        Code::PreconditionFailed,
        format!("The pipeline was changed {TRIES} times while this change was made. Read it again."),
    ))
}
