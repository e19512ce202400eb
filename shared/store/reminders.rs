//! What the reaper is reminded of, in the index of what is due: keys that end soon, and months with a budget in which
//! something was spent. Written with the key, and with the spending, in the same transactions.

use aws_sdk_dynamodb::{
    operation::delete_item::DeleteItemError,
    types::{TransactWriteItem, Update},
};
use backon::Retryable;
use serde::{Deserialize, Serialize};

use super::{
    Store, contention, is_contended,
    keys::KeyRecord,
    number, primary_key,
    runs::put,
    storage, updated,
    webhooks::{Due, patience_millis, watched},
};
use crate::{
    Usd,
    clock::{days, millis_of},
    config::Setting,
    error::{Error, Result},
    id::KeyId,
    key::WARNING_DAYS,
    tenant::Tenant,
    webhook::Event,
};

/// What a month's budget has been told of is kept this long after the month began.
const MONTHS_KEPT_DAYS: u64 = 100;

/// Sort key of a key's reminder.
pub(super) const KEY: &str = "ENDS";

pub(super) fn key_partition(tenant: &Tenant, key: KeyId) -> String {
    format!("WS#{}#KEY#{key}", tenant.workspace())
}

pub(super) fn months_partition(tenant: &Tenant) -> String {
    format!("WS#{}#MONTHS", tenant.workspace())
}

fn told_partition(tenant: &Tenant) -> String {
    format!("WS#{}#MONTHS#TOLD", tenant.workspace())
}

/// A month with a budget, in which something was spent that nobody has looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spending {
    /// `2026-11`.
    pub month: String,
    /// When something was spent last, milliseconds since the epoch.
    pub since_millis: i64,
}

/// What a month has come to, and what the workspace knows of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The budget, as it is now.
    pub cap: Usd,
    /// What is spent.
    pub spent: Usd,
    /// What it was told last.
    pub told: Option<Told>,
}

/// A share of a budget that the workspace was told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The largest share that it was told is reached.
    pub percent: i64,
    /// Of this budget.
    #[serde(with = "crate::money::micros")]
    pub cap: Usd,
}

/// Somebody looks at a new key when it has so little left that its answers say so.
pub(super) fn of_key(tenant: &Tenant, record: &KeyRecord) -> Result<TransactWriteItem> {
    let item = primary_key(&key_partition(tenant, record.id), KEY);
    let warned = record.ends_millis - days(WARNING_DAYS).as_millis() as i64;
    let expires_at = record.ends_millis / 1_000 + days(1).as_secs() as i64;
    put(&Setting::WebhooksTable.read()?, watched(item, record.id.as_u128(), warned, expires_at))
}

/// Somebody looks at a month in which something was spent at this time (RFC 3339).
pub(super) fn of_month(tenant: &Tenant, month: &str, at: &str) -> Result<TransactWriteItem> {
    let (item, due) = (primary_key(&months_partition(tenant), month), millis_of(at));
    let expires_at = due / 1_000 + days(MONTHS_KEPT_DAYS).as_secs() as i64;
    let spread = tenant.workspace().as_u128();
    put(&Setting::WebhooksTable.read()?, watched(item, spread, due, expires_at))
}

impl Store {
    /// Keeps the event that a key ends soon, and is reminded of it again at `again_millis`; once, whoever tries.
    pub async fn tell_of_key(
        &self,
        tenant: &Tenant,
        key: KeyId,
        event: &Event,
        now_millis: i64,
        again_millis: i64,
    ) -> Result<bool> {
        let reminder = Update::builder()
            .table_name(Setting::WebhooksTable.read()?)
            .set_key(Some(Due::Key(*tenant, key).key()))
            .condition_expression("active_due <= :now")
            .update_expression("SET active_due = :again")
            .expression_attribute_values(":now", number(now_millis))
            .expression_attribute_values(":again", number(again_millis))
            .build()
            .map_err(Error::internal)?;
        let mut writes = vec![TransactWriteItem::builder().update(reminder).build()];
        writes.extend(self.event_writes(tenant, std::slice::from_ref(event))?);
        self.unless_changed(writes).await
    }

