//! How many requests to DynamoDB a call makes, as the functions count them themselves.

use std::time::Instant;

use reqwest::Method;
use serde_json::Value;
use tests::{Workspace, send};

use crate::{
    BRIEF,
    figures::{Row, Samples, Unit},
};

const CALLS: usize = 20;

/// The rows.
pub(crate) async fn measure() -> Vec<Row> {
    let workspace = Workspace::test("enterprise").await;
    let persona: Value = workspace.persona(BRIEF).await;
    let path = format!("/v1/personas/{}", persona["id"].as_str().expect("an id"));
    let (gets, _) = calls(&workspace, &path).await;
    // Tools are settings of the deployment: this call authenticates, takes from the rate limit, and reads nothing.
    let (least, millis) = calls(&workspace, "/v1/tools").await;
    vec![
        Row::all_equal(
            "DynamoDB requests of `GET` persona, from a process's second call on",
            &gets,
            Unit::Count,
            2.0,
        ),
        Row::all_equal(
            "DynamoDB requests of authentication and rate limit, likewise",
            &least,
            Unit::Count,
            1.0,
        ),
        Row::shown("for scale: a warm call with one DynamoDB request", &millis, Unit::Millis),
    ]
}

async fn calls(workspace: &Workspace, path: &str) -> (Samples, Samples) {
    let (mut counts, mut millis) = (Vec::new(), Vec::new());
    // A process that meets a key for the first time reads whose it is: one request more, once.
    send(workspace.call(Method::GET, path)).await;
    for _ in 0..CALLS {
        let begun = Instant::now();
        let answer = send(workspace.call(Method::GET, path)).await;
        millis.push(begun.elapsed().as_secs_f64() * 1e3);
        assert!(answer.status.is_success(), "{}", answer.text);
        counts.push(answer.store_requests() as f64);
    }
    (counts.into_iter().collect(), millis.into_iter().collect())
}
