//! Turns that go wrong: bad input, two at once, providers that break off, callers who leave.

use std::time::Duration;

use futures_util::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    Workspace, parse_events, send,
    support::{
        provider::{Fault, Script, shared},
        runs::ended,
    },
};

use super::{begun, messages_path, path, say, transcript};

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn bad_messages_are_refused_and_change_nothing() {
    let workspace = Workspace::test("team").await;
    let (_, conversation) = begun(&workspace, json!({})).await;
    let other = workspace.persona("A 30-year-old baker from Leeds").await;
    let refused = [
        (json!({"message": "  "}), "message"),
        (json!({"message": "x".repeat(8_001)}), "message"),
        (json!({"text": "Hello"}), ""),
        (json!({"message": "Hello", "persona_id": other["id"]}), "persona_id"),
        (json!({"message": "Hello", "persona_id": "nobody-of-that-name"}), "persona_id"),
        (json!({"message": "Hello", "tools": ["web.search", "crystal.ball"]}), "tools"),
        (json!({"message": "Hello", "budget_usd": 0}), "budget_usd"),
    ];
    for (body, param) in refused {
        let answer = workspace.post(&messages_path(&conversation), &body).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "request.invalid"), "{body}");
        if !param.is_empty() {
            assert_eq!(answer.json()["error"]["param"], param, "{body}");
        }
    }
    let tools = json!({"message": "Hello", "tools": ["crystal.ball"]});
    let told = workspace.post(&messages_path(&conversation), &tools).await.text;
    assert!(told.contains("crystal.ball") && told.contains("web.search"), "{told}");
    assert!(transcript(&workspace, &conversation).await.is_empty());
    say(&workspace, &conversation, "Hello").await;
}

#[tokio::test]
async fn of_two_turns_at_once_one_is_told_that_the_conversation_is_busy() {
    let workspace = Workspace::test("team").await;
    let (_, conversation) = begun(&workspace, json!({})).await;
    let slow = json!({"message": "[[trigger:slow]] Take your time", "stream": true});
    let request = workspace.call(Method::POST, &messages_path(&conversation)).json(&slow);
    let streaming = request.send().await.unwrap();
    assert_eq!(streaming.status(), 200);
    let second = workspace.post(&messages_path(&conversation), &json!({"message": "And me?"})).await;
    assert_eq!((second.status.as_u16(), second.code().as_str()), (409, "conversation.busy"));
    assert!(second.header("retry-after").parse::<u32>().unwrap() >= 1);
    let text = streaming.text().await.unwrap();
    assert_eq!(parse_events(&text).last().unwrap().1, "run.completed");
    say(&workspace, &conversation, "And now?").await;
    let said: Vec<String> = transcript(&workspace, &conversation).await.into_iter().map(|m| m.1).collect();
    assert!(
        said.len() == 4 && said.contains(&"And now?".to_owned()) && !said.contains(&"And me?".to_owned())
    );
}

#[tokio::test]
async fn an_answer_is_kept_also_when_its_caller_leaves() {
    let workspace = Workspace::test("team").await;
    let (_, conversation) = begun(&workspace, json!({})).await;
    let slow = json!({"message": "[[trigger:slow]] Tell me a long story", "stream": true});
    let request = workspace.call(Method::POST, &messages_path(&conversation)).json(&slow);
    let response = request.send().await.unwrap();
    let location = response.headers()["location"].to_str().unwrap().to_owned();
    let mut pieces = response.bytes_stream();
    pieces.next().await.unwrap().unwrap();
    drop(pieces);
    let run = ended(&workspace, location.trim_start_matches("/v1/runs/"), PATIENCE).await;
    assert_eq!(run["status"], "completed", "{run}");
    assert_eq!(transcript(&workspace, &conversation).await.len(), 2);
    say(&workspace, &conversation, "I am back").await;
}

