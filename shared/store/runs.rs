//! Runs at rest: the header, its data, its events, its recordings. The rules that make workers safe to kill and
//! messages safe to repeat are the conditions in this file.

use aws_sdk_dynamodb::{
    operation::{put_item::PutItemError, update_item::UpdateItemError},
    types::{
        AttributeValue, Delete, Put, ReturnValue, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
        Update,
    },
};
use backon::Retryable;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Item, Page, Refused, Store, contention,
    conversations::TurnEnd,
    fields::{heeded_check, use_writes},
    from_item, is_contended, number, primary_key, storage, text, to_attribute, to_item,
    usage::{self, Spent},
};
use crate::{
    Usd,
    clock::{Clock, millis_of},
    config::Setting,
    error::{Error, Result, StoredError},
    id::RunId,
    persona::field::{Field, Use},
    pipeline::Pipeline,
    run::{
        Run, RunKind, RunStatus, StepState, StepStatus,
        events::{BATCH_AT_MOST, Event, EventBody, items_after},
    },
    tenant::Tenant,
    webhook,
};

/// A writer that meets so many items, one after the other, looks for the log's end instead of going on step by step.
const MISSES_BEFORE_A_LOOK: u32 = 2;
/// Shards of the index of active runs: one partition takes 1,000 writes a second.
pub const ACTIVE_SHARDS: u128 = 8;
/// Events, recordings and headers are kept this long.
const RETENTION_DAYS: i64 = 400;
/// A recording is split into items well below DynamoDB's 400 KB.
const PART_BYTES: usize = 350_000;

fn partition(tenant: &Tenant, run: RunId) -> String {
    format!("WS#{}#RUN#{run}", tenant.workspace())
}

fn list_partition(tenant: &Tenant) -> String {
    format!("WS#{}#RUNS", tenant.workspace())
}

/// A run in the list: what filters need.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunEntry {
    /// The run.
    pub id: RunId,
    /// What it makes.
    pub kind: RunKind,
    /// As of its creation or its end; a run that goes on says `queued`.
    pub status: RunStatus,
    /// The persona it makes, edits, or speaks as.
    pub persona_id: crate::id::PersonaId,
    /// The conversation that it is a turn of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<crate::id::ConversationId>,
}

/// What came of claiming a step.
#[derive(Debug)]
pub enum Claim {
    /// It is this worker's, under this attempt number.
    Won(Box<Run>, u32),
    /// It is done already; its dependants may still need to be sent.
    Done(Box<Run>),
    /// Another worker holds it, it still waits for others, or the run has ended.
    NotNow,
    /// There is no such run or step: the message was forged, or the run was deleted.
    Unknown,
}

/// What came of reserving money.
#[derive(Debug, PartialEq, Eq)]
pub enum Reserve {
    /// Reserved.
    Granted,
    /// It would pass the budget; this much is spent or reserved already.
    Exceeds(Usd),
    /// The step is not this worker's any more.
    Lost,
}

/// Whether a write still found its step in this worker's hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// Yes; it is written.
    Yes,
    /// No; nothing is written.
    Lost,
    /// It did, but what the end of the run was made of has changed since; nothing is written.
    Overtaken,
}

/// Which attempt of which step a worker holds.
#[derive(Debug, Clone)]
pub struct Held {
    /// The run.
    pub run: RunId,
    /// The step.
    pub step: String,
    /// The attempt.
    pub attempt: u32,
}

/// What a finished step leaves behind.
#[derive(Debug, Clone)]
pub struct StepResult {
    /// Done or skipped.
    pub status: StepStatus,
    /// Its output, any JSON.
    pub output: Value,
    /// The provider exchanges, as JSON; compressed here.
    pub recording: Option<Value>,
    /// Who answered last.
    pub provider: Option<String>,
    /// Which model.
    pub model: Option<String>,
    /// Prompt tokens.
    pub tokens_in: u64,
    /// Completion tokens.
    pub tokens_out: u64,
    /// What it spent.
    pub cost: Usd,
    /// What the reservation was too much.
    pub release: Usd,
    /// From claim to commit.
    pub latency_ms: u64,
    /// Whether recorded answers served it.
    pub cached: bool,
}

/// What a new run writes.
#[derive(Debug)]
pub struct Opening<'a> {
    /// The header.
    pub run: &'a Run,
    /// What the caller asked for.
    pub input: &'a Value,
    /// Its first events.
    pub events: &'a [EventBody],
    /// When the reaper looks at it first, milliseconds since the epoch.
    pub due_millis: i64,
    /// The workspace's monthly cap, where the run's budget is set aside in its month.
    pub cap: Option<Usd>,
}

/// What came of writing a new run.
#[derive(Debug, PartialEq, Eq)]
pub enum Begun {
    /// It is written.
    Yes,
    /// Another persona has the slug.
    SlugTaken,
    /// The workspace's custom fields are not as they were read.
    FieldsChanged,
    /// The month's cap leaves less than the run's budget; this much is spent or set aside.
    MonthUsedUp(Usd),
    /// There is a run of this id: an earlier try of the same call made it.
    Already,
}

/// What a creation knows of the workspace's custom fields.
#[derive(Debug, Clone, Copy)]
pub struct Heeding<'a> {
    /// The definitions as they were read; none where nobody has asked, which holds only while there are none to heed.
    pub known: &'a [Field],
    /// The fields that the persona will have.
    pub uses: &'a [Use],
}

/// How a run ends well.
#[derive(Debug, Clone, Default)]
pub struct RunResult {
    /// Digest of the document.
    pub output_digest: String,
    /// Which version it is.
    pub output_version: Option<u64>,
    /// For a replay: whether the digest is as expected.
    pub replay_matches: Option<bool>,
    /// Further writes of the same transaction: the persona.
    pub writes: Vec<TransactWriteItem>,
    /// What webhooks are told, kept by the same transaction.
    pub told: Vec<webhook::Event>,
}

/// The writing end of a run's event log. Keeps a guess of the last number, and learns better on conflict.
#[derive(Debug, Clone)]
pub struct EventLog {
    tenant: Tenant,
    run: RunId,
    last: u64,
    closed: bool,
    /// How many writes in a row have met an item in their place.
    misses: u32,
    /// Tells this writer's items from others': a write whose answer was lost must not be made twice.
    writer: u64,
}

