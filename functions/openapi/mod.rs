//! Makes `docs/openapi.json` from the catalogue, the schemas and the table of errors; a test holds it current.
#![expect(clippy::expect_used, clippy::panic, reason = "it runs in a test alone")]

mod schemas;

use std::{collections::BTreeMap, env, fs, path::Path};

use persona::error::Code;
use serde_json::{Map, Value, json};

use crate::{Form, OPEN_ROUTES, OpenRoute, ROUTES, Route, Speaks, mcp, openai};

/// Set, the test writes the document instead of comparing it.
const WRITE: &str = "PERSONA_WRITE_OPENAPI";

/// Headers that every route reads.
const HEADERS_READ: &[&str] = &["Persona-Version", "Persona-Workspace", "X-Request-Id"];
/// Headers of every answer, as far as they apply.
const HEADERS_ANSWERED: &[&str] = &[
    "Persona-Request-Id",
    "X-Request-Id",
    "Persona-Key-Expires",
    "RateLimit-Limit",
    "RateLimit-Remaining",
    "RateLimit-Reset",
];

fn document() -> Value {
    let mut paths = Map::new();
    for route in ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.to_lowercase()] = operation(route);
    }
    for route in OPEN_ROUTES {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.to_lowercase()] = open_operation(route);
    }
    json!({
        "openapi": "3.1.1",
        "info": {
            "title": "Persona",
            "version": persona::API_VERSION,
            "summary": "From a brief to a character, as a tracked and replayable run.",
            "description": "A path answers 405 `request.method_not_allowed` to a method that is not listed here, and an unknown path 404 `resource.not_found`, both in the envelope of every error.",
        },
        "servers": [{"url": "https://api.persona.dev"}],
        "security": [{"key": []}],
        "tags": [
            {"name": "personas", "description": "Characters made from briefs."},
            {"name": "runs", "description": "Every generation, tracked and replayable."},
            {"name": "workspace", "description": "The tenant of the key."},
            {"name": "pipelines", "description": "How personas are made, as data."},
            {"name": "marketplace", "description": "Personas that their workspaces have published, for others to install."},
            {"name": "chat", "description": "Talking with personas, and how far they drift."},
            {"name": "tools", "description": "What personas may use in a conversation."},
            {"name": "openai", "description": "Personas as models, for OpenAI's clients."},
            {"name": "mcp", "description": "Personas for hosts of the Model Context Protocol."},
            {"name": "webhooks", "description": "Addresses that are told of events."},
            {"name": "auth", "description": "How people get a key by signing in, without one: OAuth 2.1 and pages."},
        ],
        "paths": paths,
        "webhooks": {"event": {"post": told_of_events()}},
        "components": {
            "securitySchemes": {"key": {
                "type": "http", "scheme": "bearer", "bearerFormat": "pk_live_… or pk_test_…",
                "description": "A key of one workspace. `x-scope` of an operation is the scope that the key needs; where it is `any`, each method and tool needs its own.",
            }},
            "headers": parameters()["answer"],
            "responses": refusals(),
            "schemas": schemas::components(),
        },
    })
}

fn operation(route: &Route) -> Value {
    let mut made = json!({
        "operationId": route.bin,
        "tags": [route.path.split('/').nth(2)],
        "summary": route.summary,
        "x-scope": route.scope,
        "parameters": parameters_of(route),
    });
    if let Some(body) = route.body {
        let schema = schemas::reference(&schemas::name_of(body));
        let named = schemas::media_types_of(body);
        let content = named.into_iter().map(|media| match media.as_str() {
            "image/png" => (media, json!({})),
            _ => (media, json!({"schema": schema})),
        });
        made["requestBody"] =
            json!({"required": !schemas::is_optional(body), "content": content.collect::<Map<_, _>>()});
    }
    made["responses"] = responses(route).into();
    made
}

