//! A judge beside the local signals: asked over HTTP, believed as far as its quotes stand.
use serde_json::{Value, json};
use tests::{Workspace, support::provider::shared};

use super::{begun, messages_path};

/// A turn whose judge says what the message tells it to.
async fn judged(workspace: &Workspace, conversation: &Value, opinion: &str) -> Value {
    let body = json!({"message": format!("[[judge:{opinion}]] How was your day?")});
    let answer = workspace.post(&messages_path(conversation), &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

async fn live() -> (Workspace, Value) {
    shared();
    let workspace = Workspace::live("team").await;
    let (_, conversation) = begun(&workspace, json!({})).await;
    (workspace, conversation)
}

fn signals(answer: &Value) -> Vec<&str> {
    let evidence = answer["drift"]["evidence"].as_array().into_iter().flatten();
    evidence.filter_map(|found| found["signal"].as_str()).collect()
}

#[tokio::test]
async fn what_a_judge_quotes_of_the_reply_counts_and_its_cost_does_too() {
    let (workspace, conversation) = live().await;
    let kept = judged(&workspace, &conversation, "nothing").await;
    assert_eq!((&kept["drift"]["method"], &kept["coherence"]), (&json!("judge"), &json!(4.5)), "{kept}");
    assert!(kept["drift"]["values"].as_f64().unwrap() <= 0.3, "{kept}");
    let broken = judged(&workspace, &conversation, "role_broken").await;
    assert_eq!(broken["drift"]["verdict"], "out-of-character", "{broken}");
    assert!(signals(&broken).contains(&"role_broken"), "{broken}");
    let against = judged(&workspace, &conversation, "contradiction").await;
    assert!(against["drift"]["values"].as_f64().unwrap() >= 0.8, "{against}");
    let run = workspace.get(&format!("/v1/runs/{}", against["run_id"].as_str().unwrap())).await.json();
    let steps = run["steps"].as_array().unwrap();
    let drift = steps.iter().find(|step| step["name"] == "drift").unwrap();
    assert_eq!((&drift["provider"], &drift["status"]), (&json!("judge"), &json!("completed")), "{run}");
    assert!(drift["cost_usd"].as_f64().unwrap() > 0.0, "{run}");
}

#[tokio::test]
async fn a_judge_that_invents_or_babbles_changes_nothing() {
    let (workspace, conversation) = live().await;
    let invented = judged(&workspace, &conversation, "invented").await;
    assert_eq!(invented["drift"]["method"], "judge", "{invented}");
    assert!(invented["drift"]["values"].as_f64().unwrap() <= 0.3, "{invented}");
    assert!(!signals(&invented).contains(&"role_broken"), "{invented}");
    let garbled = judged(&workspace, &conversation, "garbled").await;
    assert_eq!(garbled["drift"]["method"], "local", "{garbled}");
}

#[tokio::test]
async fn a_turn_with_a_judge_repeats_exactly() {
    let (workspace, conversation) = live().await;
    let turn = judged(&workspace, &conversation, "contradiction").await;
    let path = format!("/v1/runs/{}/replay", turn["run_id"].as_str().unwrap());
    let replay = workspace.post(&path, &json!({"mode": "exact"})).await.json();
    assert_eq!((&replay["replay"]["matches"], &replay["cost_usd"]), (&json!(true), &json!(0)), "{replay}");
}
