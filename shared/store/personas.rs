//! Personas at rest: the current document, its versions, its slug, its list entry.

use aws_sdk_dynamodb::types::{Delete, Put, TransactWriteItem};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Page, Refused, Store, primary_key,
    runs::{delete, put},
    text, to_item,
};
use crate::{
    config::Setting,
    error::{Error, Result},
    id::{KeyId, PersonaId, RunId},
    run::Run,
    tenant::Tenant,
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
    /// The document as JSON text, short of nothing.
    pub document: String,
}

impl PersonaEntry {
    /// The document.
    pub fn document(&self) -> Result<Value> {
        serde_json::from_str(&self.document).map_err(Error::internal)
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct SlugItem {
    persona_id: PersonaId,
    run_id: RunId,
}

fn partition(tenant: &Tenant, persona: PersonaId) -> String {
    format!("WS#{}#PSN#{persona}", tenant.workspace())
}

fn list_partition(tenant: &Tenant) -> String {
    format!("WS#{}#PERSONAS", tenant.workspace())
}

fn slug_partition(tenant: &Tenant, slug: &str) -> String {
    format!("WS#{}#SLUG#{slug}", tenant.workspace())
}

fn version_key(version: u64) -> String {
    format!("V#{version:010}")
}

/// Takes a slug for the persona that `run` makes; refused when another has it.
pub(super) fn reserve_slug(tenant: &Tenant, slug: &str, run: &Run) -> Result<TransactWriteItem> {
    slug_put(tenant, slug, run.persona_id, run.id)
}

fn slug_put(tenant: &Tenant, slug: &str, persona_id: PersonaId, run_id: RunId) -> Result<TransactWriteItem> {
    let item = to_item(&slug_partition(tenant, slug), "SLUG", &SlugItem { persona_id, run_id })?;
    let put = Put::builder()
        .table_name(Setting::PersonasTable.read()?)
        .set_item(Some(item))
        .condition_expression("attribute_not_exists(pk) OR run_id = :run")
        .expression_attribute_values(":run", text(run_id.to_string()))
        .build()
        .map_err(Error::internal)?;
    Ok(TransactWriteItem::builder().put(put).build())
}

/// Gives a slug back when the run that reserved it ends without a persona.
pub(super) fn release_slug(tenant: &Tenant, slug: &str, run: &Run) -> Result<TransactWriteItem> {
    delete(
        Delete::builder()
            .table_name(Setting::PersonasTable.read()?)
            .set_key(Some(primary_key(&slug_partition(tenant, slug), "SLUG")))
            .condition_expression("attribute_not_exists(pk) OR run_id = :run")
            .expression_attribute_values(":run", text(run.id.to_string())),
    )
}

impl Store {
    /// The writes that bring a new persona into being; they belong into the transaction that ends its run.
    pub fn new_persona_writes(
        &self,
        tenant: &Tenant,
        entry: &PersonaEntry,
        run: RunId,
    ) -> Result<Vec<TransactWriteItem>> {
        let table = Setting::PersonasTable.read()?;
        let pk = partition(tenant, entry.id);
        Ok(vec![
            put(&table, to_item(&pk, "DOC", entry)?)?,
            put(&table, to_item(&pk, &version_key(entry.version), entry)?)?,
            put(&table, to_item(&list_partition(tenant), &entry.id.to_string(), entry)?)?,
            slug_put(tenant, &entry.slug, entry.id, run)?,
        ])
    }

    /// Whether a slug is free, or this run's own.
    pub async fn slug_is_free(&self, tenant: &Tenant, slug: &str, run: RunId) -> Result<bool> {
        let owner: Option<SlugItem> =
            self.get(Setting::PersonasTable, &slug_partition(tenant, slug), "SLUG").await?;
        Ok(owner.is_none_or(|owner| owner.run_id == run))
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

    /// Deletes a persona: document, list entry, slug. Its older versions go by the version list. `false` when it is gone already.
    pub async fn delete_persona(&self, tenant: &Tenant, entry: &PersonaEntry) -> Result<bool> {
        let table = Setting::PersonasTable.read()?;
        let pk = partition(tenant, entry.id);
        let gone = |pk: &str, sk: &str| {
            delete(Delete::builder().table_name(&table).set_key(Some(primary_key(pk, sk))))
        };
        let document = Delete::builder()
            .table_name(&table)
            .set_key(Some(primary_key(&pk, "DOC")))
            .condition_expression("attribute_exists(pk)");
        let mut writes = vec![
            delete(document)?,
            gone(&list_partition(tenant), &entry.id.to_string())?,
            gone(&slug_partition(tenant, &entry.slug), "SLUG")?,
        ];
        for version in (1..=entry.version).rev().take(90) {
            writes.push(gone(&pk, &version_key(version))?);
        }
        match self.transact(writes).await {
            Ok(()) => Ok(true),
            Err(Refused::Conditions(_)) => Ok(false),
            Err(refused) => Err(refused.into_error()),
        }
    }
}