impl EventLog {
    /// A log whose last number is at least `last`.
    pub fn new(tenant: Tenant, run: RunId, last: u64) -> Self {
        Self { tenant, run, last, closed: false, misses: 0, writer: rand::rng().random() }
    }

    /// Whose log it is.
    pub fn tenant(&self) -> Tenant {
        self.tenant
    }

    /// Whether the terminal event is written: nothing may follow.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// The log was read to this number.
    pub fn reach(&mut self, last: u64) {
        self.last = last;
    }

    fn item(&self, bodies: &[EventBody], at: &str) -> Result<Item> {
        let item = EventItem {
            last: self.last + bodies.len() as u64,
            events: serde_json::to_string(bodies).map_err(Error::internal)?,
            created_at: at.to_owned(),
            terminal: bodies.iter().any(EventBody::is_terminal),
            expires_at: expiry(at),
            writer: self.writer,
        };
        to_item(&partition(&self.tenant, self.run), &event_key(self.last + 1), &item)
    }

    fn learn(&mut self, item: Item) -> Result<()> {
        #[derive(Deserialize)]
        struct Tail {
            last: u64,
            terminal: bool,
        }
        let tail: Tail = from_item(item)?;
        (self.last, self.closed) = (tail.last, tail.terminal);
        Ok(())
    }

    /// The writes that append all of these, and the log behind them.
    fn items(&self, bodies: &[EventBody], at: &str) -> Result<(Vec<TransactWriteItem>, Self)> {
        let table = Setting::RunsTable.read()?;
        let (mut writes, mut behind) = (Vec::new(), self.clone());
        for batch in bodies.chunks(BATCH_AT_MOST) {
            writes.push(put_new(&table, behind.item(batch, at)?)?);
            behind.wrote(batch);
        }
        Ok((writes, behind))
    }

    /// Whether an item in the way is this writer's own, of a first try whose answer was lost.
    fn is_own(&self, item: &Item) -> bool {
        let writer = item.get("writer").and_then(|writer| writer.as_n().ok());
        writer.is_some_and(|writer| *writer == self.writer.to_string())
    }

    fn wrote(&mut self, bodies: &[EventBody]) {
        self.last += bodies.len() as u64;
        self.misses = 0;
        self.closed = bodies.iter().any(EventBody::is_terminal);
    }
}

/// What came of writing events at the place after the last one known.
enum Appended {
    Yes,
    /// Another item is there already; the item, where storage told it.
    Met(Option<Item>),
}

#[derive(Debug, Serialize, Deserialize)]
struct EventItem {
    /// Number of the item's last event; the sort key has the first.
    last: u64,
    /// JSON text: DynamoDB's number type would not keep every JSON number as it is.
    events: String,
    created_at: String,
    terminal: bool,
    expires_at: i64,
    #[serde(default)]
    writer: u64,
}

#[derive(Debug, Deserialize)]
struct StoredEvents {
    sk: String,
    #[serde(flatten)]
    item: EventItem,
}

#[derive(Debug, Serialize, Deserialize)]
struct DataItem {
    /// JSON text.
    json: String,
}

#[derive(Debug, Deserialize)]
struct StoredData {
    sk: String,
    json: String,
}

#[derive(Debug, Deserialize)]
struct StoredPart {
    #[serde(deserialize_with = "super::bytes::deserialize")]
    body: Vec<u8>,
}

/// A run that the reaper must look at.
#[derive(Debug, Clone)]
pub struct ActiveRun {
    /// Its tenant, read from the item's own key.
    pub tenant: Tenant,
    /// The run.
    pub run: RunId,
}

/// The events of one item, whose first has the number `first`.
fn unpacked(first: u64, item: EventItem) -> Result<impl Iterator<Item = Event>> {
    let bodies: Vec<EventBody> = serde_json::from_str(&item.events).map_err(Error::internal)?;
    let created_at = item.created_at;
    let numbered = (first..).zip(bodies);
    Ok(numbered.map(move |(seq, body)| Event { seq, body, created_at: created_at.clone() }))
}

fn event_key(seq: u64) -> String {
    format!("EV#{seq:010}")
}

/// The pipeline of a run that follows none of the service's own.
const PIPELINE_KEY: &str = "DATA#PIPELINE";

fn data_key(step: &str) -> String {
    format!("DATA#OUT#{step}")
}

/// A run's stored data.
#[derive(Debug, Clone, Default)]
pub struct RunData {
    /// What the caller asked for.
    pub input: Value,
    /// The pipeline that it follows, kept with it; `None` where that is one of the service's own.
    pub pipeline: Option<Pipeline>,
    /// Output of each finished step.
    pub outputs: std::collections::BTreeMap<String, Value>,
}

fn expiry(at: &str) -> i64 {
    millis_of(at) / 1_000 + RETENTION_DAYS * 86_400
}

fn shard(run: RunId) -> String {
    format!("ACTIVE#{}", run.as_u128() % ACTIVE_SHARDS)
}

impl Store {
    /// Writes a new run with its input and first event. What its persona will have is its own from here on: the slug it
    /// asks for, and its custom fields. A pipeline that is none of the service's own is kept with it.
    pub async fn create_run(
        &self,
        tenant: &Tenant,
        opening: &Opening<'_>,
        pipeline: &Pipeline,
        fields: Option<Heeding<'_>>,
    ) -> Result<Begun> {
        let run = opening.run;
        let mut writes = self.opening_writes(tenant, opening)?;
        if !pipeline.is_built_in() {
            let data = DataItem { json: serde_json::to_string(pipeline).map_err(Error::internal)? };
            let item = to_item(&partition(tenant, run.id), PIPELINE_KEY, &data)?;
            writes.push(put(&Setting::RunsTable.read()?, item)?);
        }
        let opened = writes.len();
        if let Some(Heeding { known, uses }) = &fields {
            writes.push(heeded_check(tenant, run.id, known)?);
            writes.extend(use_writes(tenant, uses)?);
        }
        let held = opened..writes.len();
        if let Some(slug) = &run.slug {
            writes.push(super::personas::reserve_slug(tenant, slug, run)?);
        }
        let month_at = writes.len();
        writes.extend(month_writes(tenant, opening)?);
        match self.transact(writes).await {
            Ok(()) => Ok(Begun::Yes),
            Err(Refused::Conditions(failed)) => refused_begin(&failed, held, month_at),
            Err(refused) => Err(refused.into_error()),
        }
    }

