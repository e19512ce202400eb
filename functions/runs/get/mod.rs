//! `GET /v1/runs/{run}`.

use persona::{Result, app::App, config::Setting, key::Scope};

use serde_json::json;

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
    let decided = data.outputs.get("intent_parse").map(|output| &output["moderation"]);
    // Which rule matched is not for whoever looks for a way around it.
    let decision = decided.filter(|decision| decision.is_object()).map(|decision| {
        json!({"allowed": decision["allowed"], "category": decision["category"], "policy": decision["policy"]})
    });
    let object = run.to_object(&run.step_order(), Some(&data.input));
    Ok(Reply::json(200, object).with_fields(json!({"moderation": decision})))
}
