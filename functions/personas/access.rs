//! Finding a persona by id or slug, and who may see it.

use persona::{
    Error, Result,
    app::App,
    id::PersonaId,
    key::Caller,
    store::personas::{PersonaEntry, Visibility},
};

/// The persona that `name` (id or slug) means to this caller; 404 when it is unknown, deleted, or not for this key's eyes.
pub(crate) async fn find(
    app: &App,
    caller: &Caller,
    name: &str,
    version: Option<u64>,
) -> Result<PersonaEntry> {
    let unknown = || Error::not_found("persona", name);
    let store = app.store().await;
    let id = if PersonaId::has_prefix(name) {
        name.parse().map_err(|_| unknown())?
    } else {
        store.persona_id_of_slug(caller.tenant(), name).await?.ok_or_else(unknown)?
    };
    let Some(version) = version else {
        let entry = store.persona(caller.tenant(), id, None).await?;
        return entry.filter(|entry| may_see(caller, entry)).ok_or_else(unknown);
    };
    // Who may see an older version is said by the current one; and none outlives the persona.
    let found = store.persona_and_version(caller.tenant(), id, version).await?;
    let (current, wanted) = found.filter(|(current, _)| may_see(caller, current)).ok_or_else(unknown)?;
    if version == current.version { Ok(current) } else { wanted.ok_or_else(unknown) }
}

/// `private` is for the creating key and admin keys; all else for the whole workspace.
pub(crate) fn may_see(caller: &Caller, entry: &PersonaEntry) -> bool {
    entry.visibility != Visibility::Private || entry.created_by == caller.key_id || caller.is_admin()
}
