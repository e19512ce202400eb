//! `POST /v1/chat/conversations`: a conversation with a persona's current version, pinned from now on.

use persona::{
    Result,
    app::App,
    config::Setting,
    conversation::{self, Begin},
    key::Scope,
    store::personas::Visibility,
};

use crate::{
    Form, Route, personas,
    serve::{Call, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "conversations-create",
    method: "POST",
    path: "/v1/chat/conversations",
    summary: "Begin a conversation with a persona.",
    scope: Scope::Chat,
    streaming: false,
    query: &[],
    headers: &[],
    body: Some(include_str!("request.json")),
    answers: &[(201, Form::Object("conversation"))],
    errors: &[],
    settings: &[Setting::WorkspacesTable, Setting::PersonasTable, Setting::ConversationsTable],
};

/// Pins the version that speaks.
pub async fn handle(app: App, call: Call<Begin>) -> Result<Reply> {
    let name = call.body.persona_id.clone();
    let persona = personas::access::find(&app, &call.caller, &name, None).await?;
    let private = persona.visibility == Visibility::Private;
    let made = conversation::begin(&app, &call.caller, &persona, private, call.body).await?;
    let location = format!("/v1/chat/conversations/{}", made.id);
    Ok(Reply::json(201, made.to_object()).with_header("location", location))
}
