//! The worker of steps. Each record is judged by itself: one bad message fails alone.

use lambda_runtime::{LambdaEvent, service_fn};
use persona::{
    Error, Result,
    app::App,
    clock::{Clock, SystemClock},
    config::Setting,
    queue::StepMessage,
    run::Engine,
    store,
};
use serde::Deserialize;
use serde_json::{Value, json};
use tracing::Instrument;

use crate::{Worker, serve::telemetry};

/// The worker.
pub const WORKER: Worker = Worker {
    bin: "worker-steps",
    summary: "Takes steps of runs from the queue.",
    settings: &[
        Setting::WorkspacesTable,
        Setting::PersonasTable,
        Setting::RunsTable,
        Setting::StepsQueueUrl,
        Setting::ProvidersSecret,
    ],
};

/// One record, read leniently: what it lacks is its own failure, not the batch's.
#[derive(Debug, Default, Deserialize)]
struct Record {
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

/// Serves until the process ends.
pub async fn run() -> Result<(), lambda_runtime::Error> {
    telemetry::install(WORKER.bin);
    let app = App::default();
    let app = &app;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        telemetry::invocation_begins();
        let span = tracing::error_span!("invocation", request_id = event.context.request_id);
        Ok::<_, lambda_runtime::Error>(take(app, &event.payload).instrument(span).await)
    }))
    .await
}

/// The records that must come again.
async fn take(app: &App, event: &Value) -> Value {
    let records = event["Records"].as_array().cloned().unwrap_or_default();
    let mut failures = Vec::new();
    for record in records {
        let record: Record = serde_json::from_value(record).unwrap_or_default();
        if let Err(error) = work(app, &record).await {
            tracing::error!(message_id = record.message_id, error.code = %error.code, error.source = error.source_chain(), "a message must come again");
            if let Err(error) = app.queue().await.again_soon(&record.receipt_handle).await {
                tracing::warn!(error.source = error.source_chain(), "a failed message comes again late");
            }
            failures.push(json!({"itemIdentifier": record.message_id}));
        }
    }
    json!({"batchItemFailures": failures})
}

async fn work(app: &App, record: &Record) -> Result<(), Error> {
    let message = StepMessage::parse(&record.body)?;
    // At the level of errors, so that no filter takes the ids from a line.
    let span = tracing::error_span!(
        "message",
        workspace_id = %message.tenant().workspace(),
        run_id = %message.run,
        step = message.step,
        step.queue_ms = record.queued_ms(),
    );
    let requests_before = store::requests_sent();
    let work = async move {
        let taken = Engine::new(app, message.tenant()).await.work(&message).await;
        tracing::info!(store.requests = store::requests_sent() - requests_before, "message taken");
        taken
    };
    Box::pin(work.instrument(span)).await
}

impl Record {
    /// From sending to now; unknown where SQS does not say.
    fn queued_ms(&self) -> Option<u64> {
        let sent: i64 = self.attributes.sent.parse().ok()?;
        u64::try_from(SystemClock.epoch_millis() - sent).ok()
    }
}
