//! How long a caller waits for the first byte of a stream of events.

use std::{collections::HashMap, time::Instant};

use futures_util::StreamExt;
use reqwest::{Method, Response};
use serde_json::json;
use tests::Workspace;

use crate::{
    BRIEF,
    figures::{Row, Samples, Unit},
    logs,
};

/// Calls that each find every process of the function taken, so that a new one starts.
const COLD: usize = 10;
const WARM: usize = 30;

/// The first event of a stream, with what tells its process from others.
struct Opened {
    request: String,
    run: String,
    millis: f64,
    rest: Response,
}

async fn open(workspace: &Workspace, intent: &str) -> Opened {
    let request = workspace.call(Method::POST, "/v1/personas?stream=true").json(&json!({"intent": intent}));
    let begun = Instant::now();
    let mut rest = request.send().await.expect("an answer");
    let first = rest.chunk().await.expect("a stream").expect("a first piece");
    let millis = begun.elapsed().as_secs_f64() * 1e3;
    assert!(first.starts_with(b"id: 1\n"), "{}", String::from_utf8_lossy(&first));
    let header = |name: &str| {
        let value = rest.headers().get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    Opened { request: header("persona-request-id"), run: header("location"), millis, rest }
}

impl Opened {
    async fn read_to_end(self) {
        let mut rest = self.rest.bytes_stream();
        while let Some(piece) = rest.next().await {
            piece.expect("a piece");
        }
    }
}

/// The rows. Which calls were a process's first, the functions' own log says.
pub(crate) async fn measure() -> Vec<Row> {
    let workspace = Workspace::test("enterprise").await;
    let slow = format!("{BRIEF} [[trigger:slow]]");
    let mut measured = Vec::new();
    let mut held = Vec::new();
    for _ in 0..COLD {
        let opened = open(&workspace, &slow).await;
        measured.push((opened.request.clone(), opened.millis));
        held.push(opened);
    }
    for opened in held {
        workspace.post(&format!("{}/cancel", opened.run), &json!({})).await;
        opened.read_to_end().await;
    }
    for _ in 0..WARM {
        let opened = open(&workspace, BRIEF).await;
        measured.push((opened.request.clone(), opened.millis));
        opened.read_to_end().await;
    }
    let cold = cold_calls();
    let of = |is_cold: bool| -> Samples {
        measured.iter().filter(|(id, _)| cold.get(id) == Some(&is_cold)).map(|(_, millis)| *millis).collect()
    };
    vec![
        Row::all_within("first SSE byte, cold (a process starts)", &of(true), Unit::Millis, 1_000.0),
        Row::median_within("first SSE byte, warm", &of(false), Unit::Millis, 100.0),
    ]
}

/// By request id, whether a call was its process's first.
fn cold_calls() -> HashMap<String, bool> {
    let ended = logs::lines("call ended").into_iter();
    ended
        .filter_map(|line| Some((line["request_id"].as_str()?.to_owned(), line["cold_start"].as_bool()?)))
        .collect()
}
