//! The reaper: every minute, finds runs whose steps nobody holds any more and sends them again.

use lambda_runtime::{LambdaEvent, service_fn};
use persona::{Result, app::App, config::Setting, run};
use serde_json::{Value, json};

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
    lambda_runtime::run(service_fn(move |_event: LambdaEvent<Value>| async move {
        let sent = run::reap(app).await.map_err(|error| {
            tracing::error!(error = %error, error.source = error.source_chain(), "the reaper failed");
            error.to_string()
        })?;
        Ok::<_, lambda_runtime::Error>(json!({"sent": sent}))
    }))
    .await
}
