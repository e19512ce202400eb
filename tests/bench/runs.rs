//! What the engine adds to a provider's own time: runs one after the other, each watched by the client of its stream.

use std::{collections::HashMap, time::Instant};

use futures_util::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    Workspace, parse_events,
    support::provider::{Provider, Sold, epoch_millis},
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    BRIEF,
    figures::{Row, Samples, Unit},
};

const RUNS: u64 = 6;
/// The layers of the `default` pipeline that need the identity alone and so are written at once.
const PARALLEL: f64 = 5.0;

/// A finished run as its client saw it. Times are milliseconds since the epoch.
struct Watched {
    wall: f64,
    /// Path, value and when it came.
    deltas: Vec<(String, Value, f64)>,
    /// By name: when each step was done, and what it waited for.
    steps: HashMap<String, (f64, Vec<String>)>,
    created: f64,
    sold: Vec<Sold>,
}

/// The rows.
pub(crate) async fn measure(provider: &Provider) -> Vec<Row> {
    let workspace = Workspace::live("enterprise").await;
    // Starts the processes that the others find running.
    watch(&workspace, provider, 1_000).await;
    let mut watched = Vec::new();
    for seed in 1_001..=1_000 + RUNS {
        watched.push(watch(&workspace, provider, seed).await);
    }
    let all = |of: fn(&Watched) -> Vec<f64>| -> Samples { watched.iter().flat_map(of).collect() };
    vec![
        Row::median_within(
            "`layer.delta` at the client, after the provider closed the field",
            &all(Watched::delta_delays),
            Unit::Millis,
            300.0,
        ),
        Row::median_within(
            "engine overhead of a step on the critical path",
            &all(Watched::overheads),
            Unit::Millis,
            150.0,
        ),
        Row::median_within(
            "`default` run with answers of 1 s, against its critical path",
            &all(|run| vec![run.wall / run.critical_path()]),
            Unit::Ratio,
            1.25,
        ),
        Row::all_equal(
            "layers that the provider was writing at once",
            &all(|run| vec![run.sold.iter().map(|call| call.at_once as f64).fold(0.0, f64::max)]),
            Unit::Count,
            PARALLEL,
        ),
    ]
}

async fn watch(workspace: &Workspace, provider: &Provider, seed: u64) -> Watched {
    let body = json!({"intent": BRIEF, "seed": seed});
    let begun = Instant::now();
    let response = workspace.call(Method::POST, "/v1/personas?stream=true").json(&body).send().await;
    let response = response.expect("an answer");
    assert!(response.status().is_success(), "{}", response.status());
    let path = response.headers()["location"].to_str().expect("the run's path").to_owned();
    let mut deltas = Vec::new();
    let mut text = String::new();
    let mut pieces = response.bytes_stream();
    while let Some(piece) = pieces.next().await {
        let at = epoch_millis();
        text.push_str(&String::from_utf8_lossy(&piece.expect("a piece")));
        let Some(end) = text.rfind("\n\n") else { continue };
        let rest = text.split_off(end + 2);
        for (_, event, mut data) in parse_events(&text) {
            assert_ne!(event, "run.failed", "{data}");
            if event == "layer.delta" {
                deltas.push((data["path"].as_str().unwrap_or_default().to_owned(), data["value"].take(), at));
            }
        }
        text = rest;
    }
    let wall = begun.elapsed().as_secs_f64() * 1e3;
    let events = workspace.all(&format!("{path}/events")).await;
    let run = workspace.get(&path).await.json();
    Watched {
        wall,
        deltas,
        steps: steps(&run, &events),
        created: millis(&run["created_at"]),
        sold: provider.sold(seed),
    }
}

fn millis(at: &Value) -> f64 {
    let at = OffsetDateTime::parse(at.as_str().expect("a time"), &Rfc3339).expect("RFC 3339");
    at.unix_timestamp_nanos() as f64 / 1e6
}

fn steps(run: &Value, events: &[Value]) -> HashMap<String, (f64, Vec<String>)> {
    let completed = events.iter().filter(|event| event["event"] == "step.completed");
    let at: HashMap<&str, f64> =
        completed.filter_map(|e| Some((e["data"]["step"].as_str()?, millis(&e["created_at"])))).collect();
    let all = run["steps"].as_array().expect("steps").iter();
    all.filter_map(|step| {
        let name = step["name"].as_str()?;
        let needs = step["depends_on"].as_array()?.iter().filter_map(|need| need.as_str().map(str::to_owned));
        Some((name.to_owned(), (*at.get(name)?, needs.collect())))
    })
    .collect()
}

impl Watched {
    /// From the closing byte of each field to its event at the client.
    fn delta_delays(&self) -> Vec<f64> {
        let came = |path: &str, value: &Value| self.deltas.iter().find(|(p, v, _)| p == path && v == value);
        let written = self.sold.iter().flat_map(|call| &call.fields);
        written.filter_map(|(path, value, at)| Some(came(path, value)?.2 - at)).collect()
    }

    /// Milliseconds that the provider took for a step; nothing where it was not asked.
    fn provider_time(&self, step: &str) -> f64 {
        let calls = self.sold.iter().filter(|call| call.step == step);
        calls.filter_map(|call| Some(call.answered? - call.asked)).sum()
    }

    /// Of each step on the way back from the last: from the end of what it waited for last to its own end, without
    /// the provider's time. So every millisecond of the run is in one of them.
    fn overheads(&self) -> Vec<f64> {
        let done = |step: &String| self.steps.get(step).map_or(0.0, |(at, _)| *at);
        let last = |steps: &mut dyn Iterator<Item = &String>| -> Option<String> {
            steps.max_by(|a, b| done(a).total_cmp(&done(b))).cloned()
        };
        let mut step = last(&mut self.steps.keys());
        let mut overheads = Vec::new();
        while let Some(name) = step {
            let (at, needs) = &self.steps[&name];
            let before = last(&mut needs.iter());
            let ready = before.as_ref().map_or(self.created, done);
            overheads.push(at - ready - self.provider_time(&name));
            step = before;
        }
        overheads
    }

    /// The longest chain of provider time through the graph.
    fn critical_path(&self) -> f64 {
        fn until(run: &Watched, step: &str) -> f64 {
            let needs = run.steps.get(step).map_or(&[][..], |(_, needs)| needs);
            needs.iter().map(|need| until(run, need)).fold(0.0, f64::max) + run.provider_time(step)
        }
        self.steps.keys().map(|step| until(self, step)).fold(0.0, f64::max)
    }
}
