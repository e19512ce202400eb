//! The worker of steps.

use futures_util::{FutureExt, future::BoxFuture};
use persona::{
    Result,
    app::App,
    config::Setting,
    queue::{Message, StepMessage},
    run::Engine,
    store,
};
use tracing::Instrument;

use super::records::{self, Record};
use crate::Worker;

/// The worker.
pub const WORKER: Worker = Worker {
    bin: "worker-steps",
    summary: "Takes steps of runs from the queue.",
    settings: &[
        Setting::WorkspacesTable,
        Setting::PersonasTable,
        Setting::RunsTable,
        Setting::WebhooksTable,
        Setting::StepsQueueUrl,
        Setting::EventsQueueUrl,
        Setting::ProvidersSecret,
    ],
};

/// Serves until the process ends.
pub async fn run() -> Result<(), lambda_runtime::Error> {
    records::serve(&WORKER, work).await
}

fn work<'a>(app: &'a App, record: &'a Record, message: StepMessage) -> BoxFuture<'a, Result<()>> {
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
    work.instrument(span).boxed()
}
