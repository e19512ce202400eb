//! The command line: how long it takes to begin, how large it is, and how late it tells an event.

use std::{
    convert::Infallible,
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use axum::{
    Json, Router,
    body::Body,
    http::header,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
    process::Command,
};

use crate::{
    binaries_of_stack,
    figures::{Row, Samples, Unit},
};

const STARTS: usize = 50;
const EVENTS: u64 = 200;
const PAUSE: Duration = Duration::from_millis(20);

/// The rows. What answers is a server of this process, so that nothing but the command line takes time.
pub(crate) async fn measure() -> Vec<Row> {
    let binary = binaries_of_stack().join("persona");
    let size = std::fs::metadata(&binary).expect("cargo build --release -p persona-cli").len();
    let size: Samples = [size as f64 / f64::from(1 << 20)].into_iter().collect();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let router =
        Router::new().route("/v1/mcp", post(initialized)).route("/v1/runs/{run}/events", get(events));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let (versions, ready) = (versions(&binary).await, ready(&binary, &url).await);
    vec![
        Row::all_within("`persona --version`", &versions, Unit::Millis, 15.0),
        Row::all_within("size of `persona`", &size, Unit::Mebibytes, 15.0),
        Row::all_within(
            "`mcp serve`: from its start to the answer of `initialize`",
            &ready,
            Unit::Millis,
            100.0,
        ),
        Row::all_within(
            "`runs tail`: from an event's sending to its line",
            &tail(&binary, &url).await,
            Unit::Millis,
            150.0,
        ),
    ]
}

fn command(binary: &PathBuf, url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(binary);
    command.args(arguments).env("PERSONA_API_KEY", "pk_test_x").env("PERSONA_BASE_URL", url);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    command
}

async fn versions(binary: &PathBuf) -> Samples {
    let mut took = Vec::new();
    for _ in 0..STARTS {
        let begun = Instant::now();
        command(binary, "http://127.0.0.1:1", &["--version"]).output().await.expect("an output");
        took.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    took.into_iter().collect()
}

async fn initialized(Json(message): Json<Value>) -> Json<Value> {
    let result = json!({"protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": {"name": "p", "version": "1"}});
    Json(json!({"jsonrpc": "2.0", "id": message["id"], "result": result}))
}

async fn ready(binary: &PathBuf, url: &str) -> Samples {
    let mut took = Vec::new();
    for _ in 0..STARTS {
        let begun = Instant::now();
        let mut child = command(binary, url, &["mcp", "serve"]).spawn().expect("a process");
        let mut input = child.stdin.take().expect("its input");
        input
            .write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{}}\n")
            .await
            .expect("it reads");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let line = lines.next_line().await.expect("a line").expect("an answer");
        took.push(begun.elapsed().as_secs_f64() * 1e3);
        assert!(line.contains("2025-11-25"), "{line}");
        drop(input);
        child.wait().await.expect("its end");
    }
    took.into_iter().collect()
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_secs_f64() * 1e3
}

/// A run whose events say when they were sent.
async fn events() -> Response {
    let pieces = stream::iter(1..=EVENTS).then(|id| async move {
        tokio::time::sleep(PAUSE).await;
        let name = if id == EVENTS { "run.completed" } else { "layer.delta" };
        Ok::<_, Infallible>(format!("id: {id}\nevent: {name}\ndata: {}\n\n", json!({"sent": now()})))
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(pieces)).into_response()
}

async fn tail(binary: &PathBuf, url: &str) -> Samples {
    let mut child = command(binary, url, &["runs", "tail", "run_x", "--json"]).spawn().expect("a process");
    let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
    let mut late = Vec::new();
    while let Some(line) = lines.next_line().await.expect("a line") {
        let event: Value = serde_json::from_str(&line).expect("JSON");
        late.push(now() - event["data"]["sent"].as_f64().expect("a time"));
    }
    assert_eq!(late.len() as u64, EVENTS);
    late.into_iter().collect()
}
