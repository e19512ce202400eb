//! `DELETE /v1/pipelines/{pipeline}`.

use persona::{
    Error, Result, app::App, config::Setting, error::Code, key::Scope, pipeline::Pipeline,
    store::pipelines::Dropped,
};
use serde_json::json;

use super::etag;
use crate::{
    Form, Route,
    serve::{Call, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "pipelines-delete",
    method: "DELETE",
    path: "/v1/pipelines/{pipeline}",
    summary: "Delete a pipeline of the workspace's own; runs that follow it go on, and can be replayed.",
    scope: Scope::Write,
    streaming: false,
    query: &[],
    headers: &["If-Match"],
    body: None,
    answers: &[(200, Form::Object("deletion"))],
    errors: &[Code::PreconditionFailed],
    settings: &[Setting::WorkspacesTable],
};

/// A change in between is met this often.
const TRIES: u32 = 8;

/// 400 for the service's own and for the active one.
pub async fn handle(app: App, call: Call) -> Result<Reply> {
    let (store, tenant, name) = (app.store().await, call.caller.tenant(), call.path("pipeline"));
    if Pipeline::built_in(name).is_some() {
        let message = format!("\"{name}\" is one of the service's own pipelines; it cannot be deleted.");
        return Err(Error::invalid("pipeline", message));
    }
    for _ in 0..TRIES {
        let Some(row) = store.pipeline_row(tenant, name).await? else { break };
        call.precondition("pipeline", Some(&etag(row.version)))?;
        match store.delete_pipeline(tenant, &row).await? {
            Dropped::Yes => {
                return Ok(Reply::json(200, json!({"id": name, "object": "pipeline", "deleted": true})));
            }
            Dropped::Active => {
                let message = format!(
                    "\"{name}\" is the workspace's active pipeline. Choose another through PATCH /v1/workspace first."
                );
                return Err(Error::invalid("pipeline", message));
            }
            Dropped::Overtaken => {}
        }
    }
    Err(Error::not_found("pipeline", name))
}
