//! What goes wrong with completions, told in OpenAI's shape.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    Workspace, anonymous, send,
    support::{
        provider::{Fault, Script, shared},
        runs::ended,
    },
};

use super::{
    BRIEF, COMPLETIONS, CONVERSATION, begun, chunks, in_conversation, question, refused, transcript,
};

#[tokio::test]
async fn a_model_that_is_not_the_keys_to_talk_to_is_not_found() {
    let (owner, stranger) = (Workspace::test("team").await, Workspace::test("team").await);
    let persona = owner.persona(BRIEF).await;
    let version = json!(format!("{}@2", persona["id"].as_str().unwrap()));
    let colleague = owner.with_key(&["chat"], None).await;
    for (workspace, model) in [
        (&owner, json!("nobody-of-that-name")),
        (&owner, json!("psn_0352hlJa4GkymUp58g1CfP")),
        (&owner, json!("sandbox-1")),
        (&owner, version),
        (&stranger, persona["id"].clone()),
        (&stranger, persona["slug"].clone()),
        // It is private.
        (&colleague, persona["id"].clone()),
    ] {
        let answer = workspace.post(COMPLETIONS, &question(&model, "Hello", &json!({}))).await;
        assert_eq!(refused(&answer, 404, "model_not_found"), "model", "{model}");
    }
}

#[tokio::test]
async fn a_conversation_must_be_the_keys_and_with_the_model() {
    let (owner, stranger) = (Workspace::test("team").await, Workspace::test("team").await);
    let persona = owner.persona(BRIEF).await;
    let other = owner.persona("A 30-year-old baker from Leeds").await;
    let conversation = begun(&owner, &persona).await;
    let foreign = stranger.persona(BRIEF).await;
    let body = question(&foreign["id"], "Hello", &json!({}));
    let answer = in_conversation(&stranger, &conversation, &body).await;
    assert_eq!(refused(&answer, 404, "resource.not_found"), CONVERSATION);
    for unknown in ["conv_0352hlJa4GkymUp58g1CfP", "mine"] {
        let body = question(&persona["id"], "Hello", &json!({}));
        let answer = in_conversation(&owner, &json!({"id": unknown}), &body).await;
        assert_eq!(refused(&answer, 404, "resource.not_found"), CONVERSATION);
    }
    let version = json!(format!("{}@9", persona["id"].as_str().unwrap()));
    for (model, status, code) in [
        (&other["id"], 400, "request.invalid"),
        (&other["slug"], 400, "request.invalid"),
        (&version, 400, "request.invalid"),
        (&json!("psn_0352hlJa4GkymUp58g1CfP"), 404, "model_not_found"),
        (&json!("nobody-of-that-name"), 404, "model_not_found"),
    ] {
        let answer = in_conversation(&owner, &conversation, &question(model, "Hello", &json!({}))).await;
        assert_eq!(refused(&answer, status, code), "model", "{model}");
    }
    assert!(transcript(&owner, &conversation).await.is_empty());
    let answer = in_conversation(&owner, &conversation, &question(&persona["id"], "Hello", &json!({}))).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

#[tokio::test]
async fn what_is_not_understood_is_named() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await;
    let picture =
        json!([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}]);
    for (more, param) in [
        (json!({"n": 2}), "n"),
        (json!({"logprobs": true}), "logprobs"),
        (json!({"audio": {}}), "audio"),
        (json!({"functions": []}), "functions"),
        (json!({"temperature": 2.5}), "temperature"),
        (json!({"colour": "red"}), "colour"),
        (json!({"tool_choice": "required"}), "tool_choice"),
        (json!({"messages": picture}), "messages.0.content.0"),
        (json!({"messages": [{"role": "user", "content": "x".repeat(8_001)}]}), "messages.0.content"),
        (json!({"messages": [{"role": "system", "content": "Hello"}]}), "messages"),
    ] {
        let answer = workspace.post(COMPLETIONS, &question(&persona["id"], "Hello", &more)).await;
        assert_eq!(refused(&answer, 400, "request.invalid"), param, "{}", answer.text);
    }
}

