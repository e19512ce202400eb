//! What owners do: make, change and test webhooks, rotate their secrets, send an event again.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::{
    Delivery, Event, EventType, WEBHOOKS_MOST, Webhook,
    address::{Loopback, checked},
    secret::secret,
    work::nudge,
};
use crate::{
    app::App,
    error::{Code, Error, Result},
    id::{DeliveryId, WebhookId},
    tenant::Tenant,
};

/// Body of `POST /v1/webhooks`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewWebhook {
    /// Where events are sent.
    pub url: String,
    /// What it is told of.
    pub events: Vec<EventType>,
    /// What its owner says of it.
    #[serde(default)]
    pub description: Option<String>,
}

/// Body of `PATCH /v1/webhooks/{webhook}`; what is absent stays.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Change {
    /// Another address.
    pub url: Option<String>,
    /// Other events.
    pub events: Option<Vec<EventType>>,
    /// Another description; null for none.
    #[serde(deserialize_with = "present")]
    pub description: Option<Described>,
    /// Whether anything is sent.
    pub enabled: Option<bool>,
}

/// What a change makes of a description.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Described {
    /// This.
    As(String),
    /// None.
    NotAtAll,
}

/// `null` is a value here, unlike nothing.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Described>, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    Ok(Some(text.map_or(Described::NotAtAll, Described::As)))
}

impl Described {
    fn text(&self) -> Option<&str> {
        if let Self::As(text) = self { Some(text) } else { None }
    }
}

impl Change {
    /// Whether what was known of the address is of no more use.
    pub(crate) fn begins_anew(&self, webhook: &Webhook) -> bool {
        let moved = self.url.as_ref().is_some_and(|url| *url != webhook.url);
        moved || (self.enabled == Some(true) && !webhook.enabled)
    }

    fn changes(&self, webhook: &Webhook) -> bool {
        self.url.as_ref().is_some_and(|url| *url != webhook.url)
            || self.events.as_ref().is_some_and(|events| *events != webhook.events)
            || self
                .description
                .as_ref()
                .is_some_and(|described| described.text() != webhook.description.as_deref())
            || self.enabled.is_some_and(|enabled| enabled != webhook.enabled)
    }
}

/// Makes a webhook. Its secret is returned here and never again.
pub async fn create(app: &App, tenant: &Tenant, body: NewWebhook) -> Result<(Webhook, String)> {
    check(&body.url)?;
    let at = app.clock().timestamp();
    let webhook = Webhook::new(body.url, body.events, body.description, at);
    let shown = secret(app.webhooks_key().await?, tenant, &webhook, webhook.secret)?;
    if !app.store().await.create_webhook(tenant, &webhook).await? {
        return Err(Error::new(
            Code::RequestInvalid,
            format!(
                "The workspace has {WEBHOOKS_MOST} webhooks, which is as many as it may have. Delete one first."
            ),
        ));
    }
    Ok((webhook, shown))
}

fn check(url: &str) -> Result<()> {
    let refused = |why: super::address::Forbidden| Error::invalid("url", why.to_string());
    checked(url, Loopback::from_environment()).map(|_| ()).map_err(refused)
}

/// Changes a webhook as it was read; `None` where it has been changed or deleted since.
pub async fn change(app: &App, tenant: &Tenant, read: Webhook, change: &Change) -> Result<Option<Webhook>> {
    if let Some(url) = &change.url {
        check(url)?;
    }
    if !change.changes(&read) {
        return Ok(Some(read));
    }
    app.store().await.change_webhook(tenant, &read, change, app.clock()).await
}

/// Gives a webhook another secret, returned here and never again. The one before signs too for so long.
pub async fn rotate_secret(
    app: &App,
    tenant: &Tenant,
    id: WebhookId,
    grace: Duration,
) -> Result<Option<(Webhook, String)>> {
    let until = app.clock().epoch_millis() + grace.as_millis() as i64;
    let rotated = app.store().await.rotate_webhook_secret(tenant, id, until, app.clock()).await?;
    let Some(webhook) = rotated else { return Ok(None) };
    let shown = secret(app.webhooks_key().await?, tenant, &webhook, webhook.secret)?;
    Ok(Some((webhook, shown)))
}

/// Sends a sample of the first kind of event that the webhook is told of.
pub async fn test(app: &App, tenant: &Tenant, webhook: &Webhook) -> Result<Delivery> {
    enabled(webhook)?;
    let kind = webhook.events.first().copied().ok_or_else(|| Error::internal("a webhook without events"))?;
    let event = Event::sample(kind, app.clock());
    send(app, tenant, Delivery::new(webhook.id, event.id, kind, event.body(tenant), &event.created_at)).await
}

/// Delivers an event once more, in a delivery of its own; `None` where there is no such delivery.
pub async fn redeliver(
    app: &App,
    tenant: &Tenant,
    webhook: &Webhook,
    id: DeliveryId,
) -> Result<Option<Delivery>> {
    let Some(before) = app.store().await.delivery(tenant, webhook.id, id).await? else { return Ok(None) };
    enabled(webhook)?;
    let (at, event) = (app.clock().timestamp(), before.event_id);
    send(app, tenant, Delivery::new(webhook.id, event, before.event_type, before.body, &at)).await.map(Some)
}

fn enabled(webhook: &Webhook) -> Result<()> {
    if webhook.enabled {
        return Ok(());
    }
    Err(Error::new(
        Code::RequestInvalid,
        format!(
            "The webhook {} is disabled, so nothing is sent to it. Enable it with PATCH {{\"enabled\":true}} first.",
            webhook.id
        ),
    ))
}

async fn send(app: &App, tenant: &Tenant, delivery: Delivery) -> Result<Delivery> {
    app.store().await.create_delivery(tenant, &delivery).await?;
    nudge(app, tenant, std::slice::from_ref(&delivery)).await;
    Ok(delivery)
}
