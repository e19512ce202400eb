//! The worker of events: makes a delivery for each webhook that wants the event.

use futures_util::{FutureExt, future::BoxFuture};
use persona::{
    Result,
    app::App,
    config::Setting,
    queue::{EventMessage, Message},
    webhook,
};
use tracing::Instrument;

use super::records::{self, Record};
use crate::Worker;

/// The worker.
pub const WORKER: Worker = Worker {
    bin: "worker-webhook-fanout",
    summary: "Makes deliveries of events.",
    settings: &[Setting::WebhooksTable, Setting::EventsQueueUrl, Setting::DeliveriesQueueUrl],
};

/// Serves until the process ends.
pub async fn run() -> Result<(), lambda_runtime::Error> {
    records::serve(&WORKER, work).await
}

fn work<'a>(app: &'a App, _record: &'a Record, message: EventMessage) -> BoxFuture<'a, Result<()>> {
    // At the level of errors, so that no filter takes the ids from a line.
    let span = tracing::error_span!(
        "message",
        workspace_id = %message.tenant().workspace(),
        event_id = %message.event,
    );
    async move { webhook::fan_out(app, &message).await }.instrument(span).boxed()
}
