//! What PUT and PATCH share: the precondition, the next version, and what happens when another edit is faster.

use std::time::Duration;

use persona::{
    Error, Result,
    app::App,
    error::Code,
    persona::{
        document::{Edit, Moment, changed_keys},
        field::Use,
    },
    store::personas::{Edited, Edition, PersonaEntry, Visibility},
    webhook::{self, Event},
};
use serde_json::Value;

use super::access;
use crate::serve::{Call, Reply};

/// An edit that others overtake this often gives up.
const TRIES: u32 = 12;

/// Makes what the body asks for the document's next version. Without `If-Match` an edit that was overtaken is proposed
/// anew on what is there now; with it, the caller is told. The workspace's custom fields are read where they change.
pub(crate) async fn edit(app: &App, call: &Call<Value>, how: Edit) -> Result<Reply> {
    let (store, tenant) = (app.store().await, call.caller.tenant());
    for tried in 0..TRIES {
        let before = access::find(app, &call.caller, call.path("persona"), None).await?;
        call.precondition("persona", Some(&etag(before.version)))?;
        let current = before.document()?;
        let at = app.clock().timestamp();
        let moment = Moment { at: &at, mode: call.caller.mode };
        let fields =
            if how.changes_fields(&current, &call.body) { store.fields(tenant).await? } else { Vec::new() };
        let proposal = how.proposed(&current, &call.body, &fields)?;
        let Some(document) = proposal.applied(&current, moment)? else {
            return Ok(reply(current, &before));
        };
        let after = before.next(&document)?;
        stays_public(&before, &after)?;
        let edition = Edition {
            version: after.version,
            created_by: call.caller.key_id,
            run_id: None,
            changed: changed_keys(&current, &document),
            created_at: at,
        };
        let uses = Use::between(&fields, &current["custom_fields"], &document["custom_fields"]);
        let told = Event::persona_updated(&after, &edition.changed, None, &edition.created_at);
        match store.edit_persona(tenant, &before, &after, &edition, &uses, &told).await? {
            Edited::Yes => {
                webhook::announce(app, tenant, &[told]).await;
                return Ok(reply(document, &after));
            }
            Edited::SlugTaken => return Err(slug_taken(&after.slug)),
            Edited::Overtaken => tokio::time::sleep(Duration::from_millis(u64::from(tried) * 15)).await,
        }
    }
    Err(Error::new(
        Code::PreconditionFailed,
        format!(
            "The persona was edited {TRIES} times while this edit was made. Read it again, and send what is still wanted."
        ),
    ))
}

/// What is published stays public until it is taken off: an edit that hides the persona must not seem to hide its listing.
fn stays_public(before: &PersonaEntry, after: &PersonaEntry) -> Result<()> {
    let Some(publication) = &before.publication else { return Ok(()) };
    if after.visibility == Visibility::Public {
        return Ok(());
    }
    let message = format!(
        "The persona is published as {}, so it stays \"public\". POST /v1/personas/{}/unpublish first, then change its visibility.",
        publication.listing, before.id
    );
    Err(Error::invalid("visibility", message))
}

fn reply(document: Value, entry: &PersonaEntry) -> Reply {
    Reply::json(200, document).with_header("etag", etag(entry.version))
}

/// A version as an entity tag.
pub(crate) fn etag(version: u64) -> String {
    format!("\"v{version}\"")
}

/// 409 of a slug.
pub(crate) fn slug_taken(slug: &str) -> Error {
    Error::new(
        Code::SlugTaken,
        format!("Another persona of this workspace has the slug \"{slug}\". Choose another one, or leave slug out."),
    )
    .with_param("slug")
}
