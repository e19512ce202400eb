//! Agents ask again when an answer is lost; what they asked for is made once, and billed once.

use futures_util::future::join_all;
use serde_json::{Value, json};
use tests::{Workspace, send};

use super::{BRIEF, Host, chat_tool, messages};

async fn runs(workspace: &Workspace) -> usize {
    workspace.all("/v1/runs").await.len()
}

fn replayed(result: &Value) -> bool {
    result["_meta"]["dev.persona/replayed"] == true
}

#[tokio::test]
async fn the_same_creation_is_made_once_whatever_its_request_is_called() {
    let workspace = Workspace::test("team").await;
    let host = Host::of(&workspace);
    let first = host.call("create_persona", json!({"intent": BRIEF, "language": "en"})).await;
    let again = json!({"name": "create_persona", "arguments": {"language": "en", "intent": BRIEF}});
    let second = messages(&send(host.request(2, "tools/call", again)).await).pop().unwrap()["result"].take();
    assert_eq!((replayed(&first), replayed(&second)), (false, true));
    assert_eq!(first["structuredContent"], second["structuredContent"]);
    assert_eq!(runs(&workspace).await, 1);
    let other = host.made("create_persona", json!({"intent": BRIEF, "language": "en", "seed": 3})).await;
    assert_ne!(other["run_id"], first["structuredContent"]["run_id"]);
}

#[tokio::test]
async fn a_call_that_comes_while_the_first_goes_on_waits_for_its_answer() {
    let workspace = Workspace::test("team").await;
    let host = Host::of(&workspace);
    let call = |id: u64| {
        let params = json!({"name": "create_persona", "arguments": {"intent": BRIEF}});
        send(host.request(id, "tools/call", params))
    };
    let answers = join_all((1..=3).map(call)).await;
    let results: Vec<Value> = answers
        .iter()
        .map(|answer| messages(answer).pop().unwrap()["result"]["structuredContent"].take())
        .collect();
    assert!(
        results.iter().all(|result| *result == results[0] && result["status"] == "completed"),
        "{results:?}"
    );
    assert_eq!(runs(&workspace).await, 1);
}

#[tokio::test]
async fn an_answer_that_was_lost_is_given_to_the_next_call() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await;
    let (host, tool) = (Host::of(&workspace), chat_tool(&persona));
    let arguments = json!({"message": "[[trigger:slow]] Take your time"});
    let params = json!({"name": tool, "arguments": arguments, "_meta": {"progressToken": 1}});
    let mut lost = host.request(1, "tools/call", params).send().await.unwrap();
    assert!(lost.chunk().await.unwrap().is_some());
    drop(lost);
    let found = host.call(&tool, arguments).await;
    assert!(
        replayed(&found) && !found["structuredContent"]["content"].as_str().unwrap().is_empty(),
        "{found}"
    );
    let turns = workspace.all_where("/v1/runs", "kind=conversation.turn").await;
    assert_eq!((turns.len(), &turns[0]["status"]), (1, &json!("completed")));
    assert_eq!(turns[0]["id"], found["structuredContent"]["run_id"]);
}

#[tokio::test]
async fn an_opening_that_is_said_again_finds_its_conversation() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await;
    let (host, tool) = (Host::of(&workspace), chat_tool(&persona));
    let first = host.call(&tool, json!({"message": "Good evening"})).await;
    let second = host.call(&tool, json!({"message": "Good evening"})).await;
    assert_eq!(first["structuredContent"], second["structuredContent"]);
    assert_eq!((replayed(&first), replayed(&second)), (false, true));
    assert_eq!(workspace.all("/v1/chat/conversations").await.len(), 1);
    // Another key is another caller.
    let colleague = workspace.with_key(&["admin"], None).await;
    let theirs = Host::of(&colleague).made(&tool, json!({"message": "Good evening"})).await;
    assert_ne!(theirs["conversation_id"], first["structuredContent"]["conversation_id"]);
}

#[tokio::test]
async fn in_a_conversation_the_same_words_are_the_next_turn_unless_the_message_itself_is_sent_again() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await;
    let (host, tool) = (Host::of(&workspace), chat_tool(&persona));
    let conversation = host.made(&tool, json!({"message": "Good evening"})).await["conversation_id"].clone();
    let go_on = |id: u64| {
        let arguments = json!({"message": "Go on.", "conversation_id": conversation});
        host.request(id, "tools/call", json!({"name": tool, "arguments": arguments}))
    };
    let mut runs = Vec::new();
    for id in [2, 3, 3] {
        let mut answer = messages(&send(go_on(id)).await).pop().unwrap();
        runs.push(answer["result"]["structuredContent"]["run_id"].take());
    }
    assert!(runs[0] != runs[1] && runs[1] == runs[2], "{runs:?}");
}

#[tokio::test]
async fn a_refused_call_may_be_made_again() {
    let workspace = Workspace::test("team").await;
    let host = Host::of(&workspace);
    let wanted = json!({"intent": BRIEF, "slug": "keeper"});
    let first = workspace.post("/v1/personas", &json!({"intent": "A cook", "slug": "keeper"})).await.json();
    assert_eq!(host.failed("create_persona", wanted.clone()).await["code"], "persona.slug_taken");
    let path = format!("/v1/personas/{}", first["id"].as_str().unwrap());
    send(workspace.call(reqwest::Method::DELETE, &path)).await;
    assert_eq!(host.made("create_persona", wanted).await["persona"]["slug"], "keeper");
}

#[tokio::test]
async fn a_callers_own_key_takes_the_place_of_the_derived_one() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await;
    let host = Host::of(&workspace);
    let call = |key: &'static str| {
        let params = json!({"name": chat_tool(&persona), "arguments": {"message": "Good evening"}});
        send(host.request(1, "tools/call", params).header("idempotency-key", key))
    };
    let (first, again, other) = (call("one").await, call("one").await, call("two").await);
    assert_eq!(
        (first.text.as_str(), again.header("idempotent-replayed").as_str()),
        (again.text.as_str(), "true")
    );
    let conversation =
        |answer| messages(answer).pop().unwrap()["result"]["structuredContent"]["conversation_id"].take();
    assert_ne!(conversation(&first), conversation(&other));
}
