//! Storage: concrete DynamoDB, one file per resource. Every call takes `&Tenant`, but for the look-up of a key and for what
//! comes before a tenant is known (`auth`).
//!
//! Keys of items are made here and nowhere else; each partition of a tenant's begins with the workspace.
#![expect(clippy::disallowed_methods, reason = "this is the one place that talks to DynamoDB")]

pub mod admission;
pub mod auth;
pub mod conversations;
pub mod fields;
pub mod idempotency;
pub mod keys;
pub mod marketplace;
pub mod personas;
pub mod pipelines;
pub mod reminders;
pub mod runs;
pub mod usage;
pub mod webhooks;
pub mod workspaces;

use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use aws_sdk_dynamodb::{
    Client,
    config::{
        ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeTransmitInterceptorContextRef,
        retry::RetryConfig, timeout::TimeoutConfig,
    },
    error::{BoxError, ProvideErrorMetadata, SdkError},
    types::{AttributeValue, DeleteRequest, KeysAndAttributes, TransactWriteItem, WriteRequest},
};
use backon::{BackoffBuilder, ExponentialBuilder, Retryable};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    config::Setting,
    error::{Error, Result},
};

/// An item as DynamoDB has it.
pub type Item = HashMap<String, AttributeValue>;

/// How many rows a query reads at most to fill one page of a filtered list.
const SCANNED_AT_MOST: usize = 2_000;

/// Writes of one batch, at most.
const WRITES_AT_ONCE: usize = 25;
/// Batches that are on their way at the same time.
const BATCHES_AT_ONCE: usize = 4;

static REQUESTS: AtomicU64 = AtomicU64::new(0);

/// Requests this process has sent to DynamoDB, retries included. A Lambda process serves one call at a time, so the
/// difference before and after a call is that call's.
pub fn requests_sent() -> u64 {
    REQUESTS.load(Ordering::Relaxed)
}

#[derive(Debug)]
struct CountRequests;

