//! Tools that read: the lists and documents of `GET /v1/personas` and `GET /v1/marketplace/personas`.

use persona::{
    Result,
    marketplace::{Search, Sort},
    store::personas::{PersonaEntry, Visibility},
};
use rmcp::model::{CallToolResult, ContentBlock};
use serde::Deserialize;
use serde_json::json;

use super::{Calling, Outline};
use crate::{
    mcp::resources,
    personas::{access, list::Filter},
    serve::Paging,
};

const LIMIT: usize = 20;

#[derive(Deserialize)]
struct ListPersonas {
    q: Option<String>,
    language: Option<String>,
    visibility: Option<Visibility>,
    limit: Option<usize>,
    cursor: Option<String>,
}

#[derive(Deserialize)]
struct GetPersona {
    persona: String,
    version: Option<u64>,
}

#[derive(Deserialize)]
struct SearchMarketplace {
    q: Option<String>,
    tag: Option<String>,
    language: Option<String>,
    sort: Option<Sort>,
    limit: Option<usize>,
    cursor: Option<String>,
}

impl Calling {
    pub(super) async fn list_personas(&self) -> Result<CallToolResult> {
        let asked: ListPersonas = self.read()?;
        let (app, caller) = (&self.server.app, &self.server.caller);
        let (words, language) = (asked.q.as_deref(), asked.language.as_deref());
        let filters = json!([words, language, asked.visibility]).to_string();
        let limit = asked.limit.unwrap_or(LIMIT);
        let paging =
            Paging::at(app, caller, "mcp list_personas", &filters, asked.cursor.as_deref(), limit).await?;
        let filter = Filter { visibility: asked.visibility, language, words };
        let keep = |entry: &PersonaEntry| filter.keeps(caller, entry);
        let store = app.store().await;
        let page = store.personas(caller.tenant(), paging.after.as_deref(), limit, keep).await?;
        let personas: Vec<Outline> =
            page.items.iter().map(|(_, entry)| Outline::of(entry)).collect::<Result<_>>()?;
        let next = paging.cursor(page.next.as_deref()).await?;
        Ok(CallToolResult::structured(json!({"personas": personas, "next_cursor": next})))
    }

    pub(super) async fn get_persona(&self) -> Result<CallToolResult> {
        let asked: GetPersona = self.read()?;
        let found = access::find(&self.server.app, &self.server.caller, &asked.persona, asked.version).await;
        let entry = found.map_err(|error| error.with_param("persona"))?;
        let mut result = CallToolResult::structured(entry.document()?);
        result.content.push(ContentBlock::resource_link(resources::listed(&entry)?));
        Ok(result)
    }

    pub(super) async fn search_marketplace(&self) -> Result<CallToolResult> {
        let asked: SearchMarketplace = self.read()?;
        let (app, caller) = (&self.server.app, &self.server.caller);
        let (q, tag, language) = (asked.q.as_deref(), asked.tag.as_deref(), asked.language.as_deref());
        let search = Search::read(caller.mode, q, language, tag, asked.sort)?;
        let filters = json!([q, tag, language, self.arguments.get("sort")]).to_string();
        let limit = asked.limit.unwrap_or(LIMIT);
        let paging =
            Paging::at(app, caller, "mcp search_marketplace", &filters, asked.cursor.as_deref(), limit)
                .await?;
        let page = app.store().await.search(&search, paging.after.as_deref(), limit).await?;
        let listings: Vec<_> =
            page.items.iter().map(|(_, listing)| listing.to_object(caller.workspace())).collect();
        let next = paging.cursor(page.next.as_deref()).await?;
        Ok(CallToolResult::structured(json!({"listings": listings, "next_cursor": next})))
    }
}
