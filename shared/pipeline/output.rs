//! The shape of a step's answer: the schema that a model is given, and the stricter one it is held to.
//!
//! What a model is given is slimmer than the layer's schema: no `maxLength` (grammar-constrained models slow down
//! or break on it), arrays kept near their least length, and what is already settled is fixed.

use std::sync::OnceLock;

use serde_json::{Map, Value, json};

use super::{Kind, Step, shorten::shorten};
use crate::{
    error::Detail,
    persona::{Layer, schema, validate},
};

const INTENT_PARSE: &str = include_str!("../schemas/steps/intent_parse.json");
const REFINE_PLAN: &str = include_str!("../schemas/steps/refine_plan.json");
const AUDIT: &str = include_str!("../schemas/steps/audit.json");
const JUDGE: &str = include_str!("../schemas/steps/judge.json");

/// Keywords that are about the schema file or that small models suffer from.
const DROPPED: [&str; 4] = ["$schema", "$id", "title", "maxLength"];

/// The names and texts of the schema files that a step's answer is shaped by; none where no model is called.
pub(super) fn schema_texts(step: &Step) -> Vec<(&'static str, &'static str)> {
    let of_layer = |layer: &Layer| (layer.as_str(), layer.schema_text());
    match step.kind {
        Kind::IntentParse => vec![("steps/intent_parse", INTENT_PARSE)],
        Kind::Plan => vec![("steps/refine_plan", REFINE_PLAN)],
        Kind::Audit => vec![("steps/audit", AUDIT)],
        Kind::ConsistencyCheck if step.judge => vec![("steps/judge", JUDGE)],
        Kind::ConsistencyCheck | Kind::Note | Kind::CustomFields | Kind::Finalize => Vec::new(),
        Kind::Draft | Kind::Revise | Kind::Rewrite => step.layers.iter().map(of_layer).collect(),
        Kind::Repair => Layer::ALL.iter().map(of_layer).collect(),
    }
}

/// The full schema of an answer that is not layers.
fn step_schema(kind: Kind) -> Option<&'static Value> {
    static SCHEMAS: OnceLock<[Value; 4]> = OnceLock::new();
    let [intent_parse, refine_plan, audit, judge] =
        SCHEMAS.get_or_init(|| [INTENT_PARSE, REFINE_PLAN, AUDIT, JUDGE].map(schema::parsed));
    match kind {
        Kind::IntentParse => Some(intent_parse),
        Kind::Plan => Some(refine_plan),
        Kind::Audit => Some(audit),
        Kind::ConsistencyCheck => Some(judge),
        _ => None,
    }
}

/// A step's answer with its overlong texts cut to what their fields hold.
pub fn fitted(kind: Kind, layers: &[Layer], mut answer: Value) -> Value {
    if let Some(full) = step_schema(kind) {
        shorten(full, &mut answer);
        return answer;
    }
    for layer in layers {
        if let Some(written) = answer.get_mut(layer.as_str()) {
            shorten(layer.schema(), written);
        }
    }
    answer
}

/// Every problem of a step's answer by the full schemas; empty when valid. `layers` are those asked for.
pub fn validate_output(kind: Kind, layers: &[Layer], answer: &Value) -> Vec<Detail> {
    if let Some(full) = step_schema(kind) {
        return schema::validate_with(full, "", answer);
    }
    let Some(answered) = answer.as_object() else {
        return vec![Detail::new("", "The answer is not an object keyed by layer.")];
    };
    let missing = layers.iter().filter(|layer| !answered.contains_key(layer.as_str()));
    let mut problems: Vec<_> = missing
        .map(|layer| Detail::new(format!("/{layer}"), format!("The layer \"{layer}\" is missing.")))
        .collect();
    for (key, value) in answered {
        match key.parse::<Layer>().ok().filter(|layer| layers.contains(layer)) {
            Some(layer) => problems.extend(validate(layer, value)),
            None => problems.push(Detail::new(
                format!("/{}", schema::escaped(key)),
                format!("\"{key}\" is not one of the layers asked for."),
            )),
        }
    }
    problems
}

