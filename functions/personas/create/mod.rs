//! `POST /v1/personas`: a persona from an intent; as an answer that waits, as 202, or as a stream of events.

use persona::{
    Error, Result,
    app::App,
    config::Setting,
    error::Code,
    key::{Caller, Scope},
    run::{self, CreatePersona, Run, RunKind, RunStatus, Started, Tail, events::Event},
    store::personas::PersonaEntry,
};

use super::editing;
use crate::{
    Form, Route,
    serve::{Call, EventSource, Payload, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "personas-create",
    method: "POST",
    path: "/v1/personas",
    summary: "Create a persona from an intent.",
    scope: Scope::Write,
    streaming: true,
    query: &["stream"],
    headers: &["Prefer"],
    body: Some(include_str!("request.json")),
    answers: &[(200, Form::Events), (201, Form::Object("persona")), (202, Form::Object("run"))],
    errors: &[
        Code::CostBudgetExceeded,
        Code::WorkspaceBudgetExceeded,
        Code::IntentBlocked,
        Code::UpgradeRequired,
        Code::SlugTaken,
        Code::SchemaViolation,
        Code::ProviderUnavailable,
    ],
    settings: &[Setting::WorkspacesTable, Setting::PersonasTable, Setting::RunsTable, Setting::StepsQueueUrl],
};

/// Begins the run, then streams it, waits for it, or points to it.
pub async fn handle(app: App, call: Call<CreatePersona>) -> Result<Reply> {
    let stream = call.query.flag("stream")?;
    let started = run::create(&app, &call.caller, call.body.clone(), call.origin.clone()).await?;
    if stream {
        return Ok(streamed(&app, &call.caller, started));
    }
    let wait = run::wait_seconds(call.header("prefer"));
    let mut tail = Tail::new(app.clone(), *call.caller.tenant(), started.run.id, 1);
    let ended = tail.wait_for_end(wait).await?;
    ended_reply(&app, &call.caller, started.run, ended).await
}

/// The run's events, the first of them at once.
pub(crate) fn streamed(app: &App, caller: &Caller, started: Started) -> Reply {
    let run = started.run;
    let first = Event { seq: 1, body: started.first, created_at: run.created_at.clone() };
    let tail = Tail::new(app.clone(), *caller.tenant(), run.id, 1);
    Reply::new(200, Payload::Events(Box::new(EventSource { first: vec![first], tail })))
        .with_header("location", format!("/v1/runs/{}", run.id))
}

/// What a run came to.
pub(crate) enum Outcome {
    /// The persona, made or edited.
    Persona(Run, PersonaEntry),
    /// The run, which goes on, or was cancelled.
    Run(Run),
}

/// The persona where the run has ended well, its error where it has failed, and the run where it goes on.
pub(crate) async fn outcome(app: &App, caller: &Caller, run: Run, ended: bool) -> Result<Outcome> {
    let run = if ended { app.store().await.run(caller.tenant(), run.id).await?.unwrap_or(run) } else { run };
    match run.status {
        RunStatus::Completed => {
            let entry = app.store().await.persona(caller.tenant(), run.persona_id, None).await?;
            let entry = entry.ok_or_else(|| Error::not_found("persona", &run.persona_id.to_string()))?;
            Ok(Outcome::Persona(run, entry))
        }
        RunStatus::Failed => Err(run
            .stored_error()
            .map_or_else(|| Error::internal("a failed run without error"), Error::from)
            .with_run(run.id)),
        _ => Ok(Outcome::Run(run)),
    }
}

/// The outcome as it is answered over HTTP.
pub(crate) async fn ended_reply(app: &App, caller: &Caller, run: Run, ended: bool) -> Result<Reply> {
    match outcome(app, caller, run, ended).await? {
        Outcome::Persona(run, entry) => {
            let tag = editing::etag(entry.version);
            let made = run.kind == RunKind::PersonaCreate;
            let reply = Reply::json(if made { 201 } else { 200 }, entry.document()?).with_header("etag", tag);
            Ok(if made { reply.with_header("location", format!("/v1/personas/{}", entry.id)) } else { reply })
        }
        Outcome::Run(run) => Ok(Reply::json(202, run.to_object(&run.step_order(), None))
            .with_header("location", format!("/v1/runs/{}", run.id))),
    }
}
