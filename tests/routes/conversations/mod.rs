//! As the API's paths.
mod injections;
mod judge;
mod lifecycle;
mod long;
mod messages;
mod policies;
mod trouble;

use reqwest::StatusCode;
use serde_json::{Value, json};
use tests::Workspace;

const BRIEF: &str = "A 58-year-old watchmaker from Geneva who sings in a choir";

/// A conversation with a new persona; persona and conversation.
async fn begun(workspace: &Workspace, more: Value) -> (Value, Value) {
    let persona = workspace.persona(BRIEF).await;
    let conversation = begun_with(workspace, &persona, more).await;
    (persona, conversation)
}

async fn begun_with(workspace: &Workspace, persona: &Value, mut body: Value) -> Value {
    body["persona_id"] = persona["id"].clone();
    let answer = workspace.post("/v1/chat/conversations", &body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    let conversation = answer.json();
    assert_eq!(answer.header("location"), path(&conversation));
    conversation
}

fn path(conversation: &Value) -> String {
    format!("/v1/chat/conversations/{}", conversation["id"].as_str().unwrap())
}

fn messages_path(conversation: &Value) -> String {
    format!("{}/messages", path(conversation))
}

/// One turn that must succeed.
async fn say(workspace: &Workspace, conversation: &Value, message: &str) -> Value {
    let answer = workspace.post(&messages_path(conversation), &json!({"message": message})).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.json()
}

/// The transcript, oldest first, as (who, what).
async fn transcript(workspace: &Workspace, conversation: &Value) -> Vec<(String, String)> {
    let mut messages = workspace.all(&messages_path(conversation)).await;
    messages.reverse();
    let text = |message: &Value, field: &str| message[field].as_str().unwrap().to_owned();
    messages.iter().map(|message| (text(message, "role"), text(message, "content"))).collect()
}
