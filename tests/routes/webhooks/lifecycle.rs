//! Making, changing, listing and deleting webhooks.

use reqwest::{Method, StatusCode};
use serde_json::json;
use tests::{Workspace, send};

use super::{patch, path, text, webhook};

const URL: &str = "https://hooks.example.com/persona";

#[tokio::test]
async fn the_secret_is_shown_at_the_making_and_never_again() {
    let workspace = Workspace::test("team").await;
    let body = json!({"url": URL, "events": ["run.completed", "run.failed"], "description": "Ours"});
    let answer = workspace.post("/v1/webhooks", &body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    let made = answer.json();
    assert!(text(&made["secret"]).starts_with("whsec_"), "{made}");
    let mut shown = made.clone();
    shown.as_object_mut().unwrap().remove("secret");
    let wanted = [("url", json!(URL)), ("description", json!("Ours")), ("enabled", json!(true))];
    for (field, value) in wanted {
        assert_eq!(shown[field], value, "{field}");
    }
    assert_eq!(workspace.get(&path(&made)).await.json(), shown);
    assert_eq!(workspace.all("/v1/webhooks").await, [shown]);
}

#[tokio::test]
async fn a_change_leaves_alone_what_it_does_not_name_and_gives_another_tag() {
    let workspace = Workspace::test("team").await;
    let made = webhook(&workspace, URL, &["run.completed"]).await;
    let first = workspace.get(&path(&made)).await.header("etag");
    let changed = patch(&workspace, &path(&made), &json!({"events": ["persona.deleted"]})).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
    assert_eq!(
        (&changed.json()["url"], &changed.json()["events"]),
        (&json!(URL), &json!(["persona.deleted"]))
    );
    assert_ne!(changed.header("etag"), first);
    let same = patch(&workspace, &path(&made), &json!({"events": ["persona.deleted"]})).await;
    assert_eq!(same.header("etag"), changed.header("etag"), "nothing has changed");
    let described = patch(&workspace, &path(&made), &json!({"description": "Ours"})).await.json();
    assert_eq!(described["description"], "Ours");
    let plain = patch(&workspace, &path(&made), &json!({"description": null})).await.json();
    assert_eq!(plain["description"], json!(null));
}

#[tokio::test]
async fn a_stale_if_match_is_refused_and_changes_nothing() {
    let workspace = Workspace::test("team").await;
    let made = webhook(&workspace, URL, &["run.completed"]).await;
    let stale = workspace.get(&path(&made)).await.header("etag");
    patch(&workspace, &path(&made), &json!({"description": "Newer"})).await;
    for method in [Method::PATCH, Method::DELETE] {
        let request = workspace.call(method, &path(&made)).header("if-match", &stale);
        let refused = send(request.json(&json!({"enabled": false}))).await;
        assert_eq!(refused.code(), "request.precondition_failed");
    }
    let kept = workspace.get(&path(&made)).await;
    assert_eq!((&kept.json()["description"], &kept.json()["enabled"]), (&json!("Newer"), &json!(true)));
    let request = workspace.call(Method::PATCH, &path(&made)).header("if-match", kept.header("etag"));
    assert_eq!(send(request.json(&json!({"enabled": false}))).await.status, StatusCode::OK);
}

#[tokio::test]
async fn what_its_owner_disables_says_so_until_it_is_enabled_again() {
    let workspace = Workspace::test("team").await;
    let made = webhook(&workspace, URL, &["run.completed"]).await;
    let disabled = patch(&workspace, &path(&made), &json!({"enabled": false})).await.json();
    assert_eq!((&disabled["enabled"], &disabled["disabled_reason"]), (&json!(false), &json!("requested")));
    assert!(disabled["disabled_at"].is_string(), "{disabled}");
    let refused = workspace.post(&format!("{}/test", path(&made)), &json!({})).await;
    assert_eq!(refused.code(), "request.invalid");
    let enabled = patch(&workspace, &path(&made), &json!({"enabled": true})).await.json();
    assert_eq!((&enabled["disabled_reason"], &enabled["disabled_at"]), (&json!(null), &json!(null)));
}

#[tokio::test]
async fn a_deleted_webhook_is_unknown_and_makes_room_for_another() {
    let workspace = Workspace::test("team").await;
    let mut made = Vec::new();
    for number in 0..10 {
        made.push(webhook(&workspace, &format!("{URL}/{number}"), &["run.completed"]).await);
    }
    let body = json!({"url": URL, "events": ["run.completed"]});
    let refused = workspace.post("/v1/webhooks", &body).await;
    assert_eq!(refused.code(), "request.invalid");
    assert!(refused.json()["error"]["message"].as_str().unwrap().contains("10 webhooks"), "{}", refused.text);
    let deleted = send(workspace.call(Method::DELETE, &path(&made[3]))).await;
    assert_eq!(deleted.json(), json!({"id": made[3]["id"], "object": "webhook", "deleted": true}));
    assert_eq!(send(workspace.call(Method::DELETE, &path(&made[3]))).await.code(), "resource.not_found");
    assert_eq!(workspace.get(&path(&made[3])).await.code(), "resource.not_found");
    assert_eq!(workspace.post("/v1/webhooks", &body).await.status, StatusCode::CREATED);

    let first = workspace.get("/v1/webhooks?limit=4").await.json();
    let cursor = text(&first["next_cursor"]);
    let rest = workspace.get(&format!("/v1/webhooks?limit=4&cursor={cursor}")).await.json();
    let ids = |page: &serde_json::Value| -> Vec<String> {
        page["data"].as_array().unwrap().iter().map(|webhook| text(&webhook["id"])).collect()
    };
    let (first, rest) = (ids(&first), ids(&rest));
    assert!(first.len() == 4 && rest.len() == 4 && first.iter().min() > rest.iter().max(), "newest first");
    let forged = workspace.get(&format!("/v1/webhooks?cursor=x{cursor}")).await;
    assert_eq!(forged.code(), "request.invalid");
    let foreign = Workspace::test("team").await.get(&format!("/v1/webhooks?cursor={cursor}")).await;
    assert_eq!(foreign.code(), "request.invalid");
}

#[tokio::test]
async fn only_admin_keys_may_manage_webhooks() {
    let workspace = Workspace::test("team").await;
    let made = webhook(&workspace, URL, &["run.completed"]).await;
    let writer = workspace.with_key(&["read", "write", "chat"], None).await;
    let body = json!({"url": URL, "events": ["run.completed"]});
    assert_eq!(writer.post("/v1/webhooks", &body).await.code(), "auth.insufficient_scope");
    assert_eq!(writer.get("/v1/webhooks").await.code(), "auth.insufficient_scope");
    assert_eq!(writer.get(&path(&made)).await.code(), "auth.insufficient_scope");
}
