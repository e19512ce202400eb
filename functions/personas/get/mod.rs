//! `GET /v1/personas/{persona}`: one persona, as JSON or YAML.

use persona::{Result, app::App, config::Setting, key::Scope, persona::yaml};

use super::{access, editing};
use crate::{
    Form, Route,
    serve::{Call, Payload, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "personas-get",
    method: "GET",
    path: "/v1/personas/{persona}",
    summary: "Read a persona, or an older version of it.",
    scope: Scope::Read,
    streaming: false,
    query: &["version"],
    headers: &[],
    body: None,
    answers: &[(200, Form::Object("persona")), (200, Form::Yaml("persona"))],
    errors: &[],
    settings: &[Setting::WorkspacesTable, Setting::PersonasTable],
};

/// Two storage requests: the key's, and the document's.
pub async fn handle(app: App, call: Call) -> Result<Reply> {
    let version = call.query.number("version")?;
    let entry = access::find(&app, &call.caller, call.path("persona"), version).await?;
    let document = entry.document()?;
    let yaml = call.accepts("application/yaml") || call.accepts("text/yaml");
    let payload = if yaml { Payload::Yaml(yaml::to_yaml(&document)?) } else { Payload::Json(document) };
    Ok(Reply::new(200, payload).with_header("etag", editing::etag(entry.version)))
}
