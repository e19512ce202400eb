//! The judge's findings, believed only as far as the text bears them out: a model's contradiction counts when
//! both its places exist, differ, and say what it quotes.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Rule, Violation,
    text::{fold, quoted},
};
use crate::persona::{Layer, Layers};

/// A contradiction as the judge model reports it: two places, a quote of each, and why they conflict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contradiction {
    /// JSON Pointer to the one place.
    pub pointer_a: String,
    /// What it says.
    pub quote_a: String,
    /// JSON Pointer to the other.
    pub pointer_b: String,
    /// What that says.
    pub quote_b: String,
    /// Why both cannot be true.
    pub explanation: String,
}

/// What is left of a judge's findings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// The findings that the text bears out.
    pub violations: Vec<Violation>,
    /// How many it does not.
    pub dropped: usize,
}

/// Keeps the contradictions whose places exist, are apart, and say what is quoted of them.
pub fn verify(contradictions: &[Contradiction], layers: &Layers) -> Verified {
    let persona = layers.to_value();
    let mut verified = Verified::default();
    for contradiction in contradictions {
        match violation(contradiction, &persona) {
            Some(found) if !verified.violations.iter().any(|known| same_places(known, &found)) => {
                verified.violations.push(found);
            }
            _ => verified.dropped += 1,
        }
    }
    verified
}

fn violation(found: &Contradiction, persona: &Value) -> Option<Violation> {
    let a = Place::of(&found.pointer_a, &found.quote_a, persona)?;
    let b = Place::of(&found.pointer_b, &found.quote_b, persona)?;
    let alike = fold(&found.quote_a) == fold(&found.quote_b);
    let explained = found.explanation.trim();
    if alike || explained.is_empty() || nested(&a.pointer, &b.pointer) || a.is_meant() || b.is_meant() {
        return None;
    }
    // The later layer gives way: it was written with the earlier one in view.
    let (keep, repair) = if a.layer <= b.layer { (a, b) } else { (b, a) };
    Some(Violation {
        check: Rule::LayersAgree,
        message: format!(
            "{} says {}, but {} says {}: {}",
            repair.pointer,
            quoted(&repair.quote),
            keep.pointer,
            quoted(&keep.quote),
            clipped(explained)
        ),
        layers: vec![repair.layer],
        pointer: repair.pointer,
        other: Some(keep.pointer),
    })
}

fn same_places(a: &Violation, b: &Violation) -> bool {
    a.pointer == b.pointer && a.other == b.other
}

fn nested(a: &str, b: &str) -> bool {
    let within = |inner: &str, outer: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    within(a, b) || within(b, a)
}

fn clipped(text: &str) -> String {
    const MOST: usize = 240;
    if text.chars().count() <= MOST {
        text.to_owned()
    } else {
        text.chars().take(MOST).chain(['…']).collect()
    }
}

/// A place of the persona that says what is quoted of it.
struct Place {
    pointer: String,
    quote: String,
    layer: Layer,
}

impl Place {
    fn of(pointer: &str, quote: &str, persona: &Value) -> Option<Self> {
        let pointer = normalised(pointer);
        let layer = pointer.split('/').nth(1)?.parse().ok()?;
        let quote = quote.trim().trim_matches(['"', '“', '”', '\'', '…']).trim();
        let pointer = saying(persona.pointer(&pointer)?, &pointer, &fold(quote))?;
        Some(Self { pointer, quote: quote.to_owned(), layer })
    }

    /// Contradictions within the soul are written on purpose.
    fn is_meant(&self) -> bool {
        self.pointer.starts_with("/soul/contradictions")
    }
}

/// `voice.samples[2].line` and `#/voice/samples/2/line` as `/voice/samples/2/line`.
fn normalised(pointer: &str) -> String {
    let bare = pointer.trim().trim_start_matches(['#', '$']);
    let separators: &[char] = if bare.starts_with('/') { &['/', '[', ']'] } else { &['/', '[', ']', '.'] };
    let parts = bare.split(separators).filter(|part| !part.is_empty());
    parts.fold(String::new(), |path, part| path + "/" + part)
}

/// The place at or below `pointer` whose text holds the folded quote. Short quotes must be the whole text.
fn saying(value: &Value, pointer: &str, quote: &str) -> Option<String> {
    const SHORT: usize = 3;
    match value {
        Value::String(text) => {
            let text = fold(text);
            let said = text == quote || (quote.chars().count() >= SHORT && text.contains(quote));
            said.then(|| pointer.to_owned())
        }
        Value::Number(number) => (number.to_string() == quote).then(|| pointer.to_owned()),
        Value::Array(items) => {
            items.iter().enumerate().find_map(|(at, item)| saying(item, &format!("{pointer}/{at}"), quote))
        }
        Value::Object(fields) => {
            fields.iter().find_map(|(name, field)| saying(field, &format!("{pointer}/{name}"), quote))
        }
        _ => None,
    }
}
