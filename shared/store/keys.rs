//! Keys at rest: what their owners see of them. What admits a call lies in `admission`; both change together.

use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem, Update};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;

use super::{
    Page, Refused, Store,
    admission::{self, Admission, KeyOwner, LiveKey},
    number, primary_key, reminders,
    runs::put_new,
    text, to_attribute, to_item,
};
use crate::{
    clock::{days, millis, timestamp, timestamp_of},
    config::Setting,
    error::{Code, Error, Result},
    id::KeyId,
    key::{ApiKey, LIFETIME_DAYS, Mode, Scope},
    tenant::Tenant,
};

/// Live keys of a workspace, at most: they lie in the one item that every call writes.
pub const LIVE_MOST: usize = 20;

/// A key as its owner sees it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KeyRecord {
    /// Public id.
    pub id: KeyId,
    /// What the owner calls it.
    pub name: String,
    /// `pk_live_…wXyZ`.
    pub masked: String,
    /// Its workspace's.
    pub mode: Mode,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// When it ends, milliseconds since the epoch.
    pub ends_millis: i64,
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<String>,
    /// The key that takes its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotated_to: Option<KeyId>,
    /// The digest of the person who got it by signing in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_in_by: Option<String>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub updated_at: String,
}

impl KeyRecord {
    /// Whether it admits calls, and nothing has taken its place.
    pub fn is_in_use(&self, now_millis: i64) -> bool {
        self.ends_millis > now_millis && self.revoked_at.is_none() && self.rotated_to.is_none()
    }

    /// The object of lists and answers; the key itself is in none of them.
    pub fn to_object(&self, now_millis: i64) -> Value {
        let status = match (&self.revoked_at, self.ends_millis > now_millis) {
            (Some(_), _) => "revoked",
            (None, true) => "active",
            (None, false) => "expired",
        };
        json!({
            "id": self.id, "object": "key", "name": self.name, "masked": self.masked, "mode": self.mode,
            "scopes": self.scopes, "status": status, "expires_at": timestamp_of(self.ends_millis),
            "revoked_at": self.revoked_at, "rotated_to": self.rotated_to,
            "created_at": self.created_at, "updated_at": self.updated_at,
        })
    }
}

/// What a new key is to be.
#[derive(Debug, Clone)]
pub struct KeyDraft {
    /// What the owner calls it.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Days until it ends; 90 when absent. Zero makes a key that has ended, for tests of that case.
    pub expires_in_days: Option<u64>,
}

impl KeyDraft {
    fn record(&self, key: &ApiKey, now: OffsetDateTime) -> KeyRecord {
        let ends = now + days(self.expires_in_days.unwrap_or(LIFETIME_DAYS));
        KeyRecord {
            id: KeyId::new(),
            name: self.name.clone(),
            masked: key.masked(),
            mode: key.mode(),
            scopes: self.scopes.clone(),
            ends_millis: millis(ends),
            revoked_at: None,
            rotated_to: None,
            signed_in_by: None,
            created_at: timestamp(now),
            updated_at: timestamp(now),
        }
    }
}

fn record_key(id: KeyId) -> String {
    format!("KEY#{id}")
}

/// What makes `record` the key of `secret`, short of its admission: whose it is, its record, the reminder of its end.
pub(super) fn key_writes(
    tenant: &Tenant,
    secret: &ApiKey,
    record: &KeyRecord,
) -> Result<Vec<TransactWriteItem>> {
    let owner = KeyOwner { workspace_id: tenant.workspace(), key_id: record.id };
    let pk = super::workspaces::partition(tenant);
    let table = Setting::WorkspacesTable.read()?;
    Ok(vec![
        put_new(&table, to_item(&admission::owner_partition(&secret.hash()), "KEY", &owner)?)?,
        put_new(&table, to_item(&pk, &record_key(record.id), record)?)?,
        reminders::of_key(tenant, record)?,
    ])
}

pub(super) fn live(record: &KeyRecord) -> LiveKey {
    LiveKey { ends_millis: record.ends_millis, scopes: record.scopes.clone() }
}

/// The first key of a new workspace: its record, the writes, and the admission with it in.
pub(super) fn first_key(
    tenant: &Tenant,
    secret: &ApiKey,
    draft: &KeyDraft,
    mut admission: Admission,
    now: OffsetDateTime,
) -> Result<(KeyRecord, Vec<TransactWriteItem>)> {
    let record = draft.record(secret, now);
    admission.keys.insert(record.id.to_string(), live(&record));
    let mut writes = key_writes(tenant, secret, &record)?;
    let item = to_item(&admission::partition(tenant), admission::SORT_KEY, &admission)?;
    writes.push(put_new(&Setting::WorkspacesTable.read()?, item)?);
    Ok((record, writes))
}