    /// What brings a run into being: header, input, first events, list entry.
    pub(super) fn opening_writes(
        &self,
        tenant: &Tenant,
        opening: &Opening<'_>,
    ) -> Result<Vec<TransactWriteItem>> {
        let table = Setting::RunsTable.read()?;
        let run = opening.run;
        let pk = partition(tenant, run.id);
        let mut header = to_item(&pk, "RUN", run)?;
        header.insert("active_shard".into(), text(shard(run.id)));
        header.insert("active_due".into(), number(opening.due_millis));
        header.insert("expires_at".into(), number(expiry(&run.created_at)));
        let data = DataItem { json: opening.input.to_string() };
        let log = EventLog::new(*tenant, run.id, 0);
        Ok(vec![
            put_new(&table, header)?,
            put(&table, to_item(&pk, "DATA#INPUT", &data)?)?,
            put(&table, log.item(opening.events, &run.created_at)?)?,
            put(&table, to_item(&list_partition(tenant), &run.id.to_string(), &entry(run))?)?,
        ])
    }

    /// What ends a run that one process has made from beginning to end: the first write fails if another ended it.
    pub(super) fn closing_writes(
        &self,
        log: &mut EventLog,
        end: &TurnEnd<'_>,
    ) -> Result<Vec<TransactWriteItem>> {
        let table = Setting::RunsTable.read()?;
        let (tenant, run) = (log.tenant, end.run);
        let pk = partition(&tenant, run.id);
        let mut header = to_item(&pk, "RUN", run)?;
        header.insert("expires_at".into(), number(expiry(&run.created_at)));
        let header = Put::builder()
            .table_name(&table)
            .set_item(Some(header))
            .condition_expression("#status = :running")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":running", text("running"))
            .build()
            .map_err(Error::internal)?;
        let output = DataItem { json: end.output.to_string() };
        let mut writes = vec![
            TransactWriteItem::builder().put(header).build(),
            put(&table, to_item(&list_partition(&tenant), &run.id.to_string(), &entry(run))?)?,
            put(&table, to_item(&pk, &data_key("reply"), &output)?)?,
        ];
        for batch in end.events.chunks(BATCH_AT_MOST) {
            writes.push(put_new(&table, log.item(batch, &run.updated_at)?)?);
            log.wrote(batch);
        }
        for (step, recording) in end.recordings {
            let held = Held { run: run.id, step: (*step).to_owned(), attempt: 1 };
            writes.extend(self.recording_writes(&tenant, &held, Some(recording))?);
        }
        writes.extend(usage::end_writes(&tenant, run, run.status, Spent::of(run), &run.updated_at)?);
        Ok(writes)
    }

    /// The header.
    pub async fn run(&self, tenant: &Tenant, run: RunId) -> Result<Option<Run>> {
        self.get(Setting::RunsTable, &partition(tenant, run), "RUN").await
    }

    /// Input, outputs and the pipeline kept with them, one request.
    pub async fn run_data(&self, tenant: &Tenant, run: RunId) -> Result<RunData> {
        let items: Vec<StoredData> =
            self.range(Setting::RunsTable, &partition(tenant, run), "DATA#", "DATA#~").await?;
        let mut data = RunData::default();
        for item in items {
            if item.sk == PIPELINE_KEY {
                data.pipeline = Some(serde_json::from_str(&item.json).map_err(Error::internal)?);
                continue;
            }
            let value = serde_json::from_str(&item.json).map_err(Error::internal)?;
            match item.sk.strip_prefix("DATA#OUT#") {
                Some(step) => drop(data.outputs.insert(step.to_owned(), value)),
                None => data.input = value,
            }
        }
        Ok(data)
    }

    /// The next item of the log after the event numbered `last`, which must be the last of its own item: a read of
    /// one key, whatever the length of the log. Empty when nothing came since.
    pub async fn next_events(&self, tenant: &Tenant, run: RunId, last: u64) -> Result<Vec<Event>> {
        let item: Option<EventItem> =
            self.get(Setting::RunsTable, &partition(tenant, run), &event_key(last + 1)).await?;
        item.map_or(Ok(Vec::new()), |item| unpacked(last + 1, item).map(Iterator::collect))
    }

    /// Events numbered above `after`, in order.
    pub async fn events_after(&self, tenant: &Tenant, run: RunId, after: u64) -> Result<Vec<Event>> {
        self.events_page(tenant, run, after, usize::MAX).await
    }

    /// The first `most` events numbered above `after`, in order.
    pub async fn events_page(
        &self,
        tenant: &Tenant,
        run: RunId,
        after: u64,
        most: usize,
    ) -> Result<Vec<Event>> {
        let (first, count) = items_after(after, most);
        let pk = partition(tenant, run);
        let items: Vec<StoredEvents> =
            self.first_of_range(Setting::RunsTable, &pk, &event_key(first), "EV#~", count).await?;
        let mut events = Vec::new();
        for StoredEvents { sk, item } in items {
            let first: u64 = sk.trim_start_matches("EV#").parse().map_err(Error::internal)?;
            events.extend(unpacked(first, item)?.filter(|event| event.seq > after));
        }
        events.truncate(most);
        Ok(events)
    }

    /// One page of headers, newest first; `keep` sees the list entry, `want` the header itself.
    pub async fn runs(
        &self,
        tenant: &Tenant,
        after: Option<&str>,
        limit: usize,
        keep: impl Fn(&RunEntry) -> bool,
    ) -> Result<Page<Run>> {
        let page: Page<RunEntry> =
            self.page(Setting::RunsTable, &list_partition(tenant), after, limit, keep).await?;
        let keys = page.items.iter().map(|(_, entry)| primary_key(&partition(tenant, entry.id), "RUN"));
        let mut headers: Vec<Run> = self.batch(Setting::RunsTable, keys.collect()).await?;
        headers.sort_by_key(|run| std::cmp::Reverse(run.id));
        let items = headers.into_iter().map(|run| (run.id.to_string(), run)).collect();
        Ok(Page { items, next: page.next })
    }

    /// Takes a step for this worker until the lease ends.
    pub async fn claim_step(
        &self,
        tenant: &Tenant,
        run: RunId,
        step: &str,
        clock: &dyn Clock,
        lease_millis: i64,
    ) -> Result<Claim> {
        let now = clock.epoch_millis();
        let table = Setting::RunsTable.read()?;
        let send = || async {
            self.client
                .update_item()
                .table_name(&table)
                .set_key(Some(primary_key(&partition(tenant, run), "RUN")))
                .update_expression(
                    "SET #status = :running, started_at = if_not_exists(started_at, :at), updated_at = :at, \
                     steps.#step.#status = :running, steps.#step.lease = :until \
                     ADD steps.#step.attempt :one",
                )
                .condition_expression(
                    "#status IN (:queued, :running) AND steps.#step.waiting <= :zero AND \
                     (steps.#step.#status = :pending OR (steps.#step.#status = :running AND steps.#step.lease < :now))",
                )
                .expression_attribute_names("#status", "status")
                .expression_attribute_names("#step", step)
                .expression_attribute_values(":queued", text("queued"))
                .expression_attribute_values(":running", text("running"))
                .expression_attribute_values(":pending", text("pending"))
                .expression_attribute_values(":at", text(clock.timestamp()))
                .expression_attribute_values(":now", number(now))
                .expression_attribute_values(":until", number(now + lease_millis))
                .expression_attribute_values(":zero", number(0))
                .expression_attribute_values(":one", number(1))
                .return_values(ReturnValue::AllNew)
                .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
                .send()
                .await
        };
        let answer = send.retry(contention()).when(is_contended).await;
        match answer {
            Ok(output) => {
                let run: Run = from_item(output.attributes.unwrap_or_default())?;
                let attempt = run.steps.get(step).map_or(0, |state| state.attempt);
                Ok(Claim::Won(Box::new(run), attempt))
            }
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                    let Some(item) = failed.item().cloned() else { return Ok(Claim::Unknown) };
                    Ok(refused_claim(from_item(item)?, step))
                }
                _ => Err(storage(error)),
            },
        }
    }

    /// Shows that the worker lives. `Lost` when the step is not its own any more, or the run has ended.
    pub async fn renew_lease(&self, tenant: &Tenant, held: &Held, until_millis: i64) -> Result<Written> {
        let update = self
            .held_update(tenant, held)?
            .update_expression("SET steps.#step.lease = :until")
            .expression_attribute_values(":until", number(until_millis));
        let send = || async { update.clone().send().await };
        match send.retry(contention()).when(is_contended).await {
            Ok(_) => Ok(Written::Yes),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(Written::Lost),
                _ => Err(storage(error)),
            },
        }
    }

    /// Gives a step back to be taken again, and settles what this attempt spent, both or neither.
    pub async fn give_back(&self, tenant: &Tenant, held: &Held, result: &StepResult) -> Result<Written> {
        let update = self
            .held_update(tenant, held)?
            .update_expression(
                "SET steps.#step.lease = :none ADD committed :release, cost :cost, tokens_in :in, tokens_out :out",
            )
            .expression_attribute_values(":none", number(0))
            .expression_attribute_values(":release", number(-result.release.micros()))
            .expression_attribute_values(":cost", number(result.cost.micros()))
            .expression_attribute_values(":in", number(result.tokens_in))
            .expression_attribute_values(":out", number(result.tokens_out));
        let send = || async { update.clone().send().await };
        match send.retry(contention()).when(is_contended).await {
            Ok(_) => Ok(Written::Yes),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(Written::Lost),
                _ => Err(storage(error)),
            },
        }
    }

    /// Reserves `amount` more (negative releases), unless the sum of spent and reserved would pass `budget`.
    pub async fn reserve(
        &self,
        tenant: &Tenant,
        held: &Held,
        amount: Usd,
        budget: Option<Usd>,
    ) -> Result<Reserve> {
        let mut update = self
            .held_update(tenant, held)?
            .update_expression("ADD committed :amount")
            .expression_attribute_values(":amount", number(amount.micros()));
        if let Some(budget) = budget {
            update = update
                .condition_expression(format!("{HELD} AND committed <= :most"))
                .expression_attribute_values(":most", number((budget - amount).micros()));
        }
        let send = || async { update.clone().send().await };
        match send.retry(contention()).when(is_contended).await {
            Ok(_) => Ok(Reserve::Granted),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                    let Some(item) = failed.item().cloned() else { return Ok(Reserve::Lost) };
                    let run: Run = from_item(item)?;
                    let is_held = run.status == RunStatus::Running
                        && run.steps.get(&held.step).is_some_and(|step| step.attempt == held.attempt);
                    Ok(if is_held { Reserve::Exceeds(run.committed) } else { Reserve::Lost })
                }
                _ => Err(storage(error)),
            },
        }
    }

    fn held_update(
        &self,
        tenant: &Tenant,
        held: &Held,
    ) -> Result<aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder> {
        Ok(self
            .client
            .update_item()
            .table_name(Setting::RunsTable.read()?)
            .set_key(Some(primary_key(&partition(tenant, held.run), "RUN")))
            .condition_expression(HELD)
            .expression_attribute_names("#status", "status")
            .expression_attribute_names("#step", &held.step)
            .expression_attribute_values(":running", text("running"))
            .expression_attribute_values(":attempt", number(held.attempt))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld))
    }

    /// Appends events. Nothing is written when the log has ended; `log.is_closed()` then.
    pub async fn append_events(
        &self,
        log: &mut EventLog,
        bodies: &[EventBody],
        clock: &dyn Clock,
    ) -> Result<()> {
        for batch in bodies.chunks(BATCH_AT_MOST) {
            while !log.closed {
                match self.append_batch(log, batch, clock).await? {
                    Appended::Yes => break,
                    Appended::Met(item) => self.catch_up(log, item).await?,
                }
            }
        }
        Ok(())
    }

    async fn append_batch(
        &self,
        log: &mut EventLog,
        batch: &[EventBody],
        clock: &dyn Clock,
    ) -> Result<Appended> {
        let answer = self
            .client
            .put_item()
            .table_name(Setting::RunsTable.read()?)
            .set_item(Some(log.item(batch, &clock.timestamp())?))
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match answer {
            Ok(_) => {
                log.wrote(batch);
                Ok(Appended::Yes)
            }
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(failed)) => {
                    let met = failed.item().cloned();
                    if met.as_ref().is_some_and(|item| log.is_own(item)) {
                        log.wrote(batch);
                        return Ok(Appended::Yes);
                    }
                    Ok(Appended::Met(met))
                }
                _ if is_contended(&error) => Ok(Appended::Met(None)),
                _ => Err(storage(error)),
            },
        }
    }

    /// Learns the log's last number: from the item that was in the way, which is mostly the last one and costs
    /// nothing to read; after some of those, from the log's end.
    async fn catch_up(&self, log: &mut EventLog, met: Option<Item>) -> Result<()> {
        log.misses += 1;
        if let Some(item) = met.filter(|_| log.misses <= MISSES_BEFORE_A_LOOK) {
            return log.learn(item);
        }
        let answer = self
            .client
            .query()
            .table_name(Setting::RunsTable.read()?)
            .key_condition_expression("pk = :pk AND begins_with(sk, :ev)")
            .expression_attribute_values(":pk", text(partition(&log.tenant, log.run)))
            .expression_attribute_values(":ev", text("EV#"))
            .projection_expression("#last, #terminal")
            .expression_attribute_names("#last", "last")
            .expression_attribute_names("#terminal", "terminal")
            .scan_index_forward(false)
            .consistent_read(true)
            .limit(1)
            .send()
            .await
            .map_err(storage)?;
        answer.items.unwrap_or_default().pop().map_or(Ok(()), |item| log.learn(item))
    }

    /// Ends a step well, in one transaction: output, recording, events, cost, the dependants' counters, all on the
    /// condition that the step is still this worker's. With `ending`, ends the run and writes what it made.
    #[expect(clippy::too_many_arguments, reason = "one transaction writes them all")]
    pub async fn commit_step(
        &self,
        log: &mut EventLog,
        held: &Held,
        run: &Run,
        result: &StepResult,
        events: &[EventBody],
        ending: Option<RunResult>,
        clock: &dyn Clock,
    ) -> Result<Written> {
        let tenant = log.tenant;
        let at = clock.timestamp();
        let mut writes = self.result_writes(&tenant, held, result)?;
        let dependants: Vec<&String> = run
            .steps
            .iter()
            .filter(|(_, step)| step.needs.contains(&held.step))
            .map(|(name, _)| name)
            .collect();
        if let Some(ending) = &ending {
            writes.extend(ending.writes.iter().cloned());
            writes.extend(self.event_writes(&tenant, &ending.told)?);
            writes.push(self.entry_update(&tenant, held.run, RunStatus::Completed)?);
        }
        let mut before = Spent::of(run);
        loop {
            let seq = log.last + events.len() as u64;
            let header =
                self.commit_update(&tenant, held, result, &dependants, ending.as_ref(), before, seq, &at)?;
            let (appended, behind) = log.items(events, &at)?;
            let logged = 1..=appended.len();
            let mut all = vec![TransactWriteItem::builder().update(header).build()];
            all.extend(appended);
            all.extend(writes.iter().cloned());
            if ending.is_some() {
                let spent = before.and(result.cost, result.tokens_in, result.tokens_out);
                all.extend(usage::end_writes(&tenant, run, RunStatus::Completed, spent, &at)?);
            }
            match self.transact(all).await {
                Ok(()) => {
                    *log = behind;
                    return Ok(Written::Yes);
                }
                Err(Refused::Conditions(failed)) if failed.iter().any(|(at, _)| *at == 0) => {
                    // What was spent is a condition of the end alone.
                    if ending.is_none() {
                        return Ok(Written::Lost);
                    }
                    match self.spent_since(&tenant, held, before).await? {
                        Some(now) => before = now,
                        None => return Ok(Written::Lost),
                    }
                }
                Err(Refused::Conditions(failed)) if failed.iter().all(|(at, _)| logged.contains(at)) => {
                    self.catch_up(log, failed.into_iter().next().and_then(|(_, item)| item)).await?;
                    if log.closed {
                        return Ok(Written::Lost);
                    }
                    if ending.is_some() {
                        return Ok(Written::Overtaken);
                    }
                }
                // What the end writes besides meets another's: a persona edited, a slug taken since they were read.
                Err(Refused::Conditions(_)) if ending.is_some() => return Ok(Written::Overtaken),
                Err(refused) => return Err(refused.into_error()),
            }
        }
    }

    fn result_writes(
        &self,
        tenant: &Tenant,
        held: &Held,
        result: &StepResult,
    ) -> Result<Vec<TransactWriteItem>> {
        let table = Setting::RunsTable.read()?;
        let pk = partition(tenant, held.run);
        let data = DataItem { json: result.output.to_string() };
        let mut writes = vec![put(&table, to_item(&pk, &data_key(&held.step), &data)?)?];
        writes.extend(self.recording_writes(tenant, held, result.recording.as_ref())?);
        Ok(writes)
    }

    fn recording_writes(
        &self,
        tenant: &Tenant,
        held: &Held,
        recording: Option<&Value>,
    ) -> Result<Vec<TransactWriteItem>> {
        let Some(recording) = recording else { return Ok(Vec::new()) };
        let table = Setting::RunsTable.read()?;
        let pk = partition(tenant, held.run);
        let packed = zstd::encode_all(recording.to_string().as_bytes(), 3).map_err(Error::internal)?;
        packed
            .chunks(PART_BYTES)
            .enumerate()
            .map(|(part, body)| {
                let mut item = primary_key(&pk, &format!("REC#{}#{part:03}", held.step));
                item.insert("body".into(), AttributeValue::B(aws_sdk_dynamodb::primitives::Blob::new(body)));
                put(&table, item)
            })
            .collect()
    }

    /// The exchanges of a finished step.
    pub async fn recording(&self, tenant: &Tenant, run: RunId, step: &str) -> Result<Option<Value>> {
        let prefix = format!("REC#{step}#");
        let parts: Vec<StoredPart> =
            self.range(Setting::RunsTable, &partition(tenant, run), &prefix, &format!("{prefix}~")).await?;
        if parts.is_empty() {
            return Ok(None);
        }
        let packed: Vec<u8> = parts.into_iter().flat_map(|part| part.body).collect();
        let json = zstd::decode_all(packed.as_slice()).map_err(Error::internal)?;
        serde_json::from_slice(&json).map(Some).map_err(Error::internal)
    }

    #[expect(clippy::too_many_arguments, reason = "one expression needs them all")]
    fn commit_update(
        &self,
        tenant: &Tenant,
        held: &Held,
        result: &StepResult,
        dependants: &[&String],
        ending: Option<&RunResult>,
        before: Spent,
        seq: u64,
        at: &str,
    ) -> Result<Update> {
        let mut condition = HELD.to_owned();
        let mut set = vec![
            "updated_at = :at".to_owned(),
            "last_seq = :seq".into(),
            "steps.#step.#status = :done".into(),
            "steps.#step.provider = :provider".into(),
            "steps.#step.model = :model".into(),
            "steps.#step.tokens_in = :in".into(),
            "steps.#step.tokens_out = :out".into(),
            "steps.#step.cost = :cost".into(),
            "steps.#step.latency_ms = :latency".into(),
            "steps.#step.cached = :cached".into(),
        ];
        let mut update = Update::builder()
            .table_name(Setting::RunsTable.read()?)
            .set_key(Some(primary_key(&partition(tenant, held.run), "RUN")))
            .expression_attribute_names("#status", "status")
            .expression_attribute_names("#step", &held.step)
            .expression_attribute_values(":running", text("running"))
            .expression_attribute_values(":attempt", number(held.attempt))
            .expression_attribute_values(":at", text(at))
            .expression_attribute_values(":seq", number(seq))
            .expression_attribute_values(":done", to_attribute(&result.status)?)
            .expression_attribute_values(":provider", to_attribute(&result.provider)?)
            .expression_attribute_values(":model", to_attribute(&result.model)?)
            .expression_attribute_values(":in", number(result.tokens_in))
            .expression_attribute_values(":out", number(result.tokens_out))
            .expression_attribute_values(":cost", number(result.cost.micros()))
            .expression_attribute_values(":latency", number(result.latency_ms))
            .expression_attribute_values(":cached", AttributeValue::Bool(result.cached))
            .expression_attribute_values(":release", number(-result.release.micros()));
        for (position, dependant) in dependants.iter().enumerate() {
            set.push(format!("steps.#d{position}.waiting = steps.#d{position}.waiting - :one"));
            update = update.expression_attribute_names(format!("#d{position}"), *dependant);
        }
        if !dependants.is_empty() {
            update = update.expression_attribute_values(":one", number(1));
        }
        let mut remove = "";
        if let Some(ending) = ending {
            // What is counted as the run's is all that it has spent.
            condition.push_str(SPENT_BEFORE);
            update = spent_values(update, before);
            set.push("#status = :completed".into());
            set.push("completed_at = :at".into());
            set.push("output_digest = :digest".into());
            remove = " REMOVE active_shard, active_due";
            update = update
                .expression_attribute_values(":completed", text("completed"))
                .expression_attribute_values(":digest", text(&ending.output_digest));
            if let Some(version) = ending.output_version {
                set.push("output_version = :version".into());
                update = update.expression_attribute_values(":version", number(version));
            }
            if let Some(matches) = ending.replay_matches {
                set.push("replay.matches = :matches".into());
                update = update.expression_attribute_values(":matches", AttributeValue::Bool(matches));
            }
        }
        update
            .condition_expression(condition)
            .update_expression(format!(
                "SET {}{remove} ADD committed :release, cost :cost, tokens_in :in, tokens_out :out",
                set.join(", ")
            ))
            .build()
            .map_err(Error::internal)
    }

    /// Ends a run without a result: failed, or cancelled; `told` is what webhooks are told of it. `Lost` when it has
    /// ended already.
    pub async fn end_run(
        &self,
        log: &mut EventLog,
        run: &Run,
        how: Ending<'_>,
        told: &[webhook::Event],
        clock: &dyn Clock,
    ) -> Result<Written> {
        let tenant = log.tenant;
        let at = clock.timestamp();
        let mut writes = vec![self.entry_update(&tenant, run.id, how.status())?];
        writes.extend(self.event_writes(&tenant, told)?);
        if let Some(slug) = &run.slug {
            writes.push(super::personas::release_slug(&tenant, slug, run)?);
        }
        writes.extend(use_writes(&tenant, &Use::released(&run.fields))?);
        if let Ending::Failed { step: Some((held, result)), .. } = &how {
            if !result.output.is_null() {
                let data = DataItem { json: result.output.to_string() };
                let table = Setting::RunsTable.read()?;
                let key = data_key(&held.step);
                writes.push(put(&table, to_item(&partition(&tenant, held.run), &key, &data)?)?);
            }
            writes.extend(self.recording_writes(&tenant, held, result.recording.as_ref())?);
        }
        let event = how.event();
        let mut before = Spent::of(run);
        loop {
            let header = self.ending_update(&tenant, run, &how, before, log.last + 1, &at)?;
            let mut all = vec![
                TransactWriteItem::builder().update(header).build(),
                put_new(&Setting::RunsTable.read()?, log.item(std::slice::from_ref(&event), &at)?)?,
            ];
            all.extend(writes.iter().cloned());
            let spent = how
                .result()
                .map_or(before, |result| before.and(result.cost, result.tokens_in, result.tokens_out));
            all.extend(usage::end_writes(&tenant, run, how.status(), spent, &at)?);
            match self.transact(all).await {
                Ok(()) => {
                    log.wrote(std::slice::from_ref(&event));
                    return Ok(Written::Yes);
                }
                Err(Refused::Conditions(failed)) if failed.iter().any(|(at, _)| *at == 0) => {
                    // Other steps of it may have spent something since its header was read.
                    match self.spent_now(&tenant, run.id).await? {
                        Some((status, now)) if !status.is_final() && now != before => before = now,
                        _ => return Ok(Written::Lost),
                    }
                }
                Err(Refused::Conditions(mut failed)) if failed.iter().all(|(at, _)| *at == 1) => {
                    self.catch_up(log, failed.pop().and_then(|(_, item)| item)).await?;
                    if log.closed {
                        return Ok(Written::Lost);
                    }
                }
                Err(refused) => return Err(refused.into_error()),
            }
        }
    }

    fn ending_update(
        &self,
        tenant: &Tenant,
        run: &Run,
        how: &Ending<'_>,
        before: Spent,
        seq: u64,
        at: &str,
    ) -> Result<Update> {
        let mut update = Update::builder()
            .table_name(Setting::RunsTable.read()?)
            .set_key(Some(primary_key(&partition(tenant, run.id), "RUN")))
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":queued", text("queued"))
            .expression_attribute_values(":running", text("running"))
            .expression_attribute_values(":status", to_attribute(&how.status())?)
            .expression_attribute_values(":at", text(at))
            .expression_attribute_values(":seq", number(seq));
        update = spent_values(update, before);
        let mut condition = format!("#status IN (:queued, :running){SPENT_BEFORE}");
        let mut set = "#status = :status, completed_at = :at, updated_at = :at, last_seq = :seq".to_owned();
        let mut add = String::new();
        if let Ending::Failed { error, step, diverged } = how {
            set.push_str(", #error = :error");
            let stored = serde_json::to_string(error).map_err(Error::internal)?;
            update = update
                .expression_attribute_names("#error", "error")
                .expression_attribute_values(":error", text(stored));
            if let Some((held, result)) = step {
                condition.push_str(" AND steps.#step.attempt = :attempt");
                set.push_str(", steps.#step.#status = :failed, steps.#step.cost = :cost, steps.#step.latency_ms = :latency");
                add = " ADD committed :release, cost :cost, tokens_in :in, tokens_out :out".to_owned();
                update = update
                    .expression_attribute_names("#step", &held.step)
                    .expression_attribute_values(":attempt", number(held.attempt))
                    .expression_attribute_values(":failed", text("failed"))
                    .expression_attribute_values(":latency", number(result.latency_ms))
                    .expression_attribute_values(":cost", number(result.cost.micros()))
                    .expression_attribute_values(":in", number(result.tokens_in))
                    .expression_attribute_values(":out", number(result.tokens_out))
                    .expression_attribute_values(":release", number(-result.release.micros()));
            }
            if let Some(step) = diverged {
                set.push_str(", replay.diverged_step = :diverged, replay.matches = :no");
                update = update
                    .expression_attribute_values(":diverged", text(*step))
                    .expression_attribute_values(":no", AttributeValue::Bool(false));
            }
        }
        update
            .condition_expression(condition)
            .update_expression(format!("SET {set} REMOVE active_shard, active_due{add}"))
            .build()
            .map_err(Error::internal)
    }

    /// Counts the cost of a step whose run ended, or that was lost to another worker, while the provider answered.
    pub async fn settle_late(
        &self,
        tenant: &Tenant,
        run: &Run,
        held: &Held,
        result: &StepResult,
        clock: &dyn Clock,
    ) -> Result<()> {
        let late = Spent::default().and(result.cost, result.tokens_in, result.tokens_out);
        let at = clock.timestamp();
        // An ended run was counted without it; one that goes on is counted with it at its end.
        for (condition, ended) in [("#status IN (:queued, :running)", false), ("attribute_exists(pk)", true)]
        {
            let mut update = Update::builder()
                .table_name(Setting::RunsTable.read()?)
                .set_key(Some(primary_key(&partition(tenant, held.run), "RUN")))
                .condition_expression(condition)
                .update_expression("ADD committed :release, cost :cost, tokens_in :in, tokens_out :out")
                .expression_attribute_values(":release", number(-result.release.micros()))
                .expression_attribute_values(":cost", number(result.cost.micros()))
                .expression_attribute_values(":in", number(result.tokens_in))
                .expression_attribute_values(":out", number(result.tokens_out));
            if !ended {
                update = update
                    .expression_attribute_names("#status", "status")
                    .expression_attribute_values(":queued", text("queued"))
                    .expression_attribute_values(":running", text("running"));
            }
            let update = update.build().map_err(Error::internal)?;
            let mut writes = vec![TransactWriteItem::builder().update(update).build()];
            if ended {
                writes.extend(usage::late_writes(tenant, run, late, &at)?);
            }
            match self.transact(writes).await {
                Ok(()) => return Ok(()),
                Err(Refused::Conditions(_)) => {}
                Err(refused) => return Err(refused.into_error()),
            }
        }
        Ok(())
    }

    /// What a run has spent by now, and where it stands.
    async fn spent_now(&self, tenant: &Tenant, run: RunId) -> Result<Option<(RunStatus, Spent)>> {
        let run = self.run(tenant, run).await?;
        Ok(run.map(|run| (run.status, Spent::of(&run))))
    }

    /// What a run has spent by now, if that is all in which a commit's header was wrong: the step is still this worker's.
    async fn spent_since(&self, tenant: &Tenant, held: &Held, before: Spent) -> Result<Option<Spent>> {
        let Some(run) = self.run(tenant, held.run).await? else { return Ok(None) };
        let step = run.steps.get(&held.step);
        let is_held = run.status == RunStatus::Running
            && step.is_some_and(|step| step.status == StepStatus::Running && step.attempt == held.attempt);
        let now = Spent::of(&run);
        Ok((is_held && now != before).then_some(now))
    }

    fn entry_update(&self, tenant: &Tenant, run: RunId, status: RunStatus) -> Result<TransactWriteItem> {
        let update = Update::builder()
            .table_name(Setting::RunsTable.read()?)
            .set_key(Some(primary_key(&list_partition(tenant), &run.to_string())))
            .update_expression("SET #status = :status")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":status", to_attribute(&status)?)
            .build()
            .map_err(Error::internal)?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// Active runs of one shard that are due for a look. Across tenants: the tenant is read from each item's own key.
    pub async fn due_runs(&self, shard: u128, now_millis: i64) -> Result<Vec<ActiveRun>> {
        let answer = self
            .client
            .query()
            .table_name(Setting::RunsTable.read()?)
            .index_name("active")
            .key_condition_expression("active_shard = :shard AND active_due <= :now")
            .expression_attribute_values(":shard", text(format!("ACTIVE#{shard}")))
            .expression_attribute_values(":now", number(now_millis))
            .limit(200)
            .send()
            .await
            .map_err(storage)?;
        Ok(answer.items.unwrap_or_default().iter().filter_map(active_run).collect())
    }

    /// When the reaper looks at a run again.
    pub async fn postpone(&self, active: &ActiveRun, due_millis: i64) -> Result<()> {
        let update = self
            .client
            .update_item()
            .table_name(Setting::RunsTable.read()?)
            .set_key(Some(primary_key(&partition(&active.tenant, active.run), "RUN")))
            .condition_expression("attribute_exists(active_shard)")
            .update_expression("SET active_due = :due")
            .expression_attribute_values(":due", number(due_millis));
        let send = || async { update.clone().send().await };
        match send.retry(contention()).when(is_contended).await {
            Ok(_) => Ok(()),
            Err(error)
                if error.as_service_error().is_some_and(aws_sdk_dynamodb::operation::update_item::UpdateItemError::is_conditional_check_failed_exception) =>
            {
                Ok(())
            }
            Err(error) => Err(storage(error)),
        }
    }
}

