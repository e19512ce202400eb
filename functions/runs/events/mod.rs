//! `GET /v1/runs/{run}/events`: JSON, or server-sent events that go on until the run ends.

use persona::{
    Error, Result,
    app::App,
    config::Setting,
    key::Scope,
    run::{Run, Tail, events::Event},
};

use super::access;
use crate::{
    Form, Route,
    serve::{Call, EventSource, Paging, Payload, Reply},
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
    settings: &[Setting::WorkspacesTable, Setting::RunsTable, Setting::SigningSecret],
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
    listed(&app, &call, &run, after).await
}

/// A page of the log, oldest first. Its cursor is good for this run alone.
async fn listed(app: &App, call: &Call, run: &Run, after: u64) -> Result<Reply> {
    let filters = format!("{}?{}", run.id, call.query.filters());
    let paging = Paging::of(app, call, &ROUTE, &filters).await?;
    let after = match &paging.after {
        Some(position) => position.parse().map_err(Error::internal)?,
        None => after,
    };
    // One more than the page shows whether another follows.
    let most = paging.limit + 1;
    let mut events = app.store().await.events_page(call.caller.tenant(), run.id, after, most).await?;
    let more = events.len() == most;
    events.truncate(paging.limit);
    let next = events.last().filter(|_| more).map(|event| event.seq.to_string());
    paging.reply(events.iter().map(Event::to_object).collect(), next.as_deref()).await
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
