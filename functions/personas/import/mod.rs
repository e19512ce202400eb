//! `POST /v1/personas/import`: a persona from a character card (JSON, or in a picture), or from our own document.

use persona::{
    Error, Result,
    app::App,
    card::{self, Wishes},
    config::Setting,
    error::Code,
    id::PersonaId,
    key::Scope,
    persona::{
        document::{Moment, changed_keys},
        field::Use,
        slug,
    },
    store::personas::{Edition, Made, PersonaEntry, Visibility},
    webhook::{self, Event},
};
use serde_json::{Value, json};

use super::editing;
use crate::{
    Form, Route,
    serve::{Call, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "personas-import",
    method: "POST",
    path: "/v1/personas/import",
    summary: "Make a persona of a character card V2 or V3, or of a persona's own document.",
    scope: Scope::Write,
    streaming: false,
    query: &["language", "visibility", "slug"],
    headers: &[],
    body: Some(include_str!("request.json")),
    answers: &[(201, Form::Object("persona"))],
    errors: &[Code::IntentBlocked, Code::SlugTaken, Code::SchemaViolation],
    settings: &[
        Setting::WorkspacesTable,
        Setting::PersonasTable,
        Setting::WebhooksTable,
        Setting::EventsQueueUrl,
    ],
};

/// The persona, at once: no run, no model.
pub async fn handle(app: App, call: Call<Value>) -> Result<Reply> {
    let visibility: Option<Visibility> = call.query.one_of("visibility", "private, workspace, public")?;
    let text = |name: &str| call.query.get(name).map(str::to_owned);
    let wishes = Wishes { language: text("language"), slug: text("slug") };
    let (store, tenant) = (app.store().await, call.caller.tenant());
    let fields = if card::has_custom_fields(&call.body) { store.fields(tenant).await? } else { Vec::new() };
    let imported = card::import(call.body.clone(), &wishes, &fields)?;
    let (id, at) = (PersonaId::new(), app.clock().timestamp());
    let moment = Moment { at: &at, mode: call.caller.mode };
    let visibility = json!(visibility.unwrap_or_default());
    let named = slug::candidates(imported.name(), id);
    let slugs = match (&wishes.slug, &imported.slug) {
        (Some(wanted), _) => vec![wanted.clone()],
        (None, Some(own)) => std::iter::once(own.clone()).chain(named).collect(),
        (None, None) => named,
    };
    for slug in &slugs {
        let document = imported.document(id, call.caller.workspace(), slug, &visibility, moment)?;
        if !store.slug_is_free(tenant, slug, id).await? {
            continue;
        }
        let entry = PersonaEntry::of(&document, call.caller.key_id)?;
        let edition = Edition {
            version: 1,
            created_by: call.caller.key_id,
            run_id: None,
            changed: changed_keys(&Value::Null, &document),
            created_at: at.clone(),
        };
        let uses = Use::between(&fields, &json!({}), &document["custom_fields"]);
        let told = Event::persona_created(&entry, None, &at);
        match store.create_persona(tenant, &entry, &edition, &uses, &told).await? {
            Made::Yes => {
                webhook::announce(&app, tenant, &[told]).await;
                return Ok(Reply::json(201, document)
                    .with_header("location", format!("/v1/personas/{id}"))
                    .with_header("etag", editing::etag(1)));
            }
            Made::SlugTaken => {}
            Made::FieldsChanged => {
                let message = "A custom field was changed while the persona was imported. Import it again.";
                return Err(Error::invalid("custom_fields", message));
            }
        }
    }
    match slugs.last() {
        Some(slug) => Err(editing::slug_taken(slug)),
        None => Err(Error::internal("an import without a slug to try")),
    }
}