impl Intercept for CountRequests {
    fn name(&self) -> &'static str {
        "CountRequests"
    }

    fn read_before_transmit(
        &self,
        _context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> std::result::Result<(), BoxError> {
        REQUESTS.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

/// The tables and the client.
#[derive(Debug, Clone)]
pub struct Store {
    client: Client,
}

impl Store {
    /// A store on the account and region (or endpoint) of `aws`.
    pub fn new(aws: &aws_config::SdkConfig) -> Self {
        let config = aws_sdk_dynamodb::config::Builder::from(aws)
            .interceptor(CountRequests)
            .retry_config(
                RetryConfig::standard().with_max_attempts(4).with_initial_backoff(Duration::from_millis(30)),
            )
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(Duration::from_secs(3))
                    .operation_attempt_timeout(Duration::from_secs(10))
                    .build(),
            )
            .build();
        Self { client: Client::from_conf(config) }
    }

    async fn get<T: DeserializeOwned>(&self, table: Setting, pk: &str, sk: &str) -> Result<Option<T>> {
        let answer = self
            .client
            .get_item()
            .table_name(table.read()?)
            .set_key(Some(primary_key(pk, sk)))
            .consistent_read(true)
            .send()
            .await
            .map_err(storage)?;
        answer.item.map(from_item).transpose()
    }

    /// Items of one partition whose sort key lies between `from` and `to` (inclusive), all pages.
    async fn range<T: DeserializeOwned>(
        &self,
        table: Setting,
        pk: &str,
        from: &str,
        to: &str,
    ) -> Result<Vec<T>> {
        self.first_of_range(table, pk, from, to, usize::MAX).await
    }

    /// The first `most` items of a range, or a few more.
    async fn first_of_range<T: DeserializeOwned>(
        &self,
        table: Setting,
        pk: &str,
        from: &str,
        to: &str,
        most: usize,
    ) -> Result<Vec<T>> {
        let items = self.items_of_range(table, pk, from, to, most).await?;
        items.into_iter().map(from_item).collect()
    }

    async fn items_of_range(
        &self,
        table: Setting,
        pk: &str,
        from: &str,
        to: &str,
        most: usize,
    ) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        let mut start = None;
        loop {
            let page = self
                .client
                .query()
                .table_name(table.read()?)
                .key_condition_expression("pk = :pk AND sk BETWEEN :from AND :to")
                .expression_attribute_values(":pk", text(pk))
                .expression_attribute_values(":from", text(from))
                .expression_attribute_values(":to", text(to))
                .consistent_read(true)
                .set_limit(i32::try_from(most).ok())
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(storage)?;
            items.extend(page.items.unwrap_or_default());
            start = page.last_evaluated_key;
            if start.is_none() || items.len() >= most {
                return Ok(items);
            }
        }
    }

    /// One page of a list partition, newest first, after the sort key `after`, of items that `keep` accepts.
    async fn page<T: DeserializeOwned>(
        &self,
        table: Setting,
        pk: &str,
        after: Option<&str>,
        limit: usize,
        keep: impl Fn(&T) -> bool,
    ) -> Result<Page<T>> {
        self.page_of(table, pk, "", after, limit, keep).await
    }

    /// The same of the items whose sort key begins with `prefix`; an empty one stands for all.
    async fn page_of<T: DeserializeOwned>(
        &self,
        table: Setting,
        pk: &str,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
        keep: impl Fn(&T) -> bool,
    ) -> Result<Page<T>> {
        let mut condition = "pk = :pk";
        let mut values = Item::from([(":pk".to_owned(), text(pk))]);
        if !prefix.is_empty() {
            condition = "pk = :pk AND begins_with(sk, :prefix)";
            values.insert(":prefix".to_owned(), text(prefix));
        }
        let mut start = after.map(|sk| primary_key(pk, sk));
        let mut page = Page { items: Vec::new(), next: None };
        let mut scanned = 0;
        loop {
            let answer = self
                .client
                .query()
                .table_name(table.read()?)
                .key_condition_expression(condition)
                .set_expression_attribute_values(Some(values.clone()))
                .scan_index_forward(false)
                .consistent_read(true)
                .limit((limit + 1).max(50) as i32)
                .set_exclusive_start_key(start.take())
                .send()
                .await
                .map_err(storage)?;
            for item in answer.items.unwrap_or_default() {
                scanned += 1;
                let sk = sort_key(&item);
                let row: T = from_item(item)?;
                if !keep(&row) {
                    continue;
                }
                if page.items.len() == limit {
                    page.next = page.items.last().map(|(sk, _): &(String, T)| sk.clone());
                    return Ok(page);
                }
                page.items.push((sk, row));
            }
            start = answer.last_evaluated_key;
            if let Some(key) = &start
                && scanned >= SCANNED_AT_MOST
            {
                page.next = Some(sort_key(key));
                return Ok(page);
            }
            if start.is_none() {
                return Ok(page);
            }
        }
    }

    /// Many items by key, in any order; what does not exist is left out.
    async fn batch<T: DeserializeOwned>(&self, table: Setting, keys: Vec<Item>) -> Result<Vec<T>> {
        self.batch_items(table, keys).await?.into_iter().map(from_item).collect()
    }

    async fn batch_items(&self, table: Setting, mut keys: Vec<Item>) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        while !keys.is_empty() {
            let some = keys.split_off(keys.len().saturating_sub(100));
            items.extend(self.batch_of_tables(vec![(table, some)]).await?);
        }
        Ok(items)
    }

    /// Up to 100 items by key, of any tables, in any order: one request, unless they are more than 16 MB.
    async fn batch_of_tables(&self, keys: Vec<(Setting, Vec<Item>)>) -> Result<Vec<Item>> {
        let wanted = |(table, keys): (Setting, Vec<Item>)| {
            let wanted = KeysAndAttributes::builder().set_keys(Some(keys)).consistent_read(true);
            Ok((table.read()?, wanted.build().map_err(Error::internal)?))
        };
        let mut wanted: HashMap<String, KeysAndAttributes> =
            keys.into_iter().map(wanted).collect::<Result<_>>()?;
        let mut items = Vec::new();
        while !wanted.is_empty() {
            let batch = self.client.batch_get_item().set_request_items(Some(wanted));
            let answer = batch.send().await.map_err(storage)?;
            items.extend(answer.responses.unwrap_or_default().into_values().flatten());
            wanted = answer.unprocessed_keys.unwrap_or_default();
        }
        Ok(items)
    }

    /// Writes and deletes any number of items, in any order. Safe to repeat.
    async fn write_all(&self, table: Setting, writes: Vec<WriteRequest>) -> Result<()> {
        let table = &table.read()?;
        let chunks = writes.chunks(WRITES_AT_ONCE).map(<[WriteRequest]>::to_vec);
        let written = chunks.map(|chunk| async move {
            let mut left = HashMap::from([(table.clone(), chunk)]);
            let mut pauses = contention().build();
            while !left.is_empty() {
                let batch = self.client.batch_write_item().set_request_items(Some(left));
                left = batch.send().await.map_err(storage)?.unprocessed_items.unwrap_or_default();
                if !left.is_empty() {
                    let pause =
                        pauses.next().ok_or_else(|| Error::internal("writes were left over too often"))?;
                    tokio::time::sleep(pause).await;
                }
            }
            Ok(())
        });
        stream::iter(written).buffer_unordered(BATCHES_AT_ONCE).try_collect().await
    }

    /// Deletes every item of a partition. Safe to repeat.
    async fn delete_partition(&self, table: Setting, pk: &str) -> Result<()> {
        let table = table.read()?;
        loop {
            let page = self
                .client
                .query()
                .table_name(&table)
                .key_condition_expression("pk = :pk")
                .expression_attribute_values(":pk", text(pk))
                .projection_expression("sk")
                .consistent_read(true)
                .limit(25)
                .send()
                .await
                .map_err(storage)?;
            let keys: Vec<Item> =
                page.items.unwrap_or_default().iter().map(|item| primary_key(pk, &sort_key(item))).collect();
            if keys.is_empty() {
                return Ok(());
            }
            let deletes = keys.into_iter().map(|key| {
                let delete = DeleteRequest::builder().set_key(Some(key)).build().map_err(Error::internal)?;
                Ok(WriteRequest::builder().delete_request(delete).build())
            });
            let deletes: Vec<WriteRequest> = deletes.collect::<Result<_>>()?;
            // What a batch leaves out, the next page finds again.
            self.client.batch_write_item().request_items(&table, deletes).send().await.map_err(storage)?;
        }
    }

    /// All or nothing. Conflicts with other writers are tried again; a failed condition is the caller's to read.
    async fn transact(&self, writes: Vec<TransactWriteItem>) -> Result<(), Refused> {
        let attempt = || async {
            self.client
                .transact_write_items()
                .set_transact_items(Some(writes.clone()))
                .send()
                .await
                .map_err(Refused::from_sdk)
        };
        attempt.retry(contention()).when(|refused| matches!(refused, Refused::Conflict)).await.map(|_| ())
    }
}

