//! `POST /v1/runs/{run}/cancel`.
use reqwest::Method;
use serde_json::json;
use tests::Workspace;

#[tokio::test]
async fn a_running_run_is_cancelled_once_and_its_log_ends_there() {
    let workspace = Workspace::test("team").await;
    let body = json!({"intent": "[[trigger:slow]] A 40-year-old baker"});
    let request = workspace.call(Method::POST, "/v1/personas").header("prefer", "respond-async").json(&body);
    let run = tests::send(request).await.json()["id"].as_str().unwrap().to_owned();
    let cancelled = workspace.post(&format!("/v1/runs/{run}/cancel"), &json!({})).await;
    assert_eq!((cancelled.status.as_u16(), &cancelled.json()["status"]), (200, &"cancelled".into()));
    let events = workspace.all(&format!("/v1/runs/{run}/events")).await;
    assert_eq!(events.last().unwrap()["event"], "run.cancelled");
}

#[tokio::test]
async fn an_ended_run_cannot_be_cancelled() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona("A 51-year-old doctor from London who enjoys painting").await;
    let run = persona["lineage"]["run_id"].as_str().unwrap();
    let refused = workspace.post(&format!("/v1/runs/{run}/cancel"), &json!({})).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (409, "run.not_cancellable"));
}
