//! `persona runs`: tail above all.

use std::{collections::BTreeMap, time::Duration};

use serde_json::Value;
use tests::Workspace;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::{
    BRIEF, Machine,
    proxy::{Harm, Proxy},
};

fn numbers(stdout: &str) -> Vec<u64> {
    stdout.lines().map(|line| line.split('\t').next().unwrap().parse().unwrap()).collect()
}

async fn slow_run(machine: &Machine) -> String {
    let brief = format!("[[trigger:slow]] {BRIEF}");
    machine
        .run(&["personas", "create", &brief, "--no-wait", "--pipeline", "fast"])
        .await
        .well()
        .stdout
        .trim()
        .to_owned()
}

#[tokio::test]
async fn tail_prints_every_event_once_over_a_line_that_keeps_breaking() {
    let workspace = Workspace::test("team").await;
    let proxy = Proxy::doing(Harm::CutsStreams(4000)).await;
    let run = Machine::of(&workspace).run(&["personas", "create", BRIEF, "--no-wait"]).await.well();
    let run = run.stdout.trim();
    let tailed = Machine::of(&workspace).asking(&proxy.url).run(&["runs", "tail", run]).await.well();
    let logged = workspace.all(&format!("/v1/runs/{run}/events")).await;
    assert!(proxy.cuts() > 1, "{}", proxy.cuts());
    assert_eq!(numbers(&tailed.stdout), (1..=logged.len() as u64).collect::<Vec<_>>());
    for (line, event) in tailed.stdout.lines().zip(&logged) {
        let words: Vec<&str> = line.splitn(3, '\t').collect();
        assert_eq!(
            (words[1], serde_json::from_str::<Value>(words[2]).unwrap()),
            (event["event"].as_str().unwrap(), event["data"].clone())
        );
    }
}

#[tokio::test]
async fn tail_is_json_lines_and_begins_where_it_is_told() {
    let workspace = Workspace::test("team").await;
    let machine = Machine::of(&workspace);
    workspace.persona(BRIEF).await;
    let run = workspace.all("/v1/runs").await[0]["id"].as_str().unwrap().to_owned();
    let tailed = machine.run(&["runs", "tail", &run, "--after", "10", "--json"]).await.well();
    let events: Vec<Value> = tailed.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&events[0]["id"], &events.last().unwrap()["event"]), (&11.into(), &"run.completed".into()));
}

#[tokio::test]
async fn tail_shows_a_run_while_it_goes_and_ends_with_it() {
    let workspace = Workspace::test("team").await;
    let machine = Machine::of(&workspace);
    let run = slow_run(&machine).await;
    let mut child = machine.command(&["runs", "tail", &run]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first =
        tokio::time::timeout(Duration::from_secs(5), lines.next_line()).await.unwrap().unwrap().unwrap();
    assert!(first.starts_with("1\trun.started"), "{first}");
    machine.run(&["runs", "cancel", &run]).await.well();
    let mut last = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        last = line;
    }
    assert!(last.contains("\trun.cancelled\t"), "{last}");
    assert_eq!(child.wait().await.unwrap().code(), Some(12));
}

#[tokio::test]
async fn runs_are_listed_read_replayed_and_compared() {
    let workspace = Workspace::test("team").await;
    let machine = Machine::of(&workspace);
    machine.run(&["personas", "create", BRIEF]).await.well();
    let listed = machine.run(&["runs", "list", "--kind", "persona.create"]).await.well();
    let run = listed.stdout.split('\t').next().unwrap().to_owned();
    let got = machine.run(&["runs", "get", &run]).await.well();
    assert!(got.stdout.starts_with(&format!("id: {run}\n")), "{}", got.stdout);
    let replayed = machine.run(&["runs", "replay", &run, "--json"]).await.well().json();
    assert_eq!(replayed["replay"]["matches"], true, "{replayed}");
    let replay = replayed["id"].as_str().unwrap();
    let same = machine.run(&["runs", "diff", replay, &run]).await.well();
    assert_eq!((same.stdout.as_str(), same.stderr.as_str()), ("", "Nothing differs.\n"));
    let fresh = ["runs", "replay", &run, "--mode", "fresh", "--overrides", r#"{"seed": 12}"#, "--json"];
    let fresh = machine.run(&fresh).await.well().json();
    let diff = machine.run(&["runs", "diff", fresh["id"].as_str().unwrap(), &run]).await.well();
    let signs = diff.stdout.lines().fold(BTreeMap::<&str, u32>::new(), |mut signs, line| {
        *signs.entry(&line[..1]).or_default() += 1;
        signs
    });
    assert!(signs["/"] > 3 && signs["-"] > 3 && signs["+"] > 3, "{}", diff.stdout);
    let wrong = machine.run(&["runs", "replay", &run, "--mode", "fresh", "--overrides", "{seed"]).await;
    assert!(
        wrong.code == 2 && wrong.stderr.contains("--overrides is not JSON, line 1, column 2"),
        "{}",
        wrong.stderr
    );
}
