//! `GET /v1/openai/models/{model}`.

use persona::{Result, app::App, config::Setting, error::Code, key::Scope, openai};

use super::{embedding_model, persona_model};
use crate::{
    Form, Route,
    openai::access,
    serve::{Call, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "models-get",
    method: "GET",
    path: "/v1/openai/models/{model}",
    summary: "Read one model: a persona by id or slug, or an embedding model.",
    scope: Scope::Chat,
    streaming: false,
    query: &[],
    headers: &[],
    body: None,
    answers: &[(200, Form::Object("model"))],
    errors: &[],
    settings: &[Setting::WorkspacesTable, Setting::PersonasTable, Setting::ProvidersSecret],
};

/// A persona goes before an embedding model of the same name.
pub async fn handle(app: App, call: Call) -> Result<Reply> {
    let model = call.path("model");
    let unknown = match access::find(&app, &call.caller, model).await {
        Ok(entry) => return Ok(Reply::json(200, persona_model(model, &entry, &call.caller)?)),
        Err(error) => error,
    };
    let embeds = unknown.code == Code::NotFound
        && openai::embedding_models(&app, call.caller.mode).await?.iter().any(|known| known == model);
    if embeds { Ok(Reply::json(200, embedding_model(model))) } else { Err(unknown) }
}
