//! `GET /v1/runs`: a page of runs, newest first.

use persona::{
    Result,
    app::App,
    config::Setting,
    key::Scope,
    run::{RunKind, RunStatus},
    store::runs::RunEntry,
};

use crate::{
    Form, Route,
    serve::{Call, Paging, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "runs-list",
    method: "GET",
    path: "/v1/runs",
    summary: "List runs.",
    scope: Scope::Read,
    streaming: false,
    query: &["limit", "cursor", "kind", "status", "persona", "conversation"],
    headers: &[],
    body: None,
    answers: &[(200, Form::List("run"))],
    errors: &[],
    settings: &[Setting::WorkspacesTable, Setting::RunsTable, Setting::SigningSecret],
};

/// Filters by kind, status and persona.
pub async fn handle(app: App, call: Call) -> Result<Reply> {
    let kinds = "persona.create, persona.refine, conversation.turn, openai.completion";
    let kind: Option<RunKind> = call.query.one_of("kind", kinds)?;
    let status: Option<RunStatus> =
        call.query.one_of("status", "queued, running, completed, failed, cancelled")?;
    let persona = call.query.get("persona");
    let conversation = call.query.get("conversation");
    let filters = call.query.filters();
    let paging = Paging::of(&app, &call, &ROUTE, &filters).await?;
    let keep = |entry: &RunEntry| {
        kind.is_none_or(|wanted| entry.kind == wanted)
            && status.is_none_or(|wanted| if wanted.is_final() { entry.status == wanted } else { !entry.status.is_final() })
            && persona.is_none_or(|wanted| entry.persona_id.to_string() == wanted)
            // No run belongs to a conversation yet.
            && conversation.is_none()
    };
    let page =
        app.store().await.runs(call.caller.tenant(), paging.after.as_deref(), paging.limit, keep).await?;
    let wanted = page.items.iter().filter(|(_, run)| status.is_none_or(|wanted| run.status == wanted));
    let data = wanted.map(|(_, run)| run.to_object(&run.step_order(), None)).collect();
    paging.reply(data, page.next.as_deref()).await
}
