//! The schema files as components of the document: named after their files, references between them rewritten.

use persona::{error::Code, persona::Layer};
use serde_json::{Map, Value, json};

use crate::{Form, ROUTES};

/// Files below shared/schemas that the document holds, besides layers and bodies of requests.
const FILES: &[(&str, &str)] = &[
    ("objects/persona.json", include_str!("../../shared/schemas/objects/persona.json")),
    ("objects/persona_version.json", include_str!("../../shared/schemas/objects/persona_version.json")),
    ("objects/run.json", include_str!("../../shared/schemas/objects/run.json")),
    ("objects/event.json", include_str!("../../shared/schemas/objects/event.json")),
    ("objects/diff.json", include_str!("../../shared/schemas/objects/diff.json")),
    ("objects/workspace.json", include_str!("../../shared/schemas/objects/workspace.json")),
    ("objects/usage.json", include_str!("../../shared/schemas/objects/usage.json")),
    ("objects/key.json", include_str!("../../shared/schemas/objects/key.json")),
    ("objects/pipeline.json", include_str!("../../shared/schemas/objects/pipeline.json")),
    ("objects/field.json", include_str!("../../shared/schemas/objects/field.json")),
    ("objects/conversation.json", include_str!("../../shared/schemas/objects/conversation.json")),
    ("objects/message.json", include_str!("../../shared/schemas/objects/message.json")),
    ("objects/turn.json", include_str!("../../shared/schemas/objects/turn.json")),
    ("objects/drift.json", include_str!("../../shared/schemas/objects/drift.json")),
    ("objects/drift_series.json", include_str!("../../shared/schemas/objects/drift_series.json")),
    ("objects/tool.json", include_str!("../../shared/schemas/objects/tool.json")),
    ("objects/card.json", include_str!("../../shared/schemas/objects/card.json")),
    ("objects/listing.json", include_str!("../../shared/schemas/objects/listing.json")),
    ("objects/deletion.json", include_str!("../../shared/schemas/objects/deletion.json")),
    ("objects/chat_completion.json", include_str!("../../shared/schemas/objects/chat_completion.json")),
    ("objects/embeddings.json", include_str!("../../shared/schemas/objects/embeddings.json")),
    ("objects/model.json", include_str!("../../shared/schemas/objects/model.json")),
    ("objects/openai_error.json", include_str!("../../shared/schemas/objects/openai_error.json")),
    ("objects/mcp_message.json", include_str!("../../shared/schemas/objects/mcp_message.json")),
    ("objects/webhook.json", include_str!("../../shared/schemas/objects/webhook.json")),
    ("objects/delivery.json", include_str!("../../shared/schemas/objects/delivery.json")),
    ("objects/webhook_event.json", include_str!("../../shared/schemas/objects/webhook_event.json")),
    ("objects/auth_metadata.json", include_str!("../../shared/schemas/objects/auth_metadata.json")),
    ("objects/auth_device.json", include_str!("../../shared/schemas/objects/auth_device.json")),
    ("objects/auth_token.json", include_str!("../../shared/schemas/objects/auth_token.json")),
    ("objects/auth_error.json", include_str!("../../shared/schemas/objects/auth_error.json")),
    ("objects/error.json", include_str!("../../shared/schemas/objects/error.json")),
    ("pipeline.json", include_str!("../../shared/schemas/pipeline.json")),
];

/// A page of a list; the objects in it are put in for each list.
const LIST: &str = include_str!("../../shared/schemas/objects/list.json");

/// Every schema of the document by name.
pub(super) fn components() -> Map<String, Value> {
    let mut made = Map::new();
    for (path, text) in FILES {
        made.insert(component_of(path), component(path, text));
    }
    for layer in Layer::ALL {
        let path = format!("layers/{layer}.json");
        made.insert(component_of(&path), component(&path, layer.schema_text()));
    }
    for body in ROUTES.iter().filter_map(|route| route.body) {
        made.insert(name_of(body), component(&format!("requests/{}.json", name_of(body)), body));
    }
    for (_, form) in ROUTES.iter().flat_map(|route| route.answers) {
        if let Form::List(object) = form {
            let mut list = component("objects/list.json", LIST);
            list["properties"]["data"]["items"] = reference(&pascal(object));
            made.insert(format!("{}List", pascal(object)), list);
        }
    }
    let codes: Vec<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    made["Error"]["properties"]["error"]["properties"]["code"]["enum"] = json!(codes);
    made
}

/// A reference to a component.
pub(super) fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// The title of a schema, which for a request's body is its component's name.
pub(super) fn name_of(text: &str) -> String {
    parsed(text)["title"].as_str().unwrap_or_default().to_owned()
}

/// Whether a body may be left out.
pub(super) fn is_optional(text: &str) -> bool {
    parsed(text)["x-optional"] == true
}

/// The media types that a body is read in.
pub(super) fn media_types_of(text: &str) -> Vec<String> {
    let named = parsed(text)["x-media-types"].as_array().cloned().unwrap_or_default();
    let named: Vec<String> = named.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    if named.is_empty() { vec!["application/json".to_owned()] } else { named }
}

/// `run_diff` as `RunDiff`.
pub(super) fn pascal(name: &str) -> String {
    let words = name.split('_').map(|word| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_uppercase() + rest
    });
    words.collect()
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("a schema file is not JSON: {error}"))
}

/// The component that a file below shared/schemas makes.
fn component_of(path: &str) -> String {
    if path == "pipeline.json" {
        // The object of that name is what callers see; this is how one is written.
        return "PipelineDefinition".to_owned();
    }
    let file = path.rsplit('/').next().unwrap_or(path);
    pascal(file.trim_end_matches(".json"))
}

fn component(path: &str, text: &str) -> Value {
    let mut schema = parsed(text);
    if let Some(fields) = schema.as_object_mut() {
        // Identity and dialect are the document's.
        fields.shift_remove("$schema");
        fields.shift_remove("$id");
        fields.shift_remove("title");
    }
    rewrite(path, &mut schema);
    schema
}

fn rewrite(path: &str, schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            for (key, value) in fields {
                match value {
                    Value::String(target) if key == "$ref" => *target = rewritten(path, target),
                    other => rewrite(path, other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rewrite(path, item)),
        _ => {}
    }
}

/// A reference between files, such as `../layers/soul.json#/properties/wound`, as one within the document.
fn rewritten(path: &str, target: &str) -> String {
    let (file, pointer) = target.split_once('#').unwrap_or((target, ""));
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let file = match file.strip_prefix("../") {
        _ if file.is_empty() => path.to_owned(),
        Some(above) => above.to_owned(),
        None => format!("{folder}/{file}"),
    };
    format!("#/components/schemas/{}{pointer}", component_of(&file))
}
