//! `GET /v1/chat/conversations/{conversation}`.

use persona::{Result, app::App, config::Setting, key::Scope};

use super::access;
use crate::{
    Form, Route,
    serve::{Call, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "conversations-get",
    method: "GET",
    path: "/v1/chat/conversations/{conversation}",
    summary: "Read a conversation.",
    scope: Scope::Chat,
    streaming: false,
    query: &[],
    headers: &[],
    body: None,
    answers: &[(200, Form::Object("conversation"))],
    errors: &[],
    settings: &[Setting::WorkspacesTable, Setting::ConversationsTable],
};

/// The conversation; its messages are a list of their own.
pub async fn handle(app: App, call: Call) -> Result<Reply> {
    let id = call.id("conversation", "conversation")?;
    Ok(Reply::json(200, access::find(&app, &call.caller, id).await?.to_object()))
}
