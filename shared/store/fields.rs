//! Custom fields at rest: definitions, how many personas use each, and what creations must heed.
//!
//! A field counts its users, runs that will make one included, and is changed or deleted only while there are none: so
//! what a persona has stays valid without being read again. Registrations of a workspace are written one after the other,
//! by the version of its `STATE`. What creations must heed although their callers do not say so (fields that are required,
//! or generated) is kept by its digest, which the transaction that begins a run checks: where a workspace has no such
//! field, a creation needs no request to know it.

use aws_sdk_dynamodb::types::{ConditionCheck, Delete, Put, TransactWriteItem, Update};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Store, number, primary_key, runs::delete, text, to_item};
use crate::{
    config::Setting,
    error::{Error, Result},
    id::RunId,
    persona::field::{self, FIELDS_MOST, Field, FieldType, SCHEMAS_BYTES_MOST, Use},
    tenant::Tenant,
};

/// Copies of what creations must heed: a check of one item would make each creation of a workspace wait for the others.
const HEEDED_COPIES: u128 = 8;
/// A registration that others overtake this often gives up.
const TRIES: u32 = 8;

fn partition(tenant: &Tenant) -> String {
    format!("WS#{}#FIELDS", tenant.workspace())
}

fn field_key(name: &str) -> String {
    format!("FIELD#{name}")
}

fn heeded_partition(tenant: &Tenant, copy: u128) -> String {
    format!("WS#{}#HEEDED#{copy}", tenant.workspace())
}

/// A field as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FieldRow {
    /// What personas call it.
    name: String,
    kind: FieldType,
    /// JSON text: DynamoDB's number type would not keep every JSON number as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    schema: Option<String>,
    required: bool,
    generate: bool,
    digest: String,
    /// Personas that have it, and runs that will make one.
    pub uses: u64,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub updated_at: String,
}

impl FieldRow {
    fn new(field: &Field, created_at: &str, at: &str) -> Self {
        Self {
            name: field.name.clone(),
            kind: field.kind,
            schema: field.schema.as_ref().map(Value::to_string),
            required: field.required,
            generate: field.generate,
            digest: field.digest(),
            uses: 0,
            created_at: created_at.to_owned(),
            updated_at: at.to_owned(),
        }
    }

    /// What personas call it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The definition.
    pub fn field(&self) -> Result<Field> {
        let schema = self.schema.as_deref().map(serde_json::from_str).transpose().map_err(Error::internal)?;
        Ok(Field {
            name: self.name.clone(),
            kind: self.kind,
            schema,
            required: self.required,
            generate: self.generate,
        })
    }

    /// The object that callers see.
    pub fn to_object(&self) -> Result<Value> {
        let field = self.field()?;
        Ok(json!({
            "object": "schema.field", "name": field.name, "type": field.kind, "schema": field.schema,
            "required": field.required, "generate": field.generate, "uses": self.uses,
            "created_at": self.created_at, "updated_at": self.updated_at,
        }))
    }
}

/// What orders the registrations of a workspace; its sort key comes after those of fields.
const STATE: &str = "STATE";

/// A field, or the state.
#[derive(Debug, Deserialize)]
struct StoredRow {
    #[serde(flatten)]
    row: Option<FieldRow>,
    version: Option<u64>,
}

#[derive(Debug, Default)]
struct Registered {
    version: u64,
    /// By name.
    rows: Vec<FieldRow>,
}

/// What came of registering a field.
#[derive(Debug)]
pub enum Registration {
    /// It is new.
    New(FieldRow),
    /// It was there already, the same, or another that nobody used.
    Known(FieldRow),
    /// Another one of this name is used by so many.
    InUse(u64),
    /// The workspace has as many as it may have.
    TooMany,
    /// All schemas of the workspace would have so many bytes.
    TooLarge(usize),
}

