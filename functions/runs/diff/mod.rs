//! `GET /v1/runs/{run}/diff?against=`: what differs between the documents of two runs, field by field.

use persona::{
    Error, Result,
    app::App,
    config::Setting,
    key::Scope,
    persona::{Layer, diff},
    run::Run,
};
use serde_json::{Map, Value, json};

use super::access;
use crate::{
    Form, Route,
    serve::{Call, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "runs-diff",
    method: "GET",
    path: "/v1/runs/{run}/diff",
    summary: "Compare the documents of two runs.",
    scope: Scope::Read,
    streaming: false,
    query: &["against"],
    headers: &[],
    body: None,
    answers: &[(200, Form::Object("diff"))],
    errors: &[],
    settings: &[Setting::WorkspacesTable, Setting::RunsTable],
};

/// Compares the layers; `against` defaults to the run that this one replays.
pub async fn handle(app: App, call: Call) -> Result<Reply> {
    let run = access::find(&app, &call.caller, call.path("run")).await?;
    let against = match (call.query.get("against"), &run.replay) {
        (Some(name), _) => access::find(&app, &call.caller, name).await?,
        (None, Some(replay)) => access::find(&app, &call.caller, &replay.of.to_string()).await?,
        (None, None) => {
            return Err(Error::invalid("against", "Name the run to compare with: ?against=run_…."));
        }
    };
    let (before, after) = tokio::try_join!(layers(&app, &call, &against), layers(&app, &call, &run))?;
    let changes = diff::diff(&before, &after);
    Ok(Reply::json(
        200,
        json!({
            "object": "run.diff", "run_id": run.id, "against": against.id,
            "identical": changes.is_empty(), "changes": changes,
        }),
    ))
}

/// The layers that a run's document has; empty for a run that has none.
async fn layers(app: &App, call: &Call, run: &Run) -> Result<Value> {
    let of =
        if run.is_exact_replay() { run.replay.as_ref().map_or(run.id, |replay| replay.of) } else { run.id };
    let data = app.store().await.run_data(call.caller.tenant(), of).await?;
    let document = data.outputs.get("finalize").map(|output| &output["document"]);
    let mut kept = Map::new();
    for layer in Layer::ALL {
        if let Some(value) = document.and_then(|document| document.get(layer.as_str())) {
            kept.insert(layer.as_str().to_owned(), value.clone());
        }
    }
    Ok(Value::Object(kept))
}
