//! `/v1/marketplace/personas`, and publishing.
mod install;
mod publish;
mod search;
mod trouble;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, Workspace, send};

const PATH: &str = "/v1/marketplace/personas";

/// A public persona of a card, which takes no run.
async fn public(workspace: &Workspace, name: &str, summary: &str) -> Value {
    let card = json!({
        "spec": "chara_card_v2", "spec_version": "2.0",
        "data": {"name": name, "description": summary, "first_mes": "Good evening."},
    });
    let answer = workspace.post("/v1/personas/import?visibility=public&language=en", &card).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn path_of(persona: &Value) -> String {
    format!("/v1/personas/{}", text(&persona["id"]))
}

async fn publish(workspace: &Workspace, persona: &Value, body: &Value) -> Answer {
    workspace.post(&format!("{}/publish", path_of(persona)), body).await
}

/// The listing of a persona that is published with this body.
async fn listed(workspace: &Workspace, persona: &Value, body: &Value) -> Value {
    let answer = publish(workspace, persona, body).await;
    assert!(answer.status.is_success(), "{}", answer.text);
    answer.json()
}

async fn install(workspace: &Workspace, listing: &Value, body: &Value) -> Answer {
    workspace.post(&format!("{PATH}/{}/install", text(&listing["id"])), body).await
}

async fn read(workspace: &Workspace, listing: &Value) -> Answer {
    workspace.get(&format!("{PATH}/{}", text(&listing["id"]))).await
}

async fn delete(workspace: &Workspace, path: &str) -> Answer {
    send(workspace.call(Method::DELETE, path)).await
}

/// Ids in the order in which a search finds them.
async fn found(workspace: &Workspace, query: &[(&str, &str)]) -> Vec<String> {
    let answer = send(workspace.call(Method::GET, PATH).query(query)).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let page = answer.json();
    page["data"].as_array().unwrap().iter().map(|listing| text(&listing["id"]).to_owned()).collect()
}

/// A word that no other test uses: the marketplace is one for all of them.
fn rare() -> String {
    let id = persona::id::RequestId::new().to_string();
    format!("zq{}", id[id.len() - 12..].to_lowercase())
}
