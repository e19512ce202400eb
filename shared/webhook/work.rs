//! From an event to its deliveries, and from a delivery to its end. Every message here is a hint: it may come twice,
//! late, or not at all, for what is not finished lies in the table, and [`sweep`] finds it there. It finds, too, what no
//! call causes, and tells of it: see `warnings`.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};

use super::{
    Attempt, Delivery, DeliveryStatus, DisabledReason, Event, Webhook,
    courier::{PATIENCE, Parcel, Reception},
    delivery::{pause_after, pause_for_a_slot},
    secret::{secret, signature},
    warnings,
};
use crate::{
    app::App,
    error::{Error, Result},
    id::{DeliveryId, WebhookId},
    queue::{DeliveryMessage, EventMessage, Message as _},
    store::webhooks::{DUE_SHARDS, DeliveryClaim, Due, Next, Settled, on_its_way},
    tenant::Tenant,
};

/// Who answers within this is prompt, and may have any number of attempts at once.
const PROMPT: Duration = Duration::from_secs(2);
/// A worker that holds a delivery, or a slot, for longer than this has died.
const LEASE: Duration = PATIENCE.saturating_add(Duration::from_secs(5));
/// How long a sweep goes on, at most: the next one comes after a minute.
const SWEEP: Duration = Duration::from_secs(30);
/// Items that a sweep marks at once.
const AT_ONCE: usize = 16;

// ── events ──

/// Tells the workers of events that are written. Where that fails, the sweep will.
pub async fn announce(app: &App, tenant: &Tenant, events: &[Event]) {
    if events.is_empty() {
        return;
    }
    let messages: Vec<_> = events.iter().map(|event| EventMessage::new(tenant, event.id)).collect();
    if let Err(error) = app.queue().await.send(&messages).await {
        tracing::warn!(error.code = %error.code, error.source = error.source_chain(), "an event is announced late");
    }
}

/// Keeps an event that no transaction makes true, and tells the workers.
pub async fn tell(app: &App, tenant: &Tenant, event: Event) -> Result<()> {
    app.store().await.create_event(tenant, &event).await?;
    announce(app, tenant, std::slice::from_ref(&event)).await;
    Ok(())
}

/// Makes a delivery for each webhook that wants the event. An error means: deliver the message again.
pub async fn fan_out(app: &App, message: &EventMessage) -> Result<()> {
    let (store, tenant) = (app.store().await, message.tenant());
    let (event, webhooks) =
        tokio::try_join!(store.event(&tenant, message.event), store.all_webhooks(&tenant))?;
    let Some(event) = event else {
        tracing::warn!("a message names no event that exists");
        return Ok(());
    };
    if event.fanned_out {
        return Ok(());
    }
    let (at, now) = (app.clock().timestamp(), app.clock().epoch_millis());
    let delivery = |webhook: &Webhook| {
        let new = Delivery::new(webhook.id, message.event, event.event_type, event.body.clone(), &at);
        // What would only be put off need not be received first.
        let pause = webhook.is_full(now).then(|| pause_for_a_slot(0, webhook.prompt == Some(false)));
        match pause {
            Some(pause) => new.put_off(now, pause),
            None => new,
        }
    };
    let deliveries: Vec<Delivery> =
        webhooks.iter().filter(|webhook| webhook.wants(event.event_type)).map(delivery).collect();
    if store.fan_out(&tenant, message.event, &deliveries).await? {
        nudge(app, &tenant, &deliveries).await;
        tracing::info!(
            target: crate::METRICS,
            {
                event.wait_ms = since(app, message.event.epoch_millis()),
                event.deliveries = deliveries.len() as u64,
            },
            "an event fanned out"
        );
    }
    Ok(())
}

/// Tells the workers of deliveries that are written. Where that fails, the sweep will.
pub(super) async fn nudge(app: &App, tenant: &Tenant, deliveries: &[Delivery]) {
    let now = app.clock().epoch_millis();
    let message = |each: &Delivery| {
        let pause = u64::try_from(each.next_attempt_millis - now).unwrap_or_default();
        (DeliveryMessage::new(tenant, each.webhook_id, each.id), Duration::from_millis(pause))
    };
    let messages: Vec<_> = deliveries.iter().map(message).collect();
    if let Err(error) = app.queue().await.send_each(&messages).await {
        tracing::warn!(error.code = %error.code, error.source = error.source_chain(), "a delivery is sent late");
    }
}

fn since(app: &App, epoch_millis: u64) -> u64 {
    u64::try_from(app.clock().epoch_millis()).unwrap_or_default().saturating_sub(epoch_millis)
}

// ── deliveries ──

