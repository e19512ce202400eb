//! The reaper: every minute, finds runs whose steps nobody holds any more and sends them again.

use lambda_runtime::{LambdaEvent, service_fn};
use persona::{Result, app::App, config::Setting, run};
use serde_json::{Value, json};
use tracing::Instrument;

use crate::{Worker, serve::telemetry};

/// The worker.
pub const WORKER: Worker = Worker {
    bin: "worker-reaper",
    summary: "Sends stalled steps again.",
    settings: &[Setting::RunsTable, Setting::StepsQueueUrl],
};

/// Serves until the process ends.
pub async fn run() -> Result<(), lambda_runtime::Error> {
    telemetry::install(WORKER.bin);
    let app = App::default();
    let app = &app;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| {
        let reaping = async move {
            telemetry::invocation_begins();
            let sent = run::reap(app).await.map_err(|error| {
                tracing::error!(error.code = %error.code, error.source = error.source_chain(), "the reaper failed");
                error.to_string()
            })?;
            Ok::<_, lambda_runtime::Error>(json!({"sent": sent}))
        };
        reaping.instrument(tracing::error_span!("reaping", request_id = event.context.request_id))
    }))
    .await
}
