//! `DELETE /v1/chat/conversations/{conversation}`.

use persona::{Error, Result, app::App, config::Setting, key::Scope};

use super::access;
use crate::{
    Form, Route,
    serve::{Call, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "conversations-delete",
    method: "DELETE",
    path: "/v1/chat/conversations/{conversation}",
    summary: "Delete a conversation and its messages; its runs stay readable.",
    scope: Scope::Chat,
    streaming: false,
    query: &[],
    headers: &[],
    body: None,
    answers: &[(200, Form::Object("deletion"))],
    errors: &[],
    settings: &[Setting::WorkspacesTable, Setting::ConversationsTable],
};

/// Deletes it; a second call is 404.
pub async fn handle(app: App, call: Call) -> Result<Reply> {
    let id = call.id("conversation", "conversation")?;
    access::find(&app, &call.caller, id).await?;
    if !app.store().await.delete_conversation(call.caller.tenant(), id).await? {
        return Err(Error::not_found("conversation", &id.to_string()));
    }
    Ok(Reply::json(200, serde_json::json!({"id": id, "object": "conversation", "deleted": true})))
}
