//! What is wrong with a message, a call or a caller, and how it is told.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tests::{Workspace, send};

use super::{Host, PATH, accepting, error_of};

/// Sends it; status, JSON-RPC code, envelope's code, and the message.
async fn refused(request: RequestBuilder) -> (u16, i64, String, Value) {
    let answer = send(request).await;
    let message = answer.json();
    let (code, envelope, _) = error_of(&message);
    (answer.status.as_u16(), code, envelope, message)
}

fn ping(workspace: &Workspace) -> RequestBuilder {
    accepting(workspace)
        .header("mcp-protocol-version", "2025-11-25")
        .json(&json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}))
}

#[tokio::test]
async fn a_body_that_is_no_message_is_refused_and_says_why() {
    let workspace = Workspace::test("team").await;
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    let cases = [
        ("{\"jsonrpc\": \"2.0\",".to_owned(), -32700, "line 1, column"),
        ("nonsense".to_owned(), -32700, "not JSON"),
        (json!([ping, ping]).to_string(), -32600, "Batches"),
        ("[]".to_owned(), -32600, "Batches"),
        ("\"ping\"".to_owned(), -32600, "no JSON-RPC message"),
        (json!({"id": 1, "method": "ping"}).to_string(), -32600, "jsonrpc"),
        (json!({"jsonrpc": "1.0", "id": 1, "method": "ping"}).to_string(), -32600, "jsonrpc"),
        (json!({"jsonrpc": "2.0", "id": {}, "method": "ping"}).to_string(), -32600, "no JSON-RPC message"),
        (json!({"jsonrpc": "2.0", "id": 1}).to_string(), -32600, "no JSON-RPC message"),
    ];
    for (body, wanted, said) in cases {
        let request = accepting(&workspace).header("content-type", "application/json").body(body.clone());
        let (status, code, envelope, message) = refused(request).await;
        assert_eq!((status, code, envelope.as_str()), (400, wanted, "request.invalid"), "{body}");
        assert!(message["error"]["message"].as_str().unwrap().contains(said), "{body}: {message}");
    }
    let empty = accepting(&workspace).header("content-type", "application/json").body("");
    assert_eq!(refused(empty).await.1, -32700);
}

#[tokio::test]
async fn a_body_over_256_kib_is_413() {
    let workspace = Workspace::test("team").await;
    let params = json!({"name": "get_persona", "arguments": {"persona": "x".repeat(300_000)}});
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let (status, code, envelope, _) = refused(accepting(&workspace).json(&body)).await;
    assert_eq!((status, code, envelope.as_str()), (413, -32600, "request.payload_too_large"));
}

#[tokio::test]
async fn both_forms_of_an_answer_must_be_accepted_and_the_body_be_json() {
    let workspace = Workspace::test("team").await;
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    for accept in ["application/json", "text/event-stream", "*/*", "text/html"] {
        let request = workspace.call(Method::POST, PATH).header("accept", accept).json(&body);
        let (status, code, envelope, message) = refused(request).await;
        assert_eq!((status, code, envelope.as_str()), (406, -32600, "request.not_acceptable"), "{accept}");
        assert!(message["error"]["message"].as_str().unwrap().contains(accept), "{message}");
    }
    let request = accepting(&workspace).header("content-type", "text/plain").body(body.to_string());
    let (status, _, envelope, message) = refused(request).await;
    assert_eq!((status, envelope.as_str()), (415, "request.unsupported_media_type"));
    assert!(message["error"]["message"].as_str().unwrap().contains("text/plain"), "{message}");
}

#[tokio::test]
async fn pages_of_other_origins_and_names_that_lead_here_are_403() {
    let workspace = Workspace::test("team").await;
    for origin in ["https://evil.example", "http://127.0.0.1.evil.example", "null"] {
        let (status, code, envelope, message) = refused(ping(&workspace).header("origin", origin)).await;
        assert_eq!(
            (status, code, envelope.as_str()),
            (403, -32600, "request.origin_not_allowed"),
            "{origin}"
        );
        assert!(message["error"]["message"].as_str().unwrap().contains(origin), "{message}");
        assert_eq!(message["id"], 1);
    }
    for origin in ["http://localhost:6274", "http://127.0.0.1:3000", &tests::base_url()] {
        assert_eq!(send(ping(&workspace).header("origin", origin)).await.status, 200, "{origin}");
    }
    let rebound = ping(&workspace).header("host", "evil.example:9000");
    assert_eq!(refused(rebound).await.0, 403);
}