/// One page of a list.
#[derive(Debug)]
pub struct Page<T> {
    /// Sort key and row, newest first.
    pub items: Vec<(String, T)>,
    /// The sort key after which the next page begins.
    pub next: Option<String>,
}

/// Why a transaction wrote nothing.
#[derive(Debug)]
enum Refused {
    /// The conditions at these positions failed; with the item as it was where that was asked for.
    Conditions(Vec<(usize, Option<Item>)>),
    /// Another writer was faster; try again.
    Conflict,
    /// Anything else.
    Other(Error),
}

impl Refused {
    fn from_sdk(
        error: SdkError<aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError>,
    ) -> Self {
        let Some(service) = error.as_service_error() else { return Self::Other(storage(error)) };
        let aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError::TransactionCanceledException(
            cancelled,
        ) = service
        else {
            let in_progress = service.is_transaction_in_progress_exception();
            return if in_progress { Self::Conflict } else { Self::Other(storage(error)) };
        };
        let reasons = cancelled.cancellation_reasons();
        let failed: Vec<_> = reasons
            .iter()
            .enumerate()
            .filter(|(_, reason)| reason.code() == Some("ConditionalCheckFailed"))
            .map(|(position, reason)| (position, reason.item().cloned()))
            .collect();
        if !failed.is_empty() {
            return Self::Conditions(failed);
        }
        let contended = |code: Option<&str>| {
            matches!(code, Some("TransactionConflict" | "ThrottlingError" | "ProvisionedThroughputExceeded"))
        };
        if reasons.iter().any(|reason| contended(reason.code())) {
            return Self::Conflict;
        }
        Self::Other(storage(error))
    }

