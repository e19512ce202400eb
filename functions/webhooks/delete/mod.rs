//! `DELETE /v1/webhooks/{webhook}`.

use persona::{Error, Result, app::App, config::Setting, error::Code, key::Scope};
use serde_json::json;

use super::access;
use crate::{
    Form, Route,
    serve::{Call, Reply},
};

/// A change in between is met this often.
const TRIES: u32 = 12;

/// The route.
pub const ROUTE: Route = Route {
    bin: "webhooks-delete",
    method: "DELETE",
    path: "/v1/webhooks/{webhook}",
    summary: "Delete a webhook; what is on its way to it is given up.",
    scope: Scope::Admin,
    streaming: false,
    query: &[],
    headers: &["If-Match"],
    body: None,
    answers: &[(200, Form::Object("deletion"))],
    errors: &[Code::PreconditionFailed],
    settings: &[Setting::WorkspacesTable, Setting::WebhooksTable],
};

/// Deletes it; a second call is 404.
pub async fn handle(app: App, call: Call) -> Result<Reply> {
    for _ in 0..TRIES {
        let read = access::find(&app, &call).await?;
        call.precondition("webhook", Some(&access::etag(&read)))?;
        if app.store().await.delete_webhook(call.caller.tenant(), &read).await? {
            return Ok(Reply::json(200, json!({"id": read.id, "object": "webhook", "deleted": true})));
        }
    }
    let message =
        format!("The webhook was changed {TRIES} times while it was to be deleted. Delete it again.");
    Err(Error::new(Code::PreconditionFailed, message))
}
