//! Webhooks, events and deliveries at rest.
//!
//! An event lies in the table before anybody may rely on it, in the transaction that makes it true; its message is a
//! hint. The index `active` holds what nobody has finished with: events that have not fanned out, deliveries that are
//! not at their end, each with the time at which somebody must look, whatever became of the message; and `reminders`.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    operation::update_item::{UpdateItemError, builders::UpdateItemFluentBuilder},
    types::{Delete, ReturnValue, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update},
};
use backon::Retryable;
use serde::{Deserialize, Serialize};

use super::{
    Item, Page, Refused, Store, contention, from_item, is_contended, number, primary_key,
    reminders::{self, Spending},
    runs::{delete, put, put_new},
    storage, text, to_attribute, to_item, updated,
};
use crate::{
    clock::{Clock, days},
    config::{self, Setting},
    error::{Error, Result},
    id::{DeliveryId, EventId, KeyId, WebhookId},
    tenant::Tenant,
    webhook::{
        Attempt, Change, Delivery, DeliveryStatus, Described, DisabledReason, Event, EventType,
        RETENTION_DAYS, SLOTS, WEBHOOKS_MOST, Webhook,
    },
};

/// Shards of the index of what is not finished: one partition takes 1,000 writes a second.
pub const DUE_SHARDS: u128 = 8;
/// Items of a page of that index.
const DUE_PAGE: i32 = 200;

/// An event at rest.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StoredEvent {
    /// Its kind.
    pub event_type: EventType,
    /// What is sent, to the byte.
    pub body: String,
    /// Whether it has fanned out.
    #[serde(default)]
    pub fanned_out: bool,
}

/// What came of taking a delivery.
#[derive(Debug)]
pub enum DeliveryClaim {
    /// It is this worker's, for this attempt.
    Won(Box<Delivery>),
    /// Another worker holds it, it is not due yet, or it is at its end.
    NotNow,
    /// There is no such delivery: the message was forged, or it has aged out.
    Unknown,
}

/// What an attempt makes of its delivery.
#[derive(Debug, Clone, Copy)]
pub enum Next {
    /// It ends.
    End(DeliveryStatus),
    /// It is tried again at this time, milliseconds since the epoch.
    Again(i64),
}

/// What an attempt makes of its webhook; what is `None` stays.
#[derive(Debug, Clone, Copy, Default)]
pub struct Settled {
    /// The slot that it held, which is free again.
    pub slot: Option<usize>,
    /// Whether it was answered promptly.
    pub prompt: Option<bool>,
    /// It succeeded: whatever failed before is forgotten.
    pub succeeded: bool,
    /// It failed first now, milliseconds since the epoch.
    pub failed_at: Option<i64>,
}

/// Something that somebody must look at, its tenant read from the item's own key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// An event that has not fanned out.
    Event(Tenant, EventId),
    /// A delivery that is not at its end.
    Delivery(Tenant, WebhookId, DeliveryId),
    /// A key that ends soon.
    Key(Tenant, KeyId),
    /// A month of a workspace with a budget, in which something was spent.
    Month(Tenant, Spending),
}

/// Where a page of what is due begins.
#[derive(Debug)]
pub struct DuePage(Item);

impl Due {
    pub(super) fn key(&self) -> Item {
        match self {
            Self::Event(tenant, event) => primary_key(&event_partition(tenant, *event), "EVT"),
            Self::Delivery(tenant, webhook, delivery) => {
                primary_key(&deliveries_partition(tenant, *webhook), &delivery.to_string())
            }
            Self::Key(tenant, key) => primary_key(&reminders::key_partition(tenant, *key), reminders::KEY),
            Self::Month(tenant, spending) => {
                primary_key(&reminders::months_partition(tenant), &spending.month)
            }
        }
    }

    fn of(item: &Item) -> Option<Self> {
        let text = |name: &str| item.get(name)?.as_s().ok();
        let (workspace, rest) = text("pk")?.strip_prefix("WS#")?.split_once('#')?;
        let tenant = Tenant::of(workspace.parse().ok()?);
        if let Some(event) = rest.strip_prefix("EVT#") {
            return Some(Self::Event(tenant, event.parse().ok()?));
        }
        if let Some(key) = rest.strip_prefix("KEY#") {
            return Some(Self::Key(tenant, key.parse().ok()?));
        }
        if rest == "MONTHS" {
            let since_millis = item.get("active_due").and_then(|due| due.as_n().ok()?.parse().ok());
            let month = text("sk")?.to_owned();
            return Some(Self::Month(
                tenant,
                Spending { month, since_millis: since_millis.unwrap_or_default() },
            ));
        }
        let webhook = rest.strip_prefix("WHK#")?.strip_suffix("#DELIVERIES")?;
        Some(Self::Delivery(tenant, webhook.parse().ok()?, text("sk")?.parse().ok()?))
    }
}

