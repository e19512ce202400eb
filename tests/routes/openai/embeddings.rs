//! `POST /v1/openai/embeddings`.

use serde_json::{Value, json};
use tests::{Workspace, support::provider::shared};

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
async fn a_workspace_without_an_embedding_model_is_told_so() {
    shared();
    let workspace = Workspace::live("team").await;
    let body = json!({"model": "text-embedding-3-small", "input": "a"});
    let answer = workspace.post(EMBEDDINGS, &body).await;
    refused(&answer, 404, "model_not_found");
    assert!(answer.text.contains("text-embedding-3-small"), "{}", answer.text);
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
