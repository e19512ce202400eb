//! From a persona to a card: what the card that it came from says, where the layers behind it are as they were then,
//! and a text made of the layers where they are not. The layers themselves ride along whole.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Card, KEPT, OWN, Spec};
use crate::persona::{Layer, digest, settings::EXTENSIONS};

/// In which form a persona is handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Character card V2.
    CardV2,
    /// Character card V3.
    CardV3,
    /// The persona as YAML.
    Yaml,
}

/// The fields of a card that layers speak for, each with the places that it is read into.
pub(super) const HOMES: [(&str, &[&str]); 6] = [
    ("name", &["/identity/name"]),
    ("description", &["/identity/appearance", "/identity/summary", "/history/backstory"]),
    ("personality", &["/soul", "/voice/tone"]),
    ("scenario", &["/scenario"]),
    ("first_mes", &["/voice/greeting"]),
    ("mes_example", &["/voice/samples"]),
];

/// The digest of what stands at a field's places.
pub(super) fn places_digest(document: &Value, places: &[&str]) -> String {
    let found: Vec<Value> =
        places.iter().map(|place| document.pointer(place).cloned().unwrap_or_default()).collect();
    digest::of_value(&Value::Array(found))
}

/// The card of a persona.
pub fn export(document: &Value, spec: Spec) -> Value {
    let kept = kept_entry(document).map(|(card, kept)| (card, &kept["fields"]));
    let mut whole = kept.as_ref().map_or_else(skeleton, |(card, _)| card.whole.clone());
    whole["spec"] = spec.name().into();
    let same = kept.as_ref().is_some_and(|(card, _)| card.spec == spec);
    if !same {
        whole["spec_version"] = spec.version().into();
    }
    for (field, places) in HOMES {
        let unchanged =
            kept.as_ref().is_some_and(|(_, fields)| fields[field] == places_digest(document, places));
        if !unchanged {
            whole["data"][field] = written(field, document).into();
            // Cards of SillyTavern repeat the texts at the top, as version 1 had them.
            if whole.get(field).is_some_and(Value::is_string) {
                whole[field] = whole["data"][field].clone();
            }
        }
    }
    if spec == Spec::V3 && whole["data"].get("group_only_greetings").is_none() && !same {
        whole["data"]["group_only_greetings"] = json!([]);
    }
    if !whole["data"]["extensions"].is_object() {
        whole["data"]["extensions"] = json!({});
    }
    let mut own = own(document, &whole["data"]);
    if let Some((_, kept)) = kept_entry(document) {
        own["unstated"] = kept["unstated"].clone();
    }
    whole["data"]["extensions"][OWN] = own;
    whole
}

/// The card that a persona came from, where it came from one, and what was noted with it.
fn kept_entry(document: &Value) -> Option<(Card, &Value)> {
    let kept = document.pointer(&format!("/metadata/{EXTENSIONS}/{KEPT}"))?;
    Some((Card::read(kept["card"].clone()).ok()?, kept))
}

/// A card that says nothing yet.
fn skeleton() -> Value {
    json!({"spec": "", "spec_version": "", "data": {
        "name": "", "description": "", "personality": "", "scenario": "", "first_mes": "", "mes_example": "",
        "creator_notes": "", "system_prompt": "", "post_history_instructions": "", "alternate_greetings": [],
        "tags": [], "creator": "", "character_version": "", "extensions": {},
    }})
}

/// What rides in the card: all that an import needs to make the same persona.
fn own(document: &Value, data: &Value) -> Value {
    let layers: Map<String, Value> =
        Layer::ALL.iter().map(|layer| (layer.to_string(), document[layer.as_str()].clone())).collect();
    let mut metadata = document["metadata"].clone();
    let mut extensions = metadata.as_object_mut().and_then(|pairs| pairs.shift_remove(EXTENSIONS));
    if let Some(extensions) = extensions.as_mut().and_then(Value::as_object_mut) {
        extensions.shift_remove(KEPT);
    }
    let texts: Map<String, Value> = HOMES
        .iter()
        .map(|(field, _)| ((*field).to_owned(), digest::of_value(&data[*field]).into()))
        .collect();
    json!({
        "version": 1, "language": document["language"], "intent": document["intent"], "layers": layers,
        "custom_fields": document["custom_fields"], "metadata": metadata,
        "extensions": extensions.unwrap_or_else(|| json!({})), "texts": texts,
    })
}

/// A field of a card as the layers say it.
fn written(field: &str, document: &Value) -> String {
    let text = |pointer: &str| match document.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    };
    match field {
        "name" => text("/identity/name"),
        "description" => description(document),
        "personality" => personality(document),
        "scenario" => {
            let (setting, situation) = (text("/scenario/setting"), text("/scenario/situation"));
            if situation.starts_with(&setting) { situation } else { format!("{setting} {situation}") }
        }
        "first_mes" => text("/voice/greeting"),
        _ => {
            let samples = document["voice"]["samples"].as_array().into_iter().flatten();
            let talk = samples.map(|sample| {
                let said = |key: &str| sample[key].as_str().unwrap_or_default();
                format!("<START>\n{{{{user}}}}: {}\n{{{{char}}}}: {}\n", said("context"), said("line"))
            });
            talk.collect()
        }
    }
}

fn description(document: &Value) -> String {
    let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let list = |pointer: &str| {
        let items = document.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
        items.filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
    };
    let mut lines = vec![
        text("/identity/summary").to_owned(),
        format!("Age: {}", document["identity"]["age"]),
        format!("Pronouns: {}", text("/identity/pronouns")),
        format!("Occupation: {}", text("/identity/occupation")),
        format!("Residence: {}", text("/identity/residence")),
        format!("Culture: {}", text("/identity/culture")),
        format!("Appearance: {}", text("/identity/appearance")),
        String::new(),
        text("/history/backstory").to_owned(),
        String::new(),
    ];
    for other in document["relations"].as_array().into_iter().flatten() {
        let said = |key: &str| other[key].as_str().unwrap_or_default();
        lines.push(format!("{} ({}): {}", said("name"), said("relation"), said("description")));
    }
    lines.push(format!("Skills: {}", list("/knowledge/expertise")));
    lines.push(format!("Likes: {}", list("/knowledge/interests")));
    lines.push(format!("Refuses: {}", list("/boundaries/refuses")));
    lines.join("\n")
}

fn personality(document: &Value) -> String {
    let text = |pointer: &str| document.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let values = document["soul"]["values"].as_array().into_iter().flatten();
    let values: Vec<&str> = values.filter_map(|value| value["name"].as_str()).collect();
    let lines = [
        text("/voice/tone").to_owned(),
        values.join(", "),
        text("/soul/core_desire").to_owned(),
        text("/soul/core_fear").to_owned(),
        text("/voice/sentence_style").to_owned(),
    ];
    lines.join("\n")
}
