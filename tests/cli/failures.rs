//! What goes wrong gets one clear message, the next step, and an exit code by its class.

use std::process::Stdio;

use serde_json::Value;
use tests::Workspace;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::{BRIEF, Ended, Machine};

/// A failure has nothing on standard output, one `error:` line, and its code.
fn refused(ended: &Ended, code: i32, says: &str) {
    assert_eq!((ended.code, ended.stdout.as_str()), (code, ""), "{}", ended.stderr);
    let errors: Vec<&str> = ended.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert!(errors.len() == 1 && errors[0].contains(says), "{}", ended.stderr);
}

#[tokio::test]
async fn nobody_is_signed_in() {
    let ended = Machine::new().run(&["personas", "list"]).await;
    refused(&ended, 4, "Nobody is signed in");
    assert!(ended.stderr.contains("hint: sign in: persona auth login"), "{}", ended.stderr);
}

#[tokio::test]
async fn there_is_no_network() {
    let machine = Machine::of(&Workspace::test("team").await).asking("http://127.0.0.1:1");
    refused(&machine.run(&["personas", "list"]).await, 11, "cannot be reached: connection refused");
}

#[tokio::test]
async fn a_key_is_expired_or_revoked() {
    let workspace = Workspace::test("team").await;
    let expired = Machine::of(&workspace.with_key(&["read"], Some(0)).await);
    let ended = expired.run(&["personas", "list"]).await;
    refused(&ended, 4, "expired");
    assert!(ended.stderr.contains("persona auth login"), "{}", ended.stderr);
    let key = Machine::of(&workspace).run(&["keys", "create", "ci", "--json"]).await.well().json();
    let (id, secret) = (key["id"].as_str().unwrap(), key["secret"].as_str().unwrap());
    Machine::of(&workspace).run(&["keys", "revoke", id, "--yes"]).await.well();
    refused(&Machine::of(&workspace.through(secret)).run(&["personas", "list"]).await, 4, "revoked");
}

#[tokio::test]
async fn a_key_is_of_another_workspace_or_may_not_do_this() {
    let (workspace, other) = (Workspace::test("team").await, Workspace::test("team").await);
    let machine = Machine::of(&workspace);
    refused(
        &machine.run(&["personas", "list", "--workspace", &other.id]).await,
        4,
        "does not belong to the workspace",
    );
    let reader = Machine::of(&workspace.with_key(&["read"], None).await);
    refused(&reader.run(&["personas", "create", BRIEF]).await, 4, "scope");
}

#[tokio::test]
async fn a_brief_is_unreadable_empty_or_too_long() {
    let workspace = Workspace::test("team").await;
    let machine = Machine::of(&workspace);
    refused(
        &machine.run(&["personas", "create", "-f", "nowhere.md"]).await,
        2,
        "nowhere.md cannot be read: no such file",
    );
    machine.file("bad.md", [b'o', b'k', b'\n', 0xff]);
    refused(
        &machine.run(&["personas", "create", "-f", "bad.md"]).await,
        2,
        "bad.md is not UTF-8 text, line 2",
    );
    machine.file("empty.md", " \n");
    refused(&machine.run(&["personas", "create", "-f", "empty.md"]).await, 3, "empty.md is empty");
    // Characters, not bytes: each of these is two.
    machine.file("long.md", "ğ".repeat(4001) + "\n");
    let long = machine.run(&["personas", "create", "-f", "long.md"]).await;
    refused(&long, 3, "long.md has 4001 characters; a brief has at most 4000.");
    assert!(long.stderr.contains("hint: shorten it by 1;"), "{}", long.stderr);
    assert!(workspace.all("/v1/runs").await.is_empty(), "nothing was sent");
    machine.file("just.md", "ğ".repeat(4000) + "\n");
    let just = machine.run(&["personas", "create", "-f", "just.md", "--no-wait"]).await;
    assert_eq!(just.code, 0, "{}", just.stderr);
}

#[tokio::test]
async fn a_run_that_fails_ends_with_the_class_of_its_failure() {
    let machine = Machine::of(&Workspace::test("team").await);
    for (trigger, code, says) in [
        ("budget_exceeded", 5, "Run aborted: $1.20 exceeds budget $1.00."),
        ("moderation_block", 6, "moderation policy"),
        ("schema_violation", 8, "contradict"),
        ("provider_unavailable", 10, "provider"),
    ] {
        let brief = format!("[[trigger:{trigger}]] {BRIEF}");
        let ended = machine.run(&["personas", "create", &brief, "--budget-usd", "1.00"]).await;
        assert_eq!(ended.code, code, "{trigger}: {}", ended.stderr);
        let error = ended.stderr.lines().find(|line| line.starts_with("error: ")).unwrap_or_default();
        assert!(error.to_lowercase().contains(&says.to_lowercase()), "{trigger}: {}", ended.stderr);
        assert!(ended.stderr.contains("hint: the run: persona runs get run_"), "{trigger}: {}", ended.stderr);
    }
}

#[tokio::test]
async fn errors_are_json_where_answers_are() {
    let machine = Machine::of(&Workspace::test("team").await);
    let ended = machine.run(&["personas", "get", "nobody", "--json"]).await;
    let error: Value = serde_json::from_str(&ended.stderr).unwrap();
    assert_eq!((ended.code, &error["error"]["code"]), (3, &"resource.not_found".into()));
    let ended = machine.run(&["personas", "create", "-f", "nowhere.md", "--json"]).await;
    let error: Value = serde_json::from_str(&ended.stderr).unwrap();
    assert_eq!((ended.code, &error["error"]["type"]), (2, &"usage".into()));
}

#[tokio::test]
async fn a_reader_that_has_enough_ends_it_quietly() {
    let workspace = Workspace::test("team").await;
    let machine = Machine::of(&workspace);
    workspace.persona(BRIEF).await;
    let run = workspace.all("/v1/runs").await[0]["id"].as_str().unwrap().to_owned();
    let mut child = machine.command(&["runs", "tail", &run]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next_line().await.unwrap().unwrap().starts_with("1\trun.started"));
    drop(lines);
    let ended = Ended::of(child.wait_with_output().await.unwrap());
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
}
