//! `POST /v1/personas/{persona}/refine`: an edit by instruction, as a run; answered as a creation is.

use persona::{
    Result,
    app::App,
    config::Setting,
    error::Code,
    key::Scope,
    run::{self, RefinePersona, Tail},
};

use super::{access, create, editing};
use crate::{
    Form, Route,
    serve::{Call, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "personas-refine",
    method: "POST",
    path: "/v1/personas/{persona}/refine",
    summary: "Edit a persona by instruction: a run that leaves untouched layers as they are.",
    scope: Scope::Write,
    streaming: true,
    query: &["stream"],
    headers: &["Prefer", "If-Match"],
    body: Some(include_str!("request.json")),
    answers: &[(200, Form::Object("persona")), (200, Form::Events), (202, Form::Object("run"))],
    errors: &[
        Code::CostBudgetExceeded,
        Code::WorkspaceBudgetExceeded,
        Code::IntentBlocked,
        Code::UpgradeRequired,
        Code::PreconditionFailed,
        Code::SchemaViolation,
        Code::ProviderUnavailable,
    ],
    settings: &[Setting::WorkspacesTable, Setting::PersonasTable, Setting::RunsTable, Setting::StepsQueueUrl],
};

/// Begins the run, then streams it, waits for it, or points to it.
pub async fn handle(app: App, call: Call<RefinePersona>) -> Result<Reply> {
    let stream = call.query.flag("stream")?;
    let persona = access::find(&app, &call.caller, call.path("persona"), None).await?;
    call.precondition("persona", Some(&editing::etag(persona.version)))?;
    let started = run::refine(&app, &call.caller, &persona, call.body.clone(), call.origin.clone()).await?;
    if stream {
        return Ok(create::streamed(&app, &call.caller, started));
    }
    let wait = run::wait_seconds(call.header("prefer"));
    let mut tail = Tail::new(app.clone(), *call.caller.tenant(), started.run.id, 1);
    let ended = tail.wait_for_end(wait).await?;
    create::ended_reply(&app, &call.caller, started.run, ended).await
}
