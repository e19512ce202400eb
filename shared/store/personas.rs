//! Personas at rest: the current document, its versions, its slug, its list entry.

use aws_sdk_dynamodb::types::{
    ConditionCheck, Delete, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Item, Page, Refused, Store,
    conversations::latest_message_keys,
    fields::use_writes,
    number, primary_key,
    runs::{delete, put},
    text, to_attribute, to_item,
};
use crate::{
    config::Setting,
    conversation::Message,
    error::{Error, Result},
    id::{ConversationId, KeyId, PersonaId, RunId},
    key::Mode,
    marketplace::Publication,
    persona::{Layer, field::Use, settings::EXTENSIONS},
    run::Run,
    tenant::Tenant,
    webhook,
};

/// Who may see a persona.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Visibility {
    /// The creating key and admin keys.
    #[default]
    Private,
    /// Every key of the workspace.
    Workspace,
    /// Every key of the workspace, and the marketplace once published.
    Public,
}

/// What lists and access checks need to know of a persona.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PersonaEntry {
    /// Identifier.
    pub id: PersonaId,
    /// Its slug.
    pub slug: String,
    /// Who may see it.
    pub visibility: Visibility,
    /// Language it speaks.
    pub language: String,
    /// Its name and summary, lower-cased, for `q`.
    pub search: String,
    /// Whose key made it.
    pub created_by: KeyId,
    /// Version of the document.
    pub version: u64,
    /// The document as JSON text, short of nothing but when it was published.
    pub document: String,
    /// That it stands in the marketplace. No version of its own: edits keep it, and it is not edited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publication: Option<Publication>,
}

impl PersonaEntry {
    /// The document.
    pub fn document(&self) -> Result<Value> {
        let mut document: Value = serde_json::from_str(&self.document).map_err(Error::internal)?;
        document["published_at"] =
            self.publication.as_ref().map(|publication| publication.at.as_str()).into();
        Ok(document)
    }

    /// The entry of a document; what a list needs is read from it.
    ///
    /// # Errors
    /// `internal.error` if it is no persona's.
    pub fn of(document: &Value, created_by: KeyId) -> Result<Self> {
        let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        Ok(Self {
            id: text("/id").parse().map_err(|_| Error::internal("a document without an id"))?,
            slug: text("/slug").to_owned(),
            visibility: serde_json::from_value(document["visibility"].clone()).map_err(Error::internal)?,
            language: text("/language").to_owned(),
            search: format!("{} {}", text("/identity/name"), text("/identity/summary")).to_lowercase(),
            created_by,
            version: document["version"].as_u64().unwrap_or(1),
            document: document.to_string(),
            publication: None,
        })
    }

    /// The entry of the next version.
    ///
    /// # Errors
    /// `internal.error` if the document is no persona's.
    pub fn next(&self, document: &Value) -> Result<Self> {
        Ok(Self { publication: self.publication.clone(), ..Self::of(document, self.created_by)? })
    }

    /// The entry as lists show it: without what character cards have brought, which may be large.
    fn listed(&self) -> Result<Self> {
        let mut document = self.document()?;
        if let Some(metadata) = document["metadata"].as_object_mut() {
            metadata.shift_remove(EXTENSIONS);
        }
        Ok(Self { document: document.to_string(), ..self.clone() })
    }
}

/// What is known of a version besides its document.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Edition {
    /// The version.
    pub version: u64,
    /// Whose key made it.
    pub created_by: KeyId,
    /// The run that made it, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    /// The editable keys that differ from the version before; of the first version, all that it has.
    pub changed: Vec<String>,
    /// RFC 3339.
    pub created_at: String,
}

impl Edition {
    /// The object of a list of versions.
    pub fn to_object(&self, persona: PersonaId) -> Value {
        let is_layer = |key: &&String| key.parse::<Layer>().is_ok();
        serde_json::json!({
            "object": "persona.version", "persona_id": persona, "version": self.version,
            "created_by": self.created_by, "run_id": self.run_id, "changed": self.changed,
            "changed_layers": self.changed.iter().filter(is_layer).collect::<Vec<_>>(),
            "created_at": self.created_at, "updated_at": self.created_at,
        })
    }
}

/// What came of an edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edited {
    /// It is the current version now.
    Yes,
    /// The persona has been edited or deleted since it was read; nothing is written.
    Overtaken,
    /// Another persona has the slug; nothing is written.
    SlugTaken,
}

/// What came of writing a new persona.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    /// It is there.
    Yes,
    /// Another persona has the slug; nothing is written.
    SlugTaken,
    /// A custom field is not as it was checked; nothing is written.
    FieldsChanged,
}