/// How a run ends without a result.
#[derive(Debug)]
pub enum Ending<'a> {
    /// By its owner.
    Cancelled,
    /// By a failure.
    Failed {
        /// The failure as stored and sent.
        error: &'a StoredError,
        /// The failed step and what it had spent; `None` when no worker held one.
        step: Option<(&'a Held, &'a StepResult)>,
        /// For an exact replay: the first step whose request differs.
        diverged: Option<&'a str>,
    },
}

impl Ending<'_> {
    const fn status(&self) -> RunStatus {
        match self {
            Self::Cancelled => RunStatus::Cancelled,
            Self::Failed { .. } => RunStatus::Failed,
        }
    }

    fn result(&self) -> Option<&StepResult> {
        match self {
            Self::Failed { step: Some((_, result)), .. } => Some(result),
            _ => None,
        }
    }

    fn event(&self) -> EventBody {
        match self {
            Self::Cancelled => EventBody::run_cancelled(),
            Self::Failed { error, step, .. } => {
                let mut shown = Error::from((*error).clone());
                if let Some((held, _)) = step {
                    shown = shown.with_run(held.run);
                }
                EventBody::run_failed(&shown)
            }
        }
    }
}

/// Nothing was spent since the header was read.
const SPENT_BEFORE: &str = " AND cost = :cost_before AND tokens_in = :in_before AND tokens_out = :out_before";