/// Changes of the item that admits a workspace's keys.
struct Change {
    set: Vec<String>,
    remove: Vec<String>,
    condition: Vec<String>,
    names: Vec<(String, String)>,
    values: Vec<(String, AttributeValue)>,
}

impl Change {
    fn new() -> Self {
        Self {
            set: Vec::new(),
            remove: Vec::new(),
            condition: vec!["attribute_exists(pk)".to_owned()],
            names: vec![("#keys".to_owned(), "keys".to_owned())],
            values: Vec::new(),
        }
    }

    fn key(&mut self, id: &str) -> String {
        let name = format!("#k{}", self.names.len());
        self.names.push((name.clone(), id.to_owned()));
        format!("#keys.{name}")
    }

    fn value(&mut self, value: AttributeValue) -> String {
        let name = format!(":v{}", self.values.len());
        self.values.push((name.clone(), value));
        name
    }

    fn add(&mut self, record: &KeyRecord) -> Result<()> {
        let (path, value) = (self.key(&record.id.to_string()), to_attribute(&live(record))?);
        let value = self.value(value);
        self.set.push(format!("{path} = {value}"));
        Ok(())
    }

    /// Only if it is there still.
    fn take(&mut self, id: KeyId) {
        let path = self.key(&id.to_string());
        self.condition.push(format!("attribute_exists({path})"));
        self.remove.push(path);
    }

    /// Only if it is there still.
    fn end(&mut self, id: KeyId, at_millis: i64) {
        let path = self.key(&id.to_string());
        let value = self.value(number(at_millis));
        self.condition.push(format!("attribute_exists({path})"));
        self.set.push(format!("{path}.x = {value}"));
    }

    /// Makes room: what has ended admits nobody.
    fn forget_ended(&mut self, admission: &Admission, now_millis: i64) {
        for (id, key) in &admission.keys {
            if key.ends_millis <= now_millis {
                let path = self.key(id);
                self.remove.push(path);
            }
        }
    }

    fn write(self, tenant: &Tenant) -> Result<TransactWriteItem> {
        let part = |word: &str, parts: &[String]| {
            if parts.is_empty() { String::new() } else { format!("{word} {} ", parts.join(", ")) }
        };
        let mut update = Update::builder()
            .table_name(Setting::WorkspacesTable.read()?)
            .set_key(Some(primary_key(&admission::partition(tenant), admission::SORT_KEY)))
            .update_expression(part("SET", &self.set) + &part("REMOVE", &self.remove))
            .condition_expression(self.condition.join(" AND "));
        for (name, value) in self.names {
            update = update.expression_attribute_names(name, value);
        }
        for (name, value) in self.values {
            update = update.expression_attribute_values(name, value);
        }
        let update = update.build().map_err(Error::internal)?;
        Ok(TransactWriteItem::builder().update(update).build())
    }
}

/// What a key that somebody gets by signing in is besides its draft.
pub(super) struct SignedIn<'a> {
    /// Its id, which the grant names before the key is made.
    pub(super) id: KeyId,
    /// The digest of the person.
    pub(super) person: &'a str,
}

/// The place of the write that admits a key, among those that make it.
const ADMITTED: usize = 0;

fn full() -> Error {
    let message = format!("The workspace has {LIVE_MOST} live keys, which is the most. Revoke one first.");
    Error::new(Code::RequestInvalid, message)
}

impl Store {
    /// Another key of the workspace. The secret is returned here and never again.
    ///
    /// # Errors
    /// 400 when the workspace has [`LIVE_MOST`] live keys.
    pub async fn create_key(
        &self,
        tenant: &Tenant,
        draft: &KeyDraft,
        now: OffsetDateTime,
    ) -> Result<(KeyRecord, ApiKey)> {
        let admission = self.admission(tenant).await?;
        let secret = ApiKey::generate(admission.mode);
        let record = draft.record(&secret, now);
        match self.add_key(tenant, &admission, &secret, &record, Vec::new(), now).await {
            Ok(()) => Ok((record, secret)),
            Err(Refused::Conditions(_)) => Err(full()),
            Err(refused) => Err(refused.into_error()),
        }
    }

