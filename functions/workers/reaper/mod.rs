//! The reaper: every minute, finds what nobody holds any more and sends it again: steps of runs, events, deliveries. And
//! tells of what no call causes: keys that end soon, budgets that are nearly spent.

use lambda_runtime::{LambdaEvent, service_fn};
use persona::{Result, app::App, config::Setting, run, webhook};
use serde_json::{Value, json};
use tracing::Instrument;

use crate::{Worker, serve::telemetry};

/// The worker.
pub const WORKER: Worker = Worker {
    bin: "worker-reaper",
    summary: "Sends stalled steps, events and deliveries again; warns of keys that end and budgets that are spent.",
    settings: &[
        Setting::WorkspacesTable,
        Setting::RunsTable,
        Setting::WebhooksTable,
        Setting::StepsQueueUrl,
        Setting::EventsQueueUrl,
        Setting::DeliveriesQueueUrl,
    ],
};

/// Serves until the process ends.
pub async fn run() -> Result<(), lambda_runtime::Error> {
    telemetry::install(WORKER.bin);
    let app = App::default();
    let app = &app;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| {
        let reaping = async move {
            telemetry::invocation_begins();
            // One that fails must not keep the other from its work.
            let (steps, due) = (told(run::reap(app).await), told(webhook::sweep(app).await));
            Ok::<_, lambda_runtime::Error>(json!({"sent": steps?, "due": due?}))
        };
        reaping.instrument(tracing::error_span!("reaping", request_id = event.context.request_id))
    }))
    .await
}

fn told(swept: Result<usize>) -> Result<usize, String> {
    swept.map_err(|error| {
        tracing::error!(error.code = %error.code, error.source = error.source_chain(), "the reaper failed");
        error.to_string()
    })
}