#[tokio::test]
async fn unknown_methods_and_misshapen_parameters_are_told_apart() {
    let workspace = Workspace::test("team").await;
    let newest = Host::of(&workspace);
    let answer = send(newest.request(3, "tools/forget", Value::Null)).await;
    let (code, envelope, told) = error_of(&answer.json());
    assert_eq!((answer.status.as_u16(), code, envelope.as_str()), (404, -32601, "request.invalid"));
    assert!(told["message"].as_str().unwrap().contains("tools/forget"), "{told}");
    for method in ["logging/setLevel", "resources/subscribe", "initialize", "subscriptions/listen"] {
        assert_eq!(
            newest.error(method, json!({"uri": "persona://x", "notifications": {}})).await.0,
            -32601,
            "{method}"
        );
    }
    let older = Host::in_revision(&workspace, "2025-11-25");
    assert_eq!(older.error("tools/forget", Value::Null).await.0, -32601);
    for params in [json!({}), json!({"name": 5}), json!({"name": "list_personas", "arguments": []})] {
        let (code, _, told) = older.error("tools/call", params.clone()).await;
        assert_eq!(code, -32602, "{params}: {told}");
    }
}

#[tokio::test]
async fn an_unknown_tool_is_an_error_and_wrong_arguments_are_a_result_that_names_each() {
    let workspace = Workspace::test("team").await;
    let host = Host::of(&workspace);
    for tool in
        ["forget_everything", "chat_with_nobody", "chat_with_psn_0352hlJa4GkymUp58g1CfP", "chat_with_"]
    {
        let call = json!({"name": tool, "arguments": {"message": "Hello"}});
        let (code, envelope, told) = host.error("tools/call", call).await;
        assert_eq!((code, envelope.as_str()), (-32602, "resource.not_found"), "{tool}");
        assert!(told["message"].as_str().unwrap().contains(tool), "{told}");
    }
    let wrong = json!({"intent": 5, "seed": -1, "colour": "red", "visibility": "secret"});
    let told = host.failed("create_persona", wrong).await;
    assert_eq!(told["code"], "request.invalid");
    let mut pointers: Vec<_> =
        told["details"].as_array().unwrap().iter().map(|detail| super::text(&detail["pointer"])).collect();
    pointers.sort();
    assert_eq!(pointers, ["/colour", "/intent", "/seed", "/visibility"], "{told}");
    assert_eq!(host.failed("get_persona", json!({})).await["details"].as_array().unwrap().len(), 1);
    // What a schema cannot say, the domain does.
    assert_eq!(host.failed("create_persona", json!({"intent": "  "})).await["param"], "intent");
    assert_eq!(host.failed("search_marketplace", json!({"sort": "relevance"})).await["param"], "sort");
    assert_eq!(host.failed("list_personas", json!({"cursor": "forged"})).await["param"], "cursor");
}

#[tokio::test]
async fn a_forged_cursor_is_refused_and_one_of_another_list_too() {
    let workspace = Workspace::test("team").await;
    let host = Host::of(&workspace);
    for method in ["tools/list", "prompts/list", "resources/list"] {
        let (code, envelope, told) = host.error(method, json!({"cursor": "forged"})).await;
        assert_eq!((code, envelope.as_str()), (-32602, "request.invalid"), "{method}");
        assert_eq!(told["param"], "cursor");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_key_is_told_by_http() {
    let workspace = Workspace::test("free").await;
    let stranger = workspace.through("pk_test_wrong");
    let answer = send(ping(&stranger)).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (401, "auth.invalid_key"));
    let mut refused = None;
    for _ in 0..60 {
        let answer = send(ping(&workspace)).await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert!(!answer.header("ratelimit-remaining").is_empty());
    }
    let refused = refused.expect("a free workspace has 30 calls at once");
    assert_eq!(refused.code(), "rate_limit.exceeded");
    assert!(refused.header("retry-after").parse::<u32>().unwrap() >= 1);
}
