//! `personas create` and `personas refine`.

use serde_json::Value;
use tests::Workspace;

use super::{
    BRIEF, Machine,
    proxy::{Harm, Proxy},
    shown,
};

/// The paths of the fields that were shown.
fn fields(stderr: &str) -> Vec<String> {
    let paths = stderr.lines().filter_map(|line| line.strip_prefix("  ")?.split_once("  "));
    paths.map(|(path, _)| path.to_owned()).collect()
}

/// The same, as the run's log has them.
async fn logged(workspace: &Workspace, run: &str) -> Vec<String> {
    let events = workspace.all(&format!("/v1/runs/{run}/events")).await;
    let deltas = events.iter().filter(|event| event["event"] == "layer.delta");
    deltas.map(|event| event["data"]["path"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_brief_in_a_file_becomes_a_persona_that_is_shown_layer_by_layer() {
    let workspace = Workspace::test("team").await;
    let machine = Machine::of(&workspace);
    machine.file("brief.md", BRIEF);
    let made =
        machine.run(&["personas", "create", "-f", "./brief.md", "--visibility", "workspace"]).await.well();
    let persona = machine.persona(made.stdout.trim()).await;
    assert_eq!((&persona["visibility"], &persona["intent"]), (&"workspace".into(), &BRIEF.into()));
    let run = persona["lineage"]["run_id"].as_str().unwrap();
    assert!(made.stderr.contains(run) && made.stderr.contains("✓ soul_draft"), "{}", made.stderr);
    assert!(made.stderr.contains("a simulation"), "{}", made.stderr);
    assert!(made.stderr.contains("  soul.core_desire  "), "{}", made.stderr);
    assert_eq!(fields(&made.stderr), logged(&workspace, run).await);
}

#[tokio::test]
async fn options_reach_the_api_and_json_is_the_persona() {
    let machine = Machine::of(&Workspace::test("team").await);
    let options =
        ["--slug", "ada", "--language", "de", "--seed", "7", "--pipeline", "fast", "--metadata", "k=v=w"];
    let made = machine.run(&[&["personas", "create", BRIEF, "--json"], &options[..]].concat()).await.well();
    let persona = made.json();
    assert_eq!(
        (&persona["slug"], &persona["language"], &persona["metadata"]["k"]),
        (&"ada".into(), &"de".into(), &"v=w".into())
    );
    assert_eq!(
        (&persona["lineage"]["seed"], &persona["lineage"]["pipeline"]["name"]),
        (&7.into(), &"fast".into())
    );
    assert_eq!(made.stderr, "");
    let refined =
        machine.run(&["personas", "refine", "ada", "make her 5 years older", "--json"]).await.well().json();
    assert_eq!(refined["version"], 2);
}

#[tokio::test]
async fn a_brief_comes_from_a_pipe_and_a_run_need_not_be_waited_for() {
    let machine = Machine::of(&Workspace::test("team").await);
    let begun = machine.fed(&["personas", "create", "--no-wait"], BRIEF).await.well();
    let run = begun.stdout.trim().to_owned();
    let tailed = machine.run(&["runs", "tail", &run]).await.well();
    assert!(tailed.line().contains("\trun.completed\t"), "{}", tailed.stdout);
}

#[tokio::test]
async fn a_stream_that_is_cut_goes_on_where_it_broke_off() {
    let workspace = Workspace::test("team").await;
    let proxy = Proxy::doing(Harm::CutsStreams(3000)).await;
    let machine = Machine::of(&workspace).asking(&proxy.url);
    let made = machine.run(&["personas", "create", BRIEF]).await.well();
    assert!(proxy.cuts() > 2, "{}", proxy.cuts());
    let personas = workspace.all("/v1/personas").await;
    assert_eq!(personas.len(), 1);
    assert_eq!(personas[0]["id"], Value::from(made.stdout.trim()));
    let run = workspace.all("/v1/runs").await[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(fields(&made.stderr), logged(&workspace, &run).await);
}

#[tokio::test]
async fn an_answer_that_was_lost_makes_no_second_persona() {
    let workspace = Workspace::test("team").await;
    let proxy = Proxy::doing(Harm::Swallows(2)).await;
    let machine = Machine::of(&workspace).asking(&proxy.url);
    machine.run(&["personas", "create", BRIEF]).await.well();
    assert_eq!((proxy.cuts(), workspace.all("/v1/runs").await.len()), (2, 1));
}

#[tokio::test]
async fn the_same_command_with_the_same_key_makes_it_once() {
    let workspace = Workspace::test("team").await;
    let machine = Machine::of(&workspace);
    let file = machine.file("brief.md", BRIEF);
    let command = ["personas", "create", "-f", shown(&file), "--idempotency-key", "today"];
    let (first, second) = (machine.run(&command).await.well(), machine.run(&command).await.well());
    assert_eq!(first.stdout, second.stdout);
    assert_eq!(workspace.all("/v1/personas").await.len(), 1);
}
