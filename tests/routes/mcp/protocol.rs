//! Revisions, the handshake of the older ones, and what the server says of itself.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Workspace, anonymous, send};

use super::{Host, NEWEST, OLDER, PATH, accepting, error_of, messages};

#[tokio::test]
async fn discovery_tells_revisions_capabilities_and_how_long_they_hold() {
    let workspace = Workspace::test("team").await;
    let found = Host::of(&workspace).result("server/discover", Value::Null).await;
    assert_eq!(found["supportedVersions"], json!(["2025-06-18", "2025-11-25", "2026-07-28"]));
    assert_eq!(found["resultType"], "complete");
    assert!(found["ttlMs"].as_u64().unwrap() > 0);
    assert_eq!(found["cacheScope"], "private");
    let capabilities = &found["capabilities"];
    for kind in ["tools", "prompts", "resources"] {
        // Nobody is told of a change: there is no session to tell it to.
        assert!(capabilities[kind].is_object(), "{found}");
        assert_ne!(capabilities[kind]["listChanged"], true, "{found}");
    }
    assert_ne!(capabilities["resources"]["subscribe"], true);
    assert_eq!(found["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "persona");
    assert!(found["instructions"].as_str().unwrap().contains("chat_with_"));
}

#[tokio::test]
async fn the_older_revisions_shake_hands_and_are_served_without_a_session() {
    let workspace = Workspace::test("team").await;
    for revision in OLDER {
        let hello = json!({
            "protocolVersion": revision, "capabilities": {}, "clientInfo": {"name": "tests", "version": "1"},
        });
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello});
        let answer = send(accepting(&workspace).json(&body)).await;
        assert_eq!(answer.header("mcp-session-id"), "", "{revision}");
        let result = answer.json()["result"].clone();
        assert_eq!(
            (&result["protocolVersion"], &result["serverInfo"]["name"]),
            (&json!(revision), &json!("persona"))
        );
        let begun = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        let taken = send(accepting(&workspace).header("mcp-protocol-version", revision).json(&begun)).await;
        assert_eq!((taken.status.as_u16(), taken.text.as_str()), (202, ""));
        let host = Host::in_revision(&workspace, revision);
        assert_eq!(host.result("ping", json!({})).await, json!({}));
        let tools = host.all("tools/list", "tools").await;
        assert!(tools.iter().any(|tool| tool["name"] == "list_personas"), "{revision}");
        let found = host.made("list_personas", json!({})).await;
        assert_eq!(found["personas"], json!([]), "{revision}");
    }
}

#[tokio::test]
async fn a_client_of_another_revision_is_offered_the_newest_with_a_handshake() {
    let workspace = Workspace::test("team").await;
    for revision in ["2024-11-05", "2025-03-26", "2099-01-01", NEWEST] {
        let hello = json!({
            "protocolVersion": revision, "capabilities": {}, "clientInfo": {"name": "tests", "version": "1"},
        });
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello});
        let answer = send(accepting(&workspace).json(&body)).await.json();
        assert_eq!(answer["result"]["protocolVersion"], "2025-11-25", "{revision}: {answer}");
    }
}

#[tokio::test]
async fn a_revision_that_is_not_spoken_is_refused_with_those_that_are() {
    let workspace = Workspace::test("team").await;
    for revision in ["2024-11-05", "2025-03-26", "2099-01-01", "newest"] {
        let answer =
            send(Host::in_revision(&workspace, revision).request(7, "tools/list", Value::Null)).await;
        let message = answer.json();
        let (code, envelope, _) = error_of(&message);
        assert_eq!((answer.status.as_u16(), code, envelope.as_str()), (400, -32022, "request.invalid"));
        assert_eq!(message["id"], 7);
        assert_eq!(message["error"]["data"]["supported"], json!(["2025-06-18", "2025-11-25", "2026-07-28"]));
        assert_eq!(message["error"]["data"]["requested"], revision);
    }
}

#[tokio::test]
async fn the_newest_revision_is_held_to_its_headers_and_its_metadata() {
    let workspace = Workspace::test("team").await;
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": NEWEST,
        "io.modelcontextprotocol/clientInfo": {"name": "tests", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let body =
        |meta: &Value| json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": meta}});
    let named = |method: &str| {
        accepting(&workspace).header("mcp-protocol-version", NEWEST).header("mcp-method", method)
    };
    let asked = [
        (named("tools/list").json(&body(&meta)), 200, 0),
        (named("prompts/list").json(&body(&meta)), 400, -32020),
        (accepting(&workspace).header("mcp-protocol-version", NEWEST).json(&body(&meta)), 400, -32020),
        (accepting(&workspace).json(&body(&meta)), 400, -32020),
        (named("tools/list").json(&body(&json!({}))), 400, -32602),
    ];
    for (number, (request, status, code)) in asked.into_iter().enumerate() {
        let answer = send(request).await;
        let message = messages(&answer).pop().unwrap();
        let told = if status == 200 { 0 } else { error_of(&message).0 };
        assert_eq!((answer.status.as_u16(), told), (status, code), "{number}: {}", answer.text);
    }
}

#[tokio::test]
async fn notifications_are_taken_and_answers_to_nothing_are_refused() {
    let workspace = Workspace::test("team").await;
    let post =
        |body: Value| send(accepting(&workspace).header("mcp-protocol-version", "2025-11-25").json(&body));
    for method in
        ["notifications/initialized", "notifications/roots/list_changed", "notifications/unheard-of"]
    {
        let answer = post(json!({"jsonrpc": "2.0", "method": method})).await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (202, ""), "{method}");
    }
    let cancelled =
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}});
    assert_eq!(post(cancelled).await.status, 202);
    let answer = post(json!({"jsonrpc": "2.0", "id": 1, "result": {}})).await;
    assert_eq!((answer.status.as_u16(), error_of(&answer.json()).0), (400, -32600));
}

#[tokio::test]
async fn other_methods_of_http_are_405_and_oauth_is_not_spoken() {
    for method in [Method::GET, Method::DELETE, Method::PUT] {
        let answer = send(anonymous(method, PATH)).await;
        assert_eq!((answer.status.as_u16(), answer.header("allow").as_str()), (405, "POST"));
        assert_eq!(answer.code(), "request.method_not_allowed");
    }
    for path in ["oauth-protected-resource", "oauth-protected-resource/v1/mcp", "oauth-authorization-server"]
    {
        let answer = send(anonymous(Method::GET, &format!("/.well-known/{path}"))).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (404, "resource.not_found"), "{path}");
    }
}
