//! What `docs/openapi.json` says of an answer, and whether the answer is so.

use std::{collections::BTreeSet, sync::OnceLock};

use functions::Endpoint;
use persona::persona::schema::validate_with;
use serde_json::{Value, json};
use tests::Answer;

/// The API document.
pub(super) fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| serde_json::from_str(include_str!("../../docs/openapi.json")).unwrap())
}

/// Fails unless the document describes this answer of this route: status, media type, body, headers.
pub(super) fn assert_described(route: Endpoint, answer: &Answer) {
    let (name, status) = (route.bin, answer.status.as_u16());
    let response = response(route, status);
    let media = media_of(answer);
    let content = &response["content"][&media];
    assert!(
        content.is_object(),
        "{name} is not described to answer {status} with \"{media}\": {}",
        answer.text
    );
    if media == "application/json" {
        assert_valid(&content["schema"], &answer.json(), name);
    }
    for header in ["persona-request-id", "location", "etag", "retry-after", "ratelimit-limit"] {
        let described = response["headers"].as_object().unwrap().keys();
        let described = described.map(|name| name.to_lowercase()).any(|name| name == header);
        assert!(described || answer.header(header).is_empty(), "{name} sends {header} with {status}");
    }
    assert!(!answer.header("persona-request-id").is_empty(), "{name} {status}");
}

/// The media type, without what else may be said of it.
pub(super) fn media_of(answer: &Answer) -> String {
    answer.header("content-type").split(';').next().unwrap_or_default().to_owned()
}

fn response(route: Endpoint, status: u16) -> &'static Value {
    let operation = &document()["paths"][route.path][route.method.to_lowercase()];
    let response = &operation["responses"][status.to_string()];
    assert!(response.is_object(), "{} is not described to answer {status}", route.bin);
    match response["$ref"].as_str() {
        Some(target) => document().pointer(target.trim_start_matches('#')).unwrap(),
        None => response,
    }
}

/// Every good answer that the document describes, as (binary, status, media type).
pub(super) fn good_answers() -> BTreeSet<(String, u16, String)> {
    let operations = document()["paths"].as_object().unwrap().values();
    let operations = operations.flat_map(|path| path.as_object().unwrap().values());
    let answers = operations.flat_map(|operation| {
        let name = operation["operationId"].as_str().unwrap();
        let responses = operation["responses"].as_object().unwrap();
        responses.iter().filter(|(status, _)| status.starts_with('2')).flat_map(move |(status, response)| {
            let media = response["content"].as_object().unwrap().keys();
            media.map(move |media| (name.to_owned(), status.parse().unwrap(), media.clone()))
        })
    });
    answers.collect()
}

/// Fails unless the value is valid by a schema of the document.
pub(super) fn assert_valid(schema: &Value, value: &Value, what: &str) {
    let whole = json!({"allOf": [schema], "components": document()["components"]});
    let problems = validate_with(&whole, "", value);
    assert!(problems.is_empty(), "{what}: {problems:#?}\n{value:#}");
}

/// Fails unless the value is a component of this name.
pub(super) fn assert_is(name: &str, value: &Value) {
    assert_valid(&json!({"$ref": format!("#/components/schemas/{name}")}), value, name);
}

/// Fails unless a server-sent event has the data that its name promises.
pub(super) fn assert_event((id, event, data): &(u64, String, Value)) {
    let object = json!({
        "id": id, "object": "event", "event": event, "data": data, "created_at": "2026-11-01T00:00:00.000Z",
    });
    assert_is("Event", &object);
}
