//! `/v1/chat/conversations`: begin, list, read, delete.

use reqwest::Method;
use serde_json::json;
use tests::{Workspace, send};

use super::{begun, begun_with, messages_path, path, say};

#[tokio::test]
async fn a_conversation_pins_the_version_and_is_found_again() {
    let workspace = Workspace::test("team").await;
    let more = json!({"title": "At the bench", "metadata": {"ticket": "7"}, "drift_policy": "reanchor"});
    let (persona, conversation) = begun(&workspace, more).await;
    assert_eq!(conversation["persona_version"], persona["version"]);
    assert_eq!(
        (&conversation["title"], &conversation["metadata"]["ticket"], &conversation["drift_policy"]),
        (&json!("At the bench"), &json!("7"), &json!("reanchor"))
    );
    assert_eq!(conversation["drift"], json!({"average": null, "above_threshold": false, "threshold": 0.5}));
    let second = begun_with(&workspace, &persona, json!({})).await;
    let list = workspace.all("/v1/chat/conversations").await;
    assert_eq!(list, [second.clone(), conversation.clone()]);
    assert_eq!(workspace.get(&path(&conversation)).await.json(), conversation);
    let by_slug = json!({"persona_id": persona["slug"]});
    assert_eq!(workspace.post("/v1/chat/conversations", &by_slug).await.status, 201);
}

#[tokio::test]
async fn a_deleted_conversation_is_gone_with_its_messages_and_its_runs_stay() {
    let workspace = Workspace::test("team").await;
    let (_, conversation) = begun(&workspace, json!({})).await;
    let turn = say(&workspace, &conversation, "What are you working on?").await;
    let deleted = send(workspace.call(Method::DELETE, &path(&conversation))).await;
    assert_eq!(deleted.json(), json!({"id": conversation["id"], "object": "conversation", "deleted": true}));
    for path in [path(&conversation), messages_path(&conversation)] {
        assert_eq!(workspace.get(&path).await.code(), "resource.not_found");
    }
    let again = send(workspace.call(Method::DELETE, &path(&conversation))).await;
    assert_eq!(again.status, 404);
    let said = workspace.post(&messages_path(&conversation), &json!({"message": "Hello?"})).await;
    assert_eq!(said.code(), "resource.not_found");
    assert!(workspace.all("/v1/chat/conversations").await.is_empty());
    let run = workspace.get(&format!("/v1/runs/{}", turn["run_id"].as_str().unwrap())).await.json();
    assert_eq!(run["status"], "completed");
}

#[tokio::test]
async fn what_cannot_be_begun_is_refused_and_leaves_nothing() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(super::BRIEF).await;
    let refused = [
        (json!({"persona_id": "nobody"}), 404, "resource.not_found"),
        (json!({}), 400, "request.invalid"),
        (json!({"persona_id": persona["id"], "drift_policy": "ignore"}), 400, "request.invalid"),
        (json!({"persona_id": persona["id"], "metadata": {"n": 1}}), 400, "request.invalid"),
        (json!({"persona_id": persona["id"], "colour": "red"}), 400, "request.invalid"),
    ];
    for (body, status, code) in refused {
        let answer = workspace.post("/v1/chat/conversations", &body).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{body}");
    }
    assert!(workspace.all("/v1/chat/conversations").await.is_empty());
}

#[tokio::test]
async fn a_conversation_with_a_private_persona_is_for_its_key_and_for_admins() {
    let admin = Workspace::test("team").await;
    let (owner, other) = tokio::join!(
        admin.with_key(&["read", "write", "chat"], None),
        admin.with_key(&["read", "write", "chat"], None)
    );
    let body = json!({"intent": super::BRIEF, "seed": 7, "visibility": "private"});
    let persona = owner.post("/v1/personas", &body).await.json();
    let conversation = begun_with(&owner, &persona, json!({})).await;
    say(&owner, &conversation, "Good evening").await;
    assert_eq!(other.get(&path(&conversation)).await.status, 404);
    assert_eq!(other.get(&messages_path(&conversation)).await.status, 404);
    let said = other.post(&messages_path(&conversation), &json!({"message": "Good evening"})).await;
    assert_eq!(said.status, 404);
    let begun = json!({"persona_id": persona["id"]});
    assert_eq!(other.post("/v1/chat/conversations", &begun).await.status, 404);
    assert_eq!(admin.get(&path(&conversation)).await.status, 200);
}
