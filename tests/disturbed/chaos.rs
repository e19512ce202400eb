//! Fifty runs while workers are killed at random.
#![expect(clippy::print_stdout, reason = "what happened belongs into the report of the tests")]

use std::{
    env, fs,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tests::{
    Workspace,
    support::{
        provider::shared,
        runs::{assert_replays, assert_sound, begin, ended},
    },
};

const RUNS: u64 = 50;
const AT_ONCE: usize = 8;
/// Kills that must have happened for the test to mean anything.
const KILLS: usize = 20;
const PATIENCE: Duration = Duration::from_mins(4);

#[tokio::test]
async fn runs_end_once_and_whole_while_workers_are_killed_at_random() {
    let workspace = Workspace::live("enterprise").await;
    let provider = shared();
    // Every run has a step more, and holds a field that must be given back where no persona comes of it.
    let field = json!({"name": "motto", "type": "string", "generate": true});
    assert_eq!(workspace.post("/v1/schema/fields", &field).await.status, 201);
    let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let runs: Vec<Value> = stream::iter(0..RUNS)
        .map(|number| disturbed_run(&workspace, 10_000 + number))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let asked = (0..RUNS).map(|number| provider.sold(10_000 + number).len()).sum::<usize>();
    let kills = kills_since(began);
    let completed: Vec<&Value> = runs.iter().filter(|run| run["status"] == "completed").collect();
    let attempts: u64 = runs
        .iter()
        .flat_map(|run| run["steps"].as_array().unwrap())
        .filter_map(|step| step["attempt"].as_u64())
        .filter(|attempt| *attempt > 1)
        .count() as u64;
    println!(
        "{kills} workers killed; {} of {RUNS} runs completed; {attempts} steps were taken more than once; the model was asked {asked} times",
        completed.len()
    );
    assert!(kills >= KILLS, "only {kills} workers were killed");
    assert!(attempts > 0, "no step was lost, so nothing was tested");
    for run in runs.iter().filter(|run| run["status"] != "completed") {
        // A step that is lost six times ends its run, and says so.
        assert_eq!(run["error"]["code"], "internal.error", "{run}");
    }
    assert!(completed.len() as u64 * 10 >= RUNS * 9, "too many runs were given up");
    let fields = workspace.all("/v1/schema/fields").await;
    assert_eq!(fields[0]["uses"], completed.len(), "a field has as many users as there are personas");
    for run in completed.iter().take(5) {
        assert_replays(&workspace, run["id"].as_str().unwrap(), PATIENCE).await;
    }
}

async fn disturbed_run(workspace: &Workspace, seed: u64) -> Value {
    let body = json!({"intent": "A 60-year-old photographer from Sydney who loves hiking", "seed": seed, "budget_usd": 0.4});
    let id = begin(workspace, &body).await;
    let run = ended(workspace, &id, PATIENCE).await;
    assert_sound(workspace, &run, &shared().sold(seed)).await;
    run
}

/// Kills since then, as the runtime host wrote them down: a JSON line each, with `time` in seconds.
pub(super) fn kills_since(began: f64) -> usize {
    let journal =
        env::var("PERSONA_KILL_LOG").expect("no worker is killed here: see the Makefile's target test");
    let lines = fs::read_to_string(journal).unwrap_or_default();
    let at = |line: &str| serde_json::from_str::<Value>(line).ok().and_then(|kill| kill["time"].as_f64());
    lines.lines().filter_map(at).filter(|at| *at >= began).count()
}