/// A route without a key: a query or a form, and pages or OAuth's JSON.
fn open_operation(route: &OpenRoute) -> Value {
    let described = &parameters()["open"];
    let mut made = json!({
        "operationId": route.bin,
        "tags": ["auth"],
        "summary": route.summary,
        "security": [],
    });
    if route.method == "GET" {
        let fields = route.fields.iter().map(|(name, required)| {
            let mut field = described[name].clone();
            assert!(field.is_object(), "functions/openapi/parameters.json does not describe {name} (open)");
            field["name"] = (*name).into();
            field["in"] = "query".into();
            field["required"] = (*required).into();
            field
        });
        made["parameters"] = fields.chain([parameter("header", "X-Request-Id")]).collect();
    } else {
        let mut schema = json!({"type": "object", "properties": {}});
        for (name, _) in route.fields {
            schema["properties"][name] = described[name]["schema"].clone();
            schema["properties"][name]["description"] = described[name]["description"].clone();
        }
        let required = route.fields.iter().filter(|(_, required)| *required).map(|(name, _)| *name);
        schema["required"] = required.collect();
        made["parameters"] = json!([parameter("header", "X-Request-Id")]);
        made["requestBody"] =
            json!({"required": true, "content": {"application/x-www-form-urlencoded": {"schema": schema}}});
    }
    made["responses"] = open_responses(route);
    made
}

fn open_responses(route: &OpenRoute) -> Value {
    let named = |more: Option<&'static str>| {
        let names = ["Persona-Request-Id", "X-Request-Id"].into_iter().chain(more);
        names
            .map(|name| (name.to_owned(), json!({"$ref": format!("#/components/headers/{name}")})))
            .collect::<Map<_, _>>()
    };
    let mut made = json!({});
    for (status, form) in route.answers {
        let more = (*form == Form::Redirect).then_some("Location");
        let content = match form {
            Form::Redirect | Form::Nothing => json!({}),
            form => json!({form.media(): {"schema": body_schema(*form)}}),
        };
        made[status.to_string()] =
            json!({"description": described(*status, *form), "headers": named(more), "content": content});
    }
    let (media, schema) = match route.speaks {
        Speaks::OAuth => ("application/json", schemas::reference("AuthError")),
        Speaks::Pages => ("text/html", body_schema(Form::Page)),
    };
    for (status, description) in [
        ("4XX", "Why it does not go on."),
        ("5XX", "A fault, of ours or of the identity provider; or signing in is not set up."),
    ] {
        let content = json!({media: {"schema": schema}});
        made[status] = json!({"description": description, "headers": named(None), "content": content});
    }
    made
}

/// What webhooks are sent.
fn told_of_events() -> Value {
    let headers =
        parameters()["sent"].as_object().cloned().unwrap_or_default().into_iter().map(|(name, known)| {
            let mut made = json!({"name": name, "in": "header", "required": true});
            for (key, value) in known.as_object().into_iter().flatten() {
                made[key] = value.clone();
            }
            made
        });
    json!({
        "operationId": "told-of-event",
        "summary": "An event, sent to each webhook that is told of its kind.",
        "description": "At least once, in no certain order. Any status of 2xx within 10 s takes it; else it is sent again after 5 s, 30 s, 2 min, 10 min, 30 min, 1 h, 3 h, 6 h, 12 h and 12 h, later where `Retry-After` says so. 410 disables the webhook, and so do five days of failures. Redirects are not followed.",
        "parameters": headers.collect::<Vec<_>>(),
        "requestBody": {
            "required": true,
            "content": {"application/json": {"schema": schemas::reference("WebhookEvent")}},
        },
        "responses": {"2XX": {"description": "Taken."}, "410": {"description": "Send nothing more."}},
    })
}

// ---- what a route reads

fn parameters() -> Value {
    serde_json::from_str(include_str!("parameters.json")).expect("parameters.json is JSON")
}

fn parameters_of(route: &Route) -> Vec<Value> {
    let in_path = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let once = (route.method == "POST").then_some("Idempotency-Key");
    let headers = route.headers.iter().chain(HEADERS_READ).copied().chain(once);
    let named = in_path
        .map(|name| ("path", name))
        .chain(route.query.iter().map(|name| ("query", *name)))
        .chain(headers.map(|name| ("header", name)));
    named.map(|(place, name)| parameter(place, name)).collect()
}