    /// A key of this id for somebody who has signed in, if `more` can be written, too, and else `None`. Where the workspace has as many
    /// keys as it may, it takes the place of the oldest that this person got in the same way.
    ///
    /// # Errors
    /// 400 when the workspace has [`LIVE_MOST`] live keys, and none of them is this person's.
    pub(super) async fn create_key_of(
        &self,
        tenant: &Tenant,
        draft: &KeyDraft,
        signed_in: &SignedIn<'_>,
        more: Vec<TransactWriteItem>,
        now: OffsetDateTime,
    ) -> Result<Option<(KeyRecord, ApiKey)>> {
        for _ in 0..3 {
            let admission = self.admission(tenant).await?;
            let secret = ApiKey::generate(admission.mode);
            let mut record = draft.record(&secret, now);
            record.id = signed_in.id;
            record.signed_in_by = Some(signed_in.person.to_owned());
            match self.add_key(tenant, &admission, &secret, &record, more.clone(), now).await {
                Ok(()) => return Ok(Some((record, secret))),
                Err(Refused::Conditions(failed)) if failed.iter().all(|(at, _)| *at != ADMITTED) => {
                    return Ok(None);
                }
                Err(Refused::Conditions(_)) => {}
                Err(refused) => return Err(refused.into_error()),
            }
            let mut own = self.keys_of(tenant, signed_in.person).await?;
            own.retain(|key| key.revoked_at.is_none() && key.ends_millis > millis(now));
            let oldest = own.iter().min_by_key(|key| key.id).ok_or_else(full)?;
            self.end_key(tenant, oldest, now, false).await?;
        }
        Err(full())
    }

    /// Everything that makes a key, if there is room for one more.
    async fn add_key(
        &self,
        tenant: &Tenant,
        admission: &Admission,
        secret: &ApiKey,
        record: &KeyRecord,
        more: Vec<TransactWriteItem>,
        now: OffsetDateTime,
    ) -> Result<(), Refused> {
        let writes = || {
            let mut change = Change::new();
            change.forget_ended(admission, millis(now));
            change.add(record)?;
            // Those that others make at the same moment count, too.
            let most = change.value(number(LIVE_MOST + change.remove.len()));
            change.condition.push(format!("size(#keys) < {most}"));
            let mut writes = vec![change.write(tenant)?];
            writes.extend(key_writes(tenant, secret, record)?);
            Ok(writes)
        };
        let mut writes: Vec<TransactWriteItem> = writes().map_err(Refused::Other)?;
        writes.extend(more);
        self.transact(writes).await
    }

    /// All keys that a person got by signing in, those that have ended included.
    pub(super) async fn keys_of(&self, tenant: &Tenant, person: &str) -> Result<Vec<KeyRecord>> {
        let (pk, table) = (super::workspaces::partition(tenant), Setting::WorkspacesTable);
        let mut keys: Vec<KeyRecord> = self.range(table, &pk, "KEY#", "KEY#~").await?;
        keys.retain(|key| key.signed_in_by.as_deref() == Some(person));
        Ok(keys)
    }

    /// A new key with another's name and scopes; the old one ends after `grace`, or when it would have ended anyway.
    /// `None` when the old one is not live (any more).
    pub async fn rotate_key(
        &self,
        tenant: &Tenant,
        old: &KeyRecord,
        grace: std::time::Duration,
        now: OffsetDateTime,
    ) -> Result<Option<(KeyRecord, ApiKey)>> {
        let secret = ApiKey::generate(old.mode);
        let draft = KeyDraft { name: old.name.clone(), scopes: old.scopes.clone(), expires_in_days: None };
        let record = KeyRecord { signed_in_by: old.signed_in_by.clone(), ..draft.record(&secret, now) };
        let ends = millis(now + grace).min(old.ends_millis);
        let mut change = Change::new();
        let admission = self.admission(tenant).await?;
        change.forget_ended(&admission, millis(now));
        // Keys in their grace are live, too.
        if admission.keys.len() - change.remove.len() >= 2 * LIVE_MOST {
            let message = format!(
                "The workspace has {} live keys, those in the grace of a rotation included. Revoke one first.",
                admission.keys.len() - change.remove.len()
            );
            return Err(Error::new(Code::RequestInvalid, message));
        }
        if change.names.iter().any(|(_, id)| *id == old.id.to_string()) {
            return Ok(None);
        }
        change.add(&record)?;
        if grace.is_zero() {
            change.take(old.id);
        } else {
            change.end(old.id, ends);
        }
        let update = self
            .record_update(tenant, old.id)?
            .update_expression("SET ends_millis = :ends, rotated_to = :to, updated_at = :at")
            .condition_expression("attribute_not_exists(revoked_at) AND attribute_not_exists(rotated_to)")
            .expression_attribute_values(":ends", number(ends))
            .expression_attribute_values(":to", text(record.id.to_string()))
            .expression_attribute_values(":at", text(timestamp(now)));
        let update = update.build().map_err(Error::internal)?;
        let mut writes = vec![change.write(tenant)?, TransactWriteItem::builder().update(update).build()];
        writes.extend(key_writes(tenant, &secret, &record)?);
        match self.transact(writes).await {
            Ok(()) => Ok(Some((record, secret))),
            Err(Refused::Conditions(_)) => Ok(None),
            Err(refused) => Err(refused.into_error()),
        }
    }

