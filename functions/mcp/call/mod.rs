//! `POST /v1/mcp`: one message of the Model Context Protocol, answered by itself; nothing is remembered between messages.

use persona::{Result, app::App, config::Setting, error::Code, key::Scope};

use super::transport;
use crate::{
    Form, Route,
    serve::{Call, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "mcp-call",
    method: "POST",
    path: "/v1/mcp",
    summary: "Personas as tools, prompts and resources, for hosts of the Model Context Protocol.",
    scope: Scope::Any,
    streaming: true,
    query: &[],
    headers: &["MCP-Protocol-Version", "Mcp-Method", "Mcp-Name", "Origin"],
    body: Some(include_str!("message.json")),
    answers: &[(200, Form::Object("mcp_message")), (200, Form::Messages), (202, Form::Nothing)],
    errors: &[Code::NotFound, Code::OriginNotAllowed],
    settings: &[
        Setting::WorkspacesTable,
        Setting::PersonasTable,
        Setting::RunsTable,
        Setting::ConversationsTable,
        Setting::WebhooksTable,
        Setting::MarketplaceTable,
        Setting::StepsQueueUrl,
        Setting::EventsQueueUrl,
        Setting::ProvidersSecret,
        Setting::SigningSecret,
    ],
};

/// What a key may do is decided by each method and tool.
pub async fn handle(app: App, call: Call<String>) -> Result<Reply> {
    transport::answer(app, call).await
}