/// What came of deleting a field.
#[derive(Debug, PartialEq, Eq)]
pub enum Removal {
    /// It is gone.
    Yes,
    /// There is none.
    Unknown,
    /// So many use it.
    InUse(u64),
}

impl Store {
    /// The fields of a workspace, by name: one request.
    pub async fn field_rows(&self, tenant: &Tenant) -> Result<Vec<FieldRow>> {
        Ok(self.registered(tenant).await?.rows)
    }

    /// The definitions of a workspace, by name: one request.
    pub async fn fields(&self, tenant: &Tenant) -> Result<Vec<Field>> {
        self.field_rows(tenant).await?.iter().map(FieldRow::field).collect()
    }

    async fn registered(&self, tenant: &Tenant) -> Result<Registered> {
        let rows: Vec<StoredRow> =
            self.range(Setting::PersonasTable, &partition(tenant), "FIELD#", STATE).await?;
        let mut registered = Registered::default();
        for StoredRow { row, version } in rows {
            registered.version = version.unwrap_or(registered.version);
            registered.rows.extend(row);
        }
        Ok(registered)
    }

    /// Registers a field, or changes one that nobody uses. Safe to repeat.
    pub async fn register_field(&self, tenant: &Tenant, field: &Field, at: &str) -> Result<Registration> {
        for _ in 0..TRIES {
            let before = self.registered(tenant).await?;
            let known = before.rows.iter().find(|row| row.name == field.name);
            match known {
                Some(row) if row.digest == field.digest() => return Ok(Registration::Known(row.clone())),
                Some(row) if row.uses > 0 => return Ok(Registration::InUse(row.uses)),
                None if before.rows.len() >= FIELDS_MOST => return Ok(Registration::TooMany),
                _ => {}
            }
            let row = FieldRow::new(field, known.map_or(at, |row| &row.created_at), at);
            let mut rest: Vec<FieldRow> = before.rows.clone();
            rest.retain(|other| other.name != row.name);
            rest.push(row.clone());
            let bytes = rest.iter().filter_map(|row| row.schema.as_ref()).map(String::len).sum();
            if bytes > SCHEMAS_BYTES_MOST {
                return Ok(Registration::TooLarge(bytes));
            }
            let write = field_put(tenant, &row, known)?;
            if self.write_fields(tenant, &before, &rest, write).await? {
                let is_new = known.is_none();
                return Ok(if is_new { Registration::New(row) } else { Registration::Known(row) });
            }
        }
        Err(overtaken())
    }

    /// Deletes a field that nobody uses.
    pub async fn delete_field(&self, tenant: &Tenant, name: &str) -> Result<Removal> {
        for _ in 0..TRIES {
            let before = self.registered(tenant).await?;
            let Some(row) = before.rows.iter().find(|row| row.name == name) else {
                return Ok(Removal::Unknown);
            };
            if row.uses > 0 {
                return Ok(Removal::InUse(row.uses));
            }
            let mut rest = before.rows.clone();
            rest.retain(|other| other.name != name);
            let gone = delete(
                Delete::builder()
                    .table_name(Setting::PersonasTable.read()?)
                    .set_key(Some(primary_key(&partition(tenant), &field_key(name))))
                    .condition_expression("uses = :none")
                    .expression_attribute_values(":none", number(0)),
            )?;
            if self.write_fields(tenant, &before, &rest, gone).await? {
                return Ok(Removal::Yes);
            }
        }
        Err(overtaken())
    }