fn list_partition(tenant: &Tenant) -> String {
    format!("WS#{}#WEBHOOKS", tenant.workspace())
}

fn count_partition(tenant: &Tenant) -> String {
    format!("WS#{}#WEBHOOKS#COUNT", tenant.workspace())
}

fn event_partition(tenant: &Tenant, event: EventId) -> String {
    format!("WS#{}#EVT#{event}", tenant.workspace())
}

fn deliveries_partition(tenant: &Tenant, webhook: WebhookId) -> String {
    format!("WS#{}#WHK#{webhook}#DELIVERIES", tenant.workspace())
}

fn shard(id: u128) -> String {
    format!("ACTIVE#{}", id % DUE_SHARDS)
}

/// After this somebody looks whether a message was lost: by then it should have been worked on long since.
pub(super) fn patience_millis() -> i64 {
    config::lease().as_millis() as i64 * 4
}

fn expiry(seconds: u64) -> i64 {
    (seconds + days(RETENTION_DAYS).as_secs()) as i64
}

/// Attributes under their names with `#`: many of DynamoDB's reserved words are good names.
fn names(attributes: &[&str]) -> HashMap<String, String> {
    attributes.iter().map(|name| (format!("#{name}"), (*name).to_owned())).collect()
}

fn slot_name(slot: usize) -> &'static str {
    if slot == 0 { "slot_0" } else { "slot_1" }
}

/// The item with what puts it into the index of what is due, and the time, in seconds since the epoch, at which it ages out.
pub(super) fn watched(mut item: Item, spread: u128, due_millis: i64, expires_at: i64) -> Item {
    item.insert("active_shard".into(), text(shard(spread)));
    item.insert("active_due".into(), number(due_millis));
    item.insert("expires_at".into(), number(expires_at));
    item
}

fn event_item(tenant: &Tenant, event: &Event) -> Result<Item> {
    let stored = StoredEvent { event_type: event.kind, body: event.body(tenant), fanned_out: false };
    let item = to_item(&event_partition(tenant, event.id), "EVT", &stored)?;
    let seconds = event.id.epoch_seconds();
    let due = seconds as i64 * 1_000 + patience_millis();
    Ok(watched(item, event.id.as_u128(), due, expiry(seconds)))
}

fn delivery_item(tenant: &Tenant, delivery: &Delivery) -> Result<Item> {
    let partition = deliveries_partition(tenant, delivery.webhook_id);
    let item = to_item(&partition, &delivery.id.to_string(), delivery)?;
    let begins = delivery.next_attempt_millis.max(delivery.id.epoch_millis() as i64);
    let expires_at = expiry(delivery.id.epoch_seconds());
    Ok(watched(item, delivery.id.as_u128(), begins + patience_millis(), expires_at))
}

// ── webhooks ──

/// A delivery that may be tried, and that nobody holds.
const DUE_AND_FREE: &str = "#status = :pending AND #lease < :now AND #next_attempt_millis <= :now";