#[tokio::test]
async fn an_answer_is_kept_also_when_its_caller_stops_reading() {
    let workspace = Workspace::test("team").await;
    let (_, conversation) = begun(&workspace, json!({})).await;
    let slow = json!({"message": "[[trigger:slow]] Tell me a long story", "stream": true});
    let unread =
        workspace.call(Method::POST, &messages_path(&conversation)).json(&slow).send().await.unwrap();
    let location = unread.headers()["location"].to_str().unwrap();
    let run = ended(&workspace, location.trim_start_matches("/v1/runs/"), PATIENCE).await;
    assert_eq!(run["status"], "completed", "{run}");
    assert_eq!(transcript(&workspace, &conversation).await.len(), 2);
    drop(unread);
}

/// A conversation of a live workspace, whose persona the simulated provider made.
async fn live() -> (Workspace, Value) {
    shared();
    let workspace = Workspace::live("team").await;
    let (_, conversation) = begun(&workspace, json!({})).await;
    (workspace, conversation)
}

#[tokio::test]
async fn a_provider_that_breaks_off_leaves_the_message_and_no_half_answer() {
    let (workspace, conversation) = live().await;
    shared().misbehave(7_001, Script::always(Fault::Half));
    for stream in [true, false] {
        let body = json!({"message": "Do you still hear me?", "seed": 7_001, "stream": stream});
        let answer = send(workspace.call(Method::POST, &messages_path(&conversation)).json(&body)).await;
        if stream {
            let events = parse_events(&answer.text);
            let (_, last, data) = events.last().unwrap();
            assert_eq!(
                (last.as_str(), &data["error"]["code"]),
                ("run.failed", &json!("provider.unavailable"))
            );
            assert!(events.iter().any(|event| event.1 == "message.delta"), "nothing was heard of it");
        } else {
            assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "provider.unavailable"));
        }
    }
    let said = transcript(&workspace, &conversation).await;
    assert!(said.iter().all(|(who, _)| who == "user") && said.len() == 2, "{said:?}");
    assert_eq!(workspace.get(&path(&conversation)).await.json()["turns"], 0);
    let next = json!({"message": "And now?", "seed": 7_002});
    assert_eq!(workspace.post(&messages_path(&conversation), &next).await.status, 200);
    assert_eq!(transcript(&workspace, &conversation).await.last().unwrap().0, "assistant");
}

#[tokio::test]
async fn before_the_first_word_another_provider_takes_over() {
    let (workspace, conversation) = live().await;
    shared().misbehave(7_101, Script::always(Fault::Failed).at("first"));
    let body = json!({"message": "Good evening", "seed": 7_101, "stream": true});
    let request = workspace.call(Method::POST, &messages_path(&conversation)).json(&body);
    let events = workspace.stream(request).await;
    assert_eq!(events.last().unwrap().1, "run.completed");
}

#[tokio::test]
async fn a_turn_keeps_its_budget() {
    let (workspace, conversation) = live().await;
    let body = json!({"message": "Good evening", "seed": 7_201, "budget_usd": 0.000_001});
    let answer = workspace.post(&messages_path(&conversation), &body).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (402, "persona.cost_budget_exceeded"));
    assert!(shared().sold(7_201).is_empty(), "the provider was asked all the same");
}

#[tokio::test]
async fn a_cancelled_turn_ends_and_frees_its_conversation() {
    let workspace = Workspace::test("team").await;
    let (_, conversation) = begun(&workspace, json!({})).await;
    let slow = json!({"message": "[[trigger:slow]] Take your time", "stream": true});
    let request = workspace.call(Method::POST, &messages_path(&conversation)).json(&slow);
    let streaming = request.send().await.unwrap();
    let location = streaming.headers()["location"].to_str().unwrap().to_owned();
    let cancelled = workspace.post(&format!("{location}/cancel"), &json!({})).await;
    assert_eq!(cancelled.json()["status"], "cancelled", "{}", cancelled.text);
    drop(streaming);
    let free = async {
        loop {
            let answer = workspace.post(&messages_path(&conversation), &json!({"message": "Again"})).await;
            if answer.status == 200 {
                return;
            }
            assert_eq!(answer.code(), "conversation.busy", "{}", answer.text);
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    tokio::time::timeout(PATIENCE, free).await.expect("the conversation stays busy");
    let said: Vec<String> = transcript(&workspace, &conversation).await.into_iter().map(|m| m.0).collect();
    assert_eq!(said, ["user", "user", "assistant"]);
}
