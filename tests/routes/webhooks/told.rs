//! What webhooks are told of, and when.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tests::{
    Workspace, send,
    support::receiver::{Received, Receiver},
};

use super::{BRIEF, SOON, edit, imported, text, told};

/// The first event of a kind, once it has come.
pub(super) async fn first(receiver: &Receiver, kind: &str) -> Value {
    let is_it = |received: &Received| received.header("persona-event-type") == kind;
    assert!(receiver.until(SOON, |received| received.iter().any(is_it)).await, "no {kind} has come");
    let event = receiver.of_type(kind)[0].json();
    assert_eq!(event["type"], kind);
    assert!(text(&event["id"]).starts_with("evt_") && event["created_at"].is_string(), "{event}");
    event
}

#[tokio::test]
async fn a_creation_tells_of_its_run_and_of_its_persona() {
    let (workspace, receiver) = (Workspace::test("team").await, Receiver::willing().await);
    told(&workspace, &receiver, &["run.completed", "persona.created"]).await;
    let persona = workspace.persona(BRIEF).await;
    let run = &persona["lineage"]["run_id"];
    let created = first(&receiver, "persona.created").await;
    let wanted = json!({
        "persona_id": persona["id"], "slug": persona["slug"], "name": persona["identity"]["name"], "version": 1,
        "visibility": "private", "language": "en", "run_id": run,
    });
    assert_eq!(created["data"], wanted);
    let completed = first(&receiver, "run.completed").await;
    let data = &completed["data"];
    assert_eq!(
        (&data["run_id"], &data["kind"], &data["status"]),
        (run, &json!("persona.create"), &json!("completed"))
    );
    assert_eq!((&data["persona_id"], &data["error"]), (&persona["id"], &json!(null)));
    assert_eq!(completed["workspace_id"], workspace.id.as_str());
}

#[tokio::test]
async fn a_run_that_fails_tells_why() {
    let (workspace, receiver) = (Workspace::test("team").await, Receiver::willing().await);
    told(&workspace, &receiver, &["run.failed", "persona.created"]).await;
    let body = json!({"intent": format!("[[trigger:moderation_block]] {BRIEF}")});
    let failed = workspace.post("/v1/personas", &body).await;
    assert_eq!(failed.code(), "moderation.intent_blocked");
    let data = first(&receiver, "run.failed").await["data"].clone();
    assert_eq!(data["run_id"], failed.json()["error"]["run_id"]);
    assert_eq!((&data["status"], &data["persona_id"]), (&json!("failed"), &json!(null)));
    assert_eq!(data["error"]["code"], "moderation.intent_blocked");
    assert!(receiver.of_type("persona.created").is_empty());
}

#[tokio::test]
async fn an_edit_and_a_deletion_tell_of_their_persona_and_an_edit_that_changes_nothing_does_not() {
    let (workspace, receiver) = (Workspace::test("team").await, Receiver::willing().await);
    told(&workspace, &receiver, &["persona.created", "persona.updated", "persona.deleted"]).await;
    let persona = imported(&workspace, "Beekeeper").await;
    let created = first(&receiver, "persona.created").await;
    assert_eq!((&created["data"]["persona_id"], &created["data"]["run_id"]), (&persona["id"], &json!(null)));
    edit(&workspace, &persona, 1).await;
    edit(&workspace, &persona, 1).await;
    let updated = first(&receiver, "persona.updated").await["data"].clone();
    assert_eq!((&updated["version"], &updated["changed"]), (&json!(2), &json!(["metadata"])));
    let refine = format!("/v1/personas/{}/refine", text(&persona["id"]));
    let body = json!({"instruction": "make the voice warmer", "layers": ["voice"]});
    let refined = send(workspace.call(Method::POST, &refine).header("prefer", "wait=60").json(&body)).await;
    assert!(refined.status.is_success(), "{}", refined.text);
    let changed = refined.json()["version"] != 2;
    let gone = send(workspace.call(Method::DELETE, &format!("/v1/personas/{}", text(&persona["id"])))).await;
    assert_eq!(gone.status, StatusCode::OK);
    let deleted = first(&receiver, "persona.deleted").await;
    assert_eq!(deleted["data"]["slug"], persona["slug"]);
    let edits = if changed { 2 } else { 1 };
    assert!(receiver.until(SOON, |_| receiver.of_type("persona.updated").len() >= edits).await);
    let runs: Vec<Value> = receiver
        .of_type("persona.updated")
        .iter()
        .map(|received| received.json()["data"]["run_id"].clone())
        .collect();
    assert_eq!(runs.len(), edits, "{runs:?}");
    assert_eq!(runs.iter().filter(|run| run.is_string()).count(), edits - 1, "a refinement names its run");
}

#[tokio::test]
async fn a_turn_tells_of_its_run_at_no_further_request_to_the_store() {
    let (workspace, receiver) = (Workspace::test("team").await, Receiver::willing().await);
    told(&workspace, &receiver, &["run.completed", "run.failed"]).await;
    let persona = imported(&workspace, "Beekeeper").await;
    let begun = workspace.post("/v1/chat/conversations", &json!({"persona_id": persona["id"]})).await.json();
    let path = format!("/v1/chat/conversations/{}/messages", text(&begun["id"]));
    let said = workspace.post(&path, &json!({"message": "How are the bees?"})).await;
    assert_eq!(said.status, StatusCode::OK, "{}", said.text);
    assert!(said.store_requests() <= 6, "{} requests", said.store_requests());
    let data = first(&receiver, "run.completed").await["data"].clone();
    let turn = said.json();
    assert_eq!((&data["run_id"], &data["message_id"]), (&turn["run_id"], &turn["message_id"]));
    assert_eq!((&data["kind"], &data["conversation_id"]), (&json!("conversation.turn"), &begun["id"]));
}

#[tokio::test]
async fn a_conversation_that_leaves_its_character_tells_of_it_once() {
    let (workspace, receiver) = (Workspace::test("team").await, Receiver::willing().await);
    told(&workspace, &receiver, &["conversation.drift_detected"]).await;
    let persona = imported(&workspace, "Beekeeper").await;
    let begun = workspace.post("/v1/chat/conversations", &json!({"persona_id": persona["id"]})).await.json();
    // The sandbox quotes what functions have found, whatever that makes of the persona.
    let found = "I am an AI language model. As an AI, I have no feelings and no personal experiences.";
    let function = json!({"name": "look", "parameters": {"type": "object"}});
    let call = json!({"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}});
    let mut turns = Vec::new();
    for said in ["Look it up", "And again"] {
        let body = json!({
            "model": persona["id"], "tools": [{"type": "function", "function": function}],
            "messages": [
                {"role": "user", "content": said},
                {"role": "assistant", "content": null, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "call_1", "content": found},
            ],
        });
        let request = workspace.call(Method::POST, "/v1/openai/chat/completions").json(&body);
        let answer = send(request.header("x-persona-conversation-id", text(&begun["id"]))).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        assert!(answer.store_requests() <= 6, "{} requests", answer.store_requests());
        turns.push(answer.json());
    }
    let data = first(&receiver, "conversation.drift_detected").await["data"].clone();
    assert_eq!((&data["conversation_id"], &data["persona_id"]), (&begun["id"], &persona["id"]));
    assert_eq!((&data["run_id"], &data["threshold"]), (&turns[0]["persona"]["run_id"], &json!(0.5)));
    assert!(data["average"].as_f64() >= Some(0.5), "{data}");
    assert_eq!(data["drift"]["verdict"], turns[0]["persona"]["drift"]["verdict"]);
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!(receiver.received().len(), 1, "it is above the threshold still, and has not crossed it again");
}
