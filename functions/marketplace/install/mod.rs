//! `POST /v1/marketplace/personas/{listing}/install`: a copy in the caller's workspace.

use persona::{
    Result,
    app::App,
    config::Setting,
    error::Code,
    id::PersonaId,
    key::Scope,
    marketplace::{Copied, Listing, shelves},
    persona::{document::changed_keys, settings, slug},
    store::{
        marketplace::Installed,
        personas::{Edition, PersonaEntry, Visibility},
    },
    webhook::{self, Event},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{id, unknown};
use crate::{
    Form, Route,
    personas::editing,
    serve::{Call, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "marketplace-install",
    method: "POST",
    path: "/v1/marketplace/personas/{listing}/install",
    summary: "Copy a listing's persona into the workspace.",
    scope: Scope::Write,
    streaming: false,
    query: &[],
    headers: &[],
    body: Some(include_str!("request.json")),
    answers: &[(201, Form::Object("persona"))],
    errors: &[Code::SlugTaken],
    settings: &[
        Setting::WorkspacesTable,
        Setting::PersonasTable,
        Setting::WebhooksTable,
        Setting::MarketplaceTable,
        Setting::EventsQueueUrl,
    ],
};

/// What the copy is to be; all of it may be left out.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Body {
    #[serde(default)]
    slug: Option<String>,
    #[serde(default)]
    visibility: Visibility,
}

/// The copy, at once and without a run. It stays whatever becomes of the listing.
pub async fn handle(app: App, call: Call<Body>) -> Result<Reply> {
    persona::Error::invalid_all(
        call.body.slug.as_deref().and_then(settings::slug_problem).into_iter().collect(),
    )?;
    let (store, tenant) = (app.store().await, call.caller.tenant());
    let found = store.listing_and_snapshot(call.caller.mode, id(&call)?).await?;
    let (listing, snapshot) = found.ok_or_else(|| unknown(call.path("listing")))?;
    let (id, at) = (PersonaId::new(), app.clock().timestamp());
    let name = snapshot.layers()["identity"]["name"].as_str().unwrap_or_default();
    let slugs = call.body.slug.clone().map_or_else(|| slug::candidates(name, id), |wanted| vec![wanted]);
    for slug in &slugs {
        if !store.slug_is_free(tenant, slug, id).await? {
            continue;
        }
        let visibility = json!(call.body.visibility);
        let copy = Copied { id, workspace: call.caller.workspace(), slug, visibility, at: &at };
        let document = snapshot.copied(&listing, &copy)?;
        let entry = PersonaEntry::of(&document, call.caller.key_id)?;
        let edition = Edition {
            version: 1,
            created_by: call.caller.key_id,
            run_id: None,
            changed: changed_keys(&Value::Null, &document),
            created_at: at.clone(),
        };
        let told = Event::persona_created(&entry, None, &at);
        match store.install(tenant, &listing, &entry, &edition, &told).await? {
            Installed::Yes { counted } => {
                webhook::announce(&app, tenant, &[told]).await;
                if counted {
                    moved(&app, &listing).await;
                }
                return Ok(Reply::json(201, document)
                    .with_header("location", format!("/v1/personas/{id}"))
                    .with_header("etag", editing::etag(1)));
            }
            Installed::Gone => return Err(unknown(call.path("listing"))),
            Installed::SlugTaken => {}
        }
    }
    Err(editing::slug_taken(slugs.last().map_or("", String::as_str)))
}

/// Where the install has brought the listing a step up, it moves on its shelves. The copy is there either way, and who
/// installs next finds out, too.
async fn moved(app: &App, listing: &Listing) {
    let installs = listing.installs + 1;
    if shelves::step(installs) == listing.step {
        return;
    }
    if let Err(error) = app.store().await.reshelve(listing, installs).await {
        tracing::warn!(error.code = %error.code, error.source = error.source_chain(), "a listing was not moved on its shelves");
    }
}