/// Where in [`Store::edit_writes`] and [`Store::new_persona_writes`] the slug is taken, if it is.
const SLUG_PLACE: usize = 4;

/// What a turn needs of a persona.
#[derive(Debug, Default)]
pub struct ToSpeak {
    /// The pinned version.
    pub version: Option<PersonaEntry>,
    /// The vectors that were kept of it.
    pub vectors: Option<SampleVectors>,
    /// The messages that were asked for, oldest first.
    pub messages: Vec<Message>,
}

/// The vectors of a version's samples.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleVectors {
    /// The embedding model that made them; those of another cannot be compared.
    pub model: String,
    /// One for each of `drift::Yardstick::texts`.
    pub vectors: Vec<Vec<f32>>,
}

/// Vectors as one byte a number, each vector scaled so that its largest number is 127: only directions are compared, and
/// the fifty vectors of a version must fit an item even where a model gives three thousand numbers.
#[derive(Debug, Serialize, Deserialize)]
struct VectorsItem {
    model: String,
    dimensions: usize,
    #[serde(with = "super::bytes")]
    numbers: Vec<u8>,
}

impl VectorsItem {
    fn packed(vectors: &SampleVectors) -> Self {
        let dimensions = vectors.vectors.first().map_or(0, Vec::len);
        let numbers = vectors.vectors.iter().flat_map(|vector| {
            let largest = vector.iter().fold(f32::MIN_POSITIVE, |largest, number| largest.max(number.abs()));
            vector.iter().map(move |number| ((number / largest * 127.0).round() as i8).to_le_bytes()[0])
        });
        Self { model: vectors.model.clone(), dimensions, numbers: numbers.collect() }
    }

