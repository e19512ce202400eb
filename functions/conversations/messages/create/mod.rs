//! `POST /v1/chat/conversations/{conversation}/messages`: one turn, whole or as events.

use std::time::Duration;

use futures_util::StreamExt;
use persona::{
    Result,
    app::App,
    config::Setting,
    conversation::turn::{self, Say, Turn},
    error::Code,
    key::Scope,
};

use crate::{
    Form, Route,
    conversations::speaking::{self, Speaking},
    serve::{Call, Payload, Reply, as_text},
};

/// A stream says 200 when the persona begins to speak, or after this silence: the first byte comes within a second.
const SILENCE: Duration = Duration::from_millis(700);

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
        Code::WorkspaceBudgetExceeded,
        Code::IntentBlocked,
        Code::ConversationBusy,
        Code::ProviderUnavailable,
    ],
    settings: &[
        Setting::WorkspacesTable,
        Setting::PersonasTable,
        Setting::RunsTable,
        Setting::ConversationsTable,
        Setting::WebhooksTable,
        Setting::EventsQueueUrl,
        Setting::ProvidersSecret,
    ],
};

/// Begins the turn, lets it speak in a task of its own, and answers or streams.
pub async fn handle(app: App, call: Call<Say>) -> Result<Reply> {
    let id = call.id("conversation", "conversation")?;
    let stream = call.body.stream;
    let turn = turn::begin(&app, &call.caller, id, call.body, call.origin).await?;
    if stream { streamed(turn).await } else { Ok(Reply::json(200, speaking::whole(turn).await?.to_object())) }
}

async fn streamed(turn: Turn) -> Result<Reply> {
    let location = format!("/v1/runs/{}", turn.run());
    let (events, _) = Speaking::begin(turn, SILENCE).await?.parts();
    let texts = events.map(|event| as_text(&event));
    Ok(Reply::new(200, Payload::Live(texts.boxed())).with_header("location", location))
}