/// What is settled already, and bounds what may be written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settled<'a> {
    /// The facts that the brief fixes.
    pub(super) facts: &'a Value,
    /// The finished layers.
    pub(super) persona: &'a Value,
    /// Whether the layers at hand are finished too, and written again: they may keep what they have.
    pub(super) rewritten: bool,
}

impl Settled<'_> {
    /// The most a moment's age may be.
    pub(super) fn oldest(&self) -> Option<u64> {
        let fact = &self.facts["age"];
        self.persona["identity"]["age"].as_u64().or_else(|| fact.as_u64()).or_else(|| fact["max"].as_u64())
    }
}

/// The schema that a model is given for a step's answer.
pub(super) fn prompt_schema(kind: Kind, layers: &[Layer], settled: Settled<'_>) -> Value {
    if let Some(full) = step_schema(kind) {
        return slim(full);
    }
    let names: Vec<_> = layers.iter().map(|layer| layer.as_str()).collect();
    let properties: Map<_, _> =
        layers.iter().map(|layer| (layer.as_str().to_owned(), layer_schema(*layer, settled))).collect();
    json!({
        "type": "object",
        "properties": properties,
        "required": names,
        "additionalProperties": false,
    })
}

/// A layer's schema as a model is given it.
pub(super) fn layer_schema(layer: Layer, settled: Settled<'_>) -> Value {
    let mut slim = slim(layer.schema());
    if settled.rewritten {
        let current = &settled.persona[layer.as_str()];
        make_room(&mut slim, layer.schema(), current);
        let dated = current["timeline"].as_array().into_iter().flatten().any(|m| m.get("year").is_some());
        if layer == Layer::History && !dated {
            date_by_age(&mut slim["properties"]["timeline"]["items"], settled.oldest());
        }
        return slim;
    }
    match layer {
        Layer::Identity => fix_identity(&mut slim["properties"], settled.facts),
        // One more than must remain, so that mending may drop one that contradicts.
        Layer::Relations => {
            slim["minItems"] = json!(3);
            // A small model that is asked for a name first writes the persona's own.
            move_first(&mut slim["items"], "relation");
        }
        Layer::Voice => slim["properties"]["never_says"]["minItems"] = json!(2),
        Layer::History => date_by_age(&mut slim["properties"]["timeline"]["items"], settled.oldest()),
        _ => {}
    }
    slim
}

/// Lets each array have what it has now and one more, as far as its own schema goes.
fn make_room(slim: &mut Value, full: &Value, current: &Value) {
    if let (Some(items), Some(most)) = (current.as_array(), full["maxItems"].as_u64()) {
        let near = slim["maxItems"].as_u64().unwrap_or(most);
        slim["maxItems"] = most.min(near.max(items.len() as u64 + 1)).into();
    }
    for (name, field) in full["properties"].as_object().into_iter().flatten() {
        make_room(&mut slim["properties"][name], field, &current[name]);
    }
}

/// Asks for one property before all others: models write in the order of the schema.
fn move_first(object: &mut Value, first: &str) {
    if let Some(properties) = object["properties"].as_object_mut()
        && let Some(property) = properties.shift_remove(first)
    {
        properties.shift_insert(0, first.to_owned(), property);
    }
    if let Some(required) = object["required"].as_array_mut() {
        required.sort_by_key(|name| name != first);
    }
}

/// A name or age that the brief fixes is the only one allowed.
fn fix_identity(properties: &mut Value, facts: &Value) {
    if let Some(name) = facts["name"].as_str().filter(|name| !name.is_empty()) {
        properties["name"]["enum"] = json!([name]);
    }
    match &facts["age"] {
        Value::Number(age) => properties["age"]["enum"] = json!([age]),
        range @ Value::Object(_) => {
            for (bound, key) in [("minimum", "min"), ("maximum", "max")] {
                if range[key].is_u64() {
                    properties["age"][bound] = range[key].clone();
                }
            }
        }
        _ => {}
    }
}

