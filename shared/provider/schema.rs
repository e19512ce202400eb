//! JSON Schemas in the vendors' dialects: what a vendor does not know is left out, and is checked here afterwards.

use serde_json::{Map, Value};

/// What is told to people and tools only, or is not known to any vendor's decoder.
const NOWHERE: &[&str] = &[
    "$schema",
    "$id",
    "$comment",
    "title",
    "default",
    "examples",
    "minLength",
    "maxLength",
    "minProperties",
    "maxProperties",
    "uniqueItems",
    "patternProperties",
    "propertyNames",
    "contains",
    "minContains",
    "maxContains",
    "unevaluatedItems",
    "unevaluatedProperties",
    "contentEncoding",
    "contentMediaType",
    "readOnly",
    "writeOnly",
    "deprecated",
];

/// What OpenAI's decoder and llama.cpp's grammars know, and Anthropic's does not.
const BOUNDS: &[&str] = &[
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minItems",
    "maxItems",
    "pattern",
];

/// The schema without what OpenAI-compatible decoders refuse.
pub(super) fn for_openai(schema: &Value) -> Value {
    without(schema, &|key| NOWHERE.contains(&key))
}

/// The schema without what Anthropic's decoder refuses, which is more.
pub(super) fn for_anthropic(schema: &Value) -> Value {
    without(schema, &|key| NOWHERE.contains(&key) || BOUNDS.contains(&key))
}

/// Whether OpenAI takes it as `strict`: every object closed, every property required, no combinators but `anyOf`.
pub(super) fn is_strict(schema: &Value) -> bool {
    let Value::Object(node) = schema else { return schema.is_boolean() };
    let combines = ["allOf", "oneOf", "not", "if", "dependentRequired", "dependentSchemas", "prefixItems"];
    if combines.iter().any(|key| node.contains_key(*key)) {
        return false;
    }
    let closed = match node.get("properties").and_then(Value::as_object) {
        Some(properties) => {
            let required = node.get("required").and_then(Value::as_array);
            let is_required =
                |name: &String| required.is_some_and(|names| names.iter().any(|n| n.as_str() == Some(name)));
            node.get("additionalProperties") == Some(&Value::Bool(false))
                && properties.keys().all(is_required)
        }
        None => node.get("type").and_then(Value::as_str) != Some("object"),
    };
    closed && children(node).all(is_strict)
}

/// The schemas within a schema.
fn children(node: &Map<String, Value>) -> impl Iterator<Item = &Value> {
    let maps = ["properties", "$defs", "definitions"];
    let named = maps.into_iter().filter_map(|key| node.get(key)?.as_object()).flat_map(Map::values);
    let listed = node.get("anyOf").and_then(Value::as_array).into_iter().flatten();
    named.chain(listed).chain(node.get("items"))
}

/// A copy without some keywords; names of properties are not keywords, whatever they are called.
fn without(schema: &Value, refused: &dyn Fn(&str) -> bool) -> Value {
    let Value::Object(node) = schema else { return schema.clone() };
    if let Some(alternatives) = alternatives(node) {
        return without(&alternatives, refused);
    }
    let mut kept = Map::new();
    for (key, value) in node {
        if refused(key) {
            continue;
        }
        let value = match key.as_str() {
            "properties" | "$defs" | "definitions" => each_named(value, refused),
            "anyOf" | "oneOf" | "allOf" | "prefixItems" => each_listed(value, refused),
            "items" | "not" | "additionalProperties" | "if" | "then" | "else" => without(value, refused),
            _ => value.clone(),
        };
        kept.insert(key.clone(), value);
    }
    Value::Object(kept)
}

