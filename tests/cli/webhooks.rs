//! `persona webhooks`, and listening to events on this machine.

use std::{collections::BTreeSet, process::Stdio, time::Duration};

use tests::{
    Workspace,
    support::receiver::{Receiver, verified},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStderr, Command},
};

use super::{BRIEF, Ended, Machine};

const SOON: Duration = Duration::from_secs(20);

/// A listener that has begun, and the secret that it signs with.
async fn listening(machine: &Machine, arguments: &[&str]) -> (Child, String, Lines<BufReader<ChildStderr>>) {
    let mut command = machine.command(&[&["webhooks", "listen"], arguments].concat());
    let mut child = command.stdin(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    loop {
        let line = tokio::time::timeout(SOON, lines.next_line()).await.unwrap().unwrap().unwrap();
        if let Some(rest) = line.strip_prefix("Signed with ") {
            let secret = rest.split([',', '.']).next().unwrap().to_owned();
            return (child, secret, lines);
        }
    }
}

/// Ctrl-C, and what came of it all.
async fn interrupted(child: Child) -> Ended {
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().await.unwrap().success());
    Ended::of(tokio::time::timeout(SOON, child.wait_with_output()).await.unwrap().unwrap())
}

async fn signatures_hold(receiver: &Receiver, secret: &str) {
    let received = receiver.received();
    let cases: Vec<_> = received
        .iter()
        .map(|event| (event.header("persona-signature"), event.body.as_str(), secret))
        .collect();
    assert!(verified(&cases).await.iter().all(|outcome| outcome == "ok"));
}

#[tokio::test]
async fn events_are_delivered_to_this_machine_and_forwarded_as_they_came() {
    let workspace = Workspace::test("team").await;
    let (machine, receiver) = (Machine::of(&workspace), Receiver::willing().await);
    let events = [
        "--forward-to",
        &receiver.url("/hooks"),
        "--events",
        "persona.created,persona.deleted,run.completed",
    ];
    let (child, secret, _stderr) = listening(&machine, &events).await;
    let made = machine.run(&["personas", "create", BRIEF]).await.well();
    machine.run(&["personas", "delete", made.stdout.trim(), "--yes"]).await.well();
    assert!(receiver.until(SOON, |received| received.len() == 3).await, "{:?}", receiver.received());
    let kinds: BTreeSet<String> =
        receiver.received().iter().map(|event| event.header("persona-event-type").to_owned()).collect();
    assert_eq!(
        kinds.iter().map(String::as_str).collect::<Vec<_>>(),
        ["persona.created", "persona.deleted", "run.completed"]
    );
    signatures_hold(&receiver, &secret).await;
    let ended = interrupted(child).await;
    assert_eq!((ended.code, ended.stdout.lines().count()), (0, 3), "{ended:?}");
    assert!(ended.stdout.lines().all(|line| line.contains("  200 OK ")), "{}", ended.stdout);
    assert_eq!(machine.run(&["webhooks", "list"]).await.well().stdout, "", "it cleans up behind itself");
}

#[tokio::test]
async fn where_nothing_can_be_delivered_runs_are_watched() {
    let workspace = Workspace::test("team").await;
    let reader = Machine::of(&workspace.with_key(&["read"], None).await);
    let receiver = Receiver::willing().await;
    workspace.post("/v1/personas", &serde_json::json!({"intent": BRIEF, "visibility": "workspace"})).await;
    let arguments = ["--watch", "--forward-to", &receiver.url("/hooks"), "--secret", "whsec_mine"];
    let (child, secret, _stderr) = listening(&reader, &arguments).await;
    assert_eq!(secret, "whsec_mine");
    tokio::time::sleep(Duration::from_secs(3)).await;
    let machine = Machine::of(&workspace);
    let made = machine.run(&["personas", "create", BRIEF, "--visibility", "workspace"]).await.well();
    let failing = format!("[[trigger:provider_unavailable]] {BRIEF}");
    assert_eq!(machine.run(&["personas", "create", &failing]).await.code, 10);
    assert!(receiver.until(SOON, |received| received.len() >= 3).await, "{:?}", receiver.received());
    tokio::time::sleep(Duration::from_secs(3)).await;
    let kinds: Vec<String> =
        receiver.received().iter().map(|event| event.header("persona-event-type").to_owned()).collect();
    assert_eq!(kinds, ["run.completed", "persona.created", "run.failed"]);
    let created = receiver.of_type("persona.created")[0].json();
    assert_eq!(
        (&created["data"]["persona_id"], &created["workspace_id"]),
        (&made.stdout.trim().into(), &workspace.id.clone().into())
    );
    assert_eq!(receiver.of_type("run.failed")[0].json()["data"]["error"]["code"], "provider.unavailable");
    signatures_hold(&receiver, &secret).await;
    assert_eq!(interrupted(child).await.code, 0);
}

#[tokio::test]
async fn webhooks_are_made_tried_and_removed() {
    let machine = Machine::of(&Workspace::test("team").await);
    let receiver = Receiver::willing().await;
    let made =
        machine.run(&["webhooks", "create", &receiver.url("/a"), "--events", "run.completed"]).await.well();
    assert!(made.stdout.starts_with("whsec_") && made.stderr.contains("shown once"), "{made:?}");
    let id = made.stderr.split(' ').next().unwrap();
    machine.run(&["webhooks", "test", id]).await.well();
    assert!(receiver.until(SOON, |received| received.len() == 1).await);
    let delivered = async || {
        machine.run(&["webhooks", "deliveries", id, "--json"]).await.well().json()["data"][0].clone()
    };
    while delivered().await["status"] != "delivered" {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let delivery = delivered().await["id"].as_str().unwrap().to_owned();
    machine.run(&["webhooks", "redeliver", id, &delivery]).await.well();
    assert!(receiver.until(SOON, |received| received.len() == 2).await);
    let changed =
        machine.run(&["webhooks", "update", id, "--enabled", "false", "--json"]).await.well().json();
    assert_eq!(changed["enabled"], false);
    let rotated = machine.run(&["webhooks", "rotate-secret", id]).await.well();
    assert!(rotated.stdout.starts_with("whsec_") && rotated.stdout != made.stdout);
    machine.run(&["webhooks", "delete", id]).await.well();
    assert_eq!(machine.run(&["webhooks", "get", id]).await.code, 3);
    let unknown = machine.run(&["webhooks", "listen", "--events", "run.exploded"]).await;
    assert!(unknown.code == 2 && unknown.stderr.contains("run.exploded"), "{}", unknown.stderr);
}