    fn unpacked(self) -> SampleVectors {
        let rows = self.numbers.chunks_exact(self.dimensions.max(1));
        let number = |byte: &u8| f32::from(i8::from_le_bytes([*byte]));
        let vectors = rows.map(|row| row.iter().map(number).collect()).collect();
        SampleVectors { model: self.model, vectors }
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct SlugItem {
    persona_id: PersonaId,
}

fn partition(tenant: &Tenant, persona: PersonaId) -> String {
    format!("WS#{}#PSN#{persona}", tenant.workspace())
}

fn editions_partition(tenant: &Tenant, persona: PersonaId) -> String {
    format!("WS#{}#PSN#{persona}#VERSIONS", tenant.workspace())
}

fn edition_key(version: u64) -> String {
    format!("{version:010}")
}

fn list_partition(tenant: &Tenant) -> String {
    format!("WS#{}#PERSONAS", tenant.workspace())
}

fn slug_partition(tenant: &Tenant, slug: &str) -> String {
    format!("WS#{}#SLUG#{slug}", tenant.workspace())
}

fn vectors_key(version: u64) -> String {
    format!("VEC#{version:010}")
}

fn version_key(version: u64) -> String {
    format!("V#{version:010}")
}

/// The condition that a persona is as it was read: of the same version, and published as it was then.
struct AsRead {
    condition: &'static str,
    values: Item,
}

impl AsRead {
    fn of(entry: &PersonaEntry) -> Self {
        let mut values = Item::from([(":before".to_owned(), number(entry.version))]);
        let condition = match &entry.publication {
            None => "version = :before AND attribute_not_exists(publication)",
            Some(publication) => {
                values.insert(":published".to_owned(), text(publication.revision.to_string()));
                "version = :before AND publication.revision = :published"
            }
        };
        Self { condition, values }
    }
}

/// Takes a slug for the persona that `run` makes; refused when another has it.
pub(super) fn reserve_slug(tenant: &Tenant, slug: &str, run: &Run) -> Result<TransactWriteItem> {
    slug_put(tenant, slug, run.persona_id)
}

fn slug_put(tenant: &Tenant, slug: &str, persona_id: PersonaId) -> Result<TransactWriteItem> {
    let item = to_item(&slug_partition(tenant, slug), "SLUG", &SlugItem { persona_id })?;
    let put = Put::builder()
        .table_name(Setting::PersonasTable.read()?)
        .set_item(Some(item))
        .condition_expression("attribute_not_exists(pk) OR persona_id = :persona")
        .expression_attribute_values(":persona", text(persona_id.to_string()))
        .build()
        .map_err(Error::internal)?;
    Ok(TransactWriteItem::builder().put(put).build())
}

/// Gives a slug back when the run that reserved it ends without a persona.
pub(super) fn release_slug(tenant: &Tenant, slug: &str, run: &Run) -> Result<TransactWriteItem> {
    slug_delete(tenant, slug, run.persona_id)
}

fn slug_delete(tenant: &Tenant, slug: &str, persona_id: PersonaId) -> Result<TransactWriteItem> {
    delete(
        Delete::builder()
            .table_name(Setting::PersonasTable.read()?)
            .set_key(Some(primary_key(&slug_partition(tenant, slug), "SLUG")))
            .condition_expression("attribute_not_exists(pk) OR persona_id = :persona")
            .expression_attribute_values(":persona", text(persona_id.to_string())),
    )
}

impl Store {
    /// The writes that bring a new persona into being; they belong into one transaction, that which ends its run where
    /// a run makes it. The last one fails where another persona has the slug.
    pub fn new_persona_writes(
        &self,
        tenant: &Tenant,
        entry: &PersonaEntry,
        edition: &Edition,
    ) -> Result<Vec<TransactWriteItem>> {
        let table = Setting::PersonasTable.read()?;
        let pk = partition(tenant, entry.id);
        let editions = editions_partition(tenant, entry.id);
        Ok(vec![
            put(&table, to_item(&pk, "DOC", entry)?)?,
            put(&table, to_item(&pk, &version_key(entry.version), entry)?)?,
            put(&table, to_item(&list_partition(tenant), &entry.id.to_string(), &entry.listed()?)?)?,
            put(&table, to_item(&editions, &edition_key(edition.version), edition)?)?,
            slug_put(tenant, &entry.slug, entry.id)?,
        ])
    }

    /// Writes a new persona that no run makes, with the custom fields that it has and the event of it.
    pub async fn create_persona(
        &self,
        tenant: &Tenant,
        entry: &PersonaEntry,
        edition: &Edition,
        uses: &[Use],
        told: &webhook::Event,
    ) -> Result<Made> {
        let mut writes = self.new_persona_writes(tenant, entry, edition)?;
        writes.extend(use_writes(tenant, uses)?);
        writes.extend(self.event_writes(tenant, std::slice::from_ref(told))?);
        match self.transact(writes).await {
            Ok(()) => Ok(Made::Yes),
            Err(Refused::Conditions(failed)) if failed.iter().any(|(at, _)| *at == SLUG_PLACE) => {
                Ok(Made::SlugTaken)
            }
            Err(Refused::Conditions(_)) => Ok(Made::FieldsChanged),
            Err(refused) => Err(refused.into_error()),
        }
    }

    /// The writes that make `after` the version behind `before`; the first fails where `before` is not the current
    /// version any more.
    pub fn edit_writes(
        &self,
        tenant: &Tenant,
        before: &PersonaEntry,
        after: &PersonaEntry,
        edition: &Edition,
    ) -> Result<Vec<TransactWriteItem>> {
        let table = Setting::PersonasTable.read()?;
        let pk = partition(tenant, after.id);
        let editions = editions_partition(tenant, after.id);
        let as_read = AsRead::of(before);
        let current = Put::builder()
            .table_name(&table)
            .set_item(Some(to_item(&pk, "DOC", after)?))
            .condition_expression(as_read.condition)
            .set_expression_attribute_values(Some(as_read.values))
            .build()
            .map_err(Error::internal)?;
        let mut writes = vec![
            TransactWriteItem::builder().put(current).build(),
            put(&table, to_item(&pk, &version_key(after.version), after)?)?,
            put(&table, to_item(&list_partition(tenant), &after.id.to_string(), &after.listed()?)?)?,
            put(&table, to_item(&editions, &edition_key(edition.version), edition)?)?,
        ];
        if before.slug != after.slug {
            writes.push(slug_put(tenant, &after.slug, after.id)?);
            writes.push(slug_delete(tenant, &before.slug, after.id)?);
        }
        Ok(writes)
    }

    /// Makes `after` the version behind `before`, with the custom fields that it has and releases and the event of it, all
    /// or nothing.
    pub async fn edit_persona(
        &self,
        tenant: &Tenant,
        before: &PersonaEntry,
        after: &PersonaEntry,
        edition: &Edition,
        uses: &[Use],
        told: &webhook::Event,
    ) -> Result<Edited> {
        let mut writes = self.edit_writes(tenant, before, after, edition)?;
        let slugs = SLUG_PLACE..writes.len();
        writes.extend(use_writes(tenant, uses)?);
        writes.extend(self.event_writes(tenant, std::slice::from_ref(told))?);
        match self.transact(writes).await {
            Ok(()) => Ok(Edited::Yes),
            Err(Refused::Conditions(failed)) if failed.iter().any(|(at, _)| !slugs.contains(at)) => {
                Ok(Edited::Overtaken)
            }
            Err(Refused::Conditions(_)) => Ok(Edited::SlugTaken),
            Err(refused) => Err(refused.into_error()),
        }
    }

    /// One page of a persona's versions, newest first.
    pub async fn editions(
        &self,
        tenant: &Tenant,
        persona: PersonaId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Edition>> {
        let partition = editions_partition(tenant, persona);
        self.page(Setting::PersonasTable, &partition, after, limit, |_| true).await
    }

    /// Whether a slug is free, or this persona's own.
    pub async fn slug_is_free(&self, tenant: &Tenant, slug: &str, persona: PersonaId) -> Result<bool> {
        let owner = self.persona_id_of_slug(tenant, slug).await?;
        Ok(owner.is_none_or(|owner| owner == persona))
    }

    /// The current version and another one, in one request. `None` when the persona is gone, whatever is left of it.
    pub async fn persona_and_version(
        &self,
        tenant: &Tenant,
        persona: PersonaId,
        version: u64,
    ) -> Result<Option<(PersonaEntry, Option<PersonaEntry>)>> {
        let pk = partition(tenant, persona);
        let keys = vec![primary_key(&pk, "DOC"), primary_key(&pk, &version_key(version))];
        let (mut current, mut wanted) = (None, None);
        for item in self.batch_items(Setting::PersonasTable, keys).await? {
            let place = if super::sort_key(&item) == "DOC" { &mut current } else { &mut wanted };
            *place = Some(super::from_item(item)?);
        }
        Ok(current.map(|current: PersonaEntry| {
            // Whether it is published is the persona's, not a version's.
            let publication = current.publication.clone();
            let wanted = wanted.map(|wanted: PersonaEntry| PersonaEntry { publication, ..wanted });
            (current, wanted)
        }))
    }

    /// A persona by id: one request.
    pub async fn persona(
        &self,
        tenant: &Tenant,
        persona: PersonaId,
        version: Option<u64>,
    ) -> Result<Option<PersonaEntry>> {
        let sk = version.map_or_else(|| "DOC".to_owned(), version_key);
        self.get(Setting::PersonasTable, &partition(tenant, persona), &sk).await
    }

    /// What a turn needs of a persona that this process has not compiled: the pinned version and the vectors kept of
    /// it, under one embedding model. With the messages `through` one in the same request, where there are any.
    pub async fn to_speak(
        &self,
        tenant: &Tenant,
        persona: PersonaId,
        version: u64,
        messages: Option<(ConversationId, u64, usize)>,
    ) -> Result<ToSpeak> {
        let pk = partition(tenant, persona);
        let mut keys = vec![(
            Setting::PersonasTable,
            vec![primary_key(&pk, &version_key(version)), primary_key(&pk, &vectors_key(version))],
        )];
        if let Some((conversation, through, most)) = messages.filter(|(_, through, _)| *through > 0) {
            keys.push((
                Setting::ConversationsTable,
                latest_message_keys(tenant, conversation, through, most),
            ));
        }
        let mut found = ToSpeak::default();
        for item in self.batch_of_tables(keys).await? {
            let sk = super::sort_key(&item);
            if sk == vectors_key(version) {
                let stored: VectorsItem = super::from_item(item)?;
                found.vectors = Some(stored.unpacked());
            } else if sk == version_key(version) {
                found.version = Some(super::from_item(item)?);
            } else {
                found.messages.push(super::from_item(item)?);
            }
        }
        found.messages.sort_by_key(|message: &Message| message.number);
        Ok(found)
    }

    /// Part of the transaction that begins a turn: the persona still is and, where the caller calls it by a slug, has it.
    pub(super) fn speaker_check(
        &self,
        tenant: &Tenant,
        persona: PersonaId,
        slug: Option<&str>,
    ) -> Result<TransactWriteItem> {
        let mut check = ConditionCheck::builder()
            .table_name(Setting::PersonasTable.read()?)
            .set_key(Some(primary_key(&partition(tenant, persona), "DOC")))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let mut condition = "attribute_exists(pk)".to_owned();
        if let Some(slug) = slug {
            condition.push_str(" AND slug = :slug");
            check = check.expression_attribute_values(":slug", super::text(slug));
        }
        let check = check.condition_expression(condition).build().map_err(Error::internal)?;
        Ok(TransactWriteItem::builder().condition_check(check).build())
    }

    /// The write that keeps the vectors of a version's samples; it belongs into the transaction that ends a turn.
    pub fn vectors_write(
        &self,
        tenant: &Tenant,
        persona: PersonaId,
        version: u64,
        vectors: &SampleVectors,
    ) -> Result<TransactWriteItem> {
        let item =
            to_item(&partition(tenant, persona), &vectors_key(version), &VectorsItem::packed(vectors))?;
        put(&Setting::PersonasTable.read()?, item)
    }

    /// Whose slug this is.
    pub async fn persona_id_of_slug(&self, tenant: &Tenant, slug: &str) -> Result<Option<PersonaId>> {
        let owner: Option<SlugItem> =
            self.get(Setting::PersonasTable, &slug_partition(tenant, slug), "SLUG").await?;
        Ok(owner.map(|owner| owner.persona_id))
    }

    /// One page of personas, newest first.
    pub async fn personas(
        &self,
        tenant: &Tenant,
        after: Option<&str>,
        limit: usize,
        keep: impl Fn(&PersonaEntry) -> bool,
    ) -> Result<Page<PersonaEntry>> {
        self.page(Setting::PersonasTable, &list_partition(tenant), after, limit, keep).await
    }

    /// The writes that put a publication beside the persona, in its document's item and in the list's, or take it away.
    /// The first fails where the persona is not as it was read.
    pub(super) fn publication_writes(
        &self,
        tenant: &Tenant,
        persona: &PersonaEntry,
        publication: Option<&Publication>,
    ) -> Result<Vec<TransactWriteItem>> {
        let as_read = AsRead::of(persona);
        let (pk, id) = (partition(tenant, persona.id), persona.id.to_string());
        let update = |pk: &str, sk: &str, condition: &str, mut values: Item| {
            let mut update = Update::builder()
                .table_name(Setting::PersonasTable.read()?)
                .set_key(Some(primary_key(pk, sk)))
                .condition_expression(condition);
            if let Some(publication) = publication {
                values.insert(":publication".to_owned(), to_attribute(publication)?);
                update = update.update_expression("SET publication = :publication");
            } else {
                update = update.update_expression("REMOVE publication");
            }
            let values = (!values.is_empty()).then_some(values);
            let update = update.set_expression_attribute_values(values).build().map_err(Error::internal)?;
            Ok::<_, Error>(TransactWriteItem::builder().update(update).build())
        };
        Ok(vec![
            update(&pk, "DOC", as_read.condition, as_read.values)?,
            update(&list_partition(tenant), &id, "attribute_exists(pk)", Item::new())?,
        ])
    }

    /// Deletes a persona as it was read: document, list entry, slug, listing and its hold on custom fields at once, with the
    /// event of it, then its versions, however many.
    /// `false` where it has been edited or deleted since. Where the versions are not all deleted, because the process
    /// ends or storage fails, nobody can read what is left, and [`Store::delete_rest`] goes on.
    pub async fn delete_persona(
        &self,
        tenant: &Tenant,
        mode: Mode,
        entry: &PersonaEntry,
        told: &webhook::Event,
    ) -> Result<bool> {
        let table = Setting::PersonasTable.read()?;
        let as_read = AsRead::of(entry);
        let document = Delete::builder()
            .table_name(&table)
            .set_key(Some(primary_key(&partition(tenant, entry.id), "DOC")))
            .condition_expression(as_read.condition)
            .set_expression_attribute_values(Some(as_read.values));
        let listed = primary_key(&list_partition(tenant), &entry.id.to_string());
        let document_read = entry.document()?;
        let fields = document_read["custom_fields"].as_object().into_iter().flatten();
        let mut writes = vec![
            delete(document)?,
            delete(Delete::builder().table_name(&table).set_key(Some(listed)))?,
            slug_delete(tenant, &entry.slug, entry.id)?,
        ];
        writes.extend(use_writes(tenant, &Use::released(fields.map(|(name, _)| name)))?);
        writes.extend(self.event_writes(tenant, std::slice::from_ref(told))?);
        if let Some(publication) = &entry.publication {
            writes.push(self.listing_delete(mode, publication.listing)?);
        }
        let deleted = self.unless_changed(writes).await?;
        if deleted {
            self.delete_rest(tenant, mode, entry.id).await?;
        }
        Ok(deleted)
    }

    /// Deletes what is left of a persona that is gone: its listing's parts, versions, their vectors, their records. Safe
    /// to repeat.
    pub async fn delete_rest(&self, tenant: &Tenant, mode: Mode, persona: PersonaId) -> Result<()> {
        self.forget_listing(tenant, mode, persona).await?;
        self.delete_partition(Setting::PersonasTable, &partition(tenant, persona)).await?;
        self.delete_partition(Setting::PersonasTable, &editions_partition(tenant, persona)).await
    }
}