fn parameter(place: &str, name: &str) -> Value {
    let known = &parameters()[place][name];
    assert!(known.is_object(), "functions/openapi/parameters.json does not describe {name} ({place})");
    let mut made = json!({"name": name, "in": place});
    if place == "path" {
        made["required"] = true.into();
    }
    if name == "Persona-Version" {
        made["schema"] = json!({"const": persona::API_VERSION});
    }
    for (key, value) in known.as_object().into_iter().flatten() {
        if made.get(key).is_none() {
            made[key] = value.clone();
        }
    }
    made
}

// ---- what it answers

fn responses(route: &Route) -> Map<String, Value> {
    let mut made = Map::new();
    for (status, form) in route.answers {
        let response =
            made.entry(status.to_string()).or_insert_with(|| json!({"description": "", "content": {}}));
        let description = response["description"].as_str().unwrap_or_default();
        let or = if description.is_empty() { "" } else { " Or: " };
        response["description"] = format!("{description}{or}{}", described(*status, *form)).into();
        if *form != Form::Nothing {
            response["content"][form.media()] = json!({"schema": body_schema(*form)});
        }
        let headers = headers_answered(*status, *form);
        match response["headers"].as_object_mut() {
            Some(known) => known.extend(headers),
            None => response["headers"] = Value::Object(headers),
        }
    }
    for (status, codes) in codes_by_status(route) {
        let shared = |code: &Code| json!({"$ref": format!("#/components/responses/{code}")});
        let response = match codes.as_slice() {
            _ if openai::has(route.path) => openai_refusal(&codes),
            _ if mcp::has(route.path) => mcp_refusal(&codes),
            [code] => shared(code),
            _ => refusal(&codes),
        };
        made.insert(status.to_string(), response);
    }
    made
}

fn described(status: u16, form: Form) -> String {
    match (status, form) {
        (202, Form::Nothing) => "A notification was taken; there is nothing to say.".to_owned(),
        (_, Form::Object("mcp_message")) => {
            "The answer of a request, as one JSON-RPC message: its result, or an error whose data is the envelope of every other route.".to_owned()
        }
        (_, Form::Messages) => {
            "The same as a stream, where the answer takes time or tells its progress: each event has one JSON-RPC message as its data, and the last is the answer.".to_owned()
        }
        (201, Form::Object(object)) => format!("The {object}, made."),
        (202, _) => "The run, which goes on; follow it at Location.".to_owned(),
        (_, Form::Object(object)) => format!("The {object}."),
        (_, Form::Yaml(object)) => format!("The {object} as YAML, with Accept: application/yaml."),
        (_, Form::List(object)) => format!("A page, each an object \"{object}\"."),
        (_, Form::Page) => "A page.".to_owned(),
        (_, Form::Redirect) => "Where to go on.".to_owned(),
        (_, Form::Nothing) => "Done.".to_owned(),
        (_, Form::Chunks) => {
            "Chunks as OpenAI's clients read them, each one line of data with an object `chat.completion.chunk`; `persona` rides on the last, then `[DONE]`. A failure after the first chunk is an event with `error`, and nothing after it.".to_owned()
        }
        (_, Form::Events) => {
            "The run's events as they happen, until it ends: each with id, event and one line of data as in the schema Event, and a comment after 15 s of silence. A failure after the first event is run.failed.".to_owned()
        }
    }
}

fn body_schema(form: Form) -> Value {
    match form {
        Form::Object(object) | Form::Yaml(object) => schemas::reference(&schemas::pascal(object)),
        Form::List(object) => schemas::reference(&format!("{}List", schemas::pascal(object))),
        Form::Events | Form::Chunks | Form::Messages => {
            json!({"type": "string", "contentMediaType": "text/event-stream"})
        }
        Form::Page => json!({"type": "string", "contentMediaType": "text/html"}),
        Form::Redirect | Form::Nothing => Value::Null,
    }
}

fn headers_answered(status: u16, form: Form) -> Map<String, Value> {
    let location =
        (status == 201 || status == 202 || matches!(form, Form::Events | Form::Chunks)).then_some("Location");
    let tagged = matches!(
        form,
        Form::Object("persona" | "card" | "workspace" | "pipeline" | "webhook") | Form::Yaml("persona")
    )
    .then_some("ETag");
    headers(location.into_iter().chain(tagged))
}

