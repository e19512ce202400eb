//! `GET /v1/runs/{run}/events`: JSON, or server-sent events that go on until the run ends.

use persona::{Error, Result, app::App, config::Setting, key::Scope, run::Tail};

use super::access;
use crate::{
    Form, Route,
    serve::{Call, EventSource, Payload, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "runs-events",
    method: "GET",
    path: "/v1/runs/{run}/events",
    summary: "Read or follow a run's events.",
    scope: Scope::Read,
    streaming: true,
    query: &["after", "limit", "cursor"],
    headers: &["Last-Event-ID"],
    body: None,
    answers: &[(200, Form::List("event")), (200, Form::Events)],
    errors: &[],
    settings: &[Setting::WorkspacesTable, Setting::RunsTable],
};

/// Events after `Last-Event-ID` or `?after=`; past ones first, then live with `Accept: text/event-stream`.
pub async fn handle(app: App, call: Call) -> Result<Reply> {
    let run = access::find(&app, &call.caller, call.path("run")).await?;
    let after = match call.query.number("after")? {
        Some(after) => after,
        None => last_event_id(call.header("last-event-id"))?,
    };
    if call.accepts("text/event-stream") {
        let tail = Tail::new(app.clone(), *call.caller.tenant(), run.id, after);
        return Ok(Reply::new(200, Payload::Events(Box::new(EventSource { first: Vec::new(), tail }))));
    }
    let events = app.store().await.events_after(call.caller.tenant(), run.id, after).await?;
    Ok(Reply::list(events.iter().map(persona::run::events::Event::to_object).collect(), None))
}

fn last_event_id(header: Option<&str>) -> Result<u64> {
    match header.map(str::trim) {
        None | Some("") => Ok(0),
        Some(text) => text.parse().map_err(|_| {
            let shown: String = text.chars().take(40).collect();
            Error::invalid(
                "Last-Event-ID",
                format!("\"{shown}\" is not an event's number. Send the last id that you received."),
            )
        }),
    }
}
