//! Events while the workers that carry them are killed at random, and messages of events and deliveries that nobody of
//! this system sent.
#![expect(clippy::print_stdout, reason = "what happened belongs into the report of the tests")]

use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tests::{
    Workspace,
    support::{
        receiver::{Reaction, Received, Receiver},
        storm::{self, imported},
    },
};

use super::{
    chaos::kills_since,
    messages::{dead_letters, send_to, sqs},
};

const EVENTS: usize = 60;
const AT_ONCE: usize = 4;
/// Kills that must have happened for the test to mean anything.
const KILLS: usize = 10;
const PATIENCE: Duration = Duration::from_mins(3);

async fn told(workspace: &Workspace, url: &str) -> Value {
    let answer = workspace.post("/v1/webhooks", &json!({"url": url, "events": ["persona.updated"]})).await;
    assert_eq!(answer.status.as_u16(), 201, "{}", answer.text);
    answer.json()
}

/// Edits a persona so many times; each edit is an event. Its versions are numbered from 2.
async fn edit(workspace: &Workspace, persona: &Value, times: usize) {
    for number in 0..times {
        storm::edit(workspace, persona, number).await;
        // Spread over a time in which workers die.
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// What a path has been told: persona and version.
fn versions(received: &[Received], path: &str) -> BTreeSet<(String, u64)> {
    let of = |each: &Received| {
        let data = each.json()["data"].clone();
        (data["persona_id"].as_str().unwrap().to_owned(), data["version"].as_u64().unwrap())
    };
    received.iter().filter(|each| each.path == path).map(of).collect()
}

#[tokio::test]
async fn every_event_arrives_while_the_workers_that_carry_it_are_killed_at_random() {
    let receiver = Receiver::start(|received| match (received.path.as_str(), received.before) {
        ("/fails", 0) if received.event().ends_with(['0', '2', '4', '6', 'a', 'c', 'e']) => {
            Reaction::status(503)
        }
        _ => Reaction::status(200),
    })
    .await;
    let workspace = Workspace::test("enterprise").await;
    told(&workspace, &receiver.url("/well")).await;
    told(&workspace, &receiver.url("/fails")).await;
    let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let personas: Vec<Value> = stream::iter(0..AT_ONCE).then(|_| imported(&workspace, "Pip")).collect().await;
    stream::iter(&personas)
        .for_each_concurrent(AT_ONCE, |persona| edit(&workspace, persona, EVENTS / AT_ONCE))
        .await;
    let arrived = receiver
        .until(PATIENCE, |received| {
            versions(received, "/well").len() == EVENTS && versions(received, "/fails").len() == EVENTS
        })
        .await;
    let received = receiver.received();
    let kills = kills_since(began);
    let twice = received.len().saturating_sub(2 * EVENTS);
    println!("{kills} workers killed; {EVENTS} events reached two webhooks; {twice} came more than once");
    let (well, fails) = (versions(&received, "/well").len(), versions(&received, "/fails").len());
    assert!(arrived, "{well} and {fails} of {EVENTS} have come");
    assert!(kills >= KILLS, "only {kills} workers were killed");
}

#[tokio::test]
async fn forged_messages_of_events_and_deliveries_change_nothing_and_end_in_the_dead_letter_queues() {
    let receiver = Receiver::willing().await;
    let (workspace, other, client) =
        (Workspace::test("team").await, Workspace::test("team").await, sqs().await);
    let persona = imported(&workspace, "Pip").await;
    let webhook = told(&workspace, &receiver.url("/hook")).await;
    let unknown = |prefix: &str| format!("{prefix}_0352hlJa4GkymUp58g1CfP");
    let poison = [
        "poison: not JSON".to_owned(),
        json!(["poison"]).to_string(),
        json!({"poison": true, "workspace": workspace.id, "event": unknown("evt")}).to_string(),
        json!({"workspace": "ws_poison", "event": unknown("evt"), "webhook": webhook["id"]}).to_string(),
        format!("poison {}", "x".repeat(200_000)),
    ];
    for queue in ["EVENTS", "DELIVERIES"] {
        for body in &poison {
            send_to(&client, &format!("{queue}_QUEUE_URL"), body.clone()).await;
        }
    }
    // Well formed, but of nobody's, and of another's.
    let event = json!({"workspace": workspace.id, "event": unknown("evt")});
    send_to(&client, "EVENTS_QUEUE_URL", event.to_string()).await;
    for (owner, id) in [(&workspace.id, &webhook["id"]), (&other.id, &webhook["id"])] {
        let delivery = json!({"workspace": owner, "webhook": id, "delivery": unknown("dlv")});
        send_to(&client, "DELIVERIES_QUEUE_URL", delivery.to_string()).await;
    }
    edit(&workspace, &persona, 1).await;
    assert!(receiver.until(PATIENCE, |received| !received.is_empty()).await, "a real event has not come");
    assert_eq!(versions(&receiver.received(), "/hook").len(), 1);
    for queue in ["EVENTS", "DELIVERIES"] {
        let dead = dead_letters(&client, &format!("{queue}_DEAD_LETTER_QUEUE_URL"), poison.len()).await;
        for body in &poison {
            assert!(dead.contains(body), "{queue}: {} is no dead letter", &body[..body.len().min(60)]);
        }
    }
}