fn spent_values(
    update: aws_sdk_dynamodb::types::builders::UpdateBuilder,
    before: Spent,
) -> aws_sdk_dynamodb::types::builders::UpdateBuilder {
    update
        .expression_attribute_values(":cost_before", number(before.cost.micros()))
        .expression_attribute_values(":in_before", number(before.tokens_in))
        .expression_attribute_values(":out_before", number(before.tokens_out))
}

/// What sets a new run's budget aside in its month.
pub(super) fn month_writes(tenant: &Tenant, opening: &Opening<'_>) -> Result<Option<TransactWriteItem>> {
    opening.cap.map_or(Ok(None), |cap| usage::reservation(tenant, opening.run, cap))
}

/// Which of the conditions of a new run failed: that of its header, of the fields it heeds, of its slug (the next one) or of
/// its month.
pub(super) fn refused_begin(
    failed: &[(usize, Option<Item>)],
    fields: std::ops::Range<usize>,
    month_at: usize,
) -> Result<Begun> {
    let at = |position: usize| failed.iter().find(|(at, _)| *at == position);
    if at(0).is_some() {
        return Ok(Begun::Already);
    }
    if failed.iter().any(|(at, _)| fields.contains(at)) {
        return Ok(Begun::FieldsChanged);
    }
    if fields.end < month_at && at(fields.end).is_some() {
        return Ok(Begun::SlugTaken);
    }
    let month = at(month_at).ok_or_else(|| Error::internal("a new run was refused for no known reason"))?;
    Ok(Begun::MonthUsedUp(usage::committed(month.1.as_ref())?))
}