/// An object of which `anyOf` says only what is required besides, as objects that each require all they have. It
/// narrows the schema, in exchange for a form that every decoder knows. A vendor wants the objects told apart by
/// their first keys.
fn alternatives(node: &Map<String, Value>) -> Option<Value> {
    let properties = node.get("properties")?.as_object()?;
    let common = names(node);
    let choices: Vec<Vec<&str>> =
        node.get("anyOf")?.as_array()?.iter().map(only_requires).collect::<Option<_>>()?;
    let is_chosen = |name: &str| choices.iter().any(|choice| choice.contains(&name));
    let objects = choices.iter().map(|choice| {
        let rest = properties.keys().map(String::as_str).filter(|name| !is_chosen(name));
        let kept: Vec<&str> = choice.iter().copied().chain(rest).collect();
        let required: Vec<&str> =
            kept.iter().copied().filter(|name| choice.contains(name) || common.contains(name)).collect();
        let mut object = node.clone();
        object.remove("anyOf");
        let property = |name: &str| Some((name.to_owned(), properties.get(name)?.clone()));
        let properties: Map<_, _> = kept.into_iter().filter_map(property).collect();
        object.insert("properties".into(), properties.into());
        object.insert("required".into(), required.into());
        Value::Object(object)
    });
    Some(serde_json::json!({"anyOf": objects.collect::<Vec<_>>()}))
}

fn names(node: &Map<String, Value>) -> Vec<&str> {
    node.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

fn only_requires(choice: &Value) -> Option<Vec<&str>> {
    choice.as_object().filter(|choice| choice.len() == 1 && choice.contains_key("required")).map(names)
}

fn each_named(value: &Value, refused: &dyn Fn(&str) -> bool) -> Value {
    let Value::Object(named) = value else { return value.clone() };
    named.iter().map(|(name, schema)| (name.clone(), without(schema, refused))).collect()
}

fn each_listed(value: &Value, refused: &dyn Fn(&str) -> bool) -> Value {
    let Value::Array(listed) = value else { return value.clone() };
    listed.iter().map(|schema| without(schema, refused)).collect()
}

/// How a schema is put to a model that takes it only as text.
pub(super) fn as_prompt(schema: &Value) -> String {
    format!("Answer with one JSON object that matches this JSON Schema, and with nothing else:\n{schema}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn every_layer() -> Vec<Value> {
        crate::persona::Layer::ALL.iter().map(|layer| layer.schema().clone()).collect()
    }

    #[test]
    fn a_property_named_like_a_keyword_stays() {
        let schema = json!({"type": "object", "title": "x", "required": ["title"], "additionalProperties": false,
            "properties": {"title": {"type": "string", "title": "y", "maxLength": 3}}});
        assert_eq!(
            for_openai(&schema),
            json!({"type": "object", "required": ["title"], "additionalProperties": false,
                "properties": {"title": {"type": "string"}}})
        );
    }

    #[test]
    fn bounds_stay_for_openai_and_go_for_anthropic() {
        let schema = json!({"type": "array", "minItems": 3, "items": {"type": "number", "minimum": 0}});
        assert_eq!(for_openai(&schema), schema);
        assert_eq!(for_anthropic(&schema), json!({"type": "array", "items": {"type": "number"}}));
    }

    #[test]
    fn the_layers_own_schemas_are_strict() {
        for schema in every_layer() {
            assert!(is_strict(&for_openai(&schema)), "{schema}");
        }
    }

    #[test]
    fn a_choice_of_required_keys_becomes_a_choice_of_objects() {
        let schema = json!({"type": "object", "properties": {"event": {"type": "string"}, "age": {"type": "integer"},
            "year": {"type": "integer"}}, "required": ["event"], "additionalProperties": false,
            "anyOf": [{"required": ["age"]}, {"required": ["year"]}]});
        let object = |name: &str| {
            json!({"type": "object", "properties": {name: {"type": "integer"}, "event": {"type": "string"}},
                "required": [name, "event"], "additionalProperties": false})
        };
        assert_eq!(for_openai(&schema), json!({"anyOf": [object("age"), object("year")]}));
        assert!(is_strict(&for_openai(&schema)));
    }

    #[test]
    fn an_optional_property_or_an_open_object_is_not_strict() {
        let closed = json!({"type": "object", "properties": {"a": {"type": "string"}},
            "required": ["a"], "additionalProperties": false});
        assert!(is_strict(&closed));
        for (pointer, value) in [("/required", json!([])), ("/additionalProperties", json!(true))] {
            let mut open = closed.clone();
            if let Some(place) = open.pointer_mut(pointer) {
                *place = value;
            }
            assert!(!is_strict(&open), "{open}");
            let nested = json!({"type": "array", "items": open});
            assert!(!is_strict(&nested));
        }
        assert!(!is_strict(&json!({"type": "object"})));
    }
}
