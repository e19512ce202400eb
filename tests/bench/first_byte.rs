//! How long a caller waits for the first byte of a stream of events.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use futures_util::StreamExt;
use reqwest::{Method, Response};
use serde_json::json;
use tests::Workspace;
use tokio::time::sleep;

use crate::{
    BRIEF,
    figures::{Row, Samples, Unit},
    processes,
};

const COLD: usize = 15;
const WARM: usize = 30;
/// After this cargo-lambda has seen that a process is gone, and waits for no answer of it.
const NOTICED: Duration = Duration::from_secs(1);
const FUNCTION: &str = "personas-create";

/// A stream whose first event has come.
struct Opened {
    millis: f64,
    rest: Response,
}

async fn open(workspace: &Workspace) -> Opened {
    let request = workspace.call(Method::POST, "/v1/personas?stream=true").json(&json!({"intent": BRIEF}));
    let begun = Instant::now();
    let mut rest = request.send().await.expect("an answer");
    let first = rest.chunk().await.expect("a stream").expect("a first piece");
    let millis = begun.elapsed().as_secs_f64() * 1e3;
    assert!(first.starts_with(b"id: 1\n"), "{}", String::from_utf8_lossy(&first));
    Opened { millis, rest }
}

impl Opened {
    async fn read_to_end(self) {
        let mut rest = self.rest.bytes_stream();
        while let Some(piece) = rest.next().await {
            piece.expect("a piece");
        }
    }
}

/// The rows. Before a cold call the function's processes are ended: it finds none, as after a deployment.
pub(crate) async fn measure() -> Vec<Row> {
    let workspace = Workspace::test("enterprise").await;
    let mut cold = Vec::new();
    for _ in 0..COLD {
        for process in processes(FUNCTION) {
            Command::new("kill").arg(process).status().expect("kill");
        }
        while !processes(FUNCTION).is_empty() {
            sleep(Duration::from_millis(20)).await;
        }
        sleep(NOTICED).await;
        let opened = open(&workspace).await;
        cold.push(opened.millis);
        opened.read_to_end().await;
    }
    let mut warm = Vec::new();
    for _ in 0..WARM {
        let opened = open(&workspace).await;
        warm.push(opened.millis);
        opened.read_to_end().await;
    }
    let (cold, warm): (Samples, Samples) = (cold.into_iter().collect(), warm.into_iter().collect());
    vec![
        Row::all_within("first SSE byte, cold (a process starts)", &cold, Unit::Millis, 1_000.0),
        Row::median_within("first SSE byte, warm", &warm, Unit::Millis, 100.0),
    ]
}
