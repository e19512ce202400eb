//! The layers as types. The JSON Schemas hold the bounds; these hold the shape.

use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Value;

use super::{Layer, schema};
use crate::error::Detail;

/// Who this is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// Full name, as the culture writes it.
    pub name: String,
    /// Age in years.
    #[serde(deserialize_with = "whole")]
    pub age: u16,
    /// Pronouns, such as she/her.
    pub pronouns: String,
    /// What they do, or did.
    pub occupation: String,
    /// Where they live.
    pub residence: String,
    /// Cultural background.
    pub culture: String,
    /// What one sees.
    pub appearance: String,
    /// One line that says who this is.
    pub summary: String,
}

/// What moves them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Soul {
    /// What they want most.
    pub core_desire: String,
    /// What they fear most.
    pub core_fear: String,
    /// The old hurt that made both.
    pub wound: String,
    /// What they hold dear, most important first.
    pub values: Vec<Weighted>,
    /// What they take for true.
    pub beliefs: Vec<String>,
    /// Where they are at odds with themselves.
    pub contradictions: Vec<String>,
    /// The big five.
    pub traits: Traits,
    /// What they would never do.
    pub moral_lines: Vec<String>,
}

/// A value of the soul.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weighted {
    /// One to three words.
    pub name: String,
    /// How much it weighs, 0 to 1.
    pub weight: f64,
    /// Why, in one sentence.
    pub why: String,
}

/// The big five, each 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Traits {
    /// Curiosity and imagination.
    pub openness: f64,
    /// Order and diligence.
    pub conscientiousness: f64,
    /// Energy among people.
    pub extraversion: f64,
    /// Warmth and trust.
    pub agreeableness: f64,
    /// Worry and volatility.
    pub neuroticism: f64,
}

/// How they speak.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Voice {
    /// The prevailing tone.
    pub tone: String,
    /// How formal the speech is.
    pub register: Register,
    /// How the sentences are built.
    pub sentence_style: String,
    /// Words they favour.
    pub vocabulary: Vec<String>,
    /// Habits of speech.
    pub quirks: Vec<String>,
    /// What they keep saying.
    pub catchphrases: Vec<String>,
    /// Words or phrases they never use.
    pub never_says: Vec<String>,
    /// Their first line to a stranger.
    pub greeting: String,
    /// Lines as they would say them, six or more.
    pub samples: Vec<Sample>,
}

/// How formal the speech is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Register {
    /// As to a lover or an old friend.
    Intimate,
    /// As among acquaintances.
    Casual,
    /// As in a shop.
    Neutral,
    /// As in an office.
    Formal,
    /// As in a court or a temple.
    Ceremonial,
}

/// A line as the persona would say it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// What prompts the line.
    pub context: String,
    /// The line.
    pub line: String,
}

/// Where they come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// Their life so far.
    pub backstory: String,
    /// What shaped them, earliest first.
    pub timeline: Vec<Moment>,
}

/// A moment of the timeline; dated by age, by year, or by both.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moment {
    /// Their age then.
    #[serde(default, deserialize_with = "whole_or_absent", skip_serializing_if = "Option::is_none")]
    pub age: Option<u16>,
    /// The calendar year; negative before the common era.
    #[serde(default, deserialize_with = "whole_or_absent", skip_serializing_if = "Option::is_none")]
    pub year: Option<i32>,
    /// What happened.
    pub event: String,
    /// What it did to them.
    pub effect: String,
}

/// Someone in their life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relation {
    /// The other's name.
    pub name: String,
    /// Who they are to each other.
    pub relation: String,
    /// What they feel for them.
    pub feeling: String,
    /// One sentence about the bond.
    pub description: String,
}

/// What they know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Knowledge {
    /// What they know deeply.
    pub expertise: Vec<String>,
    /// What they follow with pleasure.
    pub interests: Vec<String>,
    /// What they know nothing about.
    pub ignorance: Vec<String>,
    /// What they speak, ISO-639-1, best first.
    pub languages: Vec<String>,
}

/// Where they stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Boundaries {
    /// What they will not talk about or do.
    pub refuses: Vec<String>,
    /// What they steer away from.
    pub deflects: Vec<String>,
    /// How they refuse, said in character.
    pub refusal_line: String,
}

/// Where the talk begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Where one meets them.
    pub setting: String,
    /// What is going on when one does.
    pub situation: String,
}

/// All eight layers, each valid by its schema when made by [`Layers::from_value`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layers {
    /// Who this is.
    pub identity: Identity,
    /// What moves them.
    pub soul: Soul,
    /// How they speak.
    pub voice: Voice,
    /// Where they come from.
    pub history: History,
    /// The people in their life.
    pub relations: Vec<Relation>,
    /// What they know.
    pub knowledge: Knowledge,
    /// Where they stop.
    pub boundaries: Boundaries,
    /// Where the talk begins.
    pub scenario: Scenario,
}

impl Layers {
    /// An object keyed by layer, in the order of the contract.
    pub fn to_value(&self) -> Value {
        // Strings, finite numbers, vectors and structs: serialisation cannot fail.
        serde_json::to_value(self).unwrap_or_default()
    }

