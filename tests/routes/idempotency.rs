//! `Idempotency-Key` on every POST: made once, answered as the first time.
use std::collections::BTreeSet;

use futures_util::{StreamExt, future::join_all, stream};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tests::{
    Answer, Workspace, parse_events, send,
    support::provider::{Fault, Script, shared},
};

const BRIEF: &str = "A 58-year-old watchmaker from Geneva who sings in a choir";
const PERSONAS: &str = "/v1/personas";

fn keyed(workspace: &Workspace, key: &str, path: &str, body: &Value) -> RequestBuilder {
    workspace.call(Method::POST, path).header("idempotency-key", key).json(body)
}

fn replayed(answer: &Answer) -> bool {
    answer.header("idempotent-replayed") == "true"
}

async fn runs(workspace: &Workspace) -> usize {
    workspace.all("/v1/runs").await.len()
}

#[tokio::test]
async fn the_same_request_is_made_once_and_answered_twice_to_the_byte() {
    let workspace = Workspace::test("team").await;
    let body = json!({"intent": BRIEF});
    let first = send(keyed(&workspace, "create-1", PERSONAS, &body)).await;
    let second = send(keyed(&workspace, "create-1", PERSONAS, &body)).await;
    assert_eq!((first.status.as_u16(), replayed(&first)), (201, false), "{}", first.text);
    assert_eq!((second.status.as_u16(), replayed(&second)), (201, true));
    assert_eq!((&first.text, first.header("location")), (&second.text, second.header("location")));
    assert_eq!(first.header("etag"), second.header("etag"));
    assert_eq!(runs(&workspace).await, 1);
}

#[tokio::test]
async fn a_stream_is_streamed_again_from_the_runs_events() {
    let workspace = Workspace::test("team").await;
    let (body, path) = (json!({"intent": BRIEF}), "/v1/personas?stream=true");
    let first = send(keyed(&workspace, "stream", path, &body)).await;
    let second = send(keyed(&workspace, "stream", path, &body)).await;
    assert_eq!(parse_events(&first.text), parse_events(&second.text));
    assert_eq!((replayed(&first), replayed(&second)), (false, true));
    assert_eq!(parse_events(&second.text).last().unwrap().1, "run.completed");
    assert_eq!(runs(&workspace).await, 1);
}

#[tokio::test]
async fn turns_and_completions_are_spoken_once_whole_or_streamed() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await;
    let (list, begin) = ("/v1/chat/conversations", json!({"persona_id": persona["id"]}));
    let begun = send(keyed(&workspace, "begin", list, &begin)).await.json();
    let again = send(keyed(&workspace, "begin", list, &begin)).await;
    assert_eq!((replayed(&again), &again.json()), (true, &begun));
    let turns = format!("{list}/{}/messages", begun["id"].as_str().unwrap());
    let said = json!([{"role": "user", "content": "Good evening"}]);
    for stream in [false, true] {
        let completion = json!({"model": persona["id"], "messages": said, "stream": stream});
        for (path, body) in [
            (turns.as_str(), json!({"message": "Good evening", "stream": stream})),
            ("/v1/openai/chat/completions", completion),
        ] {
            let key = format!("{}-{stream}", path.len());
            let first = send(keyed(&workspace, &key, path, &body)).await;
            let second = send(keyed(&workspace, &key, path, &body)).await;
            assert_eq!((first.status, replayed(&second)), (second.status, true), "{}", second.text);
            assert_eq!(first.text, second.text);
            assert_eq!(first.header("content-type"), second.header("content-type"));
        }
    }
    assert_eq!(workspace.all(&turns).await.len(), 4, "two turns, each with its message");
}

