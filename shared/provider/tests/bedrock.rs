//! Amazon Bedrock, through its own SDK against the local server.

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message as Frame};

use super::*;
use crate::provider::{Failure, Finish, Provider, Usage, bedrock::Bedrock};

const OLD: &str = "anthropic.claude-3-haiku-20240307-v1:0";
const NEW: &str = "global.anthropic.claude-sonnet-5-v1:0";

async fn bedrock(reply: Reply) -> (Bedrock, Server) {
    let server = Server::start(vec![reply]).await;
    let more = json!({"region": "eu-central-1"});
    let provider = Bedrock::new(&config(&server, "bedrock", OLD, more).providers[0]);
    (provider, server)
}

fn frames(events: &[(&str, &str, Value)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (kind, name, payload) in events {
        let header =
            |name: &'static str, value: &str| Header::new(name, HeaderValue::String(value.to_owned().into()));
        let name_header = if *kind == "event" { ":event-type" } else { ":exception-type" };
        let frame = Frame::new(payload.to_string())
            .add_header(header(":message-type", kind))
            .add_header(header(name_header, name))
            .add_header(header(":content-type", "application/json"));
        write_message_to(&frame, &mut bytes).unwrap();
    }
    bytes
}

fn delta(text: &str) -> (&'static str, &'static str, Value) {
    let delta = json!({"contentBlockIndex": 0, "delta": {"toolUse": {"input": text}}});
    ("event", "contentBlockDelta", delta)
}

#[tokio::test]
async fn an_answer_comes_through_a_forced_tool() {
    let (bedrock, server) = bedrock(Reply::json(200, fixture!("bedrock_converse.json"))).await;
    let answer = bedrock.complete(OLD, &request()).await.unwrap();
    // A document has no order of fields; sorted, it always reads the same.
    assert_eq!(answer.text, r#"{"age":61,"name":"Mira Özdemir"}"#);
    assert_eq!(answer.finish, Finish::Stop);
    assert_eq!(answer.usage, Usage { input: 600, output: 48, cache_read: 200, ..Usage::default() });
    let heard = &server.heard()[0];
    assert_eq!(heard.path, "/v1/model/anthropic.claude-3-haiku-20240307-v1%3A0/converse");
    assert_eq!(heard.headers["authorization"], format!("Bearer {KEY}"));
    let body = &heard.body;
    assert_eq!(body["system"], json!([{"text": "You draft characters."}]));
    assert_eq!(body["inferenceConfig"]["maxTokens"], 400);
    let tool = &body["toolConfig"]["tools"][0]["toolSpec"];
    assert_eq!(tool["inputSchema"]["json"]["required"], json!(["name", "age"]));
    assert_eq!(body["toolConfig"]["toolChoice"], json!({"tool": {"name": "identity"}}));
}

#[tokio::test]
async fn a_stream_of_frames_is_read_to_its_usage() {
    let body = frames(&[
        ("event", "messageStart", json!({"role": "assistant"})),
        delta(r#"{"name":"Mira "#),
        delta(r#"Özdemir","age":61}"#),
        ("event", "contentBlockStop", json!({"contentBlockIndex": 0})),
        ("event", "messageStop", json!({"stopReason": "tool_use"})),
        (
            "event",
            "metadata",
            json!({"usage": {"inputTokens": 400, "outputTokens": 48, "totalTokens": 448}, "metrics": {"latencyMs": 9}}),
        ),
    ]);
    let (bedrock, server) = bedrock(Reply::frames(body)).await;
    let (pieces, end) = drain(bedrock.stream(OLD, &request()).await.unwrap()).await;
    assert_eq!(pieces.len(), 2);
    let end = end.unwrap();
    assert_eq!((end.text.as_str(), end.finish), (MIRA, Finish::Stop));
    assert_eq!(end.usage, Usage { input: 400, output: 48, ..Usage::default() });
    assert!(server.heard()[0].path.ends_with("/converse-stream"));
}

#[tokio::test]
async fn half_a_stream_or_an_exception_within_is_a_failure() {
    let start = [("event", "messageStart", json!({"role": "assistant"})), delta(r#"{"na"#)];
    let exception = ("exception", "throttlingException", json!({"message": "slow down"}));
    let failing: Vec<_> = start.iter().cloned().chain([exception]).collect();
    for (events, wanted) in [(&start[..], Failure::Unavailable), (&failing[..], Failure::Throttled(None))] {
        let (bedrock, _server) = bedrock(Reply::frames(frames(events))).await;
        let (_, end) = drain(bedrock.stream(OLD, &request()).await.unwrap()).await;
        let error = end.unwrap_err();
        assert_eq!(error.failure, wanted, "{error}");
        assert_eq!(error.usage.unwrap().output, 4);
    }
}

#[tokio::test]
async fn a_new_model_is_given_the_schema_itself_and_no_temperature() {
    let plain = json!({
        "output": {"message": {"role": "assistant", "content": [{"text": MIRA}]}}, "stopReason": "end_turn",
        "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2}, "metrics": {"latencyMs": 1}
    });
    let (bedrock, server) = bedrock(Reply::json(200, &plain.to_string())).await;
    assert_eq!(bedrock.complete(NEW, &request()).await.unwrap().text, MIRA);
    let body = &server.heard()[0].body;
    assert!(body.get("toolConfig").is_none());
    assert!(body["inferenceConfig"].get("temperature").is_none());
    let format = &body["outputConfig"]["textFormat"]["structure"]["jsonSchema"];
    assert_eq!(format["name"], "identity");
}

#[tokio::test]
async fn a_failure_is_told_apart_and_tells_only_its_code() {
    let said = r#"{"message": "your prompt about a retired tram driver"}"#;
    for (status, code, wanted) in [
        (429, "ThrottlingException", Failure::Throttled(None)),
        (400, "ValidationException", Failure::Refused),
        (503, "ServiceUnavailableException", Failure::Unavailable),
    ] {
        let (bedrock, server) = bedrock(Reply::json(status, said).with("x-amzn-errortype", code)).await;
        let error = bedrock.complete(OLD, &request()).await.unwrap_err();
        assert_eq!((error.failure, error.detail.as_str()), (wanted, code));
        assert_eq!(server.heard().len(), 1, "the SDK must not retry by itself");
    }
}
