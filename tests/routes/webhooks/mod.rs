//! `/v1/webhooks`: what is sent, how often, to whom, and to whom never.
mod deliveries;
mod lifecycle;
mod many;
mod refused;
mod signatures;
mod told;
mod warnings;

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tests::{
    Workspace, send,
    support::{
        receiver::Receiver,
        storm::{edit, imported},
    },
};

const BRIEF: &str = "A 58-year-old watchmaker from Geneva who sings in a choir";
/// Until an event has come, on a machine that has other things to do as well.
const SOON: Duration = Duration::from_secs(30);

/// A new webhook, with its secret.
async fn webhook(workspace: &Workspace, url: &str, events: &[&str]) -> Value {
    let answer = workspace.post("/v1/webhooks", &json!({"url": url, "events": events})).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    let made = answer.json();
    assert_eq!(answer.header("location"), path(&made));
    made
}

/// A new webhook that leads to a receiver.
async fn told(workspace: &Workspace, receiver: &Receiver, events: &[&str]) -> Value {
    webhook(workspace, &receiver.url("/hook"), events).await
}

fn path(webhook: &Value) -> String {
    format!("/v1/webhooks/{}", text(&webhook["id"]))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

async fn patch(workspace: &Workspace, path: &str, body: &Value) -> tests::Answer {
    send(workspace.call(Method::PATCH, path).json(body)).await
}

async fn test_event(workspace: &Workspace, webhook: &Value) -> Value {
    let answer = workspace.post(&format!("{}/test", path(webhook)), &json!({})).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    answer.json()
}

async fn deliveries(workspace: &Workspace, webhook: &Value) -> Vec<Value> {
    workspace.all(&format!("{}/deliveries", path(webhook))).await
}

/// The newest delivery, once it is as wanted.
async fn delivery_when(workspace: &Workspace, webhook: &Value, wanted: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..300 {
        if let Some(delivery) = deliveries(workspace, webhook).await.first()
            && wanted(delivery)
        {
            return delivery.clone();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    deliveries(workspace, webhook).await.first().cloned().unwrap_or_default()
}