impl Store {
    /// Writes a new webhook. `false` when the workspace has as many as it may have.
    pub async fn create_webhook(&self, tenant: &Tenant, webhook: &Webhook) -> Result<bool> {
        let table = Setting::WebhooksTable.read()?;
        let counted = Update::builder()
            .table_name(&table)
            .set_key(Some(primary_key(&count_partition(tenant), "COUNT")))
            .set_expression_attribute_names(Some(names(&["webhooks"])))
            .condition_expression("attribute_not_exists(#webhooks) OR #webhooks < :most")
            .update_expression("ADD #webhooks :one")
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":most", number(WEBHOOKS_MOST))
            .build()
            .map_err(Error::internal)?;
        let writes = vec![
            TransactWriteItem::builder().update(counted).build(),
            put_new(&table, to_item(&list_partition(tenant), &webhook.id.to_string(), webhook)?)?,
        ];
        match self.transact(writes).await {
            Ok(()) => Ok(true),
            Err(Refused::Conditions(failed)) if failed.iter().any(|(at, _)| *at == 0) => Ok(false),
            Err(refused) => Err(refused.into_error()),
        }
    }

    /// A webhook.
    pub async fn webhook(&self, tenant: &Tenant, id: WebhookId) -> Result<Option<Webhook>> {
        self.get(Setting::WebhooksTable, &list_partition(tenant), &id.to_string()).await
    }

    /// Every webhook of the workspace: there are few.
    pub async fn all_webhooks(&self, tenant: &Tenant) -> Result<Vec<Webhook>> {
        self.range(Setting::WebhooksTable, &list_partition(tenant), "whk_", "whk_~").await
    }

    /// One page of webhooks, newest first.
    pub async fn webhooks(
        &self,
        tenant: &Tenant,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Webhook>> {
        self.page(Setting::WebhooksTable, &list_partition(tenant), after, limit, |_| true).await
    }

    fn webhook_update(&self, tenant: &Tenant, id: WebhookId) -> Result<UpdateItemFluentBuilder> {
        Ok(self
            .client
            .update_item()
            .table_name(Setting::WebhooksTable.read()?)
            .set_key(Some(primary_key(&list_partition(tenant), &id.to_string()))))
    }

    /// Changes a webhook as it was read; `None` where its owner has changed or deleted it since. What workers know of
    /// the address stays as it is, unless the address changes or is enabled again.
    pub async fn change_webhook(
        &self,
        tenant: &Tenant,
        read: &Webhook,
        change: &Change,
        clock: &dyn Clock,
    ) -> Result<Option<Webhook>> {
        let at = clock.timestamp();
        let (mut set, mut remove) = (vec!["#version = :next", "#updated_at = :at"], Vec::new());
        let mut used = vec!["version", "updated_at"];
        let mut update = self
            .webhook_update(tenant, read.id)?
            .condition_expression("#version = :read")
            .expression_attribute_values(":read", number(read.version))
            .expression_attribute_values(":next", number(read.version + 1))
            .expression_attribute_values(":at", text(&at));
        if let Some(url) = &change.url {
            set.push("#url = :url");
            used.push("url");
            update = update.expression_attribute_values(":url", text(url));
        }
        if let Some(events) = &change.events {
            set.push("#events = :events");
            used.push("events");
            update = update.expression_attribute_values(":events", to_attribute(events)?);
        }
        match &change.description {
            None => {}
            Some(Described::NotAtAll) => {
                remove.push("#description");
                used.push("description");
            }
            Some(Described::As(description)) => {
                set.push("#description = :description");
                used.push("description");
                update = update.expression_attribute_values(":description", text(description));
            }
        }
        if let Some(enabled) = change.enabled.filter(|enabled| *enabled != read.enabled) {
            set.push("#enabled = :enabled");
            used.extend(["enabled", "disabled_reason", "disabled_at"]);
            update = update.expression_attribute_values(":enabled", to_attribute(&enabled)?);
            if enabled {
                remove.extend(["#disabled_reason", "#disabled_at"]);
            } else {
                set.extend(["#disabled_reason = :reason", "#disabled_at = :at"]);
                update =
                    update.expression_attribute_values(":reason", to_attribute(&DisabledReason::Requested)?);
            }
        }
        if change.begins_anew(read) {
            remove.extend(["#failing_since", "#prompt"]);
            used.extend(["failing_since", "prompt"]);
        }
        let mut expression = format!("SET {}", set.join(", "));
        if !remove.is_empty() {
            expression = format!("{expression} REMOVE {}", remove.join(", "));
        }
        let update = update
            .set_expression_attribute_names(Some(names(&used)))
            .update_expression(expression)
            .return_values(ReturnValue::AllNew);
        updated(update).await
    }

    /// Gives a webhook its next secret; the one before signs too until then. `None` where it is gone.
    pub async fn rotate_webhook_secret(
        &self,
        tenant: &Tenant,
        id: WebhookId,
        previous_until_millis: i64,
        clock: &dyn Clock,
    ) -> Result<Option<Webhook>> {
        let update = self
            .webhook_update(tenant, id)?
            .set_expression_attribute_names(Some(names(&[
                "secret",
                "version",
                "previous_secret_until",
                "updated_at",
            ])))
            .condition_expression("attribute_exists(pk)")
            .update_expression(
                "SET #previous_secret_until = :until, #updated_at = :at ADD #secret :one, #version :one",
            )
            .expression_attribute_values(":until", number(previous_until_millis))
            .expression_attribute_values(":at", text(clock.timestamp()))
            .expression_attribute_values(":one", number(1))
            .return_values(ReturnValue::AllNew);
        updated(update).await
    }

    /// Deletes a webhook as it was read. `false` where it has been changed or deleted since. Its deliveries age out; nobody
    /// can read them.
    pub async fn delete_webhook(&self, tenant: &Tenant, read: &Webhook) -> Result<bool> {
        let table = Setting::WebhooksTable.read()?;
        let gone = Delete::builder()
            .table_name(&table)
            .set_key(Some(primary_key(&list_partition(tenant), &read.id.to_string())))
            .set_expression_attribute_names(Some(names(&["version"])))
            .condition_expression("#version = :read")
            .expression_attribute_values(":read", number(read.version));
        let counted = Update::builder()
            .table_name(&table)
            .set_key(Some(primary_key(&count_partition(tenant), "COUNT")))
            .set_expression_attribute_names(Some(names(&["webhooks"])))
            .update_expression("ADD #webhooks :less")
            .expression_attribute_values(":less", number(-1))
            .build()
            .map_err(Error::internal)?;
        let writes = vec![delete(gone)?, TransactWriteItem::builder().update(counted).build()];
        self.unless_changed(writes).await
    }

    /// Takes one of the slots that were free when the webhook was read. `None` where none is.
    pub async fn take_slot(
        &self,
        tenant: &Tenant,
        webhook: &Webhook,
        now_millis: i64,
        until_millis: i64,
    ) -> Result<Option<usize>> {
        let held = [webhook.slot_0, webhook.slot_1];
        for slot in (0..SLOTS).filter(|slot| held[*slot] < now_millis) {
            let name = slot_name(slot);
            let update = self
                .webhook_update(tenant, webhook.id)?
                .set_expression_attribute_names(Some(names(&[name])))
                .condition_expression(format!("#{name} < :now"))
                .update_expression(format!("SET #{name} = :until"))
                .expression_attribute_values(":now", number(now_millis))
                .expression_attribute_values(":until", number(until_millis))
                .return_values(ReturnValue::AllNew);
            if updated::<Webhook>(update).await?.is_some() {
                return Ok(Some(slot));
            }
        }
        Ok(None)
    }

    /// Writes what an attempt has shown of the address; nothing where it has shown nothing new.
    pub async fn settle_webhook(&self, tenant: &Tenant, id: WebhookId, settled: Settled) -> Result<()> {
        let (mut set, mut remove, mut used) = (Vec::new(), Vec::new(), Vec::new());
        let mut update = self.webhook_update(tenant, id)?.condition_expression("attribute_exists(pk)");
        if let Some(slot) = settled.slot {
            let name = slot_name(slot);
            set.push(format!("#{name} = :free"));
            used.push(name);
            update = update.expression_attribute_values(":free", number(0));
        }
        if let Some(prompt) = settled.prompt {
            set.push("#prompt = :prompt".to_owned());
            used.push("prompt");
            update = update.expression_attribute_values(":prompt", to_attribute(&prompt)?);
        }
        if settled.succeeded {
            remove.push("#failing_since");
            used.push("failing_since");
        } else if let Some(at) = settled.failed_at {
            set.push("#failing_since = if_not_exists(#failing_since, :failed)".to_owned());
            used.push("failing_since");
            update = update.expression_attribute_values(":failed", number(at));
        }
        let clauses: Vec<String> = [("SET", set.join(", ")), ("REMOVE", remove.join(", "))]
            .into_iter()
            .filter(|(_, clause)| !clause.is_empty())
            .map(|(verb, clause)| format!("{verb} {clause}"))
            .collect();
        if clauses.is_empty() {
            return Ok(());
        }
        let update = update
            .set_expression_attribute_names(Some(names(&used)))
            .update_expression(clauses.join(" "))
            .return_values(ReturnValue::AllNew);
        updated::<Webhook>(update).await.map(|_| ())
    }

    /// Sends nothing there any more. With `failing_since`, only if it has failed since then and nothing else.
    pub async fn disable_webhook(
        &self,
        tenant: &Tenant,
        id: WebhookId,
        reason: DisabledReason,
        failing_since: Option<i64>,
        clock: &dyn Clock,
    ) -> Result<bool> {
        let mut condition = "#enabled = :yes".to_owned();
        let mut used = vec!["enabled", "disabled_reason", "disabled_at", "updated_at", "version"];
        let mut update = self.webhook_update(tenant, id)?;
        if let Some(since) = failing_since {
            condition.push_str(" AND #failing_since = :since");
            used.push("failing_since");
            update = update.expression_attribute_values(":since", number(since));
        }
        let update = update
            .set_expression_attribute_names(Some(names(&used)))
            .condition_expression(condition)
            .update_expression(
                "SET #enabled = :no, #disabled_reason = :reason, #disabled_at = :at, #updated_at = :at ADD #version :one",
            )
            .expression_attribute_values(":yes", to_attribute(&true)?)
            .expression_attribute_values(":no", to_attribute(&false)?)
            .expression_attribute_values(":reason", to_attribute(&reason)?)
            .expression_attribute_values(":at", text(clock.timestamp()))
            .expression_attribute_values(":one", number(1))
            .return_values(ReturnValue::AllNew);
        Ok(updated::<Webhook>(update).await?.is_some())
    }
}

