//! `GET /v1/openai/models`.

use persona::{Result, app::App, config::Setting, key::Scope, openai, store::personas::PersonaEntry};

use super::{embedding_model, persona_model};
use crate::{
    Form, Route, personas,
    serve::{Call, Reply},
};

/// Clients follow no pages, so one page has all; beyond these the newest.
const MOST: usize = 1_000;
/// Personas read at once.
const PAGE: usize = 100;

/// The route.
pub const ROUTE: Route = Route {
    bin: "models-list",
    method: "GET",
    path: "/v1/openai/models",
    summary: "List the personas that the key may talk to, and the embedding models.",
    scope: Scope::Chat,
    streaming: false,
    query: &[],
    headers: &[],
    body: None,
    answers: &[(200, Form::List("model"))],
    errors: &[],
    settings: &[Setting::WorkspacesTable, Setting::PersonasTable, Setting::ProvidersSecret],
};

/// Personas by their slugs, newest first, then embedding models.
pub async fn handle(app: App, call: Call) -> Result<Reply> {
    let caller = &call.caller;
    let mut data = Vec::new();
    for entry in visible(&app, &call).await? {
        data.push(persona_model(&entry.slug, &entry, caller)?);
    }
    let models = openai::embedding_models(&app, caller.mode).await?;
    data.extend(models.iter().map(|model| embedding_model(model)));
    Ok(Reply::list(data, None))
}

async fn visible(app: &App, call: &Call) -> Result<Vec<PersonaEntry>> {
    let (store, caller) = (app.store().await, &call.caller);
    let keep = |entry: &PersonaEntry| personas::access::may_see(caller, entry);
    let (mut found, mut after) = (Vec::new(), None::<String>);
    while found.len() < MOST {
        let page = store.personas(caller.tenant(), after.as_deref(), PAGE, keep).await?;
        found.extend(page.items.into_iter().map(|(_, entry)| entry));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    Ok(found)
}
