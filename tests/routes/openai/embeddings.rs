//! `POST /v1/openai/embeddings`.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Workspace, least_requests, send, support::provider::shared};

use super::refused;

const EMBEDDINGS: &str = "/v1/openai/embeddings";
const MODEL: &str = "sandbox-1";

fn length(vector: &Value) -> f64 {
    vector.as_array().unwrap().iter().map(|number| number.as_f64().unwrap().powi(2)).sum::<f64>().sqrt()
}

#[tokio::test]
async fn texts_become_vectors_in_their_order() {
    let workspace = Workspace::test("team").await;
    let body = json!({"model": MODEL, "input": ["one", "two", "one"]});
    let answer = workspace.post(EMBEDDINGS, &body).await.json();
    let rows = answer["data"].as_array().unwrap();
    assert_eq!((rows.len(), &rows[1]["index"]), (3, &json!(1)));
    assert!(rows[0]["embedding"] == rows[2]["embedding"] && rows[0]["embedding"] != rows[1]["embedding"]);
    assert!((length(&rows[0]["embedding"]) - 1.0).abs() < 1e-3);
    assert_eq!(answer["usage"]["prompt_tokens"], 3);
    let sentence = "The sandbox hashes letters: a short text leaves most of a vector empty.";
    let small = json!({"model": MODEL, "input": sentence, "dimensions": 16});
    let small = workspace.post(EMBEDDINGS, &small).await.json()["data"][0]["embedding"].clone();
    assert_eq!(small.as_array().unwrap().len(), 16);
    assert!((length(&small) - 1.0).abs() < 1e-3);
}

#[tokio::test]
async fn base64_has_four_bytes_a_number() {
    let workspace = Workspace::test("team").await;
    let body = json!({"model": MODEL, "input": "one", "dimensions": 3, "encoding_format": "base64"});
    let text = workspace.post(EMBEDDINGS, &body).await.json()["data"][0]["embedding"].clone();
    assert_eq!(text.as_str().unwrap().len(), 16);
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_named() {
    let workspace = Workspace::test("team").await;
    for (body, status, code, param) in [
        (json!({"model": "nobody", "input": "a"}), 404, "model_not_found", "model"),
        (json!({"model": MODEL, "input": [1, 2, 3]}), 400, "request.invalid", "input"),
        (json!({"model": MODEL, "input": [[1], [2, 3]]}), 400, "request.invalid", "input"),
        (json!({"model": MODEL, "input": []}), 400, "request.invalid", "input"),
        (json!({"model": MODEL, "input": ["a", ""]}), 400, "request.invalid", "input.1"),
        (json!({"model": MODEL, "input": "a", "dimensions": 9_999}), 400, "request.invalid", "dimensions"),
        (
            json!({"model": MODEL, "input": "a", "encoding_format": "hex"}),
            400,
            "request.invalid",
            "encoding_format",
        ),
        (json!({"model": MODEL, "input": "a", "colour": "red"}), 400, "request.invalid", "colour"),
    ] {
        assert_eq!(refused(&workspace.post(EMBEDDINGS, &body).await, status, code), param, "{body}");
    }
}

#[tokio::test]
async fn a_model_that_is_not_configured_is_refused_with_those_that_are() {
    shared();
    let workspace = Workspace::live("team").await;
    let body = json!({"model": "text-embedding-3-small", "input": "a"});
    let answer = workspace.post(EMBEDDINGS, &body).await;
    refused(&answer, 404, "model_not_found");
    assert!(answer.text.contains("text-embedding-3-small") && answer.text.contains(MODEL), "{}", answer.text);
}

#[tokio::test]
async fn many_texts_are_more_than_a_buffered_answer_may_have_and_are_answered() {
    let workspace = Workspace::test("team").await;
    let texts: Vec<String> = (0..2_048)
        .map(|number| format!("This is text number {number}, and it is longer than the others were."))
        .collect();
    let answer = workspace.post(EMBEDDINGS, &json!({"model": MODEL, "input": texts})).await;
    assert_eq!(answer.json()["data"].as_array().unwrap().len(), 2_048);
    assert!(answer.text.len() > 6 << 20, "{}", answer.text.len());
}

async fn used(workspace: &Workspace) -> Value {
    let usage = workspace.get("/v1/usage?group_by=kind").await.json();
    let rows = usage["data"].as_array().unwrap();
    rows.iter().find(|row| row["kind"] == "openai.embedding").cloned().unwrap_or_default()
}

#[tokio::test]
async fn embeddings_are_counted_at_one_request_to_the_store_and_free_where_the_sandbox_makes_them() {
    let workspace = Workspace::test("enterprise").await;
    let body = json!({"model": MODEL, "input": "Four letters are a token"});
    let least = least_requests(|_| workspace.call(Method::POST, EMBEDDINGS).json(&body)).await;
    assert_eq!(least, 2, "the key, and the counters");
    let used = used(&workspace).await;
    assert_eq!((&used["embeddings"], &used["runs"]), (&json!(12), &json!(0)), "{used}");
    assert_eq!((&used["tokens"]["in"], &used["cost_usd"]), (&json!(12 * 6), &json!(0)));
    workspace.post(EMBEDDINGS, &json!({"model": "nobody", "input": "a"})).await;
    assert_eq!(workspace.all("/v1/runs").await.len(), 0);
    assert_eq!(workspace.get("/v1/usage").await.json()["total"]["embeddings"], 12, "a refusal is none");
}

#[tokio::test]
async fn a_months_cap_holds_whatever_embeddings_are_asked_for_at_once() {
    shared();
    let workspace = Workspace::live("enterprise").await;
    // Forty letters: a tenth of a cent, and a cent and some in the worst case.
    let body = json!({"model": MODEL, "input": "x".repeat(40)});
    let ask = || send(workspace.call(Method::POST, EMBEDDINGS).json(&body));
    let capped = |usd: f64| {
        let body = json!({"monthly_budget_usd": usd});
        send(workspace.call(Method::PATCH, "/v1/workspace").json(&body))
    };
    assert_eq!(capped(0.033).await.status, 200);
    let asked = join_all((0..12).map(|_| ask())).await;
    let (made, broke): (Vec<_>, Vec<_>) = asked.iter().partition(|answer| answer.status == 200);
    assert!(made.iter().all(|answer| answer.json()["persona"]["cost_usd"] == 0.001), "{made:?}");
    for answer in &broke {
        refused(answer, 402, "billing.workspace_budget_exceeded");
    }
    assert!(made.len() >= 3, "three worst cases fit at once: {asked:?}");
    // What was set aside and not spent is free again, until no worst case fits.
    let mut spent = made.len();
    while ask().await.status == 200 {
        spent += 1;
    }
    assert_eq!(spent, 23, "a worst case less than the cap");
    let used = used(&workspace).await;
    assert_eq!((&used["cost_usd"], &used["embeddings"]), (&json!(0.023), &json!(23)), "{used}");
    assert_eq!(capped(5.0).await.status, 200);
    let least = least_requests(|_| workspace.call(Method::POST, EMBEDDINGS).json(&body)).await;
    assert_eq!(least, 3, "the key, the worst case set aside, and the counters");
}
