//! The chat completions API.

use super::*;
use crate::provider::{Failure, Finish, Provider, Usage, openai::Openai};

async fn openai(reply: Reply, more: Value) -> (Openai, Server) {
    let server = Server::start(vec![reply]).await;
    let provider = Openai::new(&config(&server, "openai", "m", more).providers[0]);
    (provider, server)
}

#[tokio::test]
async fn a_whole_answer_comes_with_what_it_used() {
    let (openai, server) = openai(Reply::json(200, fixture!("openai_chat.json")), json!({})).await;
    let answer = openai.complete("gpt-4.1-mini", &request()).await.unwrap();
    assert_eq!(answer.text, MIRA);
    assert_eq!(answer.finish, Finish::Stop);
    assert_eq!(answer.usage, Usage { input: 212, output: 14, cache_read: 128, ..Usage::default() });
    let heard = &server.heard()[0];
    assert_eq!(heard.path, "/v1/chat/completions");
    assert_eq!(heard.headers["authorization"], format!("Bearer {KEY}"));
    assert_eq!(
        heard.body,
        json!({
            "model": "gpt-4.1-mini",
            "messages": [
                {"role": "system", "content": "You draft characters."},
                {"role": "user", "content": "A retired tram driver who runs a bookshop in Izmir."}
            ],
            "max_tokens": 400, "temperature": 0.7, "seed": 42, "stop": ["\n\n\n"],
            "response_format": {"type": "json_schema", "json_schema": {"name": "identity", "strict": true, "schema": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0, "maximum": 200}},
                "required": ["name", "age"], "additionalProperties": false
            }}}
        })
    );
}

