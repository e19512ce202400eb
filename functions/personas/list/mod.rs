//! `GET /v1/personas`: a page of personas, newest first.

use persona::{
    Result,
    app::App,
    config::Setting,
    key::{Caller, Scope},
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

/// Which of the personas that a key may see are asked for.
#[derive(Debug, Default)]
pub(crate) struct Filter<'a> {
    pub visibility: Option<Visibility>,
    pub language: Option<&'a str>,
    /// Words of name and summary.
    pub words: Option<&'a str>,
}

impl Filter<'_> {
    /// Whether a persona is listed for this caller.
    pub(crate) fn keeps(&self, caller: &Caller, entry: &PersonaEntry) -> bool {
        let has = |word: &str| entry.search.contains(&word.to_lowercase());
        access::may_see(caller, entry)
            && self.visibility.is_none_or(|wanted| entry.visibility == wanted)
            && self.language.is_none_or(|wanted| entry.language == wanted)
            && self.words.is_none_or(|words| words.split_whitespace().all(has))
    }
}

/// Filters by visibility, language, and words of name and summary.
pub async fn handle(app: App, call: Call) -> Result<Reply> {
    let filter = Filter {
        visibility: call.query.one_of("visibility", "private, workspace, public")?,
        language: call.query.get("language"),
        words: call.query.get("q"),
    };
    let filters = call.query.filters();
    let paging = Paging::of(&app, &call, &ROUTE, &filters).await?;
    let keep = |entry: &PersonaEntry| filter.keeps(&call.caller, entry);
    let page =
        app.store().await.personas(call.caller.tenant(), paging.after.as_deref(), paging.limit, keep).await?;
    let data = page.items.iter().map(|(_, entry)| entry.document()).collect::<Result<Vec<_>>>()?;
    paging.reply(data, page.next.as_deref()).await
}
