//! Anthropic's Messages API.

use super::*;
use crate::provider::{Failure, Finish, Provider, Usage, anthropic::Anthropic};

const NEW: &str = "claude-sonnet-4-5";
const OLD: &str = "claude-3-5-haiku-latest";

async fn anthropic(reply: Reply) -> (Anthropic, Server) {
    let server = Server::start(vec![reply]).await;
    let provider = Anthropic::new(&config(&server, "anthropic", NEW, json!({})).providers[0]);
    (provider, server)
}

#[tokio::test]
async fn a_new_model_answers_under_the_schema() {
    let (anthropic, server) = anthropic(Reply::json(200, fixture!("anthropic_message.json"))).await;
    let answer = anthropic.complete(NEW, &request()).await.unwrap();
    assert_eq!((answer.text.as_str(), answer.finish), (MIRA, Finish::Stop));
    assert_eq!(
        answer.usage,
        Usage { input: 242, output: 41, cache_read: 200, cache_write: 30, reasoning: 0 }
    );
    let heard = &server.heard()[0];
    assert_eq!(heard.path, "/v1/messages");
    assert_eq!(heard.headers["x-api-key"], KEY);
    assert_eq!(heard.headers["anthropic-version"], "2023-06-01");
    assert_eq!(
        heard.body,
        json!({
            "model": NEW, "max_tokens": 400, "temperature": 0.7, "stop_sequences": ["\n\n\n"],
            "system": "You draft characters.",
            "messages": [{"role": "user", "content": "A retired tram driver who runs a bookshop in Izmir."}],
            "output_config": {"format": {"type": "json_schema", "schema": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
                "required": ["name", "age"], "additionalProperties": false
            }}}
        })
    );
}

#[tokio::test]
async fn an_old_model_answers_through_a_forced_tool() {
    let (anthropic, server) = anthropic(Reply::json(200, fixture!("anthropic_tool.json"))).await;
    let answer = anthropic.complete(OLD, &request()).await.unwrap();
    assert_eq!((answer.text.as_str(), answer.finish), (MIRA, Finish::Stop));
    let body = &server.heard()[0].body;
    assert_eq!(body["tool_choice"], json!({"type": "tool", "name": "identity"}));
    assert_eq!(body["tools"][0]["input_schema"], request().schema.unwrap().schema);
}

#[tokio::test]
async fn a_stream_holds_the_answer_and_no_thoughts() {
    let (anthropic, _server) = anthropic(Reply::events(fixture!("anthropic_message.sse"))).await;
    let (pieces, end) = drain(anthropic.stream(NEW, &request()).await.unwrap()).await;
    assert_eq!(pieces, [r#"{"name":"Mira Özde"#, r#"mir","age":61}"#]);
    let end = end.unwrap();
    assert_eq!(end.text, MIRA);
    assert_eq!(end.usage, Usage { input: 242, output: 41, cache_read: 200, cache_write: 30, reasoning: 0 });
}

#[tokio::test]
async fn a_tools_input_is_streamed_as_the_answer() {
    let (anthropic, _server) = anthropic(Reply::events(fixture!("anthropic_tool.sse"))).await;
    let (pieces, end) = drain(anthropic.stream(OLD, &request()).await.unwrap()).await;
    assert_eq!(pieces, [r#"{"name": "Mira Öz"#, r#"demir", "age": 61}"#]);
    assert_eq!(end.unwrap().usage.output, 52);
}

#[tokio::test]
async fn overloaded_is_throttled_before_a_stream_and_within_one() {
    let (whole, _server) = anthropic(Reply::json(529, fixture!("anthropic_overloaded.json"))).await;
    let error = whole.stream(NEW, &request()).await.err().unwrap();
    assert_eq!((error.failure, error.usage), (Failure::Throttled(None), None));
    let (within, _server) = anthropic(Reply::events(fixture!("anthropic_overloaded_midstream.sse"))).await;
    let (pieces, end) = drain(within.stream(NEW, &request()).await.unwrap()).await;
    assert_eq!(pieces, ["Good"]);
    let error = end.unwrap_err();
    assert_eq!(error.failure, Failure::Throttled(None));
    assert_eq!(error.usage.unwrap().input, 25);
}

#[tokio::test]
async fn what_anthropic_does_not_offer_is_unsupported() {
    let (anthropic, server) = anthropic(Reply::json(200, "{}")).await;
    assert_eq!(anthropic.embed(NEW, &[]).await.unwrap_err().failure, Failure::Unsupported);
    assert_eq!(anthropic.moderate(NEW, "x").await.unwrap_err().failure, Failure::Unsupported);
    assert!(server.heard().is_empty());
}