/// Tries a delivery once, and says when it is to be tried again. An error means: deliver the message again.
pub async fn deliver(app: &App, message: &DeliveryMessage) -> Result<()> {
    let (store, tenant) = (app.store().await, message.tenant());
    let (id, of) = (message.delivery, message.webhook);
    let Some(webhook) = store.webhook(&tenant, of).await?.filter(|webhook| webhook.enabled) else {
        return store.end_delivery(&tenant, of, id, DeliveryStatus::Cancelled, app.clock()).await;
    };
    let (now, until) = lease_of(app);
    let slot = if webhook.prompt == Some(true) {
        None
    } else {
        match store.take_slot(&tenant, &webhook, now, until).await? {
            Some(slot) => Some(slot),
            None => return put_off(app, &tenant, &webhook, id).await,
        }
    };
    let carrying = Carrying { app, tenant, webhook: &webhook, slot };
    match store.claim_delivery(&tenant, of, id, now, until).await? {
        DeliveryClaim::Won(delivery) => carrying.carry(&delivery).await,
        DeliveryClaim::NotNow => carrying.settle(Settled::default()).await,
        DeliveryClaim::Unknown => {
            tracing::warn!("a message names no delivery that exists");
            carrying.settle(Settled::default()).await
        }
    }
}

/// From now until a worker would be dead.
fn lease_of(app: &App) -> (i64, i64) {
    let now = app.clock().epoch_millis();
    (now, now + LEASE.as_millis() as i64)
}

/// An address that may hang has few attempts at once, so that it holds up nobody but itself: the others wait.
async fn put_off(app: &App, tenant: &Tenant, webhook: &Webhook, id: DeliveryId) -> Result<()> {
    let store = app.store().await;
    let Some(delivery) = store.delivery(tenant, webhook.id, id).await? else { return Ok(()) };
    let pause = pause_for_a_slot(delivery.waits, webhook.prompt == Some(false));
    let now = app.clock().epoch_millis();
    if store.put_off(tenant, webhook.id, id, now, now + pause.as_millis() as i64).await? {
        tracing::debug!("a delivery waits for a slot");
        send_later(app, tenant, webhook.id, id, pause).await;
    }
    Ok(())
}

async fn send_later(app: &App, tenant: &Tenant, webhook: WebhookId, id: DeliveryId, pause: Duration) {
    let message = DeliveryMessage::new(tenant, webhook, id);
    if let Err(error) = app.queue().await.send_later(&[message], pause).await {
        tracing::warn!(error.code = %error.code, error.source = error.source_chain(), "a delivery is sent late");
    }
}

/// A delivery on its way.
struct Carrying<'a> {
    app: &'a App,
    tenant: Tenant,
    webhook: &'a Webhook,
    slot: Option<usize>,
}

