//! A judge's opinion of a reply, believed as far as the reply bears it out.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Drift, Evidence, Line, Method, Scored, Signal};
use crate::consistency::text::fold;

/// What a judge says of a reply.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Opinion {
    /// Words of the reply that step out of the role; empty where it is kept.
    pub role_broken: String,
    /// What the reply says against the sheet.
    pub contradictions: Vec<Contradiction>,
    /// Relevance to the conversation and agreement with what was said before, 1 to 5.
    pub coherence: f64,
}

/// A line of the sheet that a reply goes against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contradiction {
    /// The line's address.
    pub line: String,
    /// Words of the reply.
    pub quote: String,
}

/// The shape of an opinion.
pub static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    json!({
        "type": "object",
        "properties": {
            "role_broken": {"type": "string"},
            "contradictions": {
                "type": "array",
                "maxItems": 4,
                "items": {
                    "type": "object",
                    "properties": {"line": {"type": "string"}, "quote": {"type": "string"}},
                    "required": ["line", "quote"],
                    "additionalProperties": false,
                },
            },
            "coherence": {"type": "number", "minimum": 1, "maximum": 5},
        },
        "required": ["role_broken", "contradictions", "coherence"],
        "additionalProperties": false,
    })
});

/// One line that is gone against, several, and the role itself.
const ONE: f64 = 0.8;
const SEVERAL: f64 = 0.95;
const BROKEN: f64 = 0.95;
/// Signals that a judge has looked at and not shared count no more than this, unless lists are as sure as [`SURE`].
const UNSHARED: f64 = 0.3;
const SURE: f64 = 0.8;
/// The shortest quote that can be told from an accident, in letters.
const SHORTEST: usize = 4;

impl Opinion {
    /// The score with this opinion in it. What it quotes must stand in the reply, and the lines that it names must exist.
    #[must_use]
    pub fn on(&self, reply: &str, lines: &[Line], local: Scored) -> Scored {
        let folded = fold(reply);
        let stands = |quote: &str| {
            let quote = fold(quote);
            quote.chars().count() >= SHORTEST && folded.contains(&quote)
        };
        let mut evidence = Vec::new();
        let mut values: f64 = 0.0;
        if stands(&self.role_broken) {
            evidence.push(Evidence::quoted(Signal::RoleBroken, &self.role_broken));
            values = BROKEN;
        }
        let known = |found: &&Contradiction| {
            lines.iter().any(|line| line.pointer == found.line) && stands(&found.quote)
        };
        for found in self.contradictions.iter().filter(known) {
            values = values.max(if values >= ONE { SEVERAL } else { ONE });
            evidence.push(Evidence::quoted(Signal::Contradiction, &found.quote).against(found.line.clone()));
        }
        let before = local.drift.values;
        values = if before >= SURE { values.max(before) } else { values.max(before.min(UNSHARED)) };
        evidence.extend(local.drift.evidence);
        let coherence = (self.coherence.clamp(1.0, 5.0) * 10.0).round() / 10.0;
        Scored { drift: Drift::new(local.drift.voice, values, Method::Judge).because(evidence), coherence }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::float_cmp, reason = "measures are rounded to hundredths")]

    use super::*;

    fn local(values: f64) -> Scored {
        Scored { drift: Drift::new(0.1, values, Method::Local), coherence: 3.0 }
    }

    fn lines() -> Vec<Line> {
        vec![Line { pointer: "/soul/moral_lines/0".to_owned(), text: "Never lies.".to_owned() }]
    }

    fn opinion(line: &str, quote: &str) -> Opinion {
        let contradictions = vec![Contradiction { line: line.to_owned(), quote: quote.to_owned() }];
        Opinion { role_broken: String::new(), contradictions, coherence: 4.64 }
    }

    #[test]
    fn a_contradiction_counts_when_the_reply_says_it_and_the_sheet_has_the_line() {
        let reply = "I lied to him, and I’d do it again.";
        let scored = opinion("/soul/moral_lines/0", "I lied to him").on(reply, &lines(), local(0.1));
        assert_eq!((scored.drift.values, scored.drift.method, scored.coherence), (0.8, Method::Judge, 4.6));
        assert_eq!(scored.drift.evidence[0].pointer.as_deref(), Some("/soul/moral_lines/0"));
        for (line, quote) in [("/soul/moral_lines/9", "I lied to him"), ("/soul/moral_lines/0", "I stole")] {
            let scored = opinion(line, quote).on(reply, &lines(), local(0.1));
            assert_eq!((scored.drift.values, scored.drift.evidence.len()), (0.1, 0));
        }
    }

    #[test]
    fn what_lists_are_sure_of_a_judge_cannot_take_back() {
        let silent = Opinion { role_broken: String::new(), contradictions: Vec::new(), coherence: 9.0 };
        assert_eq!(silent.on("As an AI, no.", &lines(), local(0.95)).drift.values, 0.95);
        let doubt = silent.on("Well.", &lines(), local(0.6));
        assert_eq!((doubt.drift.values, doubt.coherence), (0.3, 5.0));
    }
}
