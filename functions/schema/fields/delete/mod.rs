//! `DELETE /v1/schema/fields/{field}`.

use persona::{Error, Result, app::App, config::Setting, error::Code, key::Scope, store::fields::Removal};
use serde_json::json;

use super::in_use;
use crate::{
    Form, Route,
    serve::{Call, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "fields-delete",
    method: "DELETE",
    path: "/v1/schema/fields/{field}",
    summary: "Delete a custom field that no persona has.",
    scope: Scope::Write,
    streaming: false,
    query: &[],
    headers: &[],
    body: None,
    answers: &[(200, Form::Object("deletion"))],
    errors: &[Code::FieldInUse],
    settings: &[Setting::WorkspacesTable, Setting::PersonasTable],
};

/// 409 while a persona has it, or a run will make one that does.
pub async fn handle(app: App, call: Call) -> Result<Reply> {
    let name = call.path("field");
    match app.store().await.delete_field(call.caller.tenant(), name).await? {
        Removal::Yes => Ok(Reply::json(200, json!({"id": name, "object": "schema.field", "deleted": true}))),
        Removal::Unknown => Err(Error::not_found("custom field", name)),
        Removal::InUse(uses) => Err(in_use(name, uses, "deleted")),
    }
}
