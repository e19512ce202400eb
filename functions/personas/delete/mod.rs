//! `DELETE /v1/personas/{persona}`.

use persona::{
    Error, Result,
    app::App,
    config::Setting,
    error::Code,
    key::Scope,
    webhook::{self, Event},
};

use super::{access, editing};
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
    headers: &["If-Match"],
    body: None,
    answers: &[(200, Form::Object("deletion"))],
    errors: &[Code::PreconditionFailed],
    settings: &[
        Setting::WorkspacesTable,
        Setting::PersonasTable,
        Setting::WebhooksTable,
        Setting::MarketplaceTable,
        Setting::EventsQueueUrl,
    ],
};

/// An edit in between is met this often.
const TRIES: u32 = 12;

/// Deletes the persona with all its versions and its listing; a second call is 404, and goes on where a first one was cut off.
pub async fn handle(app: App, call: Call) -> Result<Reply> {
    let (name, tenant) = (call.path("persona"), call.caller.tenant());
    let store = app.store().await;
    for _ in 0..TRIES {
        let entry = match access::find(&app, &call.caller, name, None).await {
            Ok(entry) => entry,
            Err(error) => {
                if let Ok(id) = name.parse()
                    && store.persona(tenant, id, None).await?.is_none()
                {
                    store.delete_rest(tenant, call.caller.mode, id).await?;
                }
                return Err(error);
            }
        };
        call.precondition("persona", Some(&editing::etag(entry.version)))?;
        let told = Event::persona_deleted(&entry, &app.clock().timestamp());
        if store.delete_persona(tenant, call.caller.mode, &entry, &told).await? {
            webhook::announce(&app, tenant, &[told]).await;
            return Ok(Reply::json(
                200,
                serde_json::json!({"id": entry.id, "object": "persona", "deleted": true}),
            ));
        }
    }
    Err(Error::new(
        Code::PreconditionFailed,
        format!("The persona was edited {TRIES} times while it was to be deleted. Delete it again."),
    ))
}