// ── events ──

impl Store {
    /// The writes that keep events; they belong into the transaction that makes them true.
    pub fn event_writes(&self, tenant: &Tenant, events: &[Event]) -> Result<Vec<TransactWriteItem>> {
        let write = |event: &Event| put(&Setting::WebhooksTable.read()?, event_item(tenant, event)?);
        events.iter().map(write).collect()
    }

    /// Keeps an event that no transaction makes true.
    pub async fn create_event(&self, tenant: &Tenant, event: &Event) -> Result<()> {
        let item = event_item(tenant, event)?;
        let table = Setting::WebhooksTable.read()?;
        let put = self.client.put_item().table_name(table).set_item(Some(item));
        put.send().await.map(|_| ()).map_err(storage)
    }

    /// An event.
    pub async fn event(&self, tenant: &Tenant, id: EventId) -> Result<Option<StoredEvent>> {
        self.get(Setting::WebhooksTable, &event_partition(tenant, id), "EVT").await
    }

    /// Writes an event's deliveries, once, whoever tries. `false` when they are written already.
    pub async fn fan_out(&self, tenant: &Tenant, event: EventId, deliveries: &[Delivery]) -> Result<bool> {
        let table = Setting::WebhooksTable.read()?;
        let done = Update::builder()
            .table_name(&table)
            .set_key(Some(primary_key(&event_partition(tenant, event), "EVT")))
            .condition_expression("attribute_exists(active_due)")
            .set_expression_attribute_names(Some(names(&["fanned_out"])))
            .update_expression("SET #fanned_out = :yes REMOVE active_shard, active_due")
            .expression_attribute_values(":yes", to_attribute(&true)?)
            .build()
            .map_err(Error::internal)?;
        let mut writes = vec![TransactWriteItem::builder().update(done).build()];
        for delivery in deliveries {
            writes.push(put_new(&table, delivery_item(tenant, delivery)?)?);
        }
        self.unless_changed(writes).await
    }
}

