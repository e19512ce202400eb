//! Signatures, by the verifier that users are given, run by Node as it is printed.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;
use tests::{
    Workspace,
    support::receiver::{Received, Receiver, verified},
};

use super::{SOON, path, test_event, text, told};

const SNIPPET: &str = include_str!("../../../docs/snippets/webhook-verify.mjs");

#[test]
fn the_verifier_that_is_run_is_the_one_that_is_printed() {
    let page = include_str!("../../../docs/WEBHOOKS.md");
    assert!(page.contains(&format!("```js\n{SNIPPET}```\n")), "docs/WEBHOOKS.md prints another one");
}

#[tokio::test]
async fn the_verifier_takes_what_is_sent_and_nothing_else() {
    let receiver = Receiver::willing().await;
    let workspace = Workspace::test("team").await;
    let made = told(&workspace, &receiver, &["run.completed"]).await;
    test_event(&workspace, &made).await;
    assert!(receiver.until(SOON, |received| !received.is_empty()).await);
    let sent = receiver.received()[0].clone();
    assert_eq!(sent.header("content-type"), "application/json");
    assert_eq!(sent.header("persona-event-type"), "run.completed");
    assert_eq!((&sent.json()["id"], &sent.json()["test"]), (&json!(sent.event()), &json!(true)));
    let (signature, secret) = (sent.header("persona-signature"), text(&made["secret"]));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let (t, v1) = signature.split_once(',').unwrap();
    let seconds: u64 = t.strip_prefix("t=").unwrap().parse().unwrap();
    assert!(v1.starts_with("v1=") && !v1.contains(',') && now.abs_diff(seconds) < 60, "{signature}");
    let tampered = sent.body.replace("completed", "failed");
    let later = format!("t={},{v1}", seconds + 1);
    let outcomes = verified(&[
        (signature, &sent.body, &secret),
        (signature, &tampered, &secret),
        (&later, &sent.body, &secret),
        (signature, &sent.body, "whsec_another"),
    ])
    .await;
    assert_eq!(outcomes, ["ok", "invalid signature", "invalid signature", "invalid signature"]);
}

#[tokio::test]
async fn while_a_rotations_grace_lasts_both_secrets_sign_the_new_one_first() {
    let receiver = Receiver::willing().await;
    let workspace = Workspace::test("team").await;
    let made = told(&workspace, &receiver, &["run.completed"]).await;
    let rotate = format!("{}/rotate-secret", path(&made));
    let rotated = workspace.post(&rotate, &json!({"grace_seconds": 600})).await.json();
    assert!(rotated["previous_secret_expires_at"].is_string(), "{rotated}");
    let (old, new) = (text(&made["secret"]), text(&rotated["secret"]));
    assert_ne!(old, new);
    test_event(&workspace, &made).await;
    assert!(receiver.until(SOON, |received| received.len() == 1).await);
    let sent = receiver.received()[0].clone();
    let fields: Vec<&str> = sent.header("persona-signature").split(',').collect();
    assert_eq!(fields.len(), 3, "{fields:?}");
    let older = format!("{},{}", fields[0], fields[2]);
    let outcomes =
        verified(&[(sent.header("persona-signature"), &sent.body, &new), (&older, &sent.body, &old)]).await;
    assert_eq!(outcomes, ["ok", "ok"]);

    let without = workspace.post(&rotate, &json!({"grace_seconds": 0})).await.json();
    assert_eq!(without["previous_secret_expires_at"], json!(null));
    test_event(&workspace, &made).await;
    assert!(receiver.until(SOON, |received| received.len() == 2).await);
    let sent: Received = receiver.received()[1].clone();
    let signature = sent.header("persona-signature");
    assert_eq!(signature.split(',').count(), 2, "{signature}");
    let newest = text(&without["secret"]);
    assert_eq!(
        verified(&[(signature, &sent.body, &newest), (signature, &sent.body, &new)]).await,
        ["ok", "invalid signature"]
    );
}
