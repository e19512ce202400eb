//! `persona mcp serve` against a small MCP server that behaves as networks and services do.

use std::{
    process::Stdio,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::post,
};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    net::TcpListener,
    process::{Child, ChildStdin, ChildStdout},
    task::JoinHandle,
};

use super::{Ended, Machine};

const SOON: Duration = Duration::from_secs(10);

/// What the server was sent.
type Posted = Arc<Mutex<Vec<(HeaderMap, Value)>>>;

/// The server; it can be away.
struct Server {
    address: String,
    posted: Posted,
    running: JoinHandle<()>,
}

impl Server {
    async fn there() -> Self {
        Self::at("127.0.0.1:0", Posted::default()).await
    }

    async fn at(address: &str, posted: Posted) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let router = Router::new().route("/v1/mcp", post(answered)).with_state(Arc::clone(&posted));
        let running = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, posted, running }
    }

    /// Goes away with all its connections, and comes back after a while.
    async fn away_for(self, pause: Duration) -> Self {
        self.running.abort();
        let _ = self.running.await;
        tokio::time::sleep(pause).await;
        Self::at(&self.address, self.posted).await
    }

    fn posted(&self, method: &str) -> Vec<(HeaderMap, Value)> {
        self.posted
            .lock()
            .unwrap()
            .iter()
            .filter(|(_, message)| message["method"] == method)
            .cloned()
            .collect()
    }
}

fn events(messages: Vec<(u64, Value)>) -> Response {
    let pieces = stream::iter(messages).then(|(pause, message)| async move {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let text = if message.is_null() {
            ": keep-alive\n\n".to_owned()
        } else {
            format!("event: message\ndata: {message}\n\n")
        };
        Ok::<_, std::convert::Infallible>(text)
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(pieces)).into_response()
}

async fn answered(State(posted): State<Posted>, headers: HeaderMap, Json(message): Json<Value>) -> Response {
    posted.lock().unwrap().push((headers, message.clone()));
    let Some(id) = message.get("id") else { return StatusCode::ACCEPTED.into_response() };
    let result = |result: Value| json!({"jsonrpc": "2.0", "id": id, "result": result});
    let progress = |step: u64| json!({"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": step}});
    match (message["method"].as_str().unwrap(), message["params"]["name"].as_str().unwrap_or_default()) {
        ("initialize", _) => Json(result(json!({"protocolVersion": message["params"]["protocolVersion"], "capabilities": {}, "serverInfo": {"name": "p", "version": "1"}}))).into_response(),
        ("tools/call", "slow") => events(vec![(0, progress(1)), (300, Value::Null), (300, progress(2)), (300, result(json!({"content": []})))]),
        ("tools/call", "hanging") => events(vec![(0, progress(1)), (60_000, Value::Null)]),
        ("tools/call", "cut") if posted.lock().unwrap().iter().filter(|(_, sent)| *sent == message).count() < 2 => events(vec![(0, progress(1))]),
        ("tools/call", "expired") => {
            let envelope = json!({"error": {"code": "auth.invalid_key", "message": "The key has expired.", "type": "authentication", "request_id": "req_1"}});
            (StatusCode::UNAUTHORIZED, Json(envelope)).into_response()
        }
        ("tools/call", "wrong") => {
            let error = json!({"jsonrpc": "2.0", "id": null, "error": {"code": -32020, "message": "Headers differ."}});
            (StatusCode::BAD_REQUEST, Json(error)).into_response()
        }
        ("pretty", _) => serde_json::to_string_pretty(&result(json!({"a": "line\nbreak", "n": 12_345_678_901_234_567_890_u64}))).unwrap().into_response(),
        (method, _) => Json(result(json!({"method": method}))).into_response(),
    }
}

/// A bridge that runs, as a host starts it.
struct Bridge {
    child: Child,
    input: Option<ChildStdin>,
    output: Lines<BufReader<ChildStdout>>,
}