// ── deliveries ──

impl Store {
    /// Writes a delivery that no event's fan-out makes.
    pub async fn create_delivery(&self, tenant: &Tenant, delivery: &Delivery) -> Result<()> {
        let item = delivery_item(tenant, delivery)?;
        let table = Setting::WebhooksTable.read()?;
        let put = self.client.put_item().table_name(table).set_item(Some(item));
        put.send().await.map(|_| ()).map_err(storage)
    }

    /// A delivery.
    pub async fn delivery(
        &self,
        tenant: &Tenant,
        webhook: WebhookId,
        id: DeliveryId,
    ) -> Result<Option<Delivery>> {
        self.get(Setting::WebhooksTable, &deliveries_partition(tenant, webhook), &id.to_string()).await
    }

    /// One page of a webhook's deliveries, newest first.
    pub async fn deliveries(
        &self,
        tenant: &Tenant,
        webhook: WebhookId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Delivery>> {
        self.page(Setting::WebhooksTable, &deliveries_partition(tenant, webhook), after, limit, |_| true)
            .await
    }

    fn delivery_update(
        &self,
        tenant: &Tenant,
        webhook: WebhookId,
        id: DeliveryId,
    ) -> Result<UpdateItemFluentBuilder> {
        Ok(self
            .client
            .update_item()
            .table_name(Setting::WebhooksTable.read()?)
            .set_key(Some(Due::Delivery(*tenant, webhook, id).key())))
    }

    /// Takes a delivery for one attempt.
    pub async fn claim_delivery(
        &self,
        tenant: &Tenant,
        webhook: WebhookId,
        id: DeliveryId,
        now_millis: i64,
        until_millis: i64,
    ) -> Result<DeliveryClaim> {
        let update = self
            .delivery_update(tenant, webhook, id)?
            .set_expression_attribute_names(Some(names(&[
                "status",
                "lease",
                "next_attempt_millis",
                "attempt",
            ])))
            .condition_expression(DUE_AND_FREE)
            // Should this worker die, somebody looks once its time is over.
            .update_expression("SET #lease = :until, active_due = :until ADD #attempt :one")
            .expression_attribute_values(":pending", to_attribute(&DeliveryStatus::Pending)?)
            .expression_attribute_values(":now", number(now_millis))
            .expression_attribute_values(":until", number(until_millis))
            .expression_attribute_values(":one", number(1))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let send = || async { update.clone().send().await };
        match send.retry(contention()).when(is_contended).await {
            Ok(output) => Ok(DeliveryClaim::Won(Box::new(from_item(output.attributes.unwrap_or_default())?))),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(failed)) => Ok(match failed.item() {
                    Some(_) => DeliveryClaim::NotNow,
                    None => DeliveryClaim::Unknown,
                }),
                _ => Err(storage(error)),
            },
        }
    }

    /// Puts a delivery off that is due and that nobody holds. `false` where it is not, somebody does, or it has ended.
    pub async fn put_off(
        &self,
        tenant: &Tenant,
        webhook: WebhookId,
        id: DeliveryId,
        now_millis: i64,
        until_millis: i64,
    ) -> Result<bool> {
        let update = self
            .delivery_update(tenant, webhook, id)?
            .set_expression_attribute_names(Some(names(&["status", "lease", "next_attempt_millis", "waits"])))
            .condition_expression(DUE_AND_FREE)
            .update_expression("SET #next_attempt_millis = :until, active_due = :due ADD #waits :one")
            .expression_attribute_values(":pending", to_attribute(&DeliveryStatus::Pending)?)
            .expression_attribute_values(":now", number(now_millis))
            .expression_attribute_values(":until", number(until_millis))
            .expression_attribute_values(":due", number(until_millis + patience_millis()))
            .expression_attribute_values(":one", number(1))
            .return_values(ReturnValue::AllNew);
        Ok(updated::<Delivery>(update).await?.is_some())
    }

    /// Writes an attempt and what follows from it. `false` where another attempt has begun since: then the attempt is
    /// written all the same, and what follows is the other's to say.
    pub async fn record_attempt(
        &self,
        tenant: &Tenant,
        delivery: &Delivery,
        attempt: &Attempt,
        next: Next,
        clock: &dyn Clock,
    ) -> Result<bool> {
        let appended = "#updated_at = :at, #attempts = list_append(#attempts, :attempt)";
        let base = self
            .delivery_update(tenant, delivery.webhook_id, delivery.id)?
            .expression_attribute_values(":at", text(clock.timestamp()))
            .expression_attribute_values(":attempt", to_attribute(&[attempt])?)
            .return_values(ReturnValue::AllNew);
        let mut used = vec!["updated_at", "attempts", "attempt", "status", "lease"];
        let held = base
            .clone()
            .condition_expression("#attempt = :number AND #status = :pending")
            .expression_attribute_values(":number", number(delivery.attempt))
            .expression_attribute_values(":pending", to_attribute(&DeliveryStatus::Pending)?)
            .expression_attribute_values(":free", number(0));
        let held = match next {
            Next::End(status) => held
                .update_expression(format!(
                    "SET {appended}, #lease = :free, #status = :status REMOVE active_shard, active_due"
                ))
                .expression_attribute_values(":status", to_attribute(&status)?),
            Next::Again(at_millis) => {
                used.push("next_attempt_millis");
                // Later than that by little where a message is on its way, and not at all where none is.
                let due =
                    if on_its_way(at_millis, clock) { at_millis + patience_millis() } else { at_millis };
                held.update_expression(format!(
                    "SET {appended}, #lease = :free, #next_attempt_millis = :next, active_due = :due"
                ))
                .expression_attribute_values(":next", number(at_millis))
                .expression_attribute_values(":due", number(due))
            }
        };
        if updated::<Delivery>(held.set_expression_attribute_names(Some(names(&used)))).await?.is_some() {
            return Ok(true);
        }
        let late = base
            .condition_expression("attribute_exists(pk)")
            .update_expression(format!("SET {appended}"))
            .set_expression_attribute_names(Some(names(&["updated_at", "attempts"])));
        updated::<Delivery>(late).await.map(|_| false)
    }

    /// Ends a delivery that is not at its end, without an attempt.
    pub async fn end_delivery(
        &self,
        tenant: &Tenant,
        webhook: WebhookId,
        id: DeliveryId,
        status: DeliveryStatus,
        clock: &dyn Clock,
    ) -> Result<()> {
        let update = self
            .delivery_update(tenant, webhook, id)?
            .set_expression_attribute_names(Some(names(&["status", "updated_at"])))
            .condition_expression("#status = :pending")
            .update_expression("SET #status = :status, #updated_at = :at REMOVE active_shard, active_due")
            .expression_attribute_values(":pending", to_attribute(&DeliveryStatus::Pending)?)
            .expression_attribute_values(":status", to_attribute(&status)?)
            .expression_attribute_values(":at", text(clock.timestamp()))
            .return_values(ReturnValue::AllNew);
        updated::<Delivery>(update).await.map(|_| ())
    }
}

