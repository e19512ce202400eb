//! Many events to three webhooks: one takes them, one fails half of its answers, and the third hangs or does not.

#![allow(clippy::expect_used, clippy::missing_panics_doc, reason = "a test fails by panicking")]

use std::{collections::BTreeSet, time::Duration};

use futures_util::{StreamExt, stream};
use reqwest::Method;
use serde_json::{Value, json};

use super::receiver::{Case, Reaction, Received, Receiver, verified};
use crate::{Workspace, send};

/// Personas that are edited at once.
const AT_ONCE: usize = 4;

/// What came of it.
#[derive(Debug)]
pub struct Storm {
    /// Events that the one that takes everything has received.
    pub well: BTreeSet<String>,
    /// Events that the one that fails half of its answers has received.
    pub half: BTreeSet<String>,
    /// Of these, those that it has taken, at a later attempt.
    pub taken: BTreeSet<String>,
    /// From each event to its first arrival where all is well, in milliseconds.
    pub waits: Vec<f64>,
    /// What the verifier says of each request to these two.
    pub verdicts: Vec<String>,
    /// Requests to the third.
    pub third: usize,
}

/// A persona that no run makes.
pub async fn imported(workspace: &Workspace, name: &str) -> Value {
    let card = json!({"spec": "chara_card_v2", "spec_version": "2.0", "data": {"name": name}});
    let answer = workspace.post("/v1/personas/import", &card).await;
    assert_eq!(answer.status.as_u16(), 201, "{}", answer.text);
    answer.json()
}

/// Edits a persona, which is an event.
pub async fn edit(workspace: &Workspace, persona: &Value, number: usize) {
    let path = format!("/v1/personas/{}", persona["id"].as_str().expect("an id"));
    let body = json!({"metadata": {"number": number.to_string()}});
    let answer = send(workspace.call(Method::PATCH, &path).json(&body)).await;
    assert_eq!(answer.status.as_u16(), 200, "{}", answer.text);
}

async fn secret_of_new(workspace: &Workspace, url: &str) -> String {
    let body = json!({"url": url, "events": ["persona.updated"]});
    let answer = workspace.post("/v1/webhooks", &body).await;
    assert_eq!(answer.status.as_u16(), 201, "{}", answer.text);
    answer.json()["secret"].as_str().expect("a secret").to_owned()
}

fn events<'a>(received: impl Iterator<Item = &'a Received>) -> BTreeSet<String> {
    received.map(|each| each.event().to_owned()).collect()
}

impl Storm {
    /// Makes `count` events by real edits, and waits until all have arrived, or patience ends.
    pub async fn of(count: usize, third_hangs: bool, patience: Duration) -> Self {
        let receiver = Receiver::start(move |received| match received.path.as_str() {
            "/half" if received.before == 0 => Reaction::status(500),
            "/third" if third_hangs => Reaction::Silence,
            _ => Reaction::status(200),
        })
        .await;
        let workspace = Workspace::test("enterprise").await;
        let well = secret_of_new(&workspace, &receiver.url("/well")).await;
        let half = secret_of_new(&workspace, &receiver.url("/half")).await;
        secret_of_new(&workspace, &receiver.url("/third")).await;
        let personas: Vec<Value> =
            stream::iter(0..AT_ONCE).then(|_| imported(&workspace, "Beekeeper")).collect().await;
        let editing = stream::iter(personas).for_each_concurrent(AT_ONCE, |persona| {
            let workspace = &workspace;
            async move {
                for number in 0..count / AT_ONCE {
                    edit(workspace, &persona, number).await;
                }
            }
        });
        editing.await;
        let at = |path: &'static str| move |each: &&Received| each.path == path;
        let again = |each: &&Received| each.path == "/half" && each.before > 0;
        let all = |received: &[Received]| {
            events(received.iter().filter(at("/well"))).len() == count
                && events(received.iter().filter(again)).len() == count
        };
        receiver.until(patience, all).await;
        let received = receiver.received();
        let secrets = [("/well", well), ("/half", half)];
        let cases: Vec<Case> = received
            .iter()
            .filter_map(|each| {
                let (_, secret) = secrets.iter().find(|(path, _)| *path == each.path)?;
                Some((each.header("persona-signature"), each.body.as_str(), secret.as_str()))
            })
            .collect();
        let first = |each: &&Received| each.path == "/well" && each.before == 0;
        Self {
            well: events(received.iter().filter(at("/well"))),
            half: events(received.iter().filter(at("/half"))),
            taken: events(received.iter().filter(again)),
            waits: received.iter().filter(first).map(Received::waited_ms).collect(),
            verdicts: verified(&cases).await,
            third: received.iter().filter(at("/third")).count(),
        }
    }

    /// The wait that a share of the events (0 to 1) did not exceed, in milliseconds.
    pub fn wait(&self, share: f64) -> f64 {
        let mut waits = self.waits.clone();
        waits.sort_by(f64::total_cmp);
        let last = waits.len().saturating_sub(1);
        waits.get((share * last as f64).ceil() as usize).copied().unwrap_or(f64::INFINITY)
    }
}