    /// For transactions whose conditions cannot fail.
    fn into_error(self) -> Error {
        match self {
            Self::Conditions(failed) => Error::internal(format!(
                "conditions {:?} failed",
                failed.iter().map(|(at, _)| at).collect::<Vec<_>>()
            )),
            Self::Conflict => Error::internal("a transaction met other writers too often"),
            Self::Other(error) => error,
        }
    }
}

fn contention() -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_jitter()
        .with_min_delay(Duration::from_millis(10))
        .with_max_delay(Duration::from_millis(400))
        .with_max_times(12)
}

/// Whether a single-item write met a transaction on the same item; such a write may be sent again.
fn is_contended<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> bool {
    error.code() == Some("TransactionConflictException")
}

/// Any failure of storage is ours; the code and message of DynamoDB go to the log.
fn storage<E, R>(error: SdkError<E, R>) -> Error
where
    E: std::error::Error + Send + Sync + ProvideErrorMetadata + 'static,
    R: std::fmt::Debug + Send + Sync + 'static,
{
    let code = error.code().unwrap_or("no answer").to_owned();
    let message = error.message().unwrap_or_default().to_owned();
    Error::internal(format!("DynamoDB: {code}: {message}"))
        .with_source(Box::new(error) as Box<dyn std::error::Error + Send + Sync>)
}

fn text(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn primary_key(pk: &str, sk: &str) -> Item {
    HashMap::from([("pk".to_owned(), text(pk)), ("sk".to_owned(), text(sk))])
}

fn sort_key(item: &Item) -> String {
    item.get("sk").and_then(|sk| sk.as_s().ok()).cloned().unwrap_or_default()
}

fn from_item<T: DeserializeOwned>(item: Item) -> Result<T> {
    serde_dynamo::from_item(item)
        .map_err(|error| Error::internal(format!("an item is not of its shape: {error}")))
}

fn to_item<T: Serialize>(pk: &str, sk: &str, value: &T) -> Result<Item> {
    let mut item: Item =
        serde_dynamo::to_item(value).map_err(|error| Error::internal(format!("not storable: {error}")))?;
    item.extend(primary_key(pk, sk));
    Ok(item)
}

fn to_attribute<T: Serialize>(value: &T) -> Result<AttributeValue> {
    serde_dynamo::to_attribute_value(value).map_err(|error| Error::internal(format!("not storable: {error}")))
}

/// Bytes as DynamoDB's binary type; serde's own way with `Vec<u8>` is a list of numbers.
mod bytes {
    use serde::{Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        struct Bytes;
        impl de::Visitor<'_> for Bytes {
            type Value = Vec<u8>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("bytes")
            }
            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Vec<u8>, E> {
                Ok(bytes.to_vec())
            }
            fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Vec<u8>, E> {
                Ok(bytes)
            }
        }
        deserializer.deserialize_byte_buf(Bytes)
    }
}
