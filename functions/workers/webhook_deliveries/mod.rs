//! The worker of deliveries: tries each of its messages once.

use futures_util::{FutureExt, future::BoxFuture};
use persona::{
    Result,
    app::App,
    config::Setting,
    queue::{DeliveryMessage, Message},
    webhook,
};
use tracing::Instrument;

use super::records::{self, Record};
use crate::Worker;

/// The worker.
pub const WORKER: Worker = Worker {
    bin: "worker-webhook-deliveries",
    summary: "Delivers events to webhooks.",
    settings: &[Setting::WebhooksTable, Setting::DeliveriesQueueUrl, Setting::WebhooksSecret],
};

/// Serves until the process ends.
pub async fn run() -> Result<(), lambda_runtime::Error> {
    records::serve(&WORKER, work).await
}

fn work<'a>(app: &'a App, _record: &'a Record, message: DeliveryMessage) -> BoxFuture<'a, Result<()>> {
    // At the level of errors, so that no filter takes the ids from a line.
    let span = tracing::error_span!(
        "message",
        workspace_id = %message.tenant().workspace(),
        webhook_id = %message.webhook,
        delivery_id = %message.delivery,
    );
    async move { webhook::deliver(app, &message).await }.instrument(span).boxed()
}
