//! `POST /v1/runs/{run}/cancel`.

use persona::{Result, app::App, config::Setting, error::Code, key::Scope, run};

use super::access;
use crate::{
    Form, Route,
    serve::{Call, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "runs-cancel",
    method: "POST",
    path: "/v1/runs/{run}/cancel",
    summary: "Cancel a run.",
    scope: Scope::Write,
    streaming: false,
    query: &[],
    headers: &[],
    body: None,
    answers: &[(200, Form::Object("run"))],
    errors: &[Code::RunNotCancellable],
    settings: &[Setting::WorkspacesTable, Setting::PersonasTable, Setting::RunsTable, Setting::WebhooksTable],
};

/// Cancels; a run that was cancelled before answers the same, any other ended run is 409.
pub async fn handle(app: App, call: Call) -> Result<Reply> {
    let run = access::find(&app, &call.caller, call.path("run")).await?;
    let cancelled = run::cancel(&app, &call.caller, &run).await?;
    Ok(Reply::json(200, cancelled.to_object(&cancelled.step_order(), None)))
}
