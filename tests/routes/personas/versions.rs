//! `GET /v1/personas/{persona}/versions`, and versions in a deletion.
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Workspace, send};

const BRIEF: &str = "A 33-year-old surveyor from Oslo who swims in winter";

fn path(persona: &Value) -> String {
    format!("/v1/personas/{}", persona["id"].as_str().unwrap())
}

async fn patch(workspace: &Workspace, persona: &Value, body: &Value) {
    let answer = send(workspace.call(Method::PATCH, &path(persona)).json(body)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

#[tokio::test]
async fn versions_tell_author_run_and_what_changed_newest_first() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await;
    let other = workspace.with_key(&["admin"], None).await;
    patch(&workspace, &persona, &json!({"slug": "swimmer"})).await;
    patch(&other, &persona, &json!({"identity": {"residence": "Bergen"}, "metadata": {"a": "b"}})).await;
    let list = workspace.get(&format!("{}/versions", path(&persona))).await.json();
    let versions = list["data"].as_array().unwrap();
    assert_eq!(
        versions.iter().map(|version| version["version"].as_u64().unwrap()).collect::<Vec<_>>(),
        [3, 2, 1]
    );
    assert_eq!(versions[0]["changed"], json!(["identity", "metadata"]));
    assert_eq!(versions[0]["changed_layers"], json!(["identity"]));
    assert_eq!((&versions[1]["changed"], &versions[1]["run_id"]), (&json!(["slug"]), &Value::Null));
    assert_eq!(versions[2]["run_id"], persona["lineage"]["run_id"]);
    assert_eq!(versions[1]["created_by"], versions[2]["created_by"]);
    assert_ne!(versions[0]["created_by"], versions[1]["created_by"]);
    let current = workspace.get("/v1/personas/swimmer").await.json();
    assert_eq!(versions[0]["created_at"], current["updated_at"]);
}

#[tokio::test]
async fn versions_page_and_a_cursor_is_bound_to_its_persona() {
    let workspace = Workspace::test("team").await;
    let (one, other) = (workspace.persona(BRIEF).await, workspace.persona(BRIEF).await);
    for n in 0..4 {
        patch(&workspace, &one, &json!({"metadata": {"n": n.to_string()}})).await;
    }
    let versions = format!("{}/versions", path(&one));
    let all = workspace.all(&versions).await;
    assert_eq!(all.len(), 5);
    let page = workspace.get(&format!("{versions}?limit=2")).await.json();
    let cursor = page["next_cursor"].as_str().unwrap();
    let next = workspace.get(&format!("{versions}?limit=2&cursor={cursor}")).await.json();
    assert_eq!(next["data"], json!(all[2..4]));
    let foreign = workspace.get(&format!("{}/versions?cursor={cursor}", path(&other))).await;
    assert_eq!(foreign.code(), "request.invalid");
    let stranger = Workspace::test("team").await;
    assert_eq!(stranger.get(&versions).await.status, 404);
}

#[tokio::test]
async fn a_deletion_leaves_no_version_however_many_there_were() {
    let workspace = Workspace::test("enterprise").await;
    let persona = workspace.persona(BRIEF).await;
    for n in 0..60 {
        patch(&workspace, &persona, &json!({"metadata": {"n": n.to_string()}})).await;
    }
    assert_eq!(workspace.get(&format!("{}?version=7", path(&persona))).await.status, 200);
    let begun = workspace.post("/v1/chat/conversations", &json!({"persona_id": persona["id"]})).await.json();
    assert_eq!(send(workspace.call(Method::DELETE, &path(&persona))).await.status, 200);
    for version in [1, 7, 20, 60, 61] {
        assert_eq!(
            workspace.get(&format!("{}?version={version}", path(&persona))).await.status,
            404,
            "{version}"
        );
    }
    assert_eq!(workspace.get(&format!("{}/versions", path(&persona))).await.status, 404);
    assert_eq!(send(workspace.call(Method::DELETE, &path(&persona))).await.status, 404);
    let conversation = format!("/v1/chat/conversations/{}", begun["id"].as_str().unwrap());
    assert_eq!(workspace.get(&conversation).await.status, 200, "its conversations stay readable");
}
