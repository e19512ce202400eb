//! What is done about drift: nothing, a reminder from the next turn on, or another try before anybody hears.
use serde_json::{Value, json};
use tests::{
    Workspace,
    support::provider::{SLIP, shared},
};

use super::{begun, messages_path, path, transcript};

const MESSAGE: &str = "[[slips]] How was your day?";

async fn talk(policy: &str) -> (Workspace, Value) {
    shared();
    let workspace = Workspace::live("team").await;
    let (_, conversation) = begun(&workspace, json!({"drift_policy": policy})).await;
    (workspace, conversation)
}

async fn said(workspace: &Workspace, conversation: &Value, more: Value) -> Value {
    let mut body = json!({"message": MESSAGE});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let answer = workspace.post(&messages_path(conversation), &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

#[tokio::test]
async fn observed_a_persona_that_slips_is_told_of_and_left_alone() {
    let (workspace, conversation) = talk("observe").await;
    for _ in 0..3 {
        let turn = said(&workspace, &conversation, json!({})).await;
        assert_eq!((&turn["content"], &turn["regenerated"]), (&json!(SLIP), &json!(false)), "{turn}");
        assert_eq!(turn["drift"]["verdict"], "out-of-character", "{turn}");
    }
}

#[tokio::test]
async fn anchored_it_comes_back_once_the_average_has_crossed_the_threshold() {
    let (workspace, conversation) = talk("reanchor").await;
    let mut is_above = false;
    let mut came_back = false;
    for turn in 0..4 {
        let answer = said(&workspace, &conversation, json!({})).await;
        assert_eq!(answer["content"] == SLIP, !is_above, "turn {turn}: {answer}");
        came_back |= is_above;
        is_above = workspace.get(&path(&conversation)).await.json()["drift"]["above_threshold"] == true;
    }
    assert!(came_back, "three turns of an assistant are below the threshold");
}

#[tokio::test]
async fn out_of_character_it_is_asked_again_and_nobody_hears_the_first_try() {
    let (workspace, conversation) = talk("regenerate").await;
    let turn = said(&workspace, &conversation, json!({"seed": 7_601})).await;
    assert_eq!(turn["regenerated"], true, "{turn}");
    assert!(turn["content"] != SLIP && turn["drift"]["verdict"] != "out-of-character", "{turn}");
    let tried = |seed| shared().sold(seed).iter().filter(|sold| sold.step.is_empty()).count();
    let run = workspace.get(&format!("/v1/runs/{}", turn["run_id"].as_str().unwrap())).await.json();
    let reply = run["steps"].as_array().unwrap().iter().find(|step| step["name"] == "reply").unwrap();
    // Each try has a seed of its own.
    assert_eq!((tried(7_601), tried(7_602)), (1, 1));
    assert!(reply["cost_usd"].as_f64().unwrap() > 0.0, "{reply}");
    let heard = transcript(&workspace, &conversation).await;
    assert_eq!(
        heard,
        [("user".into(), MESSAGE.into()), ("assistant".into(), turn["content"].as_str().unwrap().into())]
    );
    let path = format!("/v1/runs/{}/replay", turn["run_id"].as_str().unwrap());
    let replay = workspace.post(&path, &json!({"mode": "exact"})).await.json();
    assert_eq!((&replay["replay"]["matches"], &replay["cost_usd"]), (&json!(true), &json!(0)), "{replay}");
}
