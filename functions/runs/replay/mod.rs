//! `POST /v1/runs/{run}/replay`: from the recorded exchanges, or with the providers again.

use persona::{
    Result,
    app::App,
    config::Setting,
    error::Code,
    key::Scope,
    run::{self, ReplayRequest, Tail},
};

use super::access;
use crate::{
    Form, Route,
    serve::{Call, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "runs-replay",
    method: "POST",
    path: "/v1/runs/{run}/replay",
    summary: "Replay a run.",
    scope: Scope::Write,
    streaming: false,
    query: &[],
    headers: &["Prefer"],
    body: Some(include_str!("request.json")),
    answers: &[(201, Form::Object("run")), (202, Form::Object("run"))],
    errors: &[Code::UpgradeRequired, Code::RunNotReplayable],
    settings: &[Setting::WorkspacesTable, Setting::RunsTable, Setting::StepsQueueUrl],
};

/// The new run: 201 when it ends within the wait, else 202.
pub async fn handle(app: App, call: Call<ReplayRequest>) -> Result<Reply> {
    let of = access::find(&app, &call.caller, call.path("run")).await?;
    let started = run::replay(&app, &call.caller, &of, call.body.clone(), call.trace_id.clone()).await?;
    let wait = run::wait_seconds(call.header("prefer"));
    let mut tail = Tail::new(app.clone(), *call.caller.tenant(), started.run.id, 1);
    let ended = tail.wait_for_end(wait.min(std::time::Duration::from_secs(25))).await?;
    let store = app.store().await;
    let run = store.run(call.caller.tenant(), started.run.id).await?.unwrap_or(started.run);
    let location = format!("/v1/runs/{}", run.id);
    Ok(Reply::json(if ended { 201 } else { 202 }, run.to_object(&run.step_order(), None))
        .with_header("location", location))
}
