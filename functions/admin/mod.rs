//! The administrator's functions: never on the HTTP API.

pub mod create_workspace;
pub mod members;

use std::future::Future;

use lambda_runtime::{LambdaEvent, service_fn};
use persona::{Result, app::App};
use serde_json::Value;
use tracing::Instrument;

use crate::{Worker, serve::telemetry};

/// Serves one of them until the process ends.
async fn serve<H, F>(worker: &'static Worker, handle: H) -> Result<(), lambda_runtime::Error>
where
    H: Fn(App, Value) -> F + Sync,
    F: Future<Output = Result<Value>> + Send,
{
    telemetry::install(worker.bin);
    let app = App::default();
    let (app, handle) = (&app, &handle);
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Value>| {
        let span = tracing::error_span!("administering", request_id = event.context.request_id);
        let making = async move {
            telemetry::invocation_begins();
            handle(app.clone(), event.payload).await.map_err(|error| {
                tracing::error!(error.code = %error.code, error.source = error.source_chain(), "the administrator was refused");
                lambda_runtime::Error::from(error.to_string())
            })
        };
        making.instrument(span)
    }))
    .await
}
