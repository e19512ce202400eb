//! `POST /v1/runs/{run}/replay`: from the recorded exchanges, or with the providers again.

use std::time::Duration;

use persona::{
    Error, Result,
    app::App,
    config::Setting,
    error::Code,
    key::Scope,
    run::{self, ReplayRequest, Replayed, Started, Tail},
};

use super::access;
use crate::{
    Form, Route,
    conversations::speaking,
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
    errors: &[Code::WorkspaceBudgetExceeded, Code::UpgradeRequired, Code::RunNotReplayable],
    settings: &[
        Setting::WorkspacesTable,
        Setting::PersonasTable,
        Setting::RunsTable,
        Setting::ConversationsTable,
        Setting::WebhooksTable,
        Setting::StepsQueueUrl,
        Setting::EventsQueueUrl,
        Setting::ProvidersSecret,
    ],
};

/// The new run: 201 when it ends within the wait, else 202. A turn is made here, and has ended.
pub async fn handle(app: App, call: Call<ReplayRequest>) -> Result<Reply> {
    let of = access::find(&app, &call.caller, call.path("run")).await?;
    let (id, ended) =
        match run::replay(&app, &call.caller, &of, call.body.clone(), call.origin.clone()).await? {
            Replayed::Started(started) => (started.run.id, wait(&app, &call, &started).await?),
            Replayed::Turn(turn) => {
                let id = turn.run();
                // How it went is the run's to say.
                let _ = speaking::whole(*turn).await;
                (id, true)
            }
        };
    let run = app.store().await.run(call.caller.tenant(), id).await?;
    let run = run.ok_or_else(|| Error::internal("a replay that began is not there"))?;
    let location = format!("/v1/runs/{}", run.id);
    Ok(Reply::json(if ended { 201 } else { 202 }, run.to_object(&run.step_order(), None))
        .with_header("location", location))
}

async fn wait(app: &App, call: &Call<ReplayRequest>, started: &Started) -> Result<bool> {
    let wait = run::wait_seconds(call.header("prefer"));
    let mut tail = Tail::new(app.clone(), *call.caller.tenant(), started.run.id, 1);
    tail.wait_for_end(wait.min(Duration::from_secs(25))).await
}
