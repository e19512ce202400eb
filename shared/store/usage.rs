//! What a workspace has used: counters of each day, and what a month with a cap has spent or set aside.
//!
//! A run is counted in the transaction that ends it, so once. Many runs may end at the same moment, and transactions that
//! meet in one item exclude each other: the counters of a day lie in several.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::{ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update};
use rand::RngExt;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{Item, Refused, Store, from_item, number, primary_key, reminders};
use crate::{
    Usd,
    clock::timestamp,
    config::Setting,
    error::{Error, Result},
    id::KeyId,
    run::{Run, RunStatus},
    tenant::Tenant,
};

/// Items that the counters of one day, kind and key are spread over.
const SHARDS: u32 = 4;

fn partition(tenant: &Tenant) -> String {
    format!("WS#{}#USAGE", tenant.workspace())
}

fn month_partition(tenant: &Tenant) -> String {
    format!("WS#{}#MONTHS", tenant.workspace())
}

/// `2026-11` of a point in time.
pub fn month_of(at: &str) -> &str {
    at.get(..7).unwrap_or(at)
}

/// The kind under which embeddings are counted: they make no run.
const EMBEDDING: &str = "openai.embedding";

/// What ended runs came to, and what embeddings did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Used {
    /// Runs that ended.
    pub runs: u64,
    /// Of them, those that failed or were cancelled.
    pub unfinished: u64,
    /// Answered requests for embeddings.
    pub embeddings: u64,
    /// Prompt tokens.
    pub tokens_in: u64,
    /// Completion tokens.
    pub tokens_out: u64,
    /// What they spent.
    pub cost: Usd,
}

impl Used {
    fn of_run(status: RunStatus, spent: Spent) -> Self {
        Self {
            runs: 1,
            unfinished: u64::from(status != RunStatus::Completed),
            embeddings: 0,
            tokens_in: spent.tokens_in,
            tokens_out: spent.tokens_out,
            cost: spent.cost,
        }
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            runs: self.runs + other.runs,
            unfinished: self.unfinished + other.unfinished,
            embeddings: self.embeddings + other.embeddings,
            tokens_in: self.tokens_in + other.tokens_in,
            tokens_out: self.tokens_out + other.tokens_out,
            cost: self.cost + other.cost,
        }
    }
}

/// What a run has spent, as its header says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Spent {
    pub(super) cost: Usd,
    pub(super) tokens_in: u64,
    pub(super) tokens_out: u64,
}

impl Spent {
    pub(super) fn of(run: &Run) -> Self {
        Self { cost: run.cost, tokens_in: run.tokens_in, tokens_out: run.tokens_out }
    }

    pub(super) fn and(self, cost: Usd, tokens_in: u64, tokens_out: u64) -> Self {
        Self {
            cost: self.cost + cost,
            tokens_in: self.tokens_in + tokens_in,
            tokens_out: self.tokens_out + tokens_out,
        }
    }
}

/// Counters of one day, kind and key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayUsage {
    /// `2026-11-27`, UTC.
    pub day: String,
    /// What was made: a kind of run, or `openai.embedding`.
    pub kind: String,
    /// Whose calls.
    pub key: KeyId,
    /// What it came to.
    pub used: Used,
}

#[derive(Debug, Deserialize)]
struct StoredUsage {
    sk: String,
    #[serde(default)]
    runs: u64,
    #[serde(default)]
    unfinished: u64,
    #[serde(default)]
    embeddings: u64,
    #[serde(default)]
    tokens_in: u64,
    #[serde(default)]
    tokens_out: u64,
    #[serde(default, with = "crate::money::micros")]
    cost: Usd,
}

impl StoredUsage {
    fn day(self) -> Option<DayUsage> {
        let mut parts = self.sk.split('#');
        let (day, kind, key) = (parts.next()?, parts.next()?, parts.next()?);
        Some(DayUsage {
            day: day.to_owned(),
            kind: kind.to_owned(),
            key: key.parse().ok()?,
            used: Used {
                runs: self.runs,
                unfinished: self.unfinished,
                embeddings: self.embeddings,
                tokens_in: self.tokens_in,
                tokens_out: self.tokens_out,
                cost: self.cost,
            },
        })
    }
}

