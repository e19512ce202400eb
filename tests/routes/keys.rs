//! `/v1/keys`: created, listed, rotated, revoked.
use std::time::Duration;

use futures_util::future::join_all;
use persona::key::ApiKey;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, Workspace, send};

const KEYS: &str = "/v1/keys";

async fn created(workspace: &Workspace, scopes: &[&str]) -> Value {
    let answer = workspace.post(KEYS, &json!({"name": "another", "scopes": scopes})).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()
}

fn path(key: &Value) -> String {
    format!("{KEYS}/{}", key["id"].as_str().unwrap())
}

async fn rotated(workspace: &Workspace, key: &Value, grace_seconds: u64) -> Answer {
    workspace.post(&format!("{}/rotate", path(key)), &json!({"grace_seconds": grace_seconds})).await
}

async fn revoked(workspace: &Workspace, key: &Value) -> Answer {
    send(workspace.call(Method::DELETE, &path(key))).await
}

/// What the workspace's route says to a secret.
async fn tried(workspace: &Workspace, key: &Value) -> u16 {
    let answer = workspace.through(key["secret"].as_str().unwrap()).get("/v1/workspace").await;
    assert!(answer.status == 200 || answer.code() == "auth.invalid_key", "{}", answer.text);
    answer.status.as_u16()
}

#[tokio::test]
async fn a_key_is_shown_once_recognised_offline_and_masked_ever_after() {
    let workspace = Workspace::test("team").await;
    let key = created(&workspace, &["read"]).await;
    let secret: ApiKey = key["secret"].as_str().unwrap().parse().unwrap();
    assert_eq!(key["masked"], secret.masked());
    assert_eq!(tried(&workspace, &key).await, 200);
    let listed = workspace.get(KEYS).await;
    assert!(!listed.text.contains(&secret.reveal()[..40]), "{}", listed.text);
    let found = listed.json()["data"][0].clone();
    assert_eq!((&found["id"], &found["status"]), (&key["id"], &json!("active")));
    assert!(found["masked"] == key["masked"] && found.get("secret").is_none());
    assert_eq!(workspace.all(KEYS).await.len(), 2);
}

#[tokio::test]
async fn a_key_may_do_what_its_scopes_say() {
    let workspace = Workspace::test("team").await;
    let reader = created(&workspace, &["read"]).await;
    let reader = workspace.through(reader["secret"].as_str().unwrap());
    assert_eq!(reader.get("/v1/personas").await.status, 200);
    for (method, path) in [(Method::POST, KEYS), (Method::GET, KEYS), (Method::PATCH, "/v1/workspace")] {
        let answer = send(reader.call(method, path).json(&json!({"name": "a", "scopes": ["admin"]}))).await;
        assert_eq!(answer.code(), "auth.insufficient_scope", "{path}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_revoked_key_fails_on_the_very_next_request() {
    let workspace = Workspace::test("team").await;
    for _ in 0..5 {
        let key = created(&workspace, &["read"]).await;
        assert_eq!(tried(&workspace, &key).await, 200);
        let gone = revoked(&workspace, &key).await;
        assert_eq!((gone.status.as_u16(), &gone.json()["status"]), (200, &json!("revoked")));
        assert_eq!(tried(&workspace, &key).await, 401);
        assert_eq!(revoked(&workspace, &key).await.status, 200, "a second time changes nothing");
    }
}

#[tokio::test]
async fn the_last_admin_key_stays() {
    let workspace = Workspace::test("team").await;
    let first = workspace.get(KEYS).await.json()["data"][0].clone();
    created(&workspace, &["read", "write", "chat"]).await;
    assert_eq!(revoked(&workspace, &first).await.code(), "request.invalid");
    let second = created(&workspace, &["admin"]).await;
    assert_eq!(revoked(&workspace, &first).await.status, 200);
    assert_eq!(workspace.get(KEYS).await.code(), "auth.invalid_key");
    let heir = workspace.through(second["secret"].as_str().unwrap());
    assert_eq!(heir.get(KEYS).await.status, 200);
}

#[tokio::test]
async fn a_rotated_key_goes_on_for_its_grace_and_no_longer() {
    let workspace = Workspace::test("team").await;
    let old = created(&workspace, &["read"]).await;
    let answer = rotated(&workspace, &old, 3).await;
    let new = answer.json();
    assert_eq!((answer.status.as_u16(), &new["scopes"]), (201, &old["scopes"]), "{new}");
    assert_eq!((tried(&workspace, &old).await, tried(&workspace, &new).await), (200, 200));
    assert_eq!(rotated(&workspace, &old, 0).await.code(), "request.invalid", "once is enough");
    tokio::time::sleep(Duration::from_millis(3_100)).await;
    assert_eq!((tried(&workspace, &old).await, tried(&workspace, &new).await), (401, 200));
    let next = rotated(&workspace, &new, 0).await.json();
    assert_eq!((tried(&workspace, &new).await, tried(&workspace, &next).await), (401, 200));
    let listed = workspace.all(KEYS).await;
    let shown = listed.iter().find(|key| key["id"] == old["id"]).unwrap();
    assert_eq!((&shown["status"], &shown["rotated_to"]), (&json!("expired"), &new["id"]));
}

#[tokio::test]
async fn what_is_wrong_with_a_key_is_told() {
    let workspace = Workspace::test("team").await;
    for (body, named) in [
        (json!({"scopes": ["read"]}), "name"),
        (json!({"name": "", "scopes": ["read"]}), "name"),
        (json!({"name": "a", "scopes": []}), "scopes"),
        (json!({"name": "a", "scopes": ["root"]}), "scopes"),
        (json!({"name": "a", "scopes": ["read"], "expires_in_days": 91}), "expires_in_days"),
    ] {
        let answer = workspace.post(KEYS, &body).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "request.invalid"), "{body}");
        assert!(answer.json()["error"]["details"].to_string().contains(named), "{}", answer.text);
    }
    let key = created(&workspace, &["read"]).await;
    assert_eq!(rotated(&workspace, &key, 604_801).await.status, 400);
    revoked(&workspace, &key).await;
    assert_eq!(rotated(&workspace, &key, 0).await.code(), "request.invalid");
    let stranger = Workspace::test("team").await;
    assert_eq!(revoked(&stranger, &key).await.status, 404);
}

#[tokio::test]
async fn a_workspace_has_twenty_live_keys_at_most_however_many_are_asked_for_at_once() {
    let workspace = Workspace::test("enterprise").await;
    let body = json!({"name": "many", "scopes": ["read"]});
    let asked = join_all((0..30).map(|_| workspace.post(KEYS, &body))).await;
    assert!(asked.iter().all(|answer| [201, 400].contains(&answer.status.as_u16())), "{asked:?}");
    // The first key counts, too.
    assert_eq!(asked.iter().filter(|answer| answer.status == 201).count(), 19);
    assert_eq!(workspace.all(KEYS).await.len(), 20);
}
