//! `GET /v1/runs/{run}`.

use persona::{Result, app::App, config::Setting, key::Scope};

use super::access;
use crate::{
    Form, Route,
    serve::{Call, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "runs-get",
    method: "GET",
    path: "/v1/runs/{run}",
    summary: "Read a run.",
    scope: Scope::Read,
    streaming: false,
    query: &[],
    headers: &[],
    body: None,
    answers: &[(200, Form::Object("run"))],
    errors: &[],
    settings: &[Setting::WorkspacesTable, Setting::RunsTable],
};

/// The run with its input.
pub async fn handle(app: App, call: Call) -> Result<Reply> {
    let run = access::find(&app, &call.caller, call.path("run")).await?;
    let data = app.store().await.run_data(call.caller.tenant(), run.id).await?;
    Ok(Reply::json(200, run.to_object(&run.step_order(), Some(&data.input))))
}