/// A month with a cap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Month {
    /// What ended runs have spent.
    #[serde(default, with = "crate::money::micros")]
    pub spent: Usd,
    /// That, and what runs that go on may spend.
    #[serde(default, with = "crate::money::micros")]
    pub committed: Usd,
}

fn add_run(tenant: &Tenant, run: &Run, at: &str, used: Used) -> Result<TransactWriteItem> {
    let kind = serde_json::to_value(run.kind).map_err(Error::internal)?;
    add(tenant, kind.as_str().unwrap_or_default(), run.created_by, at, used)
}

fn add(tenant: &Tenant, kind: &str, key: KeyId, at: &str, used: Used) -> Result<TransactWriteItem> {
    let day = at.get(..10).unwrap_or(at);
    let shard = rand::rng().random_range(0..SHARDS);
    let update = Update::builder()
        .table_name(Setting::WorkspacesTable.read()?)
        .set_key(Some(primary_key(&partition(tenant), &format!("{day}#{kind}#{key}#{shard}"))))
        .update_expression(
            "ADD runs :runs, unfinished :unfinished, embeddings :embeddings, tokens_in :in, tokens_out :out, cost :cost",
        )
        .expression_attribute_values(":runs", number(used.runs))
        .expression_attribute_values(":unfinished", number(used.unfinished))
        .expression_attribute_values(":embeddings", number(used.embeddings))
        .expression_attribute_values(":in", number(used.tokens_in))
        .expression_attribute_values(":out", number(used.tokens_out))
        .expression_attribute_values(":cost", number(used.cost.micros()))
        .build()
        .map_err(Error::internal)?;
    Ok(TransactWriteItem::builder().update(update).build())
}

fn month_update(tenant: &Tenant, month: &str) -> Result<aws_sdk_dynamodb::types::builders::UpdateBuilder> {
    Ok(Update::builder()
        .table_name(Setting::WorkspacesTable.read()?)
        .set_key(Some(primary_key(&month_partition(tenant), month))))
}

/// The writes that count in a month with a cap what was spent there of what was set aside, and have somebody look at it.
fn settled(tenant: &Tenant, month: &str, aside: Usd, spent: Usd, at: &str) -> Result<[TransactWriteItem; 2]> {
    let update = month_update(tenant, month)?
        .update_expression("ADD committed :left, spent :spent")
        .expression_attribute_values(":left", number((spent - aside).micros()))
        .expression_attribute_values(":spent", number(spent.micros()))
        .build()
        .map_err(Error::internal)?;
    Ok([TransactWriteItem::builder().update(update).build(), reminders::of_month(tenant, month, at)?])
}

/// The writes that count a run at its end: for the day, and for the month where it has a cap.
pub(super) fn end_writes(
    tenant: &Tenant,
    run: &Run,
    status: RunStatus,
    spent: Spent,
    at: &str,
) -> Result<Vec<TransactWriteItem>> {
    let mut writes = vec![add_run(tenant, run, at, Used::of_run(status, spent))?];
    if let Some(month) = &run.month {
        writes.extend(settled(tenant, month, run.budget().unwrap_or_default(), spent.cost, at)?);
    }
    Ok(writes)
}

/// The writes that count what came in after a run had ended.
pub(super) fn late_writes(
    tenant: &Tenant,
    run: &Run,
    late: Spent,
    at: &str,
) -> Result<Vec<TransactWriteItem>> {
    let used =
        Used { tokens_in: late.tokens_in, tokens_out: late.tokens_out, cost: late.cost, ..Used::default() };
    let mut writes = vec![add_run(tenant, run, at, used)?];
    if let Some(month) = &run.month {
        writes.extend(settled(tenant, month, Usd::ZERO, late.cost, at)?);
    }
    Ok(writes)
}

/// Sets a run's budget aside in its month, if the cap allows it.
pub(super) fn reservation(tenant: &Tenant, run: &Run, cap: Usd) -> Result<Option<TransactWriteItem>> {
    let (Some(month), Some(budget)) = (&run.month, run.budget()) else { return Ok(None) };
    set_aside(tenant, month, budget, cap).map(Some)
}

