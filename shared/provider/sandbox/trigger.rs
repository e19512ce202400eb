//! The triggers of test mode: a marker in the intent asks for a failure, as `docs/sandbox.md` lists.

use std::{fmt, str::FromStr};

/// A failure that a caller can ask for with `[[trigger:…]]` anywhere in an intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// `intent_parse` finds the intent harmful: 403.
    ModerationBlock,
    /// Each call but `intent_parse` is quoted at $0.40: 402 under a budget below the run's need.
    BudgetExceeded,
    /// Every call but `intent_parse` fails as if the vendor were down: 503.
    ProviderUnavailable,
    /// The history contradicts the fixed age and stays so through repair: 422.
    SchemaViolation,
    /// Each call takes [`super::SLOW_CALL`], so that a run outlasts the default wait: 202.
    Slow,
    /// The first answer of each draft is no JSON; the repair try is right.
    InvalidJson,
    /// The first call of each step is refused with 429; the retry passes.
    Throttled,
}

/// The text names no trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a trigger of the sandbox")]
pub struct UnknownTrigger;

impl Trigger {
    /// Every trigger.
    pub const ALL: [Self; 7] = [
        Self::ModerationBlock,
        Self::BudgetExceeded,
        Self::ProviderUnavailable,
        Self::SchemaViolation,
        Self::Slow,
        Self::InvalidJson,
        Self::Throttled,
    ];

    /// The name inside the marker.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ModerationBlock => "moderation_block",
            Self::BudgetExceeded => "budget_exceeded",
            Self::ProviderUnavailable => "provider_unavailable",
            Self::SchemaViolation => "schema_violation",
            Self::Slow => "slow",
            Self::InvalidJson => "invalid_json",
            Self::Throttled => "throttled",
        }
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Trigger {
    type Err = UnknownTrigger;

    fn from_str(text: &str) -> Result<Self, UnknownTrigger> {
        Self::ALL.into_iter().find(|t| t.as_str() == text).ok_or(UnknownTrigger)
    }
}

const OPEN: &str = "[[trigger:";
const CLOSE: &str = "]]";

/// The first known trigger of an intent. Markers with unknown names are plain text.
pub fn trigger(intent: &str) -> Option<Trigger> {
    markers(intent).find_map(|(_, name, _)| name.parse().ok())
}

/// The intent without the markers of known triggers: what the persona is written from.
pub(super) fn without_triggers(intent: &str) -> String {
    let mut text = String::with_capacity(intent.len());
    let mut from = 0;
    for (start, name, end) in markers(intent) {
        if name.parse::<Trigger>().is_ok() {
            text.push_str(&intent[from..start]);
            from = end;
        }
    }
    text.push_str(&intent[from..]);
    text.trim().to_owned()
}

/// (start, name, end) of each marker, in order.
fn markers(intent: &str) -> impl Iterator<Item = (usize, &str, usize)> {
    intent.match_indices(OPEN).filter_map(|(start, _)| {
        let name_at = start + OPEN.len();
        let length = intent[name_at..].find(CLOSE)?;
        Some((start, &intent[name_at..name_at + length], name_at + length + CLOSE.len()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trigger_is_found_anywhere_in_the_intent() {
        assert_eq!(trigger("A chef [[trigger:slow]] from Rome"), Some(Trigger::Slow));
        assert_eq!(trigger("[[trigger:nonsense]] [[trigger:throttled]]"), Some(Trigger::Throttled));
        assert_eq!(trigger("a [[trigger:slow"), None);
        assert_eq!(trigger("trigger:slow"), None);
    }

    #[test]
    fn the_persona_is_written_from_the_intent_without_its_markers() {
        assert_eq!(without_triggers("[[trigger:slow]] A chef"), "A chef");
        assert_eq!(without_triggers("A [[trigger:x]] chef"), "A [[trigger:x]] chef");
        assert_eq!(without_triggers("[[trigger:[[trigger:slow]]"), "[[trigger:");
    }
}
