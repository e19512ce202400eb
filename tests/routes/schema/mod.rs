//! Routes of `/v1/schema`.

mod fields;
mod generate;
mod values;

use reqwest::Method;
use serde_json::Value;
use tests::{Answer, Workspace, least_requests, send};

const PATH: &str = "/v1/schema/fields";
const BRIEF: &str = "A 58-year-old watchmaker from Geneva who sings in a choir";

async fn register(workspace: &Workspace, field: &Value) -> Answer {
    workspace.post(PATH, field).await
}

async fn registered(workspace: &Workspace, field: &Value) {
    let answer = register(workspace, field).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
}

async fn delete(workspace: &Workspace, path: &str) -> Answer {
    send(workspace.call(Method::DELETE, path)).await
}

async fn uses(workspace: &Workspace, name: &str) -> u64 {
    let fields = workspace.all(PATH).await;
    let field = fields.iter().find(|field| field["name"] == name);
    field.and_then(|field| field["uses"].as_u64()).expect("a registered field")
}

fn pointers(answer: &Answer) -> Vec<String> {
    let error = &answer.json()["error"];
    let details = error["details"].as_array().into_iter().flatten();
    details.map(|detail| detail["pointer"].as_str().unwrap_or_default().to_owned()).collect()
}