fn set_aside(tenant: &Tenant, month: &str, budget: Usd, cap: Usd) -> Result<TransactWriteItem> {
    let fits = if budget > cap {
        "attribute_exists(never)"
    } else {
        "attribute_not_exists(committed) OR committed <= :most"
    };
    let mut update = month_update(tenant, month)?
        .update_expression("ADD committed :budget")
        .condition_expression(fits)
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .expression_attribute_values(":budget", number(budget.micros()));
    if budget <= cap {
        update = update.expression_attribute_values(":most", number((cap - budget).micros()));
    }
    let update = update.build().map_err(Error::internal)?;
    Ok(TransactWriteItem::builder().update(update).build())
}

/// What a month has committed, as a failed reservation tells it.
pub(super) fn committed(item: Option<&Item>) -> Result<Usd> {
    let month: Option<Month> = item.cloned().map(from_item).transpose()?;
    Ok(month.unwrap_or_default().committed)
}

impl Store {
    /// Counters of the days from `from` to `to`, both included, oldest first.
    pub async fn usage(&self, tenant: &Tenant, from: &str, to: &str) -> Result<Vec<DayUsage>> {
        let items: Vec<StoredUsage> =
            self.range(Setting::WorkspacesTable, &partition(tenant), from, &format!("{to}~")).await?;
        let mut days: BTreeMap<(String, String, KeyId), DayUsage> = BTreeMap::new();
        for usage in items.into_iter().filter_map(StoredUsage::day) {
            let at = (usage.day.clone(), usage.kind.clone(), usage.key);
            let used = usage.used;
            days.entry(at).and_modify(|day| day.used = day.used.plus(used)).or_insert(usage);
        }
        Ok(days.into_values().collect())
    }

    /// What a month with a cap has come to.
    pub async fn month(&self, tenant: &Tenant, month: &str) -> Result<Month> {
        let found = self.get(Setting::WorkspacesTable, &month_partition(tenant), month).await?;
        Ok(found.unwrap_or_default())
    }

    /// Sets money aside in a month, if the cap allows it, for what makes no run. Where it does not, what is spent or set
    /// aside already.
    pub async fn set_aside(
        &self,
        tenant: &Tenant,
        month: &str,
        amount: Usd,
        cap: Usd,
    ) -> Result<std::result::Result<(), Usd>> {
        match self.transact(vec![set_aside(tenant, month, amount, cap)?]).await {
            Ok(()) => Ok(Ok(())),
            Err(Refused::Conditions(failed)) => {
                committed(failed.first().and_then(|(_, item)| item.as_ref())).map(Err)
            }
            Err(refused) => Err(refused.into_error()),
        }
    }

    /// Counts embeddings: for the day, and for the month where it has a cap, in which so much was set aside.
    pub async fn count_embeddings(
        &self,
        tenant: &Tenant,
        key: KeyId,
        used: Used,
        month: Option<(&str, Usd)>,
        at: &str,
    ) -> Result<()> {
        let mut writes = vec![add(tenant, EMBEDDING, key, at, used)?];
        if let Some((month, aside)) = month {
            writes.extend(settled(tenant, month, aside, used.cost, at)?);
        }
        self.transact(writes).await.map_err(Refused::into_error)
    }

    /// Counts what this month has spent so far, before a cap begins to hold. Runs that go on now have set nothing aside:
    /// they are held by their own budgets alone.
    pub async fn begin_month(&self, tenant: &Tenant, now: OffsetDateTime) -> Result<()> {
        let at = timestamp(now);
        let (month, day) = (month_of(&at), at.get(..10).unwrap_or(&at));
        let used = self.usage(tenant, &format!("{month}-01"), day).await?;
        let spent: Usd = used.iter().map(|day| day.used.cost).sum();
        let update = month_update(tenant, month)?
            .update_expression("SET spent = :spent, committed = :spent")
            .condition_expression("attribute_not_exists(spent) OR spent < :spent")
            .expression_attribute_values(":spent", number(spent.micros()))
            .build()
            .map_err(Error::internal)?;
        match self.transact(vec![TransactWriteItem::builder().update(update).build()]).await {
            Ok(()) | Err(Refused::Conditions(_)) => Ok(()),
            Err(refused) => Err(refused.into_error()),
        }
    }
}
