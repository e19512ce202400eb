//! Where nothing may be sent, and bodies that are not of their shape. The notations of addresses, the DNS and its
//! changes are tested beside their code: shared/webhook/address.rs.

use reqwest::StatusCode;
use serde_json::{Value, json};
use tests::{
    Workspace,
    support::receiver::{Reaction, Receiver},
};

use super::{SOON, delivery_when, patch, path, test_event, text, webhook};

const INSIDE: [&str; 20] = [
    "http://hooks.example.com/",
    "https://10.0.0.1/",
    "https://172.16.5.4/",
    "https://192.168.1.1/",
    "https://0xc0a80101/",
    "https://3232235777/",
    "https://0300.0250.1.1/",
    "https://169.254.169.254/latest/meta-data/",
    "https://2852039166/",
    "https://[::ffff:169.254.169.254]/",
    "https://[fd00:ec2::254]/",
    "https://[fe80::1]/",
    "https://[64:ff9b::a00:1]/",
    "https://100.64.0.1/",
    "https://0.0.0.0/",
    "https://224.0.0.1/",
    "https://metadata.google.internal/",
    "https://printer.local/",
    "https://user:secret@hooks.example.com/",
    "https://hooks.example.com:22/",
];

#[tokio::test]
async fn an_address_that_leads_inside_is_refused_at_the_making_and_at_a_change() {
    let workspace = Workspace::test("enterprise").await;
    let made = webhook(&workspace, "https://hooks.example.com/", &["run.completed"]).await;
    for url in INSIDE {
        let refused = workspace.post("/v1/webhooks", &json!({"url": url, "events": ["run.completed"]})).await;
        let error = refused.json()["error"].clone();
        assert_eq!((refused.status, &error["param"]), (StatusCode::BAD_REQUEST, &json!("url")), "{url}");
        let changed = patch(&workspace, &path(&made), &json!({"url": url})).await;
        assert_eq!(changed.code(), "request.invalid", "{url}");
    }
    let kept = workspace.all("/v1/webhooks").await;
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0]["url"], "https://hooks.example.com/");
}

#[tokio::test]
async fn a_body_that_is_not_of_its_shape_is_refused_with_every_problem() {
    let workspace = Workspace::test("enterprise").await;
    let url = "https://hooks.example.com/";
    let cases: [(Value, &[&str]); 7] = [
        (json!({}), &["", ""]),
        (json!({"url": url, "events": []}), &["/events"]),
        (json!({"url": url, "events": ["run.started"]}), &["/events/0"]),
        (json!({"url": url, "events": ["run.failed", "run.failed"]}), &["/events"]),
        (json!({"url": 7, "events": "run.failed"}), &["/url", "/events"]),
        (json!({"url": url, "events": ["run.failed"], "secret": "mine"}), &[""]),
        (json!({"url": url, "events": ["run.failed"], "description": "x".repeat(201)}), &["/description"]),
    ];
    for (body, pointers) in cases {
        let refused = workspace.post("/v1/webhooks", &body).await;
        assert_eq!(refused.code(), "request.invalid", "{body}");
        let details = refused.json()["error"]["details"].as_array().cloned().unwrap();
        assert_eq!(details.len(), pointers.len(), "{body}: {details:?}");
        for pointer in pointers {
            assert!(
                details.iter().any(|detail| text(&detail["pointer"]).starts_with(pointer)),
                "{body}: {details:?}"
            );
        }
    }
    assert_eq!(workspace.all("/v1/webhooks").await, Vec::<Value>::new());
    let made = webhook(&workspace, url, &["run.completed"]).await;
    let rotate = format!("{}/rotate-secret", path(&made));
    for grace in [json!(-1), json!(604_801), json!("a day"), json!(null)] {
        let refused = workspace.post(&rotate, &json!({"grace_seconds": grace})).await;
        assert_eq!(refused.code(), "request.invalid", "{grace}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let inside = Receiver::willing().await;
    let location = format!("location: {}\r\n", inside.url("/secrets"));
    let receiver = Receiver::start(move |_| Reaction::Answer(302, location.clone(), "moved".into())).await;
    let workspace = Workspace::test("team").await;
    let made = webhook(&workspace, &receiver.url("/hook"), &["run.completed"]).await;
    test_event(&workspace, &made).await;
    let tried = delivery_when(&workspace, &made, |delivery| delivery["attempts"][0].is_object()).await;
    assert_eq!((&tried["attempts"][0]["status"], &tried["status"]), (&json!(302), &json!("pending")));
    assert!(!receiver.until(SOON / 30, |_| !inside.received().is_empty()).await, "it was followed");
}
