//! `POST /v1/schema/fields`: a custom field of the workspace's personas.

use persona::{
    Error, Result,
    app::App,
    config::Setting,
    error::Code,
    key::Scope,
    persona::{
        Field,
        field::{FIELDS_MOST, SCHEMAS_BYTES_MOST},
    },
    store::fields::Registration,
};

use super::in_use;
use crate::{
    Form, Route,
    serve::{Call, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "fields-create",
    method: "POST",
    path: "/v1/schema/fields",
    summary: "Register a custom field; the same definition again changes nothing.",
    scope: Scope::Write,
    streaming: false,
    query: &[],
    headers: &[],
    body: Some(include_str!("request.json")),
    answers: &[(200, Form::Object("field")), (201, Form::Object("field"))],
    errors: &[Code::FieldInUse],
    settings: &[Setting::WorkspacesTable, Setting::PersonasTable],
};

/// 201 where it is new; 200 where it was there, the same or another that no persona had.
pub async fn handle(app: App, call: Call<Field>) -> Result<Reply> {
    let field = &call.body;
    Error::invalid_all(field.problems())?;
    let at = app.clock().timestamp();
    match app.store().await.register_field(call.caller.tenant(), field, &at).await? {
        Registration::New(row) => Ok(Reply::json(201, row.to_object()?)),
        Registration::Known(row) => Ok(Reply::json(200, row.to_object()?)),
        Registration::InUse(uses) => Err(in_use(&field.name, uses, "changed")),
        Registration::TooMany => {
            let message = format!(
                "The workspace has {FIELDS_MOST} custom fields, the most that it may have. Delete one first."
            );
            Err(Error::invalid("name", message))
        }
        Registration::TooLarge(bytes) => {
            let message = format!(
                "The schemas of all custom fields would have {bytes} bytes; at most {SCHEMAS_BYTES_MOST} are allowed. Shorten it."
            );
            Err(Error::invalid("schema", message))
        }
    }
}
