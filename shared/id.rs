//! Prefixed, time-sorted identifiers: `psn_` and 22 base62 characters that encode a UUIDv7.
//!
//! One type per kind, so that a run's id cannot be passed where a persona's is meant. Ids sort by
//! creation time because the base62 digits are in ASCII order and the width is fixed.

use std::{fmt, marker::PhantomData, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const WIDTH: usize = 22;

/// What an [`Id`] identifies; fixes its prefix.
pub trait Kind: 'static {
    /// The text before the 22 characters, underscore included.
    const PREFIX: &'static str;
}

/// An identifier of one kind.
pub struct Id<K>(Uuid, PhantomData<fn() -> K>);

/// The text is not an identifier of this kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an identifier of this kind")]
pub struct InvalidId;

impl<K: Kind> Id<K> {
    /// A new identifier, later in sort order than those made in earlier milliseconds.
    pub fn new() -> Self {
        Self(Uuid::now_v7(), PhantomData)
    }

    /// Whether `text` claims to be an identifier of this kind, well-formed or not.
    pub fn has_prefix(text: &str) -> bool {
        text.starts_with(K::PREFIX)
    }

    /// When it was made, in seconds since the epoch.
    pub fn epoch_seconds(&self) -> u64 {
        self.epoch_millis() / 1_000
    }

    /// The same in milliseconds.
    pub fn epoch_millis(&self) -> u64 {
        (self.as_u128() >> 80) as u64
    }

    /// The UUID inside; used to spread keys over shards.
    pub fn as_u128(&self) -> u128 {
        self.0.as_u128()
    }
}

impl<K: Kind> Default for Id<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Kind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(K::PREFIX)?;
        let mut digits = [b'0'; WIDTH];
        let mut rest = self.0.as_u128();
        for slot in digits.iter_mut().rev() {
            *slot = DIGITS[(rest % 62) as usize];
            rest /= 62;
        }
        f.write_str(std::str::from_utf8(&digits).unwrap_or_default())
    }
}

impl<K: Kind> FromStr for Id<K> {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let digits = text.strip_prefix(K::PREFIX).ok_or(InvalidId)?;
        if digits.len() != WIDTH {
            return Err(InvalidId);
        }
        let mut value: u128 = 0;
        for byte in digits.bytes() {
            let digit = DIGITS.binary_search(&byte).map_err(|_| InvalidId)?;
            value = value.checked_mul(62).and_then(|v| v.checked_add(digit as u128)).ok_or(InvalidId)?;
        }
        Ok(Self(Uuid::from_u128(value), PhantomData))
    }
}

impl<K: Kind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<K> Eq for Id<K> {}
impl<K> std::hash::Hash for Id<K> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}
impl<K: Kind> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
impl<'de, K: Kind> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

macro_rules! kinds {
    ($($kind:ident, $alias:ident, $prefix:literal, $doc:literal;)*) => {$(
        #[doc = concat!("Marker: ", $doc)]
        #[derive(Debug)]
        pub enum $kind {}
        impl Kind for $kind {
            const PREFIX: &'static str = $prefix;
        }
        #[doc = $doc]
        pub type $alias = Id<$kind>;
    )*};
}

kinds! {
    WorkspaceKind, WorkspaceId, "ws_", "A tenant.";
    KeyKind, KeyId, "key_", "An API key's public id.";
    PersonaKind, PersonaId, "psn_", "A persona.";
    RunKind, RunId, "run_", "A run.";
    RequestKind, RequestId, "req_", "One API request.";
    ConversationKind, ConversationId, "conv_", "A conversation.";
    MessageKind, MessageId, "msg_", "A message of a conversation.";
    WebhookKind, WebhookId, "whk_", "A webhook: an address that is told of events.";
    EventKind, EventId, "evt_", "An event that webhooks are told of.";
    DeliveryKind, DeliveryId, "dlv_", "The delivery of one event to one webhook.";
    ListingKind, ListingId, "lst_", "A public listing of the marketplace.";
    RevisionKind, RevisionId, "rev_", "One writing of a listing's snapshot or of its places on the shelves; never shown.";
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_sort_by_time() {
        let first = RunId::new();
        std::thread::sleep(std::time::Duration::from_millis(2));
        let second = RunId::new();
        assert!(first < second);
        assert!(first.to_string() < second.to_string());
    }

    #[test]
    fn an_id_knows_when_it_was_made() {
        use crate::clock::{Clock, SystemClock};
        let age = SystemClock.epoch_millis() / 1_000 - RunId::new().epoch_seconds() as i64;
        assert!((0..=1).contains(&age), "{age}");
    }

    proptest! {
        #[test]
        fn every_id_survives_a_round_trip(value: u128) {
            let id = PersonaId::from_str(&Id::<PersonaKind>(Uuid::from_u128(value), PhantomData).to_string());
            prop_assert_eq!(id.map(|id| id.as_u128()), Ok(value));
        }

        #[test]
        fn any_text_parses_or_is_refused(text in "(psn_)?[0-9A-Za-z_]{0,30}") {
            if let Ok(id) = PersonaId::from_str(&text) {
                prop_assert_eq!(id.to_string(), text);
            }
        }
    }
}
