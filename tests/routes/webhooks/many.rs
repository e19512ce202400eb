//! Many events to three webhooks: one takes them, one fails half of its answers, one never answers.

use std::{collections::BTreeSet, time::Duration};

use futures_util::{StreamExt, stream};
use tests::{
    Workspace,
    support::receiver::{Case, Reaction, Received, Receiver, verified},
};

use super::{edit, imported, text, webhook};

const EVENTS: usize = 120;
const AT_ONCE: usize = 4;
const PATIENCE: Duration = Duration::from_secs(90);

fn events(received: &[Received], path: &str) -> BTreeSet<String> {
    received.iter().filter(|each| each.path == path).map(|each| each.event().to_owned()).collect()
}

#[tokio::test]
async fn every_event_reaches_each_live_webhook_and_one_that_hangs_delays_nobody() {
    let receiver = Receiver::start(|received| match received.path.as_str() {
        "/half" if received.before == 0 => Reaction::status(500),
        "/hangs" => Reaction::Silence,
        _ => Reaction::status(200),
    })
    .await;
    let workspace = Workspace::test("enterprise").await;
    let kinds = ["persona.updated"];
    let well = webhook(&workspace, &receiver.url("/well"), &kinds).await;
    let half = webhook(&workspace, &receiver.url("/half"), &kinds).await;
    webhook(&workspace, &receiver.url("/hangs"), &kinds).await;
    // Edits of one persona are made one after the other; those of several are made at once.
    let others: Vec<_> = stream::iter(0..AT_ONCE).then(|_| imported(&workspace, "Beekeeper")).collect().await;
    stream::iter(others)
        .for_each_concurrent(AT_ONCE, |persona| {
            let workspace = &workspace;
            async move {
                for number in 0..EVENTS / AT_ONCE {
                    edit(workspace, &persona, number).await;
                }
            }
        })
        .await;
    let all = |received: &[Received], path: &str| events(received, path).len() == EVENTS;
    let arrived = receiver.until(PATIENCE, |received| all(received, "/well") && all(received, "/half")).await;
    let received = receiver.received();
    let (to_well, to_half) = (events(&received, "/well"), events(&received, "/half"));
    assert!(arrived, "{} of {EVENTS} to the one, {} to the other", to_well.len(), to_half.len());
    assert_eq!(to_well, to_half);

    // Who fails takes each at its second attempt.
    let taken = |received: &[Received]| {
        let second = received.iter().filter(|each| each.path == "/half" && each.before > 0);
        second.map(|each| each.event().to_owned()).collect::<BTreeSet<_>>().len() == EVENTS
    };
    assert!(receiver.until(PATIENCE, taken).await, "not all were tried again");

    // Each took its time from the event, not from the one that hangs, which holds on for ten seconds.
    let mut waits: Vec<f64> =
        received.iter().filter(|each| each.path == "/well" && each.before == 0).map(wait_ms).collect();
    waits.sort_by(f64::total_cmp);
    let (middle, last) = (waits[waits.len() / 2], waits[waits.len() - 1]);
    assert!(middle < 5_000.0, "half of the events took longer than {middle} ms, one {last} ms");

    let received = receiver.received();
    let secrets = [("/well", text(&well["secret"])), ("/half", text(&half["secret"]))];
    let cases: Vec<Case> = received
        .iter()
        .filter_map(|each| {
            let (_, secret) = secrets.iter().find(|(path, _)| *path == each.path)?;
            Some((each.header("persona-signature"), each.body.as_str(), secret.as_str()))
        })
        .collect();
    assert!(verified(&cases).await.iter().all(|outcome| outcome == "ok"));
}

/// From the event to its arrival, in milliseconds.
fn wait_ms(received: &Received) -> f64 {
    use time::{OffsetDateTime, format_description::well_known::Rfc3339};
    let made = OffsetDateTime::parse(received.json()["created_at"].as_str().unwrap(), &Rfc3339).unwrap();
    received.at - made.unix_timestamp_nanos() as f64 / 1e6
}
