//! `GET /v1/runs/{run}/diff?against=`: what differs between the documents of two runs, field by field.

use persona::{
    Error, Result,
    app::App,
    config::Setting,
    key::Scope,
    persona::{Layer, diff},
    run::Run,
};
use serde_json::{Value, json};

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

/// Compares layers, or what a turn said; `against` defaults to the run that this one replays.
pub async fn handle(app: App, call: Call) -> Result<Reply> {
    let run = access::find(&app, &call.caller, call.path("run")).await?;
    let against = match (call.query.get("against"), &run.replay) {
        (Some(name), _) => access::find(&app, &call.caller, name).await?,
        (None, Some(replay)) => access::find(&app, &call.caller, &replay.of.to_string()).await?,
        (None, None) => {
            return Err(Error::invalid("against", "Name the run to compare with: ?against=run_…."));
        }
    };
    let (before, after) = tokio::try_join!(made(&app, &call, &against), made(&app, &call, &run))?;
    let changes = diff::diff(&before, &after);
    Ok(Reply::json(
        200,
        json!({
            "object": "run.diff", "run_id": run.id, "against": against.id,
            "identical": changes.is_empty(), "changes": changes,
        }),
    ))
}

/// What a run made, short of ids: the layers of its document, or the words of its turn. Empty for a run that made
/// nothing.
async fn made(app: &App, call: &Call, run: &Run) -> Result<Value> {
    let spoken = run.kind.is_spoken();
    // The exact replay of a persona keeps nothing of its own.
    let replayed = run.replay.as_ref().filter(|_| run.is_exact_replay() && !spoken);
    let of = replayed.map_or(run.id, |replay| replay.of);
    let data = app.store().await.run_data(call.caller.tenant(), of).await?;
    let document = if spoken {
        data.outputs.get("reply")
    } else {
        data.outputs.get("finalize").map(|output| &output["document"])
    };
    let names: Vec<&str> =
        if spoken { vec!["content", "tool_calls"] } else { Layer::ALL.map(Layer::as_str).to_vec() };
    let kept = names.into_iter().filter_map(|name| Some((name.to_owned(), document?.get(name)?.clone())));
    Ok(Value::Object(kept.collect()))
}