/// Moments are dated by age alone: a year beside it is one more chance to contradict.
fn date_by_age(moment: &mut Value, oldest: Option<u64>) {
    if let Some(moment) = moment.as_object_mut() {
        moment.remove("anyOf");
        moment.insert("required".to_owned(), json!(["age", "event", "effect"]));
    }
    if let Some(properties) = moment["properties"].as_object_mut() {
        properties.shift_remove("year");
        if let (Some(age), Some(oldest)) = (properties.get_mut("age"), oldest) {
            age["maximum"] = oldest.into();
        }
    }
}

/// A schema without what models need not see, and with arrays kept short.
fn slim(schema: &Value) -> Value {
    let Some(keywords) = schema.as_object() else {
        return schema.clone();
    };
    let mut slimmed = Map::new();
    for (keyword, value) in keywords {
        let value = match keyword.as_str() {
            dropped if DROPPED.contains(&dropped) => continue,
            "properties" => each(value, slim),
            "items" => slim(value),
            "maxItems" => short(keywords).unwrap_or_else(|| value.clone()),
            _ => value.clone(),
        };
        slimmed.insert(keyword.clone(), value);
    }
    Value::Object(slimmed)
}

fn each(map: &Value, change: fn(&Value) -> Value) -> Value {
    let entries = map.as_object().into_iter().flatten();
    entries.map(|(key, value)| (key.clone(), change(value))).collect::<Map<_, _>>().into()
}

/// One object or two texts more than the least; an array without a least keeps its most.
fn short(array: &Map<String, Value>) -> Option<Value> {
    let least = array.get("minItems")?.as_u64()?;
    let most = array.get("maxItems")?.as_u64()?;
    let spare = if array.get("items")?["type"] == "object" { 1 } else { 2 };
    Some(most.min(least + spare).into())
}

/// The fields of a layer in words, a line each, for models that do not see the schema.
pub(super) fn outline(schema: &Value) -> String {
    let mut lines = Vec::new();
    match schema["properties"].as_object() {
        Some(properties) => {
            for (name, field) in properties {
                lines.push(format!("- {name}: {}", sentence(field)));
            }
        }
        None => lines.push(format!("- {}", sentence(schema))),
    }
    lines.join("\n")
}

fn sentence(field: &Value) -> String {
    let mut text = field["description"].as_str().unwrap_or_default().to_owned();
    if let Some(allowed) = field["enum"].as_array() {
        let allowed: Vec<_> =
            allowed.iter().map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned)).collect();
        let lead = if allowed.len() == 1 { "exactly" } else { "one of" };
        text = format!("{text}; {lead} {}", allowed.join(", "));
    }
    if let Some(items) = field.get("items") {
        text = format!("{text}; {}", counted(field));
        if items["type"] == "object" {
            text = format!("{text} objects with {}", parts(items));
        }
    } else if field["type"] == "object" {
        text = format!("{text}; an object with {}", parts(field));
    }
    text
}

/// The answer's form on one line, such as `{"relations":[{"relation":"…","name":"…"},…]}`: a model that sees it
/// writes no line breaks and no indentation, which are half of its tokens otherwise.
pub(super) fn form(schema: &Value) -> String {
    if let Some(properties) = schema["properties"].as_object() {
        let fields: Vec<_> =
            properties.iter().map(|(name, field)| format!("\"{name}\":{}", form(field))).collect();
        return format!("{{{}}}", fields.join(","));
    }
    if let Some(items) = schema.get("items") {
        return format!("[{},…]", form(items));
    }
    let kind = schema["type"].as_str().unwrap_or("string");
    if matches!(kind, "integer" | "number") { "0".to_owned() } else { "\"…\"".to_owned() }
}