#[tokio::test]
async fn another_request_with_the_same_key_is_refused() {
    let (workspace, stranger) = (Workspace::test("team").await, Workspace::test("team").await);
    let body = json!({"intent": BRIEF});
    send(keyed(&workspace, "mine", PERSONAS, &body)).await;
    for (path, body) in [
        (PERSONAS, json!({"intent": "A baker from Leeds"})),
        ("/v1/personas?stream=true", body.clone()),
        ("/v1/keys", json!({"name": "a", "scopes": ["read"]})),
    ] {
        let answer = send(keyed(&workspace, "mine", path, &body)).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (409, "idempotency.key_reused"),
            "{path}"
        );
    }
    let own = send(keyed(&stranger, "mine", PERSONAS, &body)).await;
    assert_eq!((own.status.as_u16(), replayed(&own)), (201, false), "keys are a workspace's own");
    for bad in ["", "two words", &"x".repeat(256)] {
        let answer = send(keyed(&workspace, bad, PERSONAS, &body)).await;
        assert_eq!(answer.json()["error"]["param"], "Idempotency-Key", "{bad}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_refusal_is_final_and_a_failure_is_not() {
    shared();
    let workspace = Workspace::live("team").await;
    let refused = json!({"intent": "[[trigger:moderation_block]] How to build a pipe bomb step by step"});
    let first = send(keyed(&workspace, "refused", PERSONAS, &refused)).await;
    let second = send(keyed(&workspace, "refused", PERSONAS, &refused)).await;
    assert_eq!((first.code().as_str(), replayed(&second)), ("moderation.intent_blocked", true));
    assert_eq!(first.text, second.text);
    let persona = workspace.persona(BRIEF).await;
    let begun = workspace.post("/v1/chat/conversations", &json!({"persona_id": persona["id"]})).await.json();
    let path = format!("/v1/chat/conversations/{}/messages", begun["id"].as_str().unwrap());
    shared().misbehave(8_102, Script::always(Fault::HungUp));
    let body = json!({"message": "Are you there?", "seed": 8_102});
    for _ in 0..2 {
        let answer = send(keyed(&workspace, "flaky", &path, &body)).await;
        assert_eq!((answer.code().as_str(), replayed(&answer)), ("provider.unavailable", false));
    }
    shared().misbehave(8_102, Script::always(Fault::HungUp).times(0));
    let answer = send(keyed(&workspace, "flaky", &path, &body)).await;
    assert_eq!((answer.status.as_u16(), replayed(&answer)), (200, false), "{}", answer.text);
    let again = send(keyed(&workspace, "flaky", &path, &body)).await;
    assert_eq!((&again.text, replayed(&again)), (&answer.text, true));
}

#[tokio::test]
async fn a_keys_secret_is_not_told_again() {
    let workspace = Workspace::test("team").await;
    let body = json!({"name": "once", "scopes": ["read"]});
    let first = send(keyed(&workspace, "key", "/v1/keys", &body)).await.json();
    let second = send(keyed(&workspace, "key", "/v1/keys", &body)).await.json();
    assert!(first["secret"].is_string() && second.get("secret").is_none(), "{second}");
    assert_eq!(first["id"], second["id"]);
}

#[tokio::test]
async fn of_200_parallel_requests_with_one_key_exactly_one_makes_a_run() {
    let workspace = Workspace::test("enterprise").await;
    let body = json!({"intent": BRIEF});
    // Forty of them are on their way at any time: cargo-lambda's queue stands still for good when it has a hundred.
    let sent = stream::iter(0..200).map(|_| send(keyed(&workspace, "storm", PERSONAS, &body)));
    let answers: Vec<Answer> = sent.buffer_unordered(40).collect().await;
    let made = answers.iter().filter(|answer| answer.status == 201);
    let personas: BTreeSet<String> = made.map(|answer| answer.json()["id"].to_string()).collect();
    assert_eq!(personas.len(), 1, "{personas:?}");
    for answer in &answers {
        let in_progress = answer.status == 409 && answer.code() == "idempotency.in_progress";
        assert!(answer.status == 201 || in_progress, "{}", answer.text);
        assert!(!in_progress || answer.header("retry-after").parse::<u32>().unwrap() >= 1);
    }
    assert_eq!(answers.iter().filter(|answer| answer.status == 201 && !replayed(answer)).count(), 1);
    assert_eq!(runs(&workspace).await, 1);
}

#[tokio::test]
async fn of_50_parallel_creations_of_one_slug_exactly_one_wins() {
    let workspace = Workspace::test("enterprise").await;
    let body = json!({"intent": BRIEF, "slug": "the-watchmaker"});
    let call = || workspace.call(Method::POST, PERSONAS).header("prefer", "respond-async").json(&body);
    let answers = join_all((0..50).map(|_| send(call()))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 202).count(), 1);
    let lost = answers.iter().filter(|answer| answer.status == 409 && answer.code() == "persona.slug_taken");
    assert_eq!(lost.count(), 49);
    assert_eq!(runs(&workspace).await, 1);
}
