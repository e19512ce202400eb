//! `POST /v1/chat/conversations/{conversation}/messages`: one turn, whole or as events.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use persona::{
    Error, Result,
    app::App,
    config::Setting,
    conversation::turn::{self, Say, Spoken, Turn},
    error::Code,
    key::Scope,
    run::events::Event,
};
use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    task::JoinHandle,
};

use crate::{
    Form, Route,
    serve::{Call, Payload, Reply, as_text},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "messages-create",
    method: "POST",
    path: "/v1/chat/conversations/{conversation}/messages",
    summary: "Say something, and hear the persona's answer.",
    scope: Scope::Chat,
    streaming: true,
    query: &[],
    headers: &[],
    body: Some(include_str!("request.json")),
    answers: &[(200, Form::Events), (200, Form::Object("turn"))],
    errors: &[
        Code::CostBudgetExceeded,
        Code::IntentBlocked,
        Code::ConversationBusy,
        Code::ProviderUnavailable,
    ],
    settings: &[
        Setting::WorkspacesTable,
        Setting::PersonasTable,
        Setting::RunsTable,
        Setting::ConversationsTable,
        Setting::ProvidersSecret,
    ],
};

/// A stream says 200 when the persona begins to speak, or after this silence: the first byte comes within a second.
const SILENCE: Duration = Duration::from_millis(700);

/// Begins the turn, lets it speak in a task of its own, and answers or streams.
pub async fn handle(app: App, call: Call<Say>) -> Result<Reply> {
    let id = call.id("conversation", "conversation")?;
    let stream = call.body.stream;
    let turn = turn::begin(&app, &call.caller, id, call.body, call.trace_id).await?;
    if stream { streamed(turn).await } else { Ok(Reply::json(200, answered(turn).await?.to_object())) }
}

/// The turn is made to its end also when the caller leaves.
async fn answered(turn: Turn) -> Result<Spoken> {
    tokio::spawn(turn.speak(None)).await.map_err(Error::internal)?
}

async fn streamed(turn: Turn) -> Result<Reply> {
    let run = turn.run();
    let first = turn.first_events();
    let (sender, mut coming) = unbounded_channel();
    let mut speaking = tokio::spawn(turn.speak(Some(sender)));
    let begun = tokio::time::timeout(SILENCE, coming.recv()).await;
    if let Ok(Some(event)) = &begun
        && event.body.event == "run.failed"
    {
        // Nothing was said yet, so the failure is a plain answer.
        return Err(failure(&mut speaking).await);
    }
    let heard: Vec<Event> = first.into_iter().chain(begun.ok().flatten()).collect();
    let texts = stream::iter(heard).chain(following(coming)).map(|event| as_text(&event));
    Ok(Reply::new(200, Payload::Live(texts.boxed())).with_header("location", format!("/v1/runs/{run}")))
}

async fn failure(speaking: &mut JoinHandle<Result<Spoken>>) -> Error {
    match speaking.await {
        Ok(Err(error)) => error,
        Ok(Ok(_)) => Error::internal("a turn that failed was spoken"),
        Err(error) => Error::internal(error),
    }
}

fn following(coming: UnboundedReceiver<Event>) -> impl futures_util::Stream<Item = Event> + Send {
    stream::unfold(coming, |mut coming| async move { Some((coming.recv().await?, coming)) })
}
