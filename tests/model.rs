//! One plumbing test with a real, tiny language model; never about the quality of its text, which is nonsense.
//! Run under `infra/local exec --model smollm --`.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test fails by panicking")]

use futures_util::StreamExt;
use reqwest::Method;
use serde_json::json;
use tests::{Workspace, parse_events};

#[tokio::test]
async fn a_real_models_stream_becomes_fields_before_its_step_has_ended() {
    let workspace = Workspace::live("team").await;
    let body = json!({"intent": "A 60-year-old photographer from Sydney who loves hiking", "seed": 7});
    let request = workspace.call(Method::POST, "/v1/personas?stream=true").json(&body);
    let mut pieces = request.timeout(std::time::Duration::from_mins(5)).send().await.unwrap().bytes_stream();
    let mut text = String::new();
    while !text.contains("event: layer.delta") {
        text.push_str(&String::from_utf8_lossy(&pieces.next().await.unwrap().unwrap()));
    }
    let events = parse_events(&text[..text.rfind("\n\n").unwrap() + 2]);
    let of = |name: &str| events.iter().find(|event| event.1 == name).unwrap();
    let (run, delta) = (of("run.started").2["run_id"].as_str().unwrap().to_owned(), of("layer.delta"));
    assert!(delta.2["path"].as_str().unwrap().starts_with("soul."), "{delta:?}");
    assert!(!events.iter().any(|event| event.1 == "step.completed" && event.2["step"] == "soul_draft"));

    // What a long nonsense would only prolong is cancelled; the log ends there.
    assert_eq!(workspace.post(&format!("/v1/runs/{run}/cancel"), &json!({})).await.status, 200);
    let object = workspace.get(&format!("/v1/runs/{run}")).await.json();
    let parsed = object["steps"]
        .as_array()
        .unwrap()
        .iter()
        .find(|step| step["name"] == "intent_parse")
        .unwrap()
        .clone();
    assert_eq!((&parsed["status"], &parsed["provider"]), (&json!("completed"), &json!("local")), "{object}");
    assert!(parsed["tokens"]["in"].as_u64().unwrap() > 100 && parsed["tokens"]["out"].as_u64().unwrap() > 10);
}
