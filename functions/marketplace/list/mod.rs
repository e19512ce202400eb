//! `GET /v1/marketplace/personas`: a page of listings that match.

use persona::{
    Result,
    app::App,
    config::Setting,
    key::Scope,
    marketplace::{Search, Sort},
};

use crate::{
    Form, Route,
    serve::{Call, Paging, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "marketplace-list",
    method: "GET",
    path: "/v1/marketplace/personas",
    summary: "Search the marketplace by words, tag and language.",
    scope: Scope::Read,
    streaming: false,
    query: &["limit", "cursor", "q", "language", "tag", "sort"],
    headers: &[],
    body: None,
    answers: &[(200, Form::List("listing"))],
    errors: &[],
    settings: &[Setting::WorkspacesTable, Setting::MarketplaceTable, Setting::SigningSecret],
};

/// All words and the tag must match. Requests to the store: the key's, one for each word and tag, the page's.
pub async fn handle(app: App, call: Call) -> Result<Reply> {
    let sort: Option<Sort> = call.query.one_of("sort", "relevance, popularity, newest")?;
    let (q, language, tag) = (call.query.get("q"), call.query.get("language"), call.query.get("tag"));
    let search = Search::read(call.caller.mode, q, language, tag, sort)?;
    let filters = call.query.filters();
    let paging = Paging::of(&app, &call, &ROUTE, &filters).await?;
    let page = app.store().await.search(&search, paging.after.as_deref(), paging.limit).await?;
    let data = page.items.iter().map(|(_, listing)| listing.to_object(call.caller.workspace())).collect();
    paging.reply(data, page.next.as_deref()).await
}
