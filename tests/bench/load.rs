//! A hundred runs at once against one run alone: nothing is lost, and none costs more because others run.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Workspace, send, support::provider::Provider};
use tokio::time::sleep;

use crate::{
    BRIEF,
    figures::{Row, Samples, Unit},
    logs,
};

const RUNS: usize = 100;
const WITHIN: Duration = Duration::from_secs(10);
/// cargo-lambda stops for good when about a hundred requests wait for one function.
const IN_FLIGHT: usize = 8;
const PATIENCE: Duration = Duration::from_mins(10);
const BUDGET: f64 = 0.5;
/// Micro-dollars a token, in and out, as providers.json says.
const PRICE: (u64, u64) = (2, 8);

/// A run that has ended.
struct Ended {
    run: Value,
    /// To DynamoDB, of the call that began it and of every message about it.
    requests: f64,
}

impl Ended {
    fn cost(&self) -> f64 {
        self.run["cost_usd"].as_f64().expect("a cost")
    }
}

/// The rows.
pub(crate) async fn measure(provider: &Provider) -> Vec<Row> {
    let workspace = Workspace::live("enterprise").await;
    // Starts processes, so that neither side counts a first call.
    batch(&workspace, 1, 2_000).await;
    let (alone, _, _) = batch(&workspace, 1, 2_001).await;
    // All with one seed: the texts, and so the costs, must be the same; even the names are.
    let (ended, started, finished) = batch(&workspace, RUNS, 2_001).await;
    let charged: u64 =
        provider.sold(2_001).iter().map(|call| call.tokens.0 * PRICE.0 + call.tokens.1 * PRICE.1).sum();
    let spent: f64 = alone.iter().chain(&ended).map(Ended::cost).sum();
    let completed = ended.iter().filter(|each| each.run["status"] == "completed").count();
    let ratio =
        |of: fn(&Ended) -> f64| -> Samples { ended.iter().map(|run| of(run) / of(&alone[0])).collect() };
    let requests: Samples = ended.iter().map(|each| each.requests).collect();
    vec![
        Row::stated(
            "100 runs: all begun after",
            format!("{:.1} s", started.as_secs_f64()),
            "≤ 10 s",
            started <= WITHIN,
        ),
        Row::stated(
            "100 runs: completed",
            format!("{completed}, the last after {:.0} s", finished.as_secs_f64()),
            "100",
            completed == RUNS,
        ),
        Row::all_within(
            "100 runs: cost of each against its budget",
            &ended.iter().map(|each| each.cost() / BUDGET).collect(),
            Unit::Ratio,
            1.0,
        ),
        Row::stated(
            "100 runs: what runs spent against what the provider charged",
            format!("{spent:.6} and {:.6} USD", charged as f64 / 1e6),
            "equal",
            (spent * 1e6 - charged as f64).abs() < 0.5,
        ),
        Row::all_equal("100 runs: cost of each against a run alone", &ratio(Ended::cost), Unit::Ratio, 1.0),
        Row::shown("100 runs: DynamoDB requests of each", &requests, Unit::Count),
        Row::median_within(
            "100 runs: DynamoDB requests of each against a run alone",
            &ratio(|run| run.requests),
            Unit::Ratio,
            1.1,
        ),
    ]
}

/// Begins `count` runs evenly over less than [`WITHIN`] and waits for all; with how long both took.
async fn batch(workspace: &Workspace, count: usize, seed: u64) -> (Vec<Ended>, Duration, Duration) {
    let pause = WITHIN.mul_f64(0.8) / count as u32;
    let begun = Instant::now();
    let begin = |number: usize| async move {
        sleep((pause * number as u32).saturating_sub(begun.elapsed())).await;
        let body = json!({"intent": BRIEF, "seed": seed, "budget_usd": BUDGET});
        let request = workspace.call(Method::POST, "/v1/personas").header("prefer", "respond-async");
        let answer = send(request.json(&body)).await;
        assert_eq!(answer.status.as_u16(), 202, "{}", answer.text);
        (answer.header("location"), answer.store_requests() as f64)
    };
    let beginning = stream::iter((0..count).map(begin)).buffered(IN_FLIGHT);
    let begun_runs: Vec<(String, f64)> = beginning.collect().await;
    let started = begun.elapsed();
    let mut ended = Vec::new();
    for (path, requests) in begun_runs {
        ended.push(Ended { run: end_of(workspace, &path, begun).await, requests });
    }
    let finished = begun.elapsed();
    // The line of the message that ended the last run is written after the run's end.
    sleep(Duration::from_secs(1)).await;
    let of_messages = requests_of_messages();
    for each in &mut ended {
        each.requests +=
            of_messages.get(each.run["id"].as_str().unwrap_or_default()).copied().unwrap_or_default();
    }
    (ended, started, finished)
}

async fn end_of(workspace: &Workspace, path: &str, begun: Instant) -> Value {
    loop {
        let run = workspace.get(path).await.json();
        if run["completed_at"].is_string() || begun.elapsed() > PATIENCE {
            return run;
        }
        sleep(Duration::from_millis(500)).await;
    }
}

/// By run, as the workers count them.
fn requests_of_messages() -> HashMap<String, f64> {
    let mut requests = HashMap::new();
    for line in logs::lines("message taken") {
        if let (Some(run), Some(count)) = (line["run_id"].as_str(), line["store.requests"].as_f64()) {
            *requests.entry(run.to_owned()).or_default() += count;
        }
    }
    requests
}
