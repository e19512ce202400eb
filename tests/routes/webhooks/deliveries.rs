//! Deliveries: attempts, pauses, ends, and once more.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tests::{
    Workspace, send,
    support::receiver::{Reaction, Receiver},
};

use super::{SOON, deliveries, delivery_when, edit, imported, patch, path, test_event, text, told, webhook};

#[tokio::test]
async fn a_delivery_that_fails_is_tried_again_and_every_attempt_is_written_down() {
    let long = "x".repeat(5_000);
    let receiver = Receiver::start(move |received| match received.before {
        0 => Reaction::Answer(500, String::new(), long.clone()),
        _ => Reaction::Answer(204, String::new(), String::new()),
    })
    .await;
    let workspace = Workspace::test("team").await;
    let made = told(&workspace, &receiver, &["persona.updated"]).await;
    test_event(&workspace, &made).await;
    let first = delivery_when(&workspace, &made, |delivery| delivery["attempts"][0].is_object()).await;
    assert_eq!(first["status"], "pending", "{first}");
    assert!(first["next_attempt_at"].is_string(), "{first}");
    assert!(receiver.until(SOON, |received| received.len() == 2).await);
    let (before, after) = (receiver.received()[0].clone(), receiver.received()[1].clone());
    assert!(after.at - before.at >= 5_000.0, "after {} ms", after.at - before.at);
    assert_eq!(
        (before.header("persona-delivery-attempt"), after.header("persona-delivery-attempt")),
        ("1", "2")
    );
    assert_eq!((&before.body, before.event()), (&after.body, after.event()));
    let done = delivery_when(&workspace, &made, |delivery| delivery["status"] == "delivered").await;
    let attempts = done["attempts"].as_array().unwrap();
    let statuses: Vec<&Value> = attempts.iter().map(|attempt| &attempt["status"]).collect();
    assert_eq!(statuses, [&json!(500), &json!(204)], "{done}");
    assert_eq!(attempts[0]["response"], "x".repeat(1_024));
    assert_eq!((&attempts[1]["response"], &done["next_attempt_at"]), (&json!(null), &json!(null)));
    assert!(attempts.iter().all(|attempt| attempt["latency_ms"].is_u64()), "{done}");
    assert_eq!(
        workspace.get(&path(&made)).await.json()["failing_since"],
        json!(null),
        "it has succeeded since"
    );
}

#[tokio::test]
async fn retry_after_is_honoured() {
    let receiver = Receiver::start(|received| match received.before {
        0 => Reaction::Answer(503, "retry-after: 8\r\n".into(), String::new()),
        _ => Reaction::status(200),
    })
    .await;
    let workspace = Workspace::test("team").await;
    let made = told(&workspace, &receiver, &["run.completed"]).await;
    test_event(&workspace, &made).await;
    assert!(receiver.until(SOON, |received| received.len() == 2).await);
    let received = receiver.received();
    assert!(received[1].at - received[0].at >= 8_000.0, "after {} ms", received[1].at - received[0].at);
}