    /// One change of the fields of a workspace, with what creations must heed from now on. `false` where another change,
    /// or a new user of the field, was faster.
    async fn write_fields(
        &self,
        tenant: &Tenant,
        before: &Registered,
        after: &[FieldRow],
        write: TransactWriteItem,
    ) -> Result<bool> {
        let digest_of = |rows: &[FieldRow]| -> Result<Option<String>> {
            let fields: Vec<Field> = rows.iter().map(FieldRow::field).collect::<Result<_>>()?;
            Ok(field::heeded(&fields))
        };
        let state = Put::builder()
            .table_name(Setting::PersonasTable.read()?)
            .set_item(Some(to_item(&partition(tenant), STATE, &json!({"version": before.version + 1}))?))
            .condition_expression("attribute_not_exists(pk) OR version = :before")
            .expression_attribute_values(":before", number(before.version))
            .build()
            .map_err(Error::internal)?;
        let mut writes = vec![TransactWriteItem::builder().put(state).build(), write];
        let heeded = digest_of(after)?;
        if heeded != digest_of(&before.rows)? {
            for copy in 0..HEEDED_COPIES {
                writes.push(heeded_write(tenant, copy, heeded.as_deref())?);
            }
        }
        self.unless_changed(writes).await
    }
}

fn overtaken() -> Error {
    Error::internal("the custom fields of a workspace were changed by others again and again")
}

fn field_put(tenant: &Tenant, row: &FieldRow, known: Option<&FieldRow>) -> Result<TransactWriteItem> {
    let put = Put::builder().table_name(Setting::PersonasTable.read()?).set_item(Some(to_item(
        &partition(tenant),
        &field_key(&row.name),
        row,
    )?));
    let put = match known {
        None => put.condition_expression("attribute_not_exists(pk)"),
        Some(_) => put.condition_expression("uses = :none").expression_attribute_values(":none", number(0)),
    };
    Ok(TransactWriteItem::builder().put(put.build().map_err(Error::internal)?).build())
}

fn heeded_write(tenant: &Tenant, copy: u128, digest: Option<&str>) -> Result<TransactWriteItem> {
    let pk = heeded_partition(tenant, copy);
    let table = Setting::PersonasTable.read()?;
    match digest {
        Some(digest) => super::runs::put(&table, to_item(&pk, "HEEDED", &json!({"digest": digest}))?),
        None => delete(Delete::builder().table_name(table).set_key(Some(primary_key(&pk, "HEEDED")))),
    }
}

/// Part of the transaction that begins a creation: what creations must heed is what `fields` say.
pub(super) fn heeded_check(tenant: &Tenant, run: RunId, fields: &[Field]) -> Result<TransactWriteItem> {
    let pk = heeded_partition(tenant, run.as_u128() % HEEDED_COPIES);
    let check = ConditionCheck::builder()
        .table_name(Setting::PersonasTable.read()?)
        .set_key(Some(primary_key(&pk, "HEEDED")));
    let check = match field::heeded(fields) {
        None => check.condition_expression("attribute_not_exists(pk)"),
        Some(digest) => check
            .condition_expression("#digest = :digest")
            .expression_attribute_names("#digest", "digest")
            .expression_attribute_values(":digest", text(digest)),
    };
    Ok(TransactWriteItem::builder().condition_check(check.build().map_err(Error::internal)?).build())
}

/// The writes by which a persona has fields and releases others; they belong into the transaction that writes it, and
/// fail where a field is not as it was checked.
pub(super) fn use_writes(tenant: &Tenant, uses: &[Use]) -> Result<Vec<TransactWriteItem>> {
    let write = |used: &Use| {
        let update = Update::builder()
            .table_name(Setting::PersonasTable.read()?)
            .set_key(Some(primary_key(&partition(tenant), &field_key(&used.name))))
            .update_expression("ADD uses :more");
        let update = match &used.digest {
            Some(digest) => update
                .condition_expression("#digest = :digest")
                .expression_attribute_names("#digest", "digest")
                .expression_attribute_values(":digest", text(digest))
                .expression_attribute_values(":more", number(1)),
            None => update
                .condition_expression("attribute_exists(pk)")
                .expression_attribute_values(":more", number(-1)),
        };
        Ok(TransactWriteItem::builder().update(update.build().map_err(Error::internal)?).build())
    };
    uses.iter().map(write).collect()
}
