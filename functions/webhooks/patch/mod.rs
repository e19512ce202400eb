//! `PATCH /v1/webhooks/{webhook}`: another address, other events, enabled or not.

use persona::{
    Error, Result,
    app::App,
    config::Setting,
    error::Code,
    key::Scope,
    webhook::{self, Change},
};

use super::access;
use crate::{
    Form, Route,
    serve::{Call, Reply},
};

/// A change in between is met this often.
const TRIES: u32 = 12;

/// The route.
pub const ROUTE: Route = Route {
    bin: "webhooks-patch",
    method: "PATCH",
    path: "/v1/webhooks/{webhook}",
    summary: "Change a webhook; what is left out stays.",
    scope: Scope::Admin,
    streaming: false,
    query: &[],
    headers: &["If-Match"],
    body: Some(include_str!("request.json")),
    answers: &[(200, Form::Object("webhook"))],
    errors: &[Code::PreconditionFailed],
    settings: &[Setting::WorkspacesTable, Setting::WebhooksTable],
};

/// Without `If-Match`, a change that was overtaken is made on what is there now.
pub async fn handle(app: App, call: Call<Change>) -> Result<Reply> {
    for _ in 0..TRIES {
        let read = access::find(&app, &call).await?;
        call.precondition("webhook", Some(&access::etag(&read)))?;
        if let Some(changed) = webhook::change(&app, call.caller.tenant(), read, &call.body).await? {
            return Ok(access::reply(200, &changed, None));
        }
    }
    let message = format!("The webhook was changed {TRIES} times while it was to be changed. Send it again.");
    Err(Error::new(Code::PreconditionFailed, message))
}