impl Bridge {
    fn to(server: &Server) -> Self {
        let machine = Machine::new().asking(&format!("http://{}", server.address));
        let mut command = machine.command(&["mcp", "serve", "--workspace", "ws_acme_studio"]);
        command.env("PERSONA_API_KEY", "pk_test_x").stdin(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { input: child.stdin.take(), child, output }
    }

    async fn say(&mut self, message: Value) {
        self.raw(&message.to_string()).await;
    }

    async fn raw(&mut self, line: &str) {
        self.input.as_mut().unwrap().write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    async fn ask(&mut self, id: impl Into<Value>, method: &str, params: Value) {
        self.say(json!({"jsonrpc": "2.0", "id": id.into(), "method": method, "params": params})).await;
    }

    /// The next line; every one is a message of the protocol.
    async fn hear(&mut self) -> Value {
        let line =
            tokio::time::timeout(SOON, self.output.next_line()).await.unwrap().unwrap().expect("a line");
        let message: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(message["jsonrpc"], "2.0", "{line}");
        message
    }

    async fn initialized(server: &Server, version: &str) -> Self {
        let mut bridge = Self::to(server);
        bridge.ask(0, "initialize", json!({"protocolVersion": version})).await;
        assert_eq!(bridge.hear().await["result"]["protocolVersion"], version);
        bridge
    }

    /// Standard input ends.
    async fn end(mut self) -> (Vec<String>, Ended) {
        drop(self.input.take());
        let mut rest = Vec::new();
        while let Some(line) = tokio::time::timeout(SOON, self.output.next_line()).await.unwrap().unwrap() {
            rest.push(line);
        }
        (rest, Ended::of(tokio::time::timeout(SOON, self.child.wait_with_output()).await.unwrap().unwrap()))
    }
}

#[tokio::test]
async fn messages_are_relayed_with_the_key_the_workspace_and_the_settled_revision() {
    let server = Server::there().await;
    let mut bridge = Bridge::initialized(&server, "2025-11-25").await;
    bridge.say(json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
    bridge.ask("a", "tools/list", json!({})).await;
    assert_eq!(bridge.hear().await, json!({"jsonrpc": "2.0", "id": "a", "result": {"method": "tools/list"}}));
    let (rest, ended) = bridge.end().await;
    assert_eq!((rest.len(), ended.code), (0, 0), "{rest:?} {}", ended.stderr);
    assert!(ended.stderr.starts_with("persona mcp: bridging to http://"), "{}", ended.stderr);
    let first = server.posted("initialize")[0].0.clone();
    assert!(!first.contains_key("mcp-protocol-version"));
    for (name, value) in [
        ("authorization", "Bearer pk_test_x"),
        ("persona-workspace", "ws_acme_studio"),
        ("accept", "application/json, text/event-stream"),
        ("content-type", "application/json"),
    ] {
        assert_eq!(first[name], value);
    }
    assert_eq!(server.posted("notifications/initialized").len(), 1);
    assert_eq!(server.posted("tools/list")[0].0["mcp-protocol-version"], "2025-11-25");
    assert!(!server.posted("tools/list")[0].0.contains_key("mcp-method"));
}

#[tokio::test]
async fn the_newest_revision_names_itself_and_its_headers_say_what_a_message_is_about() {
    let server = Server::there().await;
    let mut bridge = Bridge::to(&server);
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28"});
    bridge.ask(1, "tools/call", json!({"name": "chat_with_ada", "_meta": meta})).await;
    bridge.ask(2, "resources/read", json!({"uri": "persona://sahafçı", "_meta": meta})).await;
    bridge.hear().await;
    bridge.hear().await;
    let call = server.posted("tools/call")[0].0.clone();
    assert_eq!(
        (&call["mcp-protocol-version"], &call["mcp-method"], &call["mcp-name"]),
        (&"2026-07-28".parse().unwrap(), &"tools/call".parse().unwrap(), &"chat_with_ada".parse().unwrap())
    );
    assert_eq!(server.posted("resources/read")[0].0["mcp-name"], "=?base64?cGVyc29uYTovL3NhaGFmw6fEsQ==?=");
}

#[tokio::test]
async fn a_slow_call_holds_up_nobody_and_its_progress_comes_as_it_is_made() {
    let server = Server::there().await;
    let mut bridge = Bridge::initialized(&server, "2025-11-25").await;
    let begun = Instant::now();
    bridge.ask(1, "tools/call", json!({"name": "slow"})).await;
    assert_eq!(bridge.hear().await["params"]["progress"], 1);
    assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
    bridge.ask(2, "tools/list", json!({})).await;
    assert_eq!(bridge.hear().await["id"], 2);
    assert_eq!(bridge.hear().await["params"]["progress"], 2);
    assert_eq!(bridge.hear().await["id"], 1);
}

#[tokio::test]
async fn a_cancelled_request_is_dropped_and_the_service_is_told() {
    let server = Server::there().await;
    let mut bridge = Bridge::initialized(&server, "2025-11-25").await;
    bridge.ask(1, "tools/call", json!({"name": "hanging"})).await;
    assert_eq!(bridge.hear().await["params"]["progress"], 1);
    bridge
        .say(json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}))
        .await;
    bridge.ask(2, "ping", json!({})).await;
    assert_eq!(bridge.hear().await["id"], 2);
    let (rest, ended) = bridge.end().await;
    assert_eq!((rest.len(), ended.code), (0, 0), "nothing answers what was cancelled: {rest:?}");
    assert_eq!(server.posted("notifications/cancelled").len(), 1);
}

#[tokio::test]
async fn the_network_goes_away_and_comes_back() {
    let server = Server::there().await;
    let mut bridge = Bridge::initialized(&server, "2025-11-25").await;
    bridge.ask(1, "tools/call", json!({"name": "cut"})).await;
    assert_eq!(
        bridge.hear().await["params"]["progress"],
        1,
        "then the stream breaks off, and the call is sent again"
    );
    assert_eq!(bridge.hear().await["id"], 1);
    let coming = tokio::spawn(server.away_for(Duration::from_millis(1500)));
    tokio::time::sleep(Duration::from_millis(200)).await;
    bridge.ask(2, "tools/list", json!({})).await;
    assert_eq!(bridge.hear().await, json!({"jsonrpc": "2.0", "id": 2, "result": {"method": "tools/list"}}));
    drop(coming.await.unwrap());
}

#[tokio::test]
async fn refusals_are_errors_of_the_protocol() {
    let server = Server::there().await;
    let mut bridge = Bridge::initialized(&server, "2025-11-25").await;
    bridge.ask(1, "tools/call", json!({"name": "expired"})).await;
    let expired = bridge.hear().await;
    assert_eq!(
        (&expired["id"], &expired["error"]["data"]["error"]["code"]),
        (&json!(1), &json!("auth.invalid_key"))
    );
    let message = expired["error"]["message"].as_str().unwrap();
    assert!(message.contains("The key has expired.") && message.contains("persona auth login"), "{message}");
    bridge.ask(2, "tools/call", json!({"name": "wrong"})).await;
    assert_eq!(
        bridge.hear().await,
        json!({"jsonrpc": "2.0", "id": 2, "error": {"code": -32020, "message": "Headers differ."}})
    );
    bridge.raw("{oops").await;
    assert_eq!(bridge.hear().await["error"]["code"], -32700);
    bridge.raw("[1]").await;
    assert_eq!(bridge.hear().await["error"]["code"], -32600);
    let (_, ended) = bridge.end().await;
    assert!(
        ended.code == 0 && ended.stderr.contains("persona mcp: tools/call: The key has expired."),
        "{}",
        ended.stderr
    );
}

#[tokio::test]
async fn an_answer_on_many_lines_is_one_line_and_nothing_of_it_changes() {
    let server = Server::there().await;
    let mut bridge = Bridge::to(&server);
    bridge.ask(1, "pretty", json!({})).await;
    let heard = bridge.hear().await;
    assert_eq!(
        (&heard["result"]["a"], heard["result"]["n"].to_string().as_str()),
        (&json!("line\nbreak"), "12345678901234567890")
    );
}

#[tokio::test]
async fn what_was_asked_before_the_end_is_answered() {
    let server = Server::there().await;
    let mut bridge = Bridge::to(&server);
    bridge.ask(1, "tools/call", json!({"name": "slow"})).await;
    let (rest, ended) = bridge.end().await;
    assert_eq!((rest.len(), ended.code), (3, 0), "{rest:?}");
    let nobody = Machine::new().run(&["mcp", "serve"]).await;
    assert_eq!((nobody.code, nobody.stdout.as_str()), (4, ""), "{}", nobody.stderr);
}
