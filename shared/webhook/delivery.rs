//! One event on its way to one address: its attempts, and when the next one is due.

use std::time::Duration;

use rand::RngExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::EventType;
use crate::{
    clock::timestamp_of,
    id::{DeliveryId, EventId, WebhookId},
};

/// Pauses after each attempt that failed, in seconds.
const PAUSES: [u64; 10] = [5, 30, 120, 600, 1_800, 3_600, 10_800, 21_600, 43_200, 43_200];
/// A pause is longer than it says by up to this share: what failed together does not come again together.
const JITTER: f64 = 0.2;
/// `Retry-After` is heard up to here, which is the longest pause of our own.
const RETRY_AFTER_MOST: Duration = Duration::from_hours(12);
/// How much of an answer is kept, in bytes.
pub(super) const KEPT: usize = 1_024;

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// It is tried, or will be.
    Pending,
    /// The address has taken it: a status of 2xx.
    Delivered,
    /// It was tried as often as it is.
    Failed,
    /// The webhook was disabled or deleted in the meantime.
    Cancelled,
}

/// One try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// From 1.
    pub number: u32,
    /// When it began, RFC 3339.
    pub attempted_at: String,
    /// What the address answered; none where it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// To the end of the answer, or of our patience.
    pub latency_ms: u64,
    /// The first 1,024 bytes of the answer, as text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<String>,
    /// Why there is no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Attempt {
    /// Whether the address has taken the event.
    pub fn succeeded(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }

    /// Whether the address wants nothing any more.
    pub fn is_gone(&self) -> bool {
        self.status == Some(410)
    }
}

/// A delivery.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Delivery {
    /// Identifier.
    pub id: DeliveryId,
    /// Where it goes.
    pub webhook_id: WebhookId,
    /// What is delivered.
    pub event_id: EventId,
    /// Its kind.
    pub event_type: EventType,
    /// What is sent, to the byte.
    pub body: String,
    /// Where it stands.
    pub status: DeliveryStatus,
    /// How many attempts have begun.
    pub attempt: u32,
    /// Those that have ended.
    pub attempts: Vec<Attempt>,
    /// How often it waited because too many others were under way to the same slow address.
    #[serde(default)]
    pub waits: u32,
    /// Not before this, milliseconds since the epoch; of no meaning once it has ended.
    pub next_attempt_millis: i64,
    /// Until when a worker holds it, milliseconds since the epoch.
    pub lease: i64,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub updated_at: String,
}

impl Delivery {
    /// A delivery to be tried at once.
    pub fn new(
        webhook_id: WebhookId,
        event_id: EventId,
        event_type: EventType,
        body: String,
        at: &str,
    ) -> Self {
        Self {
            id: DeliveryId::new(),
            webhook_id,
            event_id,
            event_type,
            body,
            status: DeliveryStatus::Pending,
            attempt: 0,
            attempts: Vec::new(),
            waits: 0,
            next_attempt_millis: 0,
            lease: 0,
            created_at: at.to_owned(),
            updated_at: at.to_owned(),
        }
    }

    /// The same, to be tried after a pause: as many others as may be are under way to the same address.
    #[must_use]
    pub(super) fn put_off(self, now_millis: i64, pause: Duration) -> Self {
        Self { next_attempt_millis: now_millis + pause.as_millis() as i64, waits: 1, ..self }
    }

    /// The object of a list of deliveries.
    pub fn to_object(&self) -> Value {
        let attempts = self.attempts.iter().map(|attempt| {
            json!({
                "number": attempt.number, "status": attempt.status, "latency_ms": attempt.latency_ms,
                "response": attempt.response, "error": attempt.error, "attempted_at": attempt.attempted_at,
            })
        });
        let next = (self.status == DeliveryStatus::Pending && self.next_attempt_millis > 0)
            .then(|| timestamp_of(self.next_attempt_millis));
        json!({
            "id": self.id, "object": "delivery", "webhook_id": self.webhook_id, "event_id": self.event_id,
            "event_type": self.event_type, "status": self.status, "attempts": attempts.collect::<Vec<_>>(),
            "next_attempt_at": next, "created_at": self.created_at, "updated_at": self.updated_at,
        })
    }
}

/// How long to wait after attempt `number` has failed; `None` when it was the last one. `asked` is what the address
/// wants by `Retry-After`: it makes a pause longer, never shorter.
pub(super) fn pause_after(number: u32, asked: Option<Duration>) -> Option<Duration> {
    let own = PAUSES.get(usize::try_from(number.checked_sub(1)?).ok()?)?;
    let asked = asked.map_or(Duration::ZERO, |asked| asked.min(RETRY_AFTER_MOST));
    Some(longer(Duration::from_secs(*own).max(asked)))
}

/// How long a delivery waits for a slot of an address that is slow, or not known yet; the pause grows each time.
pub(super) fn pause_for_a_slot(waits: u32, is_slow: bool) -> Duration {
    let first = if is_slow { 5 } else { 1 };
    longer(Duration::from_secs((3_u64.saturating_pow(waits).saturating_mul(first)).min(300)))
}

fn longer(pause: Duration) -> Duration {
    pause.mul_f64(1.0 + rand::rng().random_range(0.0..JITTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_follow_the_schedule_of_the_contract_and_end_with_it() {
        let wanted = [5, 30, 120, 600, 1_800, 3_600, 10_800, 21_600, 43_200, 43_200];
        for (number, seconds) in (1..).zip(wanted) {
            let pause = pause_after(number, None).map(|pause| pause.as_secs_f64()).unwrap_or_default();
            let least = f64::from(seconds);
            assert!((least..=least * 1.2).contains(&pause), "{number}: {pause}");
        }
        assert_eq!(pause_after(11, None), None);
        assert_eq!(pause_after(0, None), None);
    }

    #[test]
    fn retry_after_makes_a_pause_longer_never_shorter_and_not_without_end() {
        let seconds = |number, asked| {
            pause_after(number, Some(Duration::from_secs(asked))).map_or(0, |pause| pause.as_secs())
        };
        assert!((60..=72).contains(&seconds(1, 60)));
        assert!((30..=36).contains(&seconds(2, 1)));
        assert!((43_200..=51_840).contains(&seconds(1, u64::MAX / 4)));
    }

    #[test]
    fn a_slow_address_is_asked_ever_less_often() {
        let seconds = |waits| pause_for_a_slot(waits, true).as_secs();
        assert!(seconds(0) < seconds(1) && seconds(1) < seconds(2) && seconds(99) <= 360);
        assert!(pause_for_a_slot(0, false) < Duration::from_secs(2));
    }
}
