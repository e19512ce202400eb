//! Finding a webhook, and what is answered of one.

use persona::{
    Error, Result,
    app::App,
    clock::{Clock, SystemClock},
    id::WebhookId,
    webhook::Webhook,
};

use crate::serve::{Call, Reply};

/// The webhook that the path names; 404 when it is unknown or deleted.
pub(super) async fn find<B>(app: &App, call: &Call<B>) -> Result<Webhook> {
    let id: WebhookId = call.id("webhook", "webhook")?;
    app.store().await.webhook(call.caller.tenant(), id).await?.ok_or_else(|| unknown(id))
}

pub(super) fn unknown(id: WebhookId) -> Error {
    Error::not_found("webhook", &id.to_string())
}

/// A webhook with its tag; with its secret where that has just been made.
pub(super) fn reply(status: u16, webhook: &Webhook, secret: Option<&str>) -> Reply {
    let object = webhook.to_object(secret, SystemClock.epoch_millis());
    Reply::json(status, object).with_header("etag", etag(webhook))
}

pub(super) fn etag(webhook: &Webhook) -> String {
    format!("\"v{}\"", webhook.version)
}
