//! As the API's paths. What clients make of the answers is in tests/clients.
mod completions;
mod embeddings;
mod models;
mod trouble;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, Workspace, send};

const BRIEF: &str = "A 58-year-old watchmaker from Geneva who sings in a choir";
const COMPLETIONS: &str = "/v1/openai/chat/completions";
const CONVERSATION: &str = "X-Persona-Conversation-Id";

/// A question to a model.
fn question(model: &Value, message: &str, more: &Value) -> Value {
    let mut body = json!({"model": model, "messages": [{"role": "user", "content": message}]});
    for (key, value) in more.as_object().into_iter().flatten() {
        body[key] = value.clone();
    }
    body
}

/// A question within a conversation.
async fn in_conversation(workspace: &Workspace, conversation: &Value, body: &Value) -> Answer {
    let header = conversation["id"].as_str().unwrap();
    send(workspace.call(Method::POST, COMPLETIONS).header(CONVERSATION, header).json(body)).await
}

async fn begun(workspace: &Workspace, persona: &Value) -> Value {
    let answer = workspace.post("/v1/chat/conversations", &json!({"persona_id": persona["id"]})).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()
}

/// The transcript, newest first.
async fn transcript(workspace: &Workspace, conversation: &Value) -> Vec<Value> {
    workspace.all(&format!("/v1/chat/conversations/{}/messages", conversation["id"].as_str().unwrap())).await
}

/// The data of each event of a stream; `null` for `[DONE]`.
fn chunks(text: &str) -> Vec<Value> {
    let data = text.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
    data.map(|data| if data == "[DONE]" { Value::Null } else { serde_json::from_str(data).unwrap() })
        .collect()
}

/// Fails unless the answer is this error in OpenAI's shape; its `param`.
fn refused(answer: &Answer, status: u16, code: &str) -> Value {
    let body = answer.json();
    let error = body["error"].as_object().unwrap();
    let mut fields: Vec<&str> = error.keys().map(String::as_str).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["code", "message", "param", "type"], "{body}");
    assert_eq!((answer.status.as_u16(), error["code"].as_str()), (status, Some(code)), "{body}");
    error["param"].clone()
}
