//! `GET /v1/tools`: what personas may use in a conversation.

use persona::{Result, app::App, config::Setting, conversation::tools, key::Scope};

use crate::{
    Form, Route,
    serve::{Call, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "tools-list",
    method: "GET",
    path: "/v1/tools",
    summary: "List the tools that a persona may use.",
    scope: Scope::Read,
    streaming: false,
    query: &["limit", "cursor"],
    headers: &[],
    body: None,
    answers: &[(200, Form::List("tool"))],
    errors: &[],
    settings: &[Setting::WorkspacesTable, Setting::ProvidersSecret],
};

/// Those whose providers are configured; they fit one page.
pub async fn handle(app: App, call: Call) -> Result<Reply> {
    let limit = call.query.limit()?;
    let mut available = tools::available(&app, call.caller.mode).await?;
    available.truncate(limit);
    Ok(Reply::list(available, None))
}
