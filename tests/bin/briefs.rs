//! Report: briefs become personas. Each brief is created, then replayed exactly; prints a table and a summary.
//!
//! `infra/local exec -- cargo run -q -p tests --bin briefs -- [--live] [--most N] [--at-once N] [FILE]`
//! A line of FILE is a brief, or `<language> <tab> <brief>`; `#` begins a comment.
#![allow(clippy::print_stdout, clippy::expect_used, reason = "a report prints, and fails by panicking")]

use std::{
    env, fs,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream};
use reqwest::Method;
use serde_json::{Value, json};
use tests::Workspace;

/// What became of one brief.
struct Row {
    brief: String,
    outcome: String,
    repaired: bool,
    replayed: bool,
    cost: Value,
    seconds: f64,
}

#[tokio::main]
async fn main() {
    let mut arguments = env::args().skip(1);
    let (mut live, mut most, mut at_once) = (false, usize::MAX, 4);
    let mut file = concat!(env!("CARGO_MANIFEST_DIR"), "/data/intents.txt").to_owned();
    while let Some(argument) = arguments.next() {
        let mut number = || arguments.next().and_then(|text| text.parse().ok()).expect("a number");
        match argument.as_str() {
            "--live" => live = true,
            "--most" => most = number(),
            "--at-once" => at_once = number(),
            path => file = path.to_owned(),
        }
    }
    let workspace =
        if live { Workspace::live("enterprise").await } else { Workspace::test("enterprise").await };
    let text = fs::read_to_string(&file).expect("the file of briefs");
    let briefs = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).take(most);
    let mut rows = stream::iter(briefs.map(|line| row(&workspace, line))).buffered(at_once);
    let mut all = Vec::new();
    println!(
        "| brief | outcome | repaired | exact replay | cost_usd | seconds |\n| --- | --- | --- | --- | --- | --- |"
    );
    while let Some(row) = rows.next().await {
        let (brief, replayed) =
            (row.brief.chars().take(60).collect::<String>(), if row.replayed { "same digest" } else { "no" });
        println!(
            "| {brief} | {} | {} | {replayed} | {} | {:.1} |",
            row.outcome, row.repaired, row.cost, row.seconds
        );
        all.push(row);
    }
    let count = |test: &dyn Fn(&Row) -> bool| all.iter().filter(|row| test(row)).count();
    println!(
        "\n{} briefs: {} valid, {} of them repaired, {} replayed to the same digest at zero cost, {} failed",
        all.len(),
        count(&|row| row.outcome == "completed"),
        count(&|row| row.outcome == "completed" && row.repaired),
        count(&|row| row.replayed),
        count(&|row| row.outcome != "completed"),
    );
}

async fn row(workspace: &Workspace, line: &str) -> Row {
    let (language, brief) = line.split_once('\t').unwrap_or(("en", line));
    let begun = Instant::now();
    let body = json!({"intent": brief, "language": language, "seed": 7});
    let request = workspace.call(Method::POST, "/v1/personas").header("prefer", "respond-async").json(&body);
    let id = tests::send(request).await.json()["id"].as_str().expect("a run").to_owned();
    let run = ended(workspace, &id).await;
    let seconds = begun.elapsed().as_secs_f64();
    let status = run["status"].as_str().unwrap_or_default();
    let outcome = match run["error"]["message"].as_str() {
        Some(message) => {
            format!("{status}: {} ({message})", run["error"]["code"].as_str().unwrap_or_default())
        }
        None => status.to_owned(),
    };
    let steps = run["steps"].as_array().cloned().unwrap_or_default();
    let repaired = steps.iter().any(|step| step["name"] == "repair" && step["status"] == "completed");
    let replayed = status == "completed" && is_reproduced(workspace, &id).await;
    Row { brief: brief.to_owned(), outcome, repaired, replayed, cost: run["cost_usd"].clone(), seconds }
}

async fn ended(workspace: &Workspace, run: &str) -> Value {
    loop {
        let object = workspace.get(&format!("/v1/runs/{run}")).await.json();
        if ["completed", "failed", "cancelled"].iter().any(|status| object["status"] == *status) {
            return object;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn is_reproduced(workspace: &Workspace, run: &str) -> bool {
    let answer = workspace.post(&format!("/v1/runs/{run}/replay"), &json!({"mode": "exact"})).await.json();
    let replay = ended(workspace, answer["id"].as_str().expect("a run")).await;
    replay["replay"]["matches"] == true && replay["cost_usd"] == 0
}