    /// Ends a key at once: the next call with it is refused. A second time changes nothing.
    ///
    /// # Errors
    /// 400 when it is the last admin key: nobody could make another.
    pub async fn revoke_key(
        &self,
        tenant: &Tenant,
        record: &KeyRecord,
        now: OffsetDateTime,
    ) -> Result<KeyRecord> {
        self.end_key(tenant, record, now, true).await
    }

    /// The same; a key that somebody got by signing in may be the last admin key, for they may sign in again.
    pub(super) async fn end_key(
        &self,
        tenant: &Tenant,
        record: &KeyRecord,
        now: OffsetDateTime,
        keeps_an_admin: bool,
    ) -> Result<KeyRecord> {
        let admission = self.admission(tenant).await?;
        let id = record.id.to_string();
        let Some(live) = admission.keys.get(&id) else { return self.note_revoked(tenant, record, now).await };
        let mut change = Change::new();
        if keeps_an_admin && live.is_admin_at(millis(now)) {
            let other =
                admission.keys.iter().find(|(key, live)| **key != id && live.is_admin_at(millis(now)));
            let Some((other, _)) = other else {
                let message = "This is the workspace's last admin key. Create or rotate one first.";
                return Err(Error::new(Code::RequestInvalid, message));
            };
            // Two admins that revoke each other at once: one of them stays.
            let path = change.key(other);
            change.condition.push(format!("attribute_exists({path})"));
        }
        change.take(record.id);
        let noted = self.revocation(tenant, record, now)?;
        match self.transact(vec![change.write(tenant)?, noted]).await {
            Ok(()) => Ok(KeyRecord {
                revoked_at: Some(timestamp(now)),
                updated_at: timestamp(now),
                ..record.clone()
            }),
            // Somebody else changed the keys meanwhile; what is so now decides.
            Err(Refused::Conditions(_)) => Box::pin(self.end_key(tenant, record, now, keeps_an_admin)).await,
            Err(refused) => Err(refused.into_error()),
        }
    }

    /// A key that admits nobody any more, for it has ended: it is only written down.
    async fn note_revoked(
        &self,
        tenant: &Tenant,
        record: &KeyRecord,
        now: OffsetDateTime,
    ) -> Result<KeyRecord> {
        if record.revoked_at.is_some() {
            return Ok(record.clone());
        }
        match self.transact(vec![self.revocation(tenant, record, now)?]).await {
            Ok(()) | Err(Refused::Conditions(_)) => {
                let seen = self.key(tenant, record.id).await?;
                seen.ok_or_else(|| Error::not_found("key", &record.id.to_string()))
            }
            Err(refused) => Err(refused.into_error()),
        }
    }

    fn revocation(
        &self,
        tenant: &Tenant,
        record: &KeyRecord,
        now: OffsetDateTime,
    ) -> Result<TransactWriteItem> {
        let update = self
            .record_update(tenant, record.id)?
            .update_expression("SET revoked_at = :at, updated_at = :at")
            .condition_expression("attribute_exists(pk) AND attribute_not_exists(revoked_at)")
            .expression_attribute_values(":at", text(timestamp(now)))
            .build()
            .map_err(Error::internal)?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    fn record_update(
        &self,
        tenant: &Tenant,
        id: KeyId,
    ) -> Result<aws_sdk_dynamodb::types::builders::UpdateBuilder> {
        Ok(Update::builder()
            .table_name(Setting::WorkspacesTable.read()?)
            .set_key(Some(primary_key(&super::workspaces::partition(tenant), &record_key(id)))))
    }

    /// A key of the workspace.
    pub async fn key(&self, tenant: &Tenant, id: KeyId) -> Result<Option<KeyRecord>> {
        self.get(Setting::WorkspacesTable, &super::workspaces::partition(tenant), &record_key(id)).await
    }

    /// One page of keys, newest first, those that have ended included.
    pub async fn keys(&self, tenant: &Tenant, after: Option<&str>, limit: usize) -> Result<Page<KeyRecord>> {
        self.page_of(
            Setting::WorkspacesTable,
            &super::workspaces::partition(tenant),
            "KEY#",
            after,
            limit,
            |_| true,
        )
        .await
    }
}
