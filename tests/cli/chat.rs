//! `persona chat`, with a message or a pipe. A talk on a terminal is in `terminal`.

use tests::Workspace;

use super::{BRIEF, Machine};

#[tokio::test]
async fn a_message_gets_an_answer_and_its_drift() {
    let workspace = Workspace::test("team").await;
    let machine = Machine::of(&workspace);
    let persona = workspace.persona(BRIEF).await;
    let slug = persona["slug"].as_str().unwrap();
    let first = machine.run(&["chat", slug, "What are you working on?"]).await.well();
    assert!(first.stdout.trim().len() > 10 && first.stdout.lines().count() == 1, "{}", first.stdout);
    assert!(
        first.stderr.contains("drift: voice 0.") && first.stderr.contains("coherence"),
        "{}",
        first.stderr
    );
    let conversation = first.stderr.split("--conversation ").nth(1).unwrap().trim().to_owned();
    let second = ["chat", slug, "And tomorrow?", "--conversation", &conversation, "--json"];
    let turn = machine.run(&second).await.well().json();
    assert_eq!(turn["conversation_id"], conversation.as_str());
    assert!(turn["drift"]["verdict"].is_string(), "{turn}");
    let messages = machine.run(&["conversations", "messages", &conversation]).await.well();
    assert_eq!(messages.stdout.lines().count(), 4, "{}", messages.stdout);
    let drift = machine.run(&["conversations", "drift", &conversation]).await.well();
    assert_eq!(drift.stdout.lines().count(), 2, "{}", drift.stdout);
    let got = machine.run(&["conversations", "get", &conversation, "--json"]).await.well().json();
    assert_eq!((&got["turns"], &got["persona_id"]), (&2.into(), &persona["id"]));
}

#[tokio::test]
async fn a_message_comes_from_a_pipe() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await;
    let answered = Machine::of(&workspace)
        .fed(&["chat", persona["id"].as_str().unwrap()], "Good evening!\n")
        .await
        .well();
    assert!(answered.stdout.trim().len() > 10, "{}", answered.stdout);
}

#[tokio::test]
async fn an_answer_that_fails_ends_with_its_class() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await;
    let (machine, id) = (Machine::of(&workspace), persona["id"].as_str().unwrap());
    let down = machine.run(&["chat", id, "[[trigger:provider_unavailable]] Hello"]).await;
    assert_eq!((down.code, down.stdout.trim()), (10, ""), "{}", down.stderr);
    let tool = machine.run(&["chat", id, "Hello", "--tools", "coffee.make"]).await;
    assert!(tool.code == 3 && tool.stderr.contains("coffee.make"), "{}", tool.stderr);
    assert_eq!(machine.run(&["chat", id, " "]).await.code, 2);
}
