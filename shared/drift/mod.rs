//! Drift: how far a reply is from its persona. Voice and values are told apart and never averaged (section 15 of the
//! contract): a reply can sound right and say what the persona would never say.

mod fitted;
mod grams;
mod judge;
mod language;
mod role;
mod style;
mod values;
mod vectors;
mod voice;
mod yardstick;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use judge::{Opinion, SCHEMA};
pub use values::Line;
pub use yardstick::{Heard, REVISION, Signals, Yardstick};

/// The commonest words of a language, folded; none of most languages.
pub(crate) fn common_words(code: &str) -> &'static [String] {
    language::common(code)
}

/// From here on a reply, or the moving average, is drifting.
pub const DRIFTING: f64 = 0.5;
/// From here on a reply is out of character.
pub const OUT_OF_CHARACTER: f64 = 0.75;
/// Once above [`DRIFTING`], the moving average counts as back below this: a threshold that is crossed to and fro says nothing.
pub const SETTLED: f64 = 0.35;
/// The newest turn's part of the moving average: four turns make nine tenths of it.
const NEWEST: f64 = 0.4;

/// What is to be made of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As the persona would.
    InCharacter,
    /// Not quite.
    Drifting,
    /// Somebody else.
    OutOfCharacter,
}

impl Verdict {
    /// The verdict on the larger of voice and values.
    pub fn of(worst: f64) -> Self {
        if worst >= OUT_OF_CHARACTER {
            Self::OutOfCharacter
        } else if worst >= DRIFTING {
            Self::Drifting
        } else {
            Self::InCharacter
        }
    }
}

/// Who measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Embeddings, stylometry and rules.
    Local,
    /// The same, and the judge model.
    Judge,
}

/// How far one reply is from its persona; both measures 0 (as its own samples) to 1 (as anyone).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// Distance of the voice.
    pub voice: f64,
    /// Contradiction of values, boundaries, facts, or of the role itself.
    pub values: f64,
    /// What is to be made of it.
    pub verdict: Verdict,
    /// Who measured.
    pub method: Method,
    /// What it rests on, surest first; distance of voice alone has no words to show.
    #[serde(default)]
    pub evidence: Vec<Evidence>,
}

impl Drift {
    /// The drift of these measures, each cut to 0 to 1 and rounded to hundredths.
    pub fn new(voice: f64, values: f64, method: Method) -> Self {
        let (voice, values) = (hundredths(voice), hundredths(values));
        Self { voice, values, verdict: Verdict::of(voice.max(values)), method, evidence: Vec::new() }
    }

    /// With what it rests on.
    #[must_use]
    pub fn because(mut self, mut evidence: Vec<Evidence>) -> Self {
        evidence.truncate(TOLD);
        self.evidence = evidence;
        self
    }

    /// The larger measure.
    pub fn worst(&self) -> f64 {
        self.voice.max(self.values)
    }
}

fn hundredths(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { (value.clamp(0.0, 1.0) * 100.0).round() / 100.0 }
}

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// The reply is in a language that is not the persona's.
    OtherLanguage,
    /// It says what the persona never says.
    NeverSaid,
    /// It calls itself a machine.
    Machine,
    /// It steps out of the role, as a judge found.
    RoleBroken,
    /// It declares the role over.
    RoleEnded,
    /// It speaks or refuses as assistants do.
    AssistantSpeech,
    /// It recites instructions.
    Instructions,
    /// It writes code.
    Code,
    /// It contradicts a line of the sheet.
    Contradiction,
}

/// What a score rests on: words of the reply and, where there is one, the line of the sheet that they go against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// What it is about.
    pub signal: Signal,
    /// Words of the reply.
    pub quote: String,
    /// JSON Pointer into the persona.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// The language that it is in, ISO-639-1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
}

/// The longest quote, in characters.
const QUOTE: usize = 160;
/// The most findings that are told.
const TOLD: usize = 6;

impl Evidence {
    fn quoted(signal: Signal, quote: &str) -> Self {
        let mut short: String = quote.chars().take(QUOTE).collect();
        if short.len() < quote.len() {
            short.push('…');
        }
        Self { signal, quote: short, pointer: None, language: None }
    }

    fn against(self, pointer: String) -> Self {
        Self { pointer: Some(pointer), ..self }
    }

    fn named(self, language: &str) -> Self {
        Self { language: Some(language.to_owned()), ..self }
    }
}

/// A reply's drift, and how well it fits the conversation.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// How far it is from its persona.
    pub drift: Drift,
    /// Relevance and agreement with earlier turns, 1 to 5.
    pub coherence: f64,
}

/// The moving average over a conversation, with its memory of having crossed the threshold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Smoothed {
    /// Exponential, over the larger measure of each turn.
    pub average: f64,
    /// Turns that it is made of.
    pub turns: u64,
    /// Whether it is above the threshold.
    pub above: bool,
}

impl Smoothed {
    /// The average after one more turn.
    #[must_use]
    pub fn after(self, drift: &Drift) -> Self {
        let worst = drift.worst();
        let average = if self.turns == 0 { worst } else { NEWEST * worst + (1.0 - NEWEST) * self.average };
        let average = (average * 10_000.0).round() / 10_000.0;
        let threshold = if self.above { SETTLED } else { DRIFTING };
        Self { average, turns: self.turns + 1, above: average >= threshold }
    }

    /// As conversations show it.
    pub fn to_object(self) -> Value {
        let average = (self.turns > 0).then_some(self.average);
        json!({"average": average, "above_threshold": self.above, "threshold": DRIFTING})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drift(worst: f64) -> Drift {
        Drift::new(0.1, worst, Method::Local)
    }

    #[test]
    fn the_verdict_follows_the_larger_measure() {
        let verdicts = [0.0, 0.49, 0.5, 0.74, 0.75, 1.0].map(|worst| drift(worst).verdict);
        use Verdict::{Drifting, InCharacter, OutOfCharacter};
        assert_eq!(verdicts, [InCharacter, InCharacter, Drifting, Drifting, OutOfCharacter, OutOfCharacter]);
    }

    #[test]
    fn the_average_crosses_once_and_comes_back_only_when_it_has_settled() {
        let turns = [0.1, 0.9, 0.9, 0.4, 0.4, 0.1, 0.1];
        let mut smoothed = Smoothed::default();
        let above: Vec<bool> = turns
            .map(|worst| {
                smoothed = smoothed.after(&drift(worst));
                smoothed.above
            })
            .into();
        assert_eq!(above, [false, false, true, true, true, false, false]);
    }

    #[test]
    fn a_measure_that_is_no_number_counts_as_none() {
        assert_eq!(Drift::new(f64::NAN, 7.0, Method::Local), Drift::new(0.0, 1.0, Method::Local));
    }
}