#[tokio::test]
async fn who_is_gone_is_sent_nothing_more_until_enabled_again() {
    let receiver = Receiver::start(|_| Reaction::status(410)).await;
    let workspace = Workspace::test("team").await;
    let persona = imported(&workspace, "Beekeeper").await;
    let made = told(&workspace, &receiver, &["persona.updated"]).await;
    edit(&workspace, &persona, 1).await;
    let done = delivery_when(&workspace, &made, |delivery| delivery["status"] != "pending").await;
    assert_eq!((&done["status"], &done["next_attempt_at"]), (&json!("failed"), &json!(null)), "{done}");
    let mut disabled = Value::Null;
    for _ in 0..50 {
        disabled = workspace.get(&path(&made)).await.json();
        if disabled["enabled"] == false {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(
        (&disabled["enabled"], &disabled["disabled_reason"]),
        (&json!(false), &json!("gone")),
        "{disabled}"
    );
    edit(&workspace, &persona, 2).await;
    assert!(
        !receiver.until(Duration::from_secs(2), |received| received.len() > 1).await,
        "it was told all the same"
    );
    patch(&workspace, &path(&made), &json!({"enabled": true})).await;
    edit(&workspace, &persona, 3).await;
    assert!(receiver.until(SOON, |received| received.len() > 1).await, "it is enabled again");
}

#[tokio::test]
async fn a_redelivery_is_a_new_delivery_of_the_same_event() {
    let receiver = Receiver::willing().await;
    let workspace = Workspace::test("team").await;
    let persona = imported(&workspace, "Beekeeper").await;
    let made = told(&workspace, &receiver, &["persona.updated"]).await;
    edit(&workspace, &persona, 1).await;
    let first = delivery_when(&workspace, &made, |delivery| delivery["status"] == "delivered").await;
    let again = format!("{}/deliveries/{}/redeliver", path(&made), text(&first["id"]));
    let answer = workspace.post(&again, &json!({})).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
    let second = answer.json();
    assert_ne!(second["id"], first["id"]);
    assert_eq!(second["event_id"], first["event_id"]);
    assert!(receiver.until(SOON, |received| received.len() == 2).await);
    let received = receiver.received();
    assert_eq!((&received[0].body, received[1].header("persona-delivery-attempt")), (&received[1].body, "1"));
    let listed = deliveries(&workspace, &made).await;
    let ids: Vec<&Value> = listed.iter().map(|delivery| &delivery["id"]).collect();
    assert_eq!(ids, [&second["id"], &first["id"]], "newest first");
    let unknown = format!("{}/deliveries/dlv_0352hlJa4GkymUp58g1CfP/redeliver", path(&made));
    assert_eq!(workspace.post(&unknown, &json!({})).await.code(), "resource.not_found");
    let other = webhook(&workspace, "https://hooks.example.com/", &["run.completed"]).await;
    let foreign = format!("{}/deliveries/{}/redeliver", path(&other), text(&first["id"]));
    assert_eq!(workspace.post(&foreign, &json!({})).await.code(), "resource.not_found");
}

#[tokio::test]
async fn deliveries_come_by_pages_whose_cursors_are_of_their_webhook_alone() {
    let receiver = Receiver::willing().await;
    let workspace = Workspace::test("team").await;
    let made = told(&workspace, &receiver, &["run.completed"]).await;
    let other = told(&workspace, &receiver, &["run.completed"]).await;
    for _ in 0..5 {
        test_event(&workspace, &made).await;
    }
    let path_of = |webhook: &Value| format!("{}/deliveries", path(webhook));
    let page = workspace.get(&format!("{}?limit=2", path_of(&made))).await.json();
    assert_eq!((page["data"].as_array().unwrap().len(), &page["has_more"]), (2, &json!(true)));
    let cursor = text(&page["next_cursor"]);
    let next = workspace.get(&format!("{}?limit=2&cursor={cursor}", path_of(&made))).await.json();
    assert!(text(&page["data"][1]["id"]) > text(&next["data"][0]["id"]));
    assert_eq!(deliveries(&workspace, &made).await.len(), 5);
    for wrong in [
        format!("{}?cursor={cursor}", path_of(&other)),
        format!("{}?cursor={}", path_of(&made), &cursor[..cursor.len() - 3]),
    ] {
        assert_eq!(workspace.get(&wrong).await.code(), "request.invalid", "{wrong}");
    }
}

#[tokio::test]
async fn what_is_deleted_or_unwanted_is_not_sent() {
    let receiver = Receiver::willing().await;
    let (workspace, stranger) = (Workspace::test("team").await, Workspace::test("team").await);
    let persona = imported(&workspace, "Beekeeper").await;
    let made = told(&workspace, &receiver, &["persona.updated"]).await;
    told(&stranger, &receiver, &["persona.updated", "persona.created", "persona.deleted"]).await;
    let gone = webhook(&workspace, &receiver.url("/gone"), &["persona.updated"]).await;
    assert_eq!(send(workspace.call(Method::DELETE, &path(&gone))).await.status, StatusCode::OK);
    edit(&workspace, &persona, 1).await;
    imported(&workspace, "Glazier").await;
    assert!(receiver.until(SOON, |received| !received.is_empty()).await);
    delivery_when(&workspace, &made, |delivery| delivery["status"] == "delivered").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let received = receiver.received();
    assert_eq!(received.len(), 1, "only who asked, and only for this: {received:?}");
    assert_eq!(received[0].json()["workspace_id"], workspace.id.as_str());
}