fn headers<'a>(more: impl Iterator<Item = &'a str>) -> Map<String, Value> {
    let named = HEADERS_ANSWERED.iter().copied().chain(more);
    named.map(|name| (name.to_owned(), json!({"$ref": format!("#/components/headers/{name}")}))).collect()
}

/// Every code that the route can fail with: what `serve` refuses on any route, and the route's own.
fn codes_by_status(route: &Route) -> BTreeMap<u16, Vec<Code>> {
    let may = |code: &Code| match code {
        Code::RequestInvalid
        | Code::InvalidKey
        | Code::InsufficientScope
        | Code::NotAcceptable
        | Code::RateLimitExceeded
        | Code::Internal => true,
        Code::NotFound => route.path.contains('{') || route.errors.contains(code),
        Code::PayloadTooLarge => route.method != "GET",
        Code::UnsupportedMediaType => route.body.is_some(),
        Code::IdempotencyKeyReused | Code::IdempotencyInProgress => route.method == "POST",
        other => route.errors.contains(other),
    };
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in Code::ALL.iter().filter(|code| may(code)) {
        by_status.entry(code.status()).or_default().push(*code);
    }
    by_status
}

/// The answers of one code each that operations refer to.
fn refusals() -> Map<String, Value> {
    let native = ROUTES.iter().filter(|route| !openai::has(route.path) && !mcp::has(route.path));
    let alone = native.flat_map(|route| codes_by_status(route).into_values());
    let alone: Vec<Code> = alone.filter_map(|codes| (codes.len() == 1).then(|| codes[0])).collect();
    let used = Code::ALL.iter().filter(|code| alone.contains(code));
    used.map(|code| (code.to_string(), refusal(&[*code]))).collect()
}

/// An answer of one status, with the codes that it may carry.
fn refusal(codes: &[Code]) -> Value {
    let names: Vec<&str> = codes.iter().map(|code| code.as_str()).collect();
    let schema = json!({
        "allOf": [schemas::reference("Error")],
        "properties": {"error": {"properties": {"code": {"enum": names}}}},
    });
    refusal_in(&schema, codes)
}

/// The same for OpenAI's clients.
fn openai_refusal(codes: &[Code]) -> Value {
    refusal_in(&schemas::reference("OpenaiError"), codes)
}

/// The same for hosts of the Model Context Protocol: what is wrong with a message is told as a message.
fn mcp_refusal(codes: &[Code]) -> Value {
    refusal_in(&json!({"anyOf": [schemas::reference("McpMessage"), schemas::reference("Error")]}), codes)
}

fn refusal_in(schema: &Value, codes: &[Code]) -> Value {
    let told: Vec<String> = codes.iter().map(|code| format!("`{code}`: {}", code.when())).collect();
    let retry = codes.iter().any(|code| code.retryable()).then_some("Retry-After");
    json!({
        "description": told.join(" "),
        "headers": headers(retry.into_iter()),
        "content": {"application/json": {"schema": schema}},
    })
}

#[test]
fn the_document_is_made_from_the_catalogue() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    let made = format!("{:#}\n", document());
    if env::var_os(WRITE).is_some() {
        fs::write(&file, &made).expect("docs/openapi.json is written");
    }
    let kept = fs::read_to_string(&file).unwrap_or_default();
    assert!(
        made == kept,
        "docs/openapi.json is not what the catalogue makes. Run `make openapi` and commit it."
    );
}

#[test]
fn every_described_parameter_is_read_by_some_route() {
    let document = document();
    let operations = document["paths"].as_object().into_iter().flatten();
    let operations = operations.flat_map(|(_, path)| path.as_object().into_iter().flatten());
    let used: Vec<(String, String)> = operations
        .flat_map(|(_, operation)| operation["parameters"].as_array().into_iter().flatten())
        .map(|parameter| (text(&parameter["in"]), text(&parameter["name"])))
        .collect();
    for (place, described) in parameters().as_object().into_iter().flatten() {
        for name in described.as_object().into_iter().flatten().map(|(name, _)| name) {
            let open = OPEN_ROUTES.iter().flat_map(|route| route.fields).any(|(field, _)| field == name);
            let known = place == "answer"
                || place == "sent"
                || (place == "open" && open)
                || used.contains(&(place.clone(), name.clone()));
            assert!(known, "no route reads {name} ({place})");
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
