//! `PUT /v1/personas/{persona}`: the whole editable document anew, as JSON or YAML.

use persona::{Result, app::App, config::Setting, error::Code, key::Scope, persona::document::Edit};
use serde_json::Value;

use super::editing;
use crate::{
    Form, Route,
    serve::{Call, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "personas-update",
    method: "PUT",
    path: "/v1/personas/{persona}",
    summary: "Replace a persona's editable document; each change is a new version.",
    scope: Scope::Write,
    streaming: false,
    query: &[],
    headers: &["If-Match"],
    body: Some(include_str!("request.json")),
    answers: &[(200, Form::Object("persona"))],
    errors: &[Code::SlugTaken, Code::PreconditionFailed, Code::SchemaViolation],
    settings: &[
        Setting::WorkspacesTable,
        Setting::PersonasTable,
        Setting::WebhooksTable,
        Setting::EventsQueueUrl,
    ],
};

/// The new version, or the old one where nothing changes.
pub async fn handle(app: App, call: Call<Value>) -> Result<Reply> {
    editing::edit(&app, &call, Edit::Replace).await
}
