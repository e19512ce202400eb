//! Webhooks: how soon an event is there, and what becomes of a thousand of them where one address fails and one hangs.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use tests::{
    Workspace, send,
    support::{
        receiver::{Received, Receiver},
        storm::{Storm, edit, imported},
    },
};
use tokio::time::sleep;

use crate::figures::{Row, Samples, Unit};

/// Events that come one by one.
const SINGLE: usize = 50;
const MANY: usize = 1_000;
/// Of these it is told how long they take where nothing hangs.
const FEWER: usize = 200;
const PATIENCE: Duration = Duration::from_mins(10);

/// The rows.
pub(crate) async fn measure() -> Vec<Row> {
    let single = one_by_one().await;
    let calm = Storm::of(FEWER, false, PATIENCE).await;
    let storm = Storm::of(MANY, true, PATIENCE).await;
    let verified = storm.verdicts.iter().filter(|verdict| *verdict == "ok").count();
    let reached = storm.well.len().min(storm.taken.len());
    let waits = |storm: &Storm| -> Samples { storm.waits.iter().copied().collect() };
    vec![
        Row::median_within("webhook: event to its first attempt", &single, Unit::Millis, 500.0),
        Row::stated(
            "1,000 events, three webhooks, one fails half its answers, one hangs: events at each live one",
            reached,
            "1000",
            reached == MANY,
        ),
        Row::stated(
            "1,000 events: requests whose signature the user's verifier takes",
            format!("{verified} of {}", storm.verdicts.len()),
            "all",
            verified == storm.verdicts.len() && verified >= 2 * MANY,
        ),
        Row::shown(
            "1,000 events, one webhook hangs: event to its arrival at the one that is well",
            &waits(&storm),
            Unit::Millis,
        ),
        Row::shown("for scale: 200 events, none hangs: the same", &waits(&calm), Unit::Millis),
    ]
}

async fn one_by_one() -> Samples {
    let (workspace, receiver) = (Workspace::test("enterprise").await, Receiver::willing().await);
    let persona = imported(&workspace, "Beekeeper").await;
    let body = json!({"url": receiver.url("/hook"), "events": ["persona.updated"]});
    let made = workspace.post("/v1/webhooks", &body).await.json();
    let test = format!("/v1/webhooks/{}/test", made["id"].as_str().expect("an id"));
    // The address is known then, and the processes are up.
    send(workspace.call(Method::POST, &test)).await;
    edit(&workspace, &persona, SINGLE).await;
    receiver.until(PATIENCE, |received| received.len() == 2).await;
    for number in 0..SINGLE {
        edit(&workspace, &persona, number).await;
        receiver.until(PATIENCE, |received| received.len() == number + 3).await;
        sleep(Duration::from_millis(200)).await;
    }
    receiver.received().iter().skip(2).map(Received::waited_ms).collect()
}
