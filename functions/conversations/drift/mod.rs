//! `GET /v1/chat/conversations/{conversation}/drift`: how far each turn was from its persona, newest first.

use persona::{
    Result,
    app::App,
    config::Setting,
    conversation::{Author, Message},
    drift::DRIFTING,
    key::Scope,
};
use serde_json::{Value, json};

use super::access;
use crate::{
    Form, Route,
    serve::{Call, Paging, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "conversations-drift",
    method: "GET",
    path: "/v1/chat/conversations/{conversation}/drift",
    summary: "Read the series of drift: each turn, the moving average, and where it crossed the threshold.",
    scope: Scope::Chat,
    streaming: false,
    query: &["limit", "cursor"],
    headers: &[],
    body: None,
    answers: &[(200, Form::Object("drift_series"))],
    errors: &[],
    settings: &[Setting::WorkspacesTable, Setting::ConversationsTable, Setting::SigningSecret],
};

/// A page of turns; the conversation's own average and threshold stand beside them.
pub async fn handle(app: App, call: Call) -> Result<Reply> {
    let id = call.id("conversation", "conversation")?;
    let conversation = access::find(&app, &call.caller, id).await?;
    let filters = id.to_string();
    let paging = Paging::of(&app, &call, &ROUTE, &filters).await?;
    let store = app.store().await;
    let spoken = |message: &Message| message.role == Author::Assistant;
    let page =
        store.messages(call.caller.tenant(), id, paging.after.as_deref(), paging.limit, spoken).await?;
    let turns: Vec<Value> = page.items.iter().filter_map(|(_, message)| turn(message)).collect();
    let reply = paging.reply(turns, page.next.as_deref()).await?;
    let smoothed = conversation.smoothed;
    let beside = json!({"average": smoothed.to_object()["average"], "above_threshold": smoothed.above, "threshold": DRIFTING});
    Ok(reply.with_fields(beside))
}

fn turn(message: &Message) -> Option<Value> {
    let report = message.report.as_ref()?;
    Some(json!({
        "object": "drift", "message_id": message.id, "run_id": message.run_id, "created_at": message.created_at,
        "updated_at": message.created_at, "persona_version": report.persona_version, "drift": report.drift,
        "coherence": report.coherence, "average": report.average, "crossed": report.crossed,
    }))
}