    /// What a month has come to; `None` where the workspace has no budget (any more).
    pub async fn month_standing(&self, tenant: &Tenant, month: &str) -> Result<Option<Standing>> {
        let told = told_partition(tenant);
        let (admission, spent, told) = tokio::try_join!(
            self.admission(tenant),
            self.month(tenant, month),
            self.get(Setting::WebhooksTable, &told, month),
        )?;
        let cap = admission.cap_micros.map(Usd::from_micros);
        Ok(cap.map(|cap| Standing { cap, spent: spent.spent, told }))
    }

    /// Keeps the events that shares of a month's budget are reached, if nobody has told of any since `before` was read.
    pub async fn tell_of_month(
        &self,
        tenant: &Tenant,
        spending: &Spending,
        before: &Standing,
        percent: i64,
        events: &[Event],
    ) -> Result<bool> {
        let mut update = Update::builder()
            .table_name(Setting::WebhooksTable.read()?)
            .set_key(Some(primary_key(&told_partition(tenant), &spending.month)))
            .update_expression("SET #percent = :percent, cap = :cap, expires_at = :expires")
            .expression_attribute_names("#percent", "percent")
            .expression_attribute_values(":percent", number(percent))
            .expression_attribute_values(":cap", number(before.cap.micros()))
            .expression_attribute_values(
                ":expires",
                number(spending.since_millis / 1_000 + days(MONTHS_KEPT_DAYS).as_secs() as i64),
            );
        update = match before.told {
            None => update.condition_expression("attribute_not_exists(pk)"),
            Some(told) => update
                .condition_expression("#percent = :known AND cap = :known_cap")
                .expression_attribute_values(":known", number(told.percent))
                .expression_attribute_values(":known_cap", number(told.cap.micros())),
        };
        let update = update.build().map_err(Error::internal)?;
        let mut writes = vec![TransactWriteItem::builder().update(update).build()];
        writes.extend(self.event_writes(tenant, events)?);
        self.unless_changed(writes).await
    }

    /// Looks at a month in everybody's stead for a while. `None` where another does, or something was spent since: then
    /// somebody looks again. Until it is forgotten, what is spent meanwhile brings it back.
    pub async fn hold_month(
        &self,
        tenant: &Tenant,
        spending: &Spending,
        now_millis: i64,
    ) -> Result<Option<Spending>> {
        let until = now_millis + patience_millis();
        let update = self
            .client
            .update_item()
            .table_name(Setting::WebhooksTable.read()?)
            .set_key(Some(Due::Month(*tenant, spending.clone()).key()))
            .condition_expression("active_due = :since")
            .update_expression("SET active_due = :until")
            .expression_attribute_values(":since", number(spending.since_millis))
            .expression_attribute_values(":until", number(until));
        let held = updated::<serde::de::IgnoredAny>(update).await?;
        Ok(held.map(|_| Spending { since_millis: until, ..spending.clone() }))
    }

    /// Nobody needs to look at this any more; at a month, if nothing was spent since.
    pub async fn forget(&self, due: &Due) -> Result<()> {
        let mut delete =
            self.client.delete_item().table_name(Setting::WebhooksTable.read()?).set_key(Some(due.key()));
        if let Due::Month(_, spending) = due {
            delete = delete
                .condition_expression("active_due = :since")
                .expression_attribute_values(":since", number(spending.since_millis));
        }
        let send = || async { delete.clone().send().await };
        match send.retry(contention()).when(is_contended).await {
            Ok(_) => Ok(()),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(DeleteItemError::is_conditional_check_failed_exception) =>
            {
                Ok(())
            }
            Err(error) => Err(storage(error)),
        }
    }
}
