//! What workers on queues share. Each record of a batch is judged by itself: one bad message fails alone, and one that
//! takes long holds up no other, since all are worked on at once.

use futures_util::{
    FutureExt,
    future::{BoxFuture, join_all},
};
use lambda_runtime::{LambdaEvent, service_fn};
use persona::{
    Result,
    app::App,
    clock::{Clock, SystemClock},
    queue::Message,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tracing::Instrument;

use crate::{Worker, serve::telemetry};

/// One record, read leniently: what it lacks is its own failure, not the batch's.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Record {
    #[serde(rename = "messageId", default)]
    message_id: String,
    #[serde(rename = "receiptHandle", default)]
    receipt_handle: String,
    #[serde(default)]
    body: String,
    #[serde(default)]
    attributes: Attributes,
}

/// What SQS says of a message.
#[derive(Debug, Default, Deserialize)]
struct Attributes {
    /// Milliseconds since the epoch, as text.
    #[serde(rename = "SentTimestamp", default)]
    sent: String,
}

impl Record {
    /// From sending to now; unknown where SQS does not say.
    pub(super) fn queued_ms(&self) -> Option<u64> {
        let sent: i64 = self.attributes.sent.parse().ok()?;
        u64::try_from(SystemClock.epoch_millis() - sent).ok()
    }
}

/// What is done with one message. An error means: deliver it again.
pub(super) type Work<M> = for<'a> fn(&'a App, &'a Record, M) -> BoxFuture<'a, Result<()>>;

/// Serves a queue until the process ends.
pub(super) async fn serve<M: Message + Send>(
    worker: &'static Worker,
    work: Work<M>,
) -> std::result::Result<(), lambda_runtime::Error> {
    telemetry::install(worker.bin);
    let app = App::default();
    let app = &app;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        telemetry::invocation_begins();
        let span = tracing::error_span!("invocation", request_id = event.context.request_id);
        Ok::<_, lambda_runtime::Error>(take(app, &event.payload, work).instrument(span).await)
    }))
    .await
}

/// The records that must come again.
async fn take<M: Message + Send>(app: &App, event: &Value, work: Work<M>) -> Value {
    let records = event["Records"].as_array().cloned().unwrap_or_default();
    let records: Vec<Record> =
        records.into_iter().map(|record| serde_json::from_value(record).unwrap_or_default()).collect();
    let working = records.iter().map(|record| is_done(app, record, work).boxed());
    let failures: Vec<Value> = join_all(working)
        .await
        .into_iter()
        .zip(&records)
        .filter(|(is_done, _)| !is_done)
        .map(|(_, record)| json!({"itemIdentifier": record.message_id}))
        .collect();
    json!({"batchItemFailures": failures})
}

/// Works on a record; one that failed is hurried back, and comes again.
async fn is_done<M: Message + Send>(app: &App, record: &Record, work: Work<M>) -> bool {
    let worked = async { work(app, record, M::parse(&record.body)?).await };
    let Err(error) = worked.await else { return true };
    tracing::error!(message_id = record.message_id, error.code = %error.code, error.source = error.source_chain(), "a message must come again");
    if let Err(error) = app.queue().await.again_soon(M::QUEUE, &record.receipt_handle).await {
        tracing::warn!(error.source = error.source_chain(), "a failed message comes again late");
    }
    false
}