/// Whether a message is sent for an attempt at this time: the queue holds messages back for a while, not for hours.
pub(crate) fn on_its_way(at_millis: i64, clock: &dyn Clock) -> bool {
    at_millis - clock.epoch_millis() <= crate::queue::LATEST.as_millis() as i64
}

// ── what is not finished ──

impl Store {
    /// A page of what somebody must look at, of one shard, and where the next page begins. Across tenants: each is read
    /// from the item's own key.
    pub async fn due(
        &self,
        shard: u128,
        now_millis: i64,
        start: Option<DuePage>,
    ) -> Result<(Vec<Due>, Option<DuePage>)> {
        let answer = self
            .client
            .query()
            .table_name(Setting::WebhooksTable.read()?)
            .index_name("active")
            .key_condition_expression("active_shard = :shard AND active_due <= :now")
            .expression_attribute_values(":shard", text(format!("ACTIVE#{shard}")))
            .expression_attribute_values(":now", number(now_millis))
            .limit(DUE_PAGE)
            .set_exclusive_start_key(start.map(|DuePage(key)| key))
            .send()
            .await
            .map_err(storage)?;
        let due = answer.items.unwrap_or_default().iter().filter_map(Due::of).collect();
        Ok((due, answer.last_evaluated_key.map(DuePage)))
    }

