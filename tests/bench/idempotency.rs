//! Many requests at once of which only one may do anything: those with one `Idempotency-Key`, and those for one slug.

use std::collections::BTreeSet;

use futures_util::{StreamExt, stream};
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use tests::{Answer, Workspace, send};

use crate::{BRIEF, figures::Row};

const REQUESTS: usize = 200;
const CREATIONS: usize = 50;
/// cargo-lambda stops for good when about a hundred requests wait for one function.
const IN_FLIGHT: usize = 50;

async fn at_once(count: usize, request: impl Fn() -> RequestBuilder) -> Vec<Answer> {
    stream::iter(0..count).map(|_| send(request())).buffer_unordered(IN_FLIGHT).collect().await
}

/// The rows of one key.
pub(crate) async fn measure() -> Vec<Row> {
    let workspace = Workspace::test("enterprise").await;
    let body = json!({"intent": BRIEF});
    let call = || workspace.call(Method::POST, "/v1/personas").header("idempotency-key", "bench").json(&body);
    let answers = at_once(REQUESTS, call).await;
    let made: Vec<&Answer> = answers.iter().filter(|answer| answer.status == 201).collect();
    let first = made.iter().filter(|answer| answer.header("idempotent-replayed").is_empty()).count();
    let waiting = answers.iter().filter(|answer| answer.code_is(409, "idempotency.in_progress")).count();
    let later = at_once(REQUESTS, call).await;
    let told: BTreeSet<&str> =
        made.iter().copied().chain(&later).map(|answer| answer.text.as_str()).collect();
    let (runs, replayed) = (workspace.all("/v1/runs").await.len(), made.len() - first);
    vec![
        Row::stated("200 requests with one Idempotency-Key, 50 at once: runs", runs, "1", runs == 1),
        Row::stated(
            "the same: answers",
            format!(
                "{first} made, {replayed} replayed, {waiting} told to wait, {} others",
                REQUESTS - made.len() - waiting
            ),
            "1 made, the rest replayed or told to wait",
            first == 1 && made.len() + waiting == REQUESTS,
        ),
        Row::stated("200 more afterwards: different answers of all", told.len(), "1", told.len() == 1),
    ]
}

/// The rows of one slug.
pub(crate) async fn slugs() -> Vec<Row> {
    let workspace = Workspace::test("enterprise").await;
    let body = json!({"intent": BRIEF, "slug": "the-chef"});
    let answers = at_once(CREATIONS, || {
        workspace.call(Method::POST, "/v1/personas").header("prefer", "respond-async").json(&body)
    })
    .await;
    let won = answers.iter().filter(|answer| answer.status == 202).count();
    let lost = answers.iter().filter(|answer| answer.code_is(409, "persona.slug_taken")).count();
    vec![Row::stated(
        "50 creations of one slug at once: won, and 409 persona.slug_taken",
        format!("{won} and {lost}"),
        "1 and 49",
        (won, lost) == (1, CREATIONS - 1),
    )]
}