#[tokio::test]
async fn a_stream_comes_in_pieces_however_the_network_tears_it() {
    let (openai, server) = openai(Reply::events(fixture!("openai_chat.sse")), json!({})).await;
    let (pieces, end) = drain(openai.stream("gpt-4.1-mini", &request()).await.unwrap()).await;
    assert_eq!(pieces, [r#"{"name":"Mira "#, r#"Özdemir","#, r#""age":61}"#]);
    let end = end.unwrap();
    assert_eq!(end.text, MIRA);
    assert_eq!(end.usage, Usage { input: 212, output: 14, cache_read: 128, reasoning: 4, cache_write: 0 });
    assert_eq!(server.heard()[0].body["stream_options"], json!({"include_usage": true}));
}

#[tokio::test]
async fn usage_that_a_server_keeps_to_itself_is_bounded_from_above() {
    let (openai, _server) = openai(Reply::events(fixture!("openai_no_usage.sse")), json!({})).await;
    let (_, end) = drain(openai.stream("qwen", &request()).await.unwrap()).await;
    let usage = end.unwrap().usage;
    assert_eq!(usage.input, request().prompt_tokens_at_most());
    assert_eq!(usage.output, "Good evening.".len() as u64);
}

#[tokio::test]
async fn half_a_stream_is_a_failure_that_may_be_charged() {
    let torn = || Reply::events(fixture!("openai_half.sse"));
    for reply in [torn(), torn().breaking()] {
        let (openai, _server) = openai(reply, json!({})).await;
        let (pieces, end) = drain(openai.stream("m", &request()).await.unwrap()).await;
        assert_eq!(pieces, [r#"{"name":"Mi"#]);
        let error = end.unwrap_err();
        assert_eq!(error.failure, Failure::Unavailable);
        assert_eq!(error.usage.unwrap().output, 11);
    }
}

#[tokio::test]
async fn an_error_within_a_stream_is_a_failure() {
    let (openai, _server) = openai(Reply::events(fixture!("openai_error_midstream.sse")), json!({})).await;
    let (pieces, end) = drain(openai.stream("m", &request()).await.unwrap()).await;
    assert_eq!(pieces, ["Good"]);
    let error = end.unwrap_err();
    assert_eq!(error.failure, Failure::Unavailable);
    assert!(error.usage.is_some());
}

#[tokio::test]
async fn an_error_with_status_200_is_a_failure() {
    let body = r#"{"error": {"message": "Provider returned error", "code": 429}}"#;
    let (openai, _server) = openai(Reply::json(200, body), json!({})).await;
    let error = openai.complete("m", &request()).await.unwrap_err();
    assert_eq!(error.failure, Failure::Throttled(None));
}

#[tokio::test]
async fn an_empty_answer_is_a_failure_with_what_was_reported() {
    let (openai, _server) = openai(Reply::events(fixture!("openai_empty.sse")), json!({})).await;
    let (pieces, end) = drain(openai.stream("m", &request()).await.unwrap()).await;
    assert!(pieces.is_empty());
    let error = end.unwrap_err();
    assert_eq!(error.failure, Failure::Unavailable);
    assert_eq!(error.usage, Some(Usage { input: 212, output: 1, ..Usage::default() }));
    for body in ["", "<html>busy</html>", "{}"] {
        let (openai, _server) = openai_whole(body).await;
        let error = openai.complete("m", &request()).await.unwrap_err();
        assert_eq!((error.failure, error.usage), (Failure::Unavailable, None), "{body}");
    }
}

async fn openai_whole(body: &str) -> (Openai, Server) {
    openai(Reply::json(200, body), json!({})).await
}

#[tokio::test]
async fn a_filtered_or_refused_answer_says_so() {
    for body in [fixture!("openai_content_filter.json"), fixture!("openai_refusal.json")] {
        let (openai, _server) = openai_whole(body).await;
        let answer = openai.complete("m", &request()).await.unwrap();
        assert_eq!(answer.finish, Finish::ContentFilter);
        assert_eq!(answer.usage.input, 212);
    }
}

#[tokio::test]
async fn statuses_are_told_apart_and_no_key_is_in_the_detail() {
    let limited = Reply::json(429, fixture!("openai_rate_limited.json")).with("retry-after", "3");
    for (reply, wanted) in [
        (limited, Failure::Throttled(Some(3))),
        (Reply::json(500, fixture!("openai_server_error.json")), Failure::Unavailable),
        (Reply::json(502, "<html>"), Failure::Unavailable),
        (Reply::json(401, fixture!("openai_wrong_key.json")), Failure::Refused),
        (Reply::json(302, "").with("location", "http://127.0.0.1:1/"), Failure::Refused),
    ] {
        let (openai, _server) = openai(reply, json!({})).await;
        let error = openai.stream("m", &request()).await.err().unwrap();
        assert_eq!(error.failure, wanted);
        assert!(!error.detail.contains("t-key") && !error.detail.contains("sk-"), "{}", error.detail);
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable_and_its_address_is_not_told() {
    let server = Server::start(vec![Reply::json(200, "")]).await;
    let mut provider = config(&server, "openai", "m", json!({})).providers[0].clone();
    provider.base_url = Some("http://127.0.0.1:9/v1?token=secret".to_owned());
    let error = Openai::new(&provider).complete("m", &request()).await.unwrap_err();
    assert_eq!(error.failure, Failure::Unavailable);
    assert!(!error.detail.contains("secret"), "{}", error.detail);
}

#[tokio::test]
async fn what_a_server_wants_otherwise_is_configured() {
    let more = json!({
        "structured_output": "json_object", "max_tokens_field": "max_completion_tokens",
        "omit": ["seed", "stream_options"], "extra_body": {"reasoning_effort": "low"},
        "headers": {"api-key": "azure-secret"}
    });
    let (openai, server) = openai(Reply::events(fixture!("openai_chat.sse")), more).await;
    let (_, end) = drain(openai.stream("gpt-5-mini", &request()).await.unwrap()).await;
    assert_eq!(end.unwrap().text, MIRA);
    let heard = &server.heard()[0];
    assert_eq!(heard.headers["api-key"], "azure-secret");
    let body = &heard.body;
    assert_eq!(body["max_completion_tokens"], 400);
    assert_eq!(body["reasoning_effort"], "low");
    assert_eq!(body["response_format"], json!({"type": "json_object"}));
    assert!(body["messages"][0]["content"].as_str().unwrap().contains("\"maxLength\":80"));
    for absent in ["max_tokens", "seed", "stream_options", "temperature"] {
        assert!(body.get(absent).is_none(), "{absent}");
    }
}

#[tokio::test]
async fn vectors_come_back_in_the_order_of_the_texts() {
    let (openai, server) = openai(Reply::json(200, fixture!("openai_embeddings.json")), json!({})).await;
    let texts = ["one".to_owned(), "two".to_owned()];
    let (vectors, usage) = openai.embed("text-embedding-3-small", &texts).await.unwrap();
    assert_eq!(vectors[1], [0.25, -0.5, 0.125]);
    assert_eq!(usage.input, 9);
    assert_eq!(server.heard()[0].path, "/v1/embeddings");
    assert_eq!(server.heard()[0].body["encoding_format"], "float");
}

#[tokio::test]
async fn a_verdict_names_the_categories() {
    let (openai, server) = openai(Reply::json(200, fixture!("openai_moderation.json")), json!({})).await;
    let verdict = openai.moderate("omni-moderation-latest", "a text").await.unwrap();
    assert_eq!(verdict.flagged, ["violence", "violence/graphic"]);
    assert_eq!(server.heard()[0].body, json!({"model": "omni-moderation-latest", "input": "a text"}));
}
