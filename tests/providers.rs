//! Whatever a provider does, the run ends once, in a way the caller can read, within its budget. The provider is a
//! real HTTP server that misbehaves as told (`support::provider`); the runs are live, so nothing is the sandbox's grace.

use std::time::Duration;

use futures_util::{StreamExt, future::join_all};
use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    Workspace, parse_events,
    support::{
        provider::{Fault, Script, shared},
        runs::{assert_replays, assert_sound, begin, charged, ended},
    },
};

const BRIEF: &str = "A 66-year-old chef from Sydney who collects vintage cars";
const PATIENCE: Duration = Duration::from_mins(1);

fn brief(seed: u64, budget: f64) -> Value {
    shared();
    json!({"intent": BRIEF, "seed": seed, "budget_usd": budget})
}

/// A run under this script, once it has ended and was found sound.
async fn run_under(workspace: &Workspace, seed: u64, script: Option<Script>) -> Value {
    if let Some(script) = script {
        shared().misbehave(seed, script);
    }
    let id = begin(workspace, &brief(seed, 0.5)).await;
    let run = ended(workspace, &id, PATIENCE).await;
    assert_sound(workspace, &run, &shared().sold(seed)).await;
    run
}

/// Who wrote it; the judge is somebody else.
fn askers(run: &Value) -> Vec<&str> {
    let asked = run["steps"].as_array().unwrap().iter().filter_map(|step| step["provider"].as_str());
    asked.filter(|who| *who != "judge").collect()
}

#[tokio::test]
async fn a_provider_that_answers_is_paid_what_it_sold_and_replayed_for_nothing() {
    let workspace = Workspace::live("team").await;
    let run = run_under(&workspace, 100, None).await;
    assert_eq!(run["status"], "completed", "{run}");
    let sold = charged(&shared().sold(100)) as f64 / 1e6;
    assert!((run["cost_usd"].as_f64().unwrap() - sold).abs() < 1e-9, "{run} against {sold}");
    assert_replays(&workspace, run["id"].as_str().unwrap(), PATIENCE).await;
    assert!((charged(&shared().sold(100)) as f64 / 1e6 - sold).abs() < 1e-9, "the replay asked the provider");
}

#[tokio::test]
async fn faults_that_pass_are_tried_again_and_leave_no_trace_in_the_persona() {
    let workspace = &Workspace::live("team").await;
    let faults = [Fault::Throttled, Fault::Failed, Fault::HungUp, Fault::Half, Fault::Misfit, Fault::Garbled];
    let each = (200..).zip(faults).map(|(seed, fault)| async move {
        let run = run_under(workspace, seed, Some(Script::always(fault).times(1))).await;
        assert_eq!(run["status"], "completed", "{fault:?}: {run}");
        assert_replays(workspace, run["id"].as_str().unwrap(), PATIENCE).await;
    });
    join_all(each).await;
}

#[tokio::test]
async fn when_the_first_model_stays_away_the_second_answers() {
    let workspace = &Workspace::live("team").await;
    let faults = [Fault::Failed, Fault::Half, Fault::Misfit, Fault::Silent];
    let each = (300..).zip(faults).map(|(seed, fault)| async move {
        let run = run_under(workspace, seed, Some(Script::always(fault).at("first"))).await;
        assert_eq!(run["status"], "completed", "{fault:?}: {run}");
        let askers = askers(&run);
        assert!(!askers.is_empty() && askers.iter().all(|who| *who == "second"), "{fault:?}: {askers:?}");
    });
    join_all(each).await;
}

#[tokio::test]
async fn when_every_model_fails_the_run_is_503_and_another_one_is_not_harmed() {
    let workspace = Workspace::live("team").await;
    for (seed, fault) in (400..).zip([Fault::Failed, Fault::Throttled, Fault::Garbled]) {
        let run = run_under(&workspace, seed, Some(Script::always(fault))).await;
        assert_eq!(
            (&run["status"], &run["error"]["code"]),
            (&json!("failed"), &json!("provider.unavailable")),
            "{fault:?}"
        );
        assert_eq!(run["error"]["run_id"], run["id"]);
        shared().misbehave(seed, Script::always(fault).times(0));
        let again = workspace
            .post(&format!("/v1/runs/{}/replay", run["id"].as_str().unwrap()), &json!({"mode": "fresh"}))
            .await;
        assert!(again.status.is_success(), "{}", again.text);
        let again = ended(&workspace, again.json()["id"].as_str().unwrap(), PATIENCE).await;
        assert_eq!(again["status"], "completed", "{fault:?}: {again}");
    }
}

#[tokio::test]
async fn a_budget_holds_to_the_last_micro_dollar_wherever_it_ends() {
    let workspace = Workspace::live("team").await;
    let mut stopped = 0;
    for (seed, budget) in (500..).zip([0.0001, 0.01, 0.02, 0.03, 0.05]) {
        let id = begin(&workspace, &brief(seed, budget)).await;
        let run = ended(&workspace, &id, PATIENCE).await;
        assert_sound(&workspace, &run, &shared().sold(seed)).await;
        if run["status"] == "failed" {
            assert_eq!(run["error"]["code"], "persona.cost_budget_exceeded", "{run}");
            stopped += 1;
        }
    }
    assert!(stopped >= 2, "the budgets were never in the way");
}

#[tokio::test]
async fn a_client_that_leaves_loses_nothing() {
    let workspace = Workspace::live("team").await;
    let request = workspace.call(Method::POST, "/v1/personas?stream=true").json(&brief(600, 0.5));
    let response = request.send().await.unwrap();
    let mut bytes = response.bytes_stream();
    let mut text = String::new();
    while parse_events(&text).len() < 5 {
        text.push_str(&String::from_utf8_lossy(&bytes.next().await.unwrap().unwrap()));
    }
    drop(bytes);
    let whole = text.rfind("\n\n").map_or("", |end| &text[..end + 2]);
    let heard = parse_events(whole);
    let id = heard[0].2["run_id"].as_str().unwrap().to_owned();
    let request = workspace
        .call(Method::GET, &format!("/v1/runs/{id}/events"))
        .header("accept", "text/event-stream")
        .header("last-event-id", heard.last().unwrap().0.to_string());
    let rest = workspace.stream(request).await;
    let numbers: Vec<u64> = heard.iter().chain(&rest).map(|event| event.0).collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());
    assert_eq!(rest.last().unwrap().1, "run.completed");
}
