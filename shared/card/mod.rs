//! Character cards, as SillyTavern and its kin exchange them (specifications V2 and V3), in and out. What a card brings
//! is kept as it came; what it says is put into layers by fixed rules, nothing is invented and no model is asked. A
//! card is hostile input: its texts are data, its macros are text, its regular expressions are never run.

mod derive;
mod export;
mod import;
mod phrases;
pub mod png;

use serde_json::{Map, Value};

pub use export::{Format, export};
pub use import::{Imported, Wishes, has_custom_fields, import};

use crate::error::{Detail, Error, Result};

/// Where a card is kept, below `metadata.extensions`.
pub const KEPT: &str = "character_card";
/// Where our layers ride, below a card's `data.extensions`.
pub const OWN: &str = "persona_api";

/// A specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spec {
    /// `chara_card_v2`, 2.0.
    V2,
    /// `chara_card_v3`, 3.0.
    V3,
}

impl Spec {
    /// As a card's `spec` names it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V2 => "chara_card_v2",
            Self::V3 => "chara_card_v3",
        }
    }

    /// As a card's `spec_version` names it.
    pub const fn version(self) -> &'static str {
        match self {
            Self::V2 => "2.0",
            Self::V3 => "3.0",
        }
    }
}

/// A card that is of its shape.
#[derive(Debug, Clone, PartialEq)]
pub struct Card {
    /// Which specification it follows.
    pub spec: Spec,
    /// The whole of it, as it came.
    pub whole: Value,
}

/// Texts of a card; all but the name may be missing.
const TEXTS: [&str; 11] = [
    "name",
    "description",
    "personality",
    "scenario",
    "first_mes",
    "mes_example",
    "creator_notes",
    "system_prompt",
    "post_history_instructions",
    "creator",
    "nickname",
];
/// Lists of texts.
const LISTS: [&str; 4] = ["alternate_greetings", "tags", "group_only_greetings", "source"];
/// Longest name, in characters.
const NAME_MOST: usize = 120;
/// Most items of any list in a card.
const ITEMS_MOST: usize = 5_000;
/// Deepest nesting of a card.
const DEPTH_MOST: usize = 32;

impl Card {
    /// Reads a card.
    ///
    /// # Errors
    /// `request.invalid` with every problem at once.
    pub fn read(whole: Value) -> Result<Self> {
        let Some(spec) = spec(&whole)? else {
            return Err(Error::invalid(
                "spec",
                "The body is neither a character card (spec chara_card_v2 or chara_card_v3) nor a persona. A card of version 1 has no spec: save it anew as V2 or V3.",
            ));
        };
        let mut problems = data_problems(&whole["data"]);
        problems.extend(size_problem("", &whole, 0));
        Error::invalid_all(problems)?;
        Ok(Self { spec, whole })
    }

    /// The card's data.
    pub fn data(&self) -> &Map<String, Value> {
        static NOTHING: std::sync::OnceLock<Map<String, Value>> = std::sync::OnceLock::new();
        self.whole["data"].as_object().unwrap_or_else(|| NOTHING.get_or_init(Map::new))
    }

    /// A text of the card; empty where it has none.
    pub fn text(&self, field: &str) -> &str {
        self.data().get(field).and_then(Value::as_str).unwrap_or_default()
    }

    /// The texts of a list.
    pub fn texts(&self, field: &str) -> impl Iterator<Item = &str> {
        self.data().get(field).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    }

    /// The card without our layers.
    pub fn bare(&self) -> Value {
        let mut whole = self.whole.clone();
        if let Some(extensions) = whole["data"]["extensions"].as_object_mut() {
            extensions.shift_remove(OWN);
        }
        whole
    }
}

/// Which specification a card says it follows; `None` where it says nothing of the kind.
fn spec(whole: &Value) -> Result<Option<Spec>> {
    let Some(named) = whole.get("spec") else { return Ok(None) };
    let spec = match named.as_str() {
        Some("chara_card_v2") => Spec::V2,
        Some("chara_card_v3") => Spec::V3,
        _ => {
            return Err(Error::invalid(
                "spec",
                format!(
                    "{} is not a specification that is read here. Use chara_card_v2 or chara_card_v3.",
                    shown(named)
                ),
            ));
        }
    };
    let major = spec.version().split('.').next().unwrap_or_default();
    let version = &whole["spec_version"];
    let fits = version.as_str().is_some_and(|text| text.split('.').next() == Some(major));
    if !fits {
        return Err(Error::invalid(
            "spec_version",
            format!("{} is not a version of {}. Use \"{}\".", shown(version), spec.name(), spec.version()),
        ));
    }
    Ok(Some(spec))
}

fn data_problems(data: &Value) -> Vec<Detail> {
    let Some(fields) = data.as_object() else {
        return vec![Detail::new("/data", format!("\"data\" is {}, not an object.", shown(data)))];
    };
    let mut problems = Vec::new();
    let mut wrong =
        |field: &str, message: String| problems.push(Detail::new(format!("/data/{field}"), message));
    let is_texts = |value: &Value| value.as_array().is_some_and(|items| items.iter().all(Value::is_string));
    for field in TEXTS {
        match fields.get(field) {
            Some(Value::String(_)) | None => {}
            Some(Value::Null) if field != "name" => {}
            Some(other) => wrong(field, format!("{} is not a text.", shown(other))),
        }
    }
    for field in LISTS {
        match fields.get(field) {
            None | Some(Value::Null) => {}
            Some(value) if is_texts(value) => {}
            Some(other) => wrong(field, format!("{} is not a list of texts.", shown(other))),
        }
    }
    for field in ["extensions", "character_book", "creator_notes_multilingual"] {
        match fields.get(field) {
            None | Some(Value::Null | Value::Object(_)) => {}
            Some(other) => wrong(field, format!("{} is not an object.", shown(other))),
        }
    }
    if let Some(book) = fields.get("character_book").filter(|book| book.is_object()) {
        let entries = book["entries"].as_array();
        if entries.is_none_or(|entries| !entries.iter().all(Value::is_object)) {
            wrong("character_book/entries", "A lorebook has a list of entries, each an object.".to_owned());
        }
    }
    let name = fields.get("name").and_then(Value::as_str).unwrap_or_default().trim();
    let length = name.chars().count();
    if length == 0 || length > NAME_MOST {
        wrong("name", format!("The name has {length} characters; 1 to {NAME_MOST} are wanted."));
    }
    problems
}

/// What is too deep or too long.
fn size_problem(pointer: &str, value: &Value, depth: usize) -> Option<Detail> {
    if depth > DEPTH_MOST {
        let shown: String = pointer.chars().take(120).collect();
        return Some(Detail::new(shown, format!("The card is nested more than {DEPTH_MOST} deep here.")));
    }
    match value {
        Value::Array(items) if items.len() > ITEMS_MOST => {
            let message = format!("The list has {} items; at most {ITEMS_MOST} are read.", items.len());
            Some(Detail::new(pointer, message))
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(at, item)| size_problem(&format!("{pointer}/{at}"), item, depth + 1)),
        Value::Object(fields) => fields.iter().find_map(|(key, field)| {
            let pointer = format!("{pointer}/{}", crate::persona::schema::escaped(key));
            size_problem(&pointer, field, depth + 1)
        }),
        _ => None,
    }
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 60 { text } else { text.chars().take(60).chain("…".chars()).collect() }
}

#[cfg(test)]
mod tests;
