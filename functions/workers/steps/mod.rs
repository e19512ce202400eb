//! The worker of steps. Each record is judged by itself: one bad message fails alone.

use lambda_runtime::{LambdaEvent, service_fn};
use persona::{Error, Result, app::App, config::Setting, queue::StepMessage, run::Engine};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Worker, serve::telemetry};

/// The worker.
pub const WORKER: Worker = Worker {
    bin: "worker-steps",
    summary: "Takes steps of runs from the queue.",
    settings: &[Setting::PersonasTable, Setting::RunsTable, Setting::StepsQueueUrl, Setting::ProvidersSecret],
};

/// One record, read leniently: what it lacks is its own failure, not the batch's.
#[derive(Debug, Deserialize)]
struct Record {
    #[serde(rename = "messageId", default)]
    message_id: String,
    #[serde(default)]
    body: String,
}

/// Serves until the process ends.
pub async fn run() -> Result<(), lambda_runtime::Error> {
    telemetry::install(WORKER.bin);
    let app = App::default();
    let app = &app;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| async move {
        Ok::<_, lambda_runtime::Error>(take(app, &event.payload).await)
    }))
    .await
}

/// The records that must come again.
async fn take(app: &App, event: &Value) -> Value {
    let records = event["Records"].as_array().cloned().unwrap_or_default();
    let mut failures = Vec::new();
    for record in records {
        let record: Record = serde_json::from_value(record)
            .unwrap_or(Record { message_id: String::new(), body: String::new() });
        if let Err(error) = work(app, &record.body).await {
            tracing::error!(message.id = %record.message_id, error = %error, error.source = error.source_chain(), "a message must come again");
            failures.push(json!({"itemIdentifier": record.message_id}));
        }
    }
    json!({"batchItemFailures": failures})
}

async fn work(app: &App, body: &str) -> Result<(), Error> {
    let message = StepMessage::parse(body)?;
    Box::pin(async move { Engine::new(app, message.tenant()).await.work(&message).await }).await
}
