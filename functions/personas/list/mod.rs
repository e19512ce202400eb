//! `GET /v1/personas`: a page of personas, newest first.

use persona::{
    Result,
    app::App,
    config::Setting,
    key::Scope,
    store::personas::{PersonaEntry, Visibility},
};

use super::access;
use crate::{
    Form, Route,
    serve::{Call, Paging, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "personas-list",
    method: "GET",
    path: "/v1/personas",
    summary: "List personas.",
    scope: Scope::Read,
    streaming: false,
    query: &["limit", "cursor", "visibility", "language", "q"],
    headers: &[],
    body: None,
    answers: &[(200, Form::List("persona"))],
    errors: &[],
    settings: &[Setting::WorkspacesTable, Setting::PersonasTable, Setting::SigningSecret],
};

/// Filters by visibility, language, and words of name and summary.
pub async fn handle(app: App, call: Call) -> Result<Reply> {
    let visibility: Option<Visibility> = call.query.one_of("visibility", "private, workspace, public")?;
    let language = call.query.get("language");
    let words = call.query.get("q").map(str::to_lowercase);
    let filters = call.query.filters();
    let paging = Paging::of(&app, &call, &ROUTE, &filters).await?;
    let keep = |entry: &PersonaEntry| {
        access::may_see(&call.caller, entry)
            && visibility.is_none_or(|wanted| entry.visibility == wanted)
            && language.is_none_or(|wanted| entry.language == wanted)
            && words
                .as_deref()
                .is_none_or(|words| words.split_whitespace().all(|word| entry.search.contains(word)))
    };
    let page =
        app.store().await.personas(call.caller.tenant(), paging.after.as_deref(), paging.limit, keep).await?;
    let data = page.items.iter().map(|(_, entry)| entry.document()).collect::<Result<Vec<_>>>()?;
    paging.reply(data, page.next.as_deref()).await
}