const HELD: &str = "#status = :running AND steps.#step.#status = :running AND steps.#step.attempt = :attempt";

fn refused_claim(run: Run, step: &str) -> Claim {
    match run.steps.get(step) {
        None => Claim::Unknown,
        Some(_) if run.status.is_final() => Claim::NotNow,
        Some(StepState { status, .. }) if status.is_done() => Claim::Done(Box::new(run)),
        Some(_) => Claim::NotNow,
    }
}

fn entry(run: &Run) -> RunEntry {
    RunEntry {
        id: run.id,
        kind: run.kind,
        status: run.status,
        persona_id: run.persona_id,
        conversation_id: run.conversation_id,
    }
}

fn active_run(item: &Item) -> Option<ActiveRun> {
    let pk = item.get("pk")?.as_s().ok()?;
    let (workspace, run) = pk.strip_prefix("WS#")?.split_once("#RUN#")?;
    Some(ActiveRun { tenant: Tenant::of(workspace.parse().ok()?), run: run.parse().ok()? })
}

pub(super) fn put(table: &str, item: Item) -> Result<TransactWriteItem> {
    let put = Put::builder().table_name(table).set_item(Some(item)).build().map_err(Error::internal)?;
    Ok(TransactWriteItem::builder().put(put).build())
}

pub(super) fn put_new(table: &str, item: Item) -> Result<TransactWriteItem> {
    let put = Put::builder()
        .table_name(table)
        .set_item(Some(item))
        .condition_expression("attribute_not_exists(pk)")
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .build()
        .map_err(Error::internal)?;
    Ok(TransactWriteItem::builder().put(put).build())
}

pub(super) fn delete(delete: aws_sdk_dynamodb::types::builders::DeleteBuilder) -> Result<TransactWriteItem> {
    let delete: Delete = delete.build().map_err(Error::internal)?;
    Ok(TransactWriteItem::builder().delete(delete).build())
}
