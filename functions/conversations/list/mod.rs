//! `GET /v1/chat/conversations`: a page of conversations, newest first.

use persona::{Result, app::App, config::Setting, key::Scope, store::conversations::ConversationEntry};

use super::access;
use crate::{
    Form, Route,
    serve::{Call, Paging, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "conversations-list",
    method: "GET",
    path: "/v1/chat/conversations",
    summary: "List conversations.",
    scope: Scope::Chat,
    streaming: false,
    query: &["limit", "cursor", "persona"],
    headers: &[],
    body: None,
    answers: &[(200, Form::List("conversation"))],
    errors: &[],
    settings: &[Setting::WorkspacesTable, Setting::ConversationsTable, Setting::SigningSecret],
};

/// Filters by the persona's id.
pub async fn handle(app: App, call: Call) -> Result<Reply> {
    let filters = call.query.filters();
    let paging = Paging::of(&app, &call, &ROUTE, &filters).await?;
    let persona = call.query.get("persona");
    let keep =
        |entry: &ConversationEntry| persona.is_none_or(|wanted| entry.persona_id.to_string() == wanted);
    let store = app.store().await;
    let page = store.conversations(call.caller.tenant(), paging.after.as_deref(), paging.limit, keep).await?;
    let seen = page.items.iter().filter(|(_, conversation)| access::may_see(&call.caller, conversation));
    let data = seen.map(|(_, conversation)| conversation.to_object()).collect();
    paging.reply(data, page.next.as_deref()).await
}