fn counted(array: &Value) -> String {
    let (least, most) = (&array["minItems"], &array["maxItems"]);
    match (least.as_u64(), most.as_u64()) {
        (Some(least), Some(most)) if most == least => format!("{least}"),
        (Some(least), Some(most)) if most == least + 1 => format!("{least} or {most}"),
        (Some(least), Some(most)) => format!("{least} to {most}"),
        _ => "a list".to_owned(),
    }
}

fn parts(object: &Value) -> String {
    let parts = object["properties"].as_object().into_iter().flatten();
    let parts: Vec<_> = parts
        .map(|(name, part)| format!("{name} ({})", part["description"].as_str().unwrap_or_default()))
        .collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

    use super::*;
    use crate::persona::{Layers, layers_for_tests as persona};

    const NOTHING: Settled<'static> =
        Settled { facts: &Value::Null, persona: &Value::Null, rewritten: false };

    fn keywords_of<'a>(schema: &'a Value, found: &mut Vec<&'a str>) {
        for (keyword, value) in schema.as_object().into_iter().flatten() {
            found.push(keyword);
            match keyword.as_str() {
                "properties" => {
                    value.as_object().into_iter().flatten().for_each(|(_, v)| keywords_of(v, found));
                }
                "items" => keywords_of(value, found),
                _ => {}
            }
        }
    }

    #[test]
    fn an_overlong_text_is_cut_and_then_fits() {
        let mut knowledge = persona()["knowledge"].clone();
        knowledge["ignorance"][0] = "what the young ones do ".repeat(9).into();
        let answer = json!({"knowledge": knowledge});
        let layers = [Layer::Knowledge];
        assert_eq!(validate_output(Kind::Draft, &layers, &answer)[0].pointer, "/knowledge/ignorance/0");
        let answer = fitted(Kind::Draft, &layers, answer);
        assert_eq!(validate_output(Kind::Draft, &layers, &answer), []);
    }

    #[test]
    fn a_models_schema_has_the_layers_in_order_and_no_lengths() {
        let schema = prompt_schema(Kind::Draft, &[Layer::Relations, Layer::Scenario], NOTHING);
        assert_eq!(schema["required"], json!(["relations", "scenario"]));
        assert_eq!(schema["additionalProperties"], false);
        assert_eq!(schema["properties"]["relations"]["maxItems"], 3);
        for layer in Layer::ALL {
            let schema = layer_schema(layer, NOTHING);
            let mut found = Vec::new();
            keywords_of(&schema, &mut found);
            assert!(found.iter().all(|keyword| !DROPPED.contains(keyword)), "{layer}: {found:?}");
        }
    }

    #[test]
    fn a_property_called_title_would_stay() {
        let schema = json!({"title": "t", "type": "object", "properties": {"title": {"type": "string"}}});
        assert_eq!(slim(&schema), json!({"type": "object", "properties": {"title": {"type": "string"}}}));
    }

    #[test]
    fn facts_and_finished_layers_leave_no_room_for_contradiction() {
        let facts = json!({"name": "Rosa Lind", "age": 60});
        let finished = json!({"identity": {"age": 61}});
        let schema = prompt_schema(
            Kind::Draft,
            &[Layer::Identity, Layer::History],
            Settled { facts: &facts, persona: &finished, rewritten: false },
        );
        assert_eq!(schema["properties"]["identity"]["properties"]["name"]["enum"], json!(["Rosa Lind"]));
        assert_eq!(schema["properties"]["identity"]["properties"]["age"]["enum"], json!([60]));
        let moment = &schema["properties"]["history"]["properties"]["timeline"]["items"];
        assert_eq!(moment["properties"]["age"]["maximum"], 61);
        assert_eq!(moment["required"], json!(["age", "event", "effect"]));
        assert!(moment.get("anyOf").is_none() && moment["properties"].get("year").is_none());
    }

    #[test]
    fn an_age_known_by_its_decade_becomes_bounds() {
        let facts = json!({"age": {"min": 50, "max": 59}});
        let settled = Settled { facts: &facts, persona: &Value::Null, rewritten: false };
        let schema = layer_schema(Layer::Identity, settled);
        let age = &schema["properties"]["age"];
        assert_eq!((&age["minimum"], &age["maximum"]), (&json!(50), &json!(59)));
        assert_eq!(settled.oldest(), Some(59));
    }

    #[test]
    fn a_whole_persona_passes_what_models_are_given_where_its_arrays_are_short() {
        let mut persona = persona();
        // Models are asked for one more than must remain.
        let another = json!({"name": "Deniz", "relation": "neighbour", "feeling": "warmth", "description": "They share tea."});
        persona["relations"].as_array_mut().unwrap().push(another);
        persona["voice"]["never_says"].as_array_mut().unwrap().push(json!("whatever"));
        let layers = [Layer::Identity, Layer::Soul, Layer::Voice, Layer::Relations, Layer::Knowledge];
        let answer: Map<_, _> =
            layers.iter().map(|l| (l.as_str().to_owned(), persona[l.as_str()].clone())).collect();
        let schema = prompt_schema(Kind::Draft, &layers, NOTHING);
        assert_eq!(schema::validate_with(&schema, "", &answer.clone().into()), []);
        assert_eq!(validate_output(Kind::Draft, &layers, &answer.into()), []);
        assert!(Layers::from_value(&persona).is_ok());
    }

    #[test]
    fn a_layer_that_is_written_again_may_keep_what_it_has() {
        let persona = persona();
        let settled = Settled { facts: &Value::Null, persona: &persona, rewritten: true };
        for layer in Layer::ALL {
            let schema = layer_schema(layer, settled);
            assert_eq!(schema::validate_with(&schema, "", &persona[layer.as_str()]), [], "{layer}");
        }
        assert_eq!(layer_schema(Layer::Relations, settled)["maxItems"], 3);
        assert_eq!(layer_schema(Layer::Voice, settled)["properties"]["samples"]["maxItems"], 7);
    }

    #[test]
    fn an_answer_is_held_to_the_layers_asked_for() {
        let answer = json!({"scenario": {"setting": "s", "situation": ""}, "soul": {}});
        let mut pointers: Vec<_> = validate_output(Kind::Draft, &[Layer::Scenario, Layer::Voice], &answer)
            .into_iter()
            .map(|problem| problem.pointer)
            .collect();
        pointers.sort();
        assert_eq!(pointers, ["/scenario/situation", "/soul", "/voice"]);
        assert_eq!(validate_output(Kind::Audit, &[], &json!({"findings": []})), []);
        assert_eq!(validate_output(Kind::ConsistencyCheck, &[], &json!({}))[0].pointer, "/contradictions");
    }

    #[test]
    fn the_form_is_one_line_and_asks_for_the_relation_before_the_name() {
        let schema = prompt_schema(Kind::Draft, &[Layer::Relations, Layer::Scenario], NOTHING);
        assert_eq!(
            form(&schema),
            r#"{"relations":[{"relation":"…","name":"…","feeling":"…","description":"…"},…],"scenario":{"setting":"…","situation":"…"}}"#
        );
    }

    #[test]
    fn the_outline_says_how_many_and_of_what() {
        let outline = outline(&layer_schema(Layer::Voice, NOTHING));
        assert!(outline.contains("- register: How formal the speech is; one of intimate, casual, neutral"));
        assert!(outline.contains(
            "- samples: Lines as they would say them; 6 or 7 objects with context (What prompts the line), line"
        ));
        assert!(outline.contains("- vocabulary: Words they favour; 4 to 6"));
    }
}
