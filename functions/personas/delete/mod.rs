//! `DELETE /v1/personas/{persona}`.

use persona::{Error, Result, app::App, config::Setting, key::Scope};

use super::access;
use crate::{
    Form, Route,
    serve::{Call, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "personas-delete",
    method: "DELETE",
    path: "/v1/personas/{persona}",
    summary: "Delete a persona; its runs stay readable.",
    scope: Scope::Write,
    streaming: false,
    query: &[],
    headers: &[],
    body: None,
    answers: &[(200, Form::Object("deletion"))],
    errors: &[],
    settings: &[Setting::WorkspacesTable, Setting::PersonasTable],
};

/// Deletes the persona; a second call is 404.
pub async fn handle(app: App, call: Call) -> Result<Reply> {
    let name = call.path("persona");
    let entry = access::find(&app, &call.caller, name, None).await?;
    if !app.store().await.delete_persona(call.caller.tenant(), &entry).await? {
        return Err(Error::not_found("persona", name));
    }
    Ok(Reply::json(200, serde_json::json!({"id": entry.id, "object": "persona", "deleted": true})))
}