    /// Reads an object keyed by layer. Keys that are no layers are problems too.
    ///
    /// # Errors
    /// Every problem at once, with pointers from the top of `value`.
    pub fn from_value(value: &Value) -> Result<Self, Vec<Detail>> {
        let mut problems = Vec::new();
        for layer in Layer::ALL {
            match value.get(layer.as_str()) {
                Some(found) => problems.extend(schema::validate(layer, found)),
                None => problems
                    .push(Detail::new(format!("/{layer}"), format!("The layer \"{layer}\" is missing."))),
            }
        }
        if problems.is_empty() {
            Self::deserialize(value).map_err(|error| vec![Detail::new("", error.to_string())])
        } else {
            Err(problems)
        }
    }
}

/// An integer, also where it was written as `30.0`, which JSON Schema counts as one.
fn whole<'de, D: Deserializer<'de>, T: TryFrom<i64>>(deserializer: D) -> Result<T, D::Error> {
    let number = serde_json::Number::deserialize(deserializer)?;
    let fraction_free = |n: &f64| n.fract() == 0.0 && n.abs() < 9.0e15;
    number
        .as_i64()
        .or_else(|| number.as_f64().filter(fraction_free).map(|n| n as i64))
        .and_then(|n| T::try_from(n).ok())
        .ok_or_else(|| de::Error::custom(format_args!("{number} is not an integer in range")))
}

fn whole_or_absent<'de, D: Deserializer<'de>, T: TryFrom<i64>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    whole(deserializer).map(Some)
}

#[cfg(test)]
pub(crate) mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

    use serde_json::json;

    use super::*;

    /// A small valid persona, shared by the tests of this crate.
    pub(crate) fn bookseller() -> Value {
        json!({
            "identity": {"name": "Nermin Aksoy", "age": 61, "pronouns": "she/her",
                "occupation": "second-hand bookseller", "residence": "Kadıköy, Istanbul",
                "culture": "Turkish", "appearance": "Grey braid, ink on her cuffs.",
                "summary": "A bookseller who reads people before books."},
            "soul": {"core_desire": "To be read as closely as she reads.",
                "core_fear": "That the shop closes and nobody asks why.",
                "wound": "Her father sold his library to pay for her school.",
                "values": [{"name": "memory", "weight": 0.9, "why": "What is forgotten dies twice."},
                    {"name": "honesty", "weight": 0.7, "why": "A false edition is still false."},
                    {"name": "thrift", "weight": 0.4, "why": "She has been poor."}],
                "beliefs": ["Every book finds its reader.", "Haste ruins paper and people."],
                "contradictions": ["Hoards what she preaches to give away."],
                "traits": {"openness": 0.8, "conscientiousness": 0.7, "extraversion": 0.3,
                    "agreeableness": 0.6, "neuroticism": 0.4},
                "moral_lines": ["She never sells a stolen book."]},
            "voice": {"tone": "dry and warm", "register": "neutral",
                "sentence_style": "Short, then one long.",
                "vocabulary": ["paper", "dust", "margin", "spine"], "quirks": ["Quotes prices last."],
                "catchphrases": ["Smell it first."], "never_says": ["content"],
                "greeting": "Come in, mind the stack.",
                "samples": [{"context": "a price", "line": "Forty. It was fifty before you smiled."},
                    {"context": "a gift", "line": "For whom? Tell me what they hide."},
                    {"context": "rain", "line": "Good. Nobody leaves in rain."},
                    {"context": "a torn page", "line": "It has lived, so have you."},
                    {"context": "haggling", "line": "You may try. I enjoy it!"},
                    {"context": "closing time", "line": "One more page, then the lights."}]},
            "history": {"backstory": "She grew up between shelves and took over the shop.",
                "timeline": [{"age": 9, "event": "The library was sold.", "effect": "She began to keep things."},
                    {"age": 24, "event": "She opened the shop.", "effect": "She found her people."},
                    {"age": 50, "year": 2015, "event": "A flood.", "effect": "She trusts high shelves."}]},
            "relations": [{"name": "Cem", "relation": "nephew", "feeling": "worry", "description": "He minds the till badly."},
                {"name": "Ayla", "relation": "rival", "feeling": "respect", "description": "They trade first editions."}],
            "knowledge": {"expertise": ["bindings", "Ottoman print"], "interests": ["ferries", "cats"],
                "ignorance": ["football"], "languages": ["tr", "en"]},
            "boundaries": {"refuses": ["valuing stolen books", "gossip about customers"],
                "deflects": ["her divorce"], "refusal_line": "That shelf is closed."},
            "scenario": {"setting": "A narrow shop by the ferry.", "situation": "Rain has emptied the street."}
        })
    }

    #[test]
    fn the_typed_form_loses_nothing_and_keeps_the_order_of_the_contract() {
        let value = bookseller();
        let layers = Layers::from_value(&value).unwrap();
        assert_eq!(layers.to_value().to_string(), value.to_string());
        let keys: Vec<_> = layers.to_value().as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys, Layer::ALL.map(Layer::as_str));
    }

    #[test]
    fn every_missing_layer_and_every_wrong_field_is_named_at_once() {
        let mut value = bookseller();
        value.as_object_mut().unwrap().remove("scenario");
        value["identity"]["age"] = json!(151);
        value["voice"]["register"] = json!("loud");
        let pointers: Vec<_> =
            Layers::from_value(&value).unwrap_err().into_iter().map(|d| d.pointer).collect();
        assert_eq!(pointers, ["/identity/age", "/voice/register", "/scenario"]);
    }

    #[test]
    fn an_integer_may_be_written_with_a_decimal_point() {
        let mut value = bookseller();
        value["identity"]["age"] = json!(61.0);
        assert_eq!(Layers::from_value(&value).unwrap().identity.age, 61);
    }
}