    /// Somebody looks again after a while, if it is not finished then.
    pub async fn look_later(&self, due: &Due, now_millis: i64) -> Result<()> {
        let update = self
            .client
            .update_item()
            .table_name(Setting::WebhooksTable.read()?)
            .set_key(Some(due.key()))
            .condition_expression("attribute_exists(active_shard)")
            .update_expression("SET active_due = :due")
            .expression_attribute_values(":due", number(now_millis + patience_millis()));
        updated::<serde::de::IgnoredAny>(update).await.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::WorkspaceId;

    #[test]
    fn what_is_due_is_known_by_its_key_alone() {
        let tenant = Tenant::of(WorkspaceId::new());
        for due in [
            Due::Event(tenant, EventId::new()),
            Due::Delivery(tenant, WebhookId::new(), DeliveryId::new()),
            Due::Key(tenant, KeyId::new()),
            Due::Month(tenant, Spending { month: "2026-11".to_owned(), since_millis: 0 }),
        ] {
            assert_eq!(Due::of(&due.key()), Some(due.clone()));
        }
        for pk in ["WS#x#EVT#evt_1", "EVT#1", "WS#", "WS#ws_0352hlJa4GkymUp58g1CfP#WHK#whk_1"] {
            assert_eq!(Due::of(&primary_key(pk, "EVT")), None, "{pk}");
        }
    }
}
