//! `GET /v1/workspace`: the caller's workspace.

use super::reply;
use crate::{
    Form, Route,
    serve::{Call, Reply},
};
use persona::{Result, app::App, config::Setting, key::Scope};

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
    Ok(reply(&app.store().await.workspace(call.caller.tenant()).await?))
}
