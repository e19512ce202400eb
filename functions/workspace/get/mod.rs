//! `GET /v1/workspace`: the caller's workspace.

use persona::{Result, app::App, config::Setting, key::Scope};
use serde_json::json;

use crate::{
    Form, Route,
    serve::{Call, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "workspace-get",
    method: "GET",
    path: "/v1/workspace",
    summary: "Read the workspace: plan, mode, limits, active pipeline.",
    scope: Scope::Read,
    streaming: false,
    query: &[],
    headers: &[],
    body: None,
    answers: &[(200, Form::Object("workspace"))],
    errors: &[],
    settings: &[Setting::WorkspacesTable],
};

/// Plan, mode, limits, active pipeline.
pub async fn handle(app: App, call: Call) -> Result<Reply> {
    let workspace = app.store().await.workspace(call.caller.tenant()).await?;
    let rate = workspace.plan.rate();
    Ok(Reply::json(
        200,
        json!({
            "id": workspace.id, "object": "workspace", "name": workspace.name, "mode": workspace.mode,
            "plan": workspace.plan, "pipeline": workspace.pipeline, "api_version": workspace.api_version,
            "limits": {"requests_per_minute": rate.per_minute, "burst": rate.burst},
            "created_at": workspace.created_at, "updated_at": workspace.updated_at,
        }),
    ))
}