impl Carrying<'_> {
    async fn carry(&self, delivery: &Delivery) -> Result<()> {
        let begun_at = self.app.clock().timestamp();
        let waited = (delivery.attempt == 1).then(|| since(self.app, delivery.id.epoch_millis()));
        let reception = self.send(delivery).await?;
        let attempt = Attempt {
            number: delivery.attempt,
            attempted_at: begun_at,
            status: reception.status,
            latency_ms: reception.took.as_millis() as u64,
            response: reception.response.clone(),
            error: reception.error.clone(),
        };
        tracing::info!(
            target: crate::METRICS,
            {
                event_id = %delivery.event_id,
                delivery.attempt = attempt.number,
                delivery.http_status = attempt.status,
                delivery.latency_ms = attempt.latency_ms,
                delivery.wait_ms = waited,
                delivery.errors = u64::from(!attempt.succeeded()),
            },
            "an attempt ended"
        );
        self.follow_up(delivery, &attempt, &reception).await
    }

    /// The attempt itself. An address that lets us wait is known as slow while it still does, so that no more workers
    /// wait with us.
    async fn send(&self, delivery: &Delivery) -> Result<Reception> {
        let parcel = self.parcel(delivery).await?;
        let courier = self.app.courier().await?;
        let mut carrying = std::pin::pin!(courier.carry(parcel));
        if let Ok(reception) = tokio::time::timeout(PROMPT, &mut carrying).await {
            return Ok(reception);
        }
        if self.webhook.prompt == Some(true) {
            self.settle(Settled { prompt: Some(false), ..Settled::default() }).await?;
        }
        Ok(carrying.await)
    }

    async fn parcel(&self, delivery: &Delivery) -> Result<Parcel<'_>> {
        let now = self.app.clock().epoch_millis();
        let key = self.app.webhooks_key().await?;
        let numbers = self.webhook.signing_secrets(now).into_iter();
        let secrets: Vec<String> =
            numbers.map(|number| secret(key, &self.tenant, self.webhook, number)).collect::<Result<_>>()?;
        let kind = serde_json::to_value(delivery.event_type).map_err(Error::internal)?;
        Ok(Parcel {
            url: &self.webhook.url,
            headers: [
                ("persona-signature", signature(&secrets, now / 1_000, &delivery.body)?),
                ("persona-event-id", delivery.event_id.to_string()),
                ("persona-event-type", kind.as_str().unwrap_or_default().to_owned()),
                ("persona-delivery-attempt", delivery.attempt.to_string()),
            ],
            body: delivery.body.clone(),
        })
    }

    async fn follow_up(&self, delivery: &Delivery, attempt: &Attempt, reception: &Reception) -> Result<()> {
        let (store, clock) = (self.app.store().await, self.app.clock());
        let now = clock.epoch_millis();
        let pause = if attempt.succeeded() || attempt.is_gone() {
            None
        } else {
            pause_after(attempt.number, reception.retry_after)
        };
        let next = match pause {
            Some(pause) => Next::Again(now + pause.as_millis() as i64),
            None if attempt.succeeded() => Next::End(DeliveryStatus::Delivered),
            None => Next::End(DeliveryStatus::Failed),
        };
        let is_ours = store.record_attempt(&self.tenant, delivery, attempt, next, clock).await?;
        let prompt = reception.took <= PROMPT;
        self.settle(Settled {
            slot: None,
            prompt: (self.webhook.prompt != Some(prompt)).then_some(prompt),
            succeeded: attempt.succeeded() && self.webhook.failing_since.is_some(),
            failed_at: (!attempt.succeeded() && self.webhook.failing_since.is_none()).then_some(now),
        })
        .await?;
        self.judge(attempt, now).await?;
        if let (true, Next::Again(at), Some(pause)) = (is_ours, next, pause)
            && on_its_way(at, clock)
        {
            send_later(self.app, &self.tenant, self.webhook.id, delivery.id, pause).await;
        }
        Ok(())
    }

    /// Whether this was the last that the address hears.
    async fn judge(&self, attempt: &Attempt, now: i64) -> Result<()> {
        let (reason, since) = if attempt.is_gone() {
            (DisabledReason::Gone, None)
        } else if !attempt.succeeded() && self.webhook.has_failed_for_good(now) {
            (DisabledReason::Failures, self.webhook.failing_since)
        } else {
            return Ok(());
        };
        let (store, clock) = (self.app.store().await, self.app.clock());
        if store.disable_webhook(&self.tenant, self.webhook.id, reason, since, clock).await? {
            tracing::warn!(webhook.disabled = ?reason, "a webhook was disabled");
        }
        Ok(())
    }

    /// Writes what is known of the address now, and gives the slot back.
    async fn settle(&self, settled: Settled) -> Result<()> {
        // While a slot is held its end settles it, so that the address is written to once.
        let store = self.app.store().await;
        store.settle_webhook(&self.tenant, self.webhook.id, Settled { slot: self.slot, ..settled }).await
    }
}

// ── what was lost ──

/// Sends what is not finished and should be: events and deliveries whose message was lost, whose worker died, or whose
/// next attempt is further away than the queue holds messages back; and looks at what the workspace may have to be warned
/// of. Returns how many were due.
pub async fn sweep(app: &App) -> Result<usize> {
    let (store, begun) = (app.store().await, Instant::now());
    let mut sent = 0;
    for shard in 0..DUE_SHARDS {
        let (now, mut start) = (app.clock().epoch_millis(), None);
        while begun.elapsed() < SWEEP {
            let (due, next) = store.due(shard, now, start).await?;
            sent += due.len();
            send_due(app, &due).await?;
            let mut marking = stream::iter(&due).map(|each| follow(app, each, now)).buffer_unordered(AT_ONCE);
            while let Some(marked) = marking.next().await {
                marked?;
            }
            start = next;
            if start.is_none() {
                break;
            }
        }
    }
    if sent > 0 {
        tracing::info!(due = sent as u64, "events and deliveries are sent again, warnings given");
    }
    Ok(sent)
}

/// Looks at what there is to be told of; at what was sent, somebody looks again later.
async fn follow(app: &App, due: &Due, now: i64) -> Result<()> {
    let told = match due {
        Due::Event(..) | Due::Delivery(..) => return app.store().await.look_later(due, now).await,
        Due::Key(tenant, key) => warnings::of_key(app, tenant, *key).await,
        Due::Month(tenant, spending) => warnings::of_month(app, tenant, spending).await,
    };
    if let Err(error) = told {
        // It stays due; it must not keep the sweep from what is behind it.
        tracing::error!(error.code = %error.code, error.source = error.source_chain(), "a warning was not given");
    }
    Ok(())
}

async fn send_due(app: &App, due: &[Due]) -> Result<()> {
    let (mut events, mut deliveries) = (Vec::new(), Vec::new());
    for each in due {
        match each {
            Due::Event(tenant, event) => events.push(EventMessage::new(tenant, *event)),
            Due::Delivery(tenant, webhook, delivery) => {
                deliveries.push(DeliveryMessage::new(tenant, *webhook, *delivery));
            }
            Due::Key(..) | Due::Month(..) => {}
        }
    }
    let queue = app.queue().await;
    queue.send(&events).await?;
    queue.send(&deliveries).await
}
