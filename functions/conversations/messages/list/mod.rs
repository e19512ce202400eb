//! `GET /v1/chat/conversations/{conversation}/messages`: the whole transcript, newest first.

use persona::{Result, app::App, config::Setting, key::Scope};

use crate::{
    Form, Route,
    conversations::access,
    serve::{Call, Paging, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "messages-list",
    method: "GET",
    path: "/v1/chat/conversations/{conversation}/messages",
    summary: "Read the transcript.",
    scope: Scope::Chat,
    streaming: false,
    query: &["limit", "cursor"],
    headers: &[],
    body: None,
    answers: &[(200, Form::List("message"))],
    errors: &[],
    settings: &[Setting::WorkspacesTable, Setting::ConversationsTable, Setting::SigningSecret],
};

/// A page of messages, whatever the model still hears of them.
pub async fn handle(app: App, call: Call) -> Result<Reply> {
    let id = call.id("conversation", "conversation")?;
    access::find(&app, &call.caller, id).await?;
    let filters = id.to_string();
    let paging = Paging::of(&app, &call, &ROUTE, &filters).await?;
    let store = app.store().await;
    let page =
        store.messages(call.caller.tenant(), id, paging.after.as_deref(), paging.limit, |_| true).await?;
    let data = page.items.iter().map(|(_, message)| message.to_object(id)).collect();
    paging.reply(data, page.next.as_deref()).await
}
