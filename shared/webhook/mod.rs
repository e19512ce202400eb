//! Webhooks: addresses that are told of events. Types and rules; `store::webhooks` keeps them, `webhook::work` moves
//! them: an event fans out into a delivery for each webhook that wants it, and a delivery is tried until it succeeds.

pub mod address;
mod courier;
mod delivery;
mod event;
mod manage;
mod secret;
mod warnings;
mod work;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use courier::Courier;
pub use delivery::{Attempt, Delivery, DeliveryStatus};
pub use event::{Event, EventType};
pub use manage::{Change, Described, NewWebhook, change, create, redeliver, rotate_secret, test};
pub use work::{announce, deliver, fan_out, sweep, tell};

use crate::{
    clock::{days, timestamp_of},
    id::WebhookId,
};

/// Webhooks of a workspace, at most.
pub const WEBHOOKS_MOST: u32 = 10;
/// Events and deliveries are kept this long.
pub const RETENTION_DAYS: u64 = 30;
/// An address that has failed for so long, and nothing else, is not called any more.
const FAILING_MOST_DAYS: u64 = 5;
/// Attempts at once at an address that has not shown that it answers promptly.
pub(crate) const SLOTS: usize = 2;

/// Why nothing is sent to a webhook any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisabledReason {
    /// Its owner wanted it.
    Requested,
    /// It answered 410.
    Gone,
    /// It has failed for five days, and never succeeded in between.
    Failures,
}

/// An address that is told of events.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Webhook {
    /// Identifier.
    pub id: WebhookId,
    /// Where events are sent.
    pub url: String,
    /// What it is told of.
    pub events: Vec<EventType>,
    /// What its owner says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether anything is sent.
    pub enabled: bool,
    /// Why not, if not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled_reason: Option<DisabledReason>,
    /// Since when not, if not. RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled_at: Option<String>,
    /// The number of its secret, from 1.
    pub secret: u32,
    /// Until when the secret before that signs too; milliseconds since the epoch.
    #[serde(default)]
    pub previous_secret_until: i64,
    /// How often its owner has changed it, from 1: for `If-Match`.
    pub version: u64,
    /// Whether the last attempt was answered promptly, well or not; unknown before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<bool>,
    /// Until when attempts hold its two slots, milliseconds since the epoch; of no meaning while it is prompt.
    #[serde(default)]
    pub slot_0: i64,
    /// The other one.
    #[serde(default)]
    pub slot_1: i64,
    /// When it failed for the first time since it last succeeded, milliseconds since the epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<i64>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub updated_at: String,
}

impl Webhook {
    /// The object of section 11 of the contract; with the secret where it has just been made.
    pub fn to_object(&self, secret: Option<&str>, now_millis: i64) -> Value {
        let grace = Some(self.previous_secret_until).filter(|until| *until > now_millis);
        let mut object = json!({
            "id": self.id, "object": "webhook", "url": self.url, "events": self.events,
            "description": self.description, "enabled": self.enabled, "disabled_reason": self.disabled_reason,
            "disabled_at": self.disabled_at, "failing_since": self.failing_since.map(timestamp_of),
            "previous_secret_expires_at": grace.map(timestamp_of), "created_at": self.created_at,
            "updated_at": self.updated_at,
        });
        if let Some(secret) = secret {
            object["secret"] = secret.into();
        }
        object
    }

    /// Whether it is told of events of this kind.
    pub fn wants(&self, kind: EventType) -> bool {
        self.enabled && self.events.contains(&kind)
    }

    /// Whether as many attempts are under way as an address may have that does not answer promptly.
    fn is_full(&self, now_millis: i64) -> bool {
        self.prompt != Some(true) && self.slot_0 >= now_millis && self.slot_1 >= now_millis
    }

    /// The numbers of the secrets that sign now, the newest first.
    fn signing_secrets(&self, now_millis: i64) -> Vec<u32> {
        let previous = (self.previous_secret_until > now_millis).then(|| self.secret.saturating_sub(1));
        std::iter::once(self.secret).chain(previous.filter(|number| *number > 0)).collect()
    }

    /// Whether it has failed for too long, now that it has failed again.
    fn has_failed_for_good(&self, now_millis: i64) -> bool {
        let most = days(FAILING_MOST_DAYS).as_millis() as i64;
        self.failing_since.is_some_and(|since| now_millis - since >= most)
    }

    /// A new one, which nothing is known of yet.
    fn new(url: String, events: Vec<EventType>, description: Option<String>, at: String) -> Self {
        Self {
            id: WebhookId::new(),
            url,
            events,
            description,
            enabled: true,
            disabled_reason: None,
            disabled_at: None,
            secret: 1,
            previous_secret_until: 0,
            version: 1,
            prompt: None,
            slot_0: 0,
            slot_1: 0,
            failing_since: None,
            created_at: at.clone(),
            updated_at: at,
        }
    }

    #[cfg(test)]
    pub(crate) fn example() -> Self {
        let events = vec![EventType::RunCompleted];
        Self::new("https://example.com/hook".into(), events, None, String::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_previous_secret_signs_until_its_grace_is_over() {
        let rotated = Webhook { secret: 3, previous_secret_until: 1_000, ..Webhook::example() };
        assert_eq!(rotated.signing_secrets(999), [3, 2]);
        assert_eq!(rotated.signing_secrets(1_000), [3]);
        assert_eq!(Webhook::example().signing_secrets(0), [1]);
    }

    #[test]
    fn five_days_of_failures_are_too_many_and_fewer_are_not() {
        let day = days(1).as_millis() as i64;
        let failing = Webhook { failing_since: Some(0), ..Webhook::example() };
        assert!(!failing.has_failed_for_good(5 * day - 1));
        assert!(failing.has_failed_for_good(5 * day));
        assert!(!Webhook::example().has_failed_for_good(5 * day));
    }

    #[test]
    fn an_address_is_full_when_both_slots_are_held_and_never_while_it_is_prompt() {
        let held = Webhook { slot_0: 10, slot_1: 20, ..Webhook::example() };
        assert!(held.is_full(10) && !held.is_full(11));
        assert!(!Webhook { prompt: Some(true), ..held }.is_full(0));
    }

    #[test]
    fn what_is_disabled_wants_nothing() {
        let webhook = Webhook::example();
        assert!(webhook.wants(EventType::RunCompleted) && !webhook.wants(EventType::RunFailed));
        assert!(!Webhook { enabled: false, ..webhook }.wants(EventType::RunCompleted));
    }
}
