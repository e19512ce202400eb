//! What must hold of every run that has ended, whatever happened to it on the way.
#![allow(clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::time::Duration;

use persona::pipeline::json_stream::apply_delta;
use reqwest::Method;
use serde_json::{Value, json};

use super::provider::Sold;
use crate::{Workspace, send};

/// Micro-dollars a token, in and out, as `providers.json` says.
const PRICE: (u64, u64) = (2, 8);

/// Begins a run and does not wait. Its id.
pub async fn begin(workspace: &Workspace, body: &Value) -> String {
    let request = workspace.call(Method::POST, "/v1/personas").header("prefer", "respond-async").json(body);
    let answer = send(request).await;
    assert_eq!(answer.status.as_u16(), 202, "{}", answer.text);
    answer.json()["id"].as_str().expect("an id").to_owned()
}

/// The run once it has ended.
pub async fn ended(workspace: &Workspace, run: &str, patience: Duration) -> Value {
    let waiting = async {
        loop {
            let object = workspace.get(&format!("/v1/runs/{run}")).await.json();
            if ["completed", "failed", "cancelled"].iter().any(|status| object["status"] == *status) {
                return object;
            }
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
    };
    let done = tokio::time::timeout(patience, waiting).await;
    done.unwrap_or_else(|_| panic!("{run} has not ended after {patience:?}"))
}

/// What the vendor may charge for these, in micro-dollars.
pub fn charged(sold: &[Sold]) -> u64 {
    sold.iter().map(|call| call.tokens.0 * PRICE.0 + call.tokens.1 * PRICE.1).sum()
}

/// The run ended once, no event of it is lost or repeated, its deltas make its persona, and it is within its budget.
pub async fn assert_sound(workspace: &Workspace, run: &Value, sold: &[Sold]) {
    let id = run["id"].as_str().expect("an id");
    let events = &workspace.all(&format!("/v1/runs/{id}/events")).await;
    let numbers: Vec<u64> = events.iter().filter_map(|event| event["id"].as_u64()).collect();
    assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>(), "{id}: the log has gaps or repeats");
    let is_end = |event: &Value| {
        ["run.completed", "run.failed", "run.cancelled"].iter().any(|name| event["event"] == *name)
    };
    assert_eq!(events.iter().filter(|event| is_end(event)).count(), 1, "{id}: not one end");
    assert!(events.last().is_some_and(is_end), "{id}: something follows the end");
    for step in run["steps"].as_array().expect("steps") {
        let done =
            |event: &&Value| event["event"] == "step.completed" && event["data"]["step"] == step["name"];
        assert!(events.iter().filter(done).count() <= 1, "{id}: {} ended twice", step["name"]);
    }
    if let Some(budget) = run["budget_usd"].as_f64() {
        let (cost, charged) = (run["cost_usd"].as_f64().expect("a cost"), charged(sold) as f64 / 1e6);
        assert!(cost <= budget, "{id}: cost {cost} is over {budget}");
        assert!(charged <= budget, "{id}: the vendor sold for {charged}, over {budget}");
    }
    if run["status"] == "completed" && run["output_ref"]["object"] == "persona" {
        assert_deltas_make_the_persona(workspace, run, events).await;
    }
}

async fn assert_deltas_make_the_persona(workspace: &Workspace, run: &Value, events: &[Value]) {
    let persona = workspace
        .get(&format!("/v1/personas/{}", run["output_ref"]["id"].as_str().unwrap_or_default()))
        .await;
    let persona = persona.json();
    let mut made = json!({});
    for event in events.iter().filter(|event| event["event"] == "layer.delta") {
        let path = event["data"]["path"].as_str().expect("a path");
        apply_delta(&mut made, path, event["data"]["value"].clone());
    }
    for (layer, value) in made.as_object().expect("layers") {
        assert_eq!(value, &persona[layer], "{}: the deltas of {layer} do not make it", run["id"]);
    }
    let has_fields = persona["custom_fields"].as_object().is_some_and(|fields| !fields.is_empty());
    let wanted = 8 + usize::from(has_fields);
    assert_eq!(
        made.as_object().map(serde_json::Map::len),
        Some(wanted),
        "{}: layers without deltas",
        run["id"]
    );
}

/// The run's exact replay reproduces its digest at no cost.
pub async fn assert_replays(workspace: &Workspace, run: &str, patience: Duration) {
    let begun = workspace.post(&format!("/v1/runs/{run}/replay"), &json!({"mode": "exact"})).await;
    assert!(begun.status.is_success(), "{}", begun.text);
    let id = begun.json()["id"].as_str().expect("an id").to_owned();
    let replay = ended(workspace, &id, patience).await;
    assert_eq!(replay["replay"]["matches"], true, "{replay}");
    assert_eq!(replay["cost_usd"], 0, "{replay}");
}