#[tokio::test]
async fn every_refusal_has_openais_shape() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await;
    let body = question(&persona["id"], "Hello", &json!({}));
    refused(&send(anonymous(Method::POST, COMPLETIONS).json(&body)).await, 401, "invalid_api_key");
    let reader = workspace.with_key(&["read"], None).await;
    refused(&reader.post(COMPLETIONS, &body).await, 403, "auth.insufficient_scope");
    refused(&send(anonymous(Method::GET, COMPLETIONS)).await, 405, "request.method_not_allowed");
    refused(&send(anonymous(Method::POST, "/v1/openai/responses")).await, 404, "resource.not_found");
    let long = send(workspace.call(Method::POST, COMPLETIONS).body("x".repeat(300_000))).await;
    refused(&long, 413, "request.payload_too_large");
    refused(&send(workspace.call(Method::POST, COMPLETIONS).body("{")).await, 400, "request.invalid");
    let down = question(&persona["id"], "[[trigger:provider_unavailable]] Hello", &json!({}));
    refused(&workspace.post(COMPLETIONS, &down).await, 503, "provider.unavailable");
    let streamed =
        question(&persona["id"], "[[trigger:provider_unavailable]] Hello", &json!({"stream": true}));
    refused(&workspace.post(COMPLETIONS, &streamed).await, 503, "provider.unavailable");
}

#[tokio::test]
async fn an_empty_bucket_says_when_to_come_back() {
    let workspace = Workspace::test("free").await;
    for _ in 0..90 {
        let answer = workspace.get("/v1/openai/models").await;
        if answer.status == 429 {
            refused(&answer, 429, "rate_limit.exceeded");
            assert!(answer.header("retry-after").parse::<u32>().unwrap() >= 1);
            return;
        }
    }
    unreachable!("a free workspace has 30 calls at once");
}

#[tokio::test]
async fn a_provider_that_breaks_off_ends_the_stream_with_the_error() {
    shared();
    let workspace = Workspace::live("team").await;
    let persona = workspace.persona(BRIEF).await;
    let conversation = begun(&workspace, &persona).await;
    shared().misbehave(7_701, Script::always(Fault::Half));
    let more = json!({"stream": true, "seed": 7_701});
    let answer = in_conversation(&workspace, &conversation, &question(&persona["id"], "Hello?", &more)).await;
    assert_eq!(answer.status, 200);
    let chunks = chunks(&answer.text);
    assert!(
        chunks.iter().any(|chunk| chunk["choices"][0]["delta"]["content"].is_string()),
        "{}",
        answer.text
    );
    let last = chunks.last().unwrap();
    assert_eq!(
        (&last["error"]["code"], &last["error"]["type"]),
        (&json!("provider.unavailable"), &json!("server_error"))
    );
    let kept = transcript(&workspace, &conversation).await;
    assert!(kept.len() == 1 && kept[0]["role"] == "user", "{kept:?}");
    let next = in_conversation(
        &workspace,
        &conversation,
        &question(&persona["id"], "And now?", &json!({"seed": 7_702})),
    )
    .await;
    assert_eq!(next.status, 200, "{}", next.text);
    let spent: &Value = &next.json()["persona"]["cost_usd"];
    assert!(spent.as_f64().unwrap() > 0.0, "{spent}");
}

#[tokio::test]
async fn of_two_completions_in_a_conversation_at_once_one_is_told_that_it_is_busy() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await;
    let conversation = begun(&workspace, &persona).await;
    let slow = question(&persona["id"], "[[trigger:slow]] Take your time", &json!({"stream": true}));
    let request = workspace.call(Method::POST, COMPLETIONS).json(&slow);
    let streaming = request.header(CONVERSATION, conversation["id"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(streaming.status(), 200);
    let body = question(&persona["id"], "And me?", &json!({}));
    let second = in_conversation(&workspace, &conversation, &body).await;
    refused(&second, 409, "conversation.busy");
    assert!(second.header("retry-after").parse::<u32>().unwrap() >= 1);
    let text = streaming.text().await.unwrap();
    assert_eq!(chunks(&text).last(), Some(&Value::Null), "{text}");
    assert_eq!(in_conversation(&workspace, &conversation, &body).await.status, 200);
    assert_eq!(transcript(&workspace, &conversation).await.len(), 4);
}

#[tokio::test]
async fn an_answer_is_kept_also_when_its_client_stops_reading() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await;
    let conversation = begun(&workspace, &persona).await;
    let slow = question(&persona["id"], "[[trigger:slow]] Tell me a long story", &json!({"stream": true}));
    let request = workspace.call(Method::POST, COMPLETIONS).json(&slow);
    let unread = request.header(CONVERSATION, conversation["id"].as_str().unwrap()).send().await.unwrap();
    let location = unread.headers()["location"].to_str().unwrap();
    let run = ended(&workspace, location.trim_start_matches("/v1/runs/"), Duration::from_secs(30)).await;
    assert_eq!(run["status"], "completed", "{run}");
    let kept = transcript(&workspace, &conversation).await;
    assert!(kept.len() == 2 && kept[0]["role"] == "assistant", "{kept:?}");
    drop(unread);
}
