//! Exact replay from what was recorded.

use super::*;
use crate::provider::{Ask, Exchange, Recording, Source};

/// Runs one asking against a server, and hands over its recording as it is stored.
async fn recorded(replies: Vec<Reply>) -> Vec<Exchange> {
    let server = Server::start(replies).await;
    let router = impatient(config(&server, "openai", "m", json!({})));
    let (request, books) = (request(), Books::default());
    let ask = Ask { request: &request, validate: &is_person, purse: &books, sink: None };
    let exchanges = match router.answer(ask).await {
        Ok(answer) => answer.exchanges,
        Err(unanswered) => unanswered.exchanges,
    };
    let stored = serde_json::to_string(&exchanges).unwrap();
    assert!(!stored.contains(KEY));
    serde_json::from_str(&stored).unwrap()
}

fn whole(text: &str) -> Reply {
    let body = json!({"choices": [{"index": 0, "message": {"content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 5}});
    Reply::json(200, &body.to_string())
}

fn broken() -> Reply {
    Reply::json(500, "{}")
}

async fn replay(
    recording: &Recording,
    request: &CompletionRequest,
) -> Result<(String, Ear), super::super::Unanswered> {
    let books = Books::with_budget(Usd::ZERO);
    let mut ear = Ear::default();
    let ask = Ask { request, validate: &is_person, purse: &books, sink: Some(&mut ear) };
    let answer = recording.answer(ask).await?;
    assert_eq!((answer.cost, answer.provider.as_str()), (Usd::ZERO, "main"));
    Ok((answer.content.text, ear))
}

#[tokio::test]
async fn every_way_to_an_answer_is_gone_again() {
    for replies in [
        vec![whole(MIRA)],
        vec![broken(), broken(), whole(MIRA)],
        vec![whole("{}"), whole(MIRA)],
        vec![broken(), whole("{}"), broken(), whole(MIRA)],
    ] {
        let recording = Recording::new(recorded(replies).await);
        let (text, ear) = replay(&recording, &request()).await.unwrap();
        assert_eq!((text.as_str(), ear.text().as_str()), (MIRA, MIRA));
        assert!(recording.is_spent());
    }
}

#[tokio::test]
async fn an_answer_of_the_next_candidate_after_a_vain_repair_is_found() {
    let first = recorded(vec![whole("{}"), whole("no")]).await;
    let second = recorded(vec![whole(MIRA)]).await;
    let recording = Recording::new(first.into_iter().chain(second).collect());
    assert_eq!(replay(&recording, &request()).await.unwrap().0, MIRA);
    assert!(recording.is_spent());
}

#[tokio::test]
async fn what_failed_then_fails_again() {
    let recording = Recording::new(recorded(vec![broken()]).await);
    let unanswered = replay(&recording, &request()).await.unwrap_err();
    assert_eq!(unanswered.error.code, Code::ProviderUnavailable);
    assert!(!unanswered.diverged);
}

#[tokio::test]
async fn a_request_that_was_not_made_diverges() {
    let recording = Recording::new(recorded(vec![whole(MIRA)]).await);
    let other = CompletionRequest { max_tokens: 401, ..request() };
    let unanswered = replay(&recording, &other).await.unwrap_err();
    assert!(unanswered.diverged);
    assert!(!recording.is_spent());
    // What the sandbox writes from is no part of a request.
    let same = CompletionRequest { inputs: json!({"step": "x"}), ..request() };
    assert!(replay(&recording, &same).await.is_ok());
}

#[tokio::test]
async fn vectors_and_verdicts_are_replayed() {
    let server = Server::start(vec![
        Reply::json(200, fixture!("openai_embeddings.json")),
        Reply::json(200, fixture!("openai_moderation.json")),
    ])
    .await;
    let router = impatient(config(&server, "openai", "m", json!({})));
    let books = Books::default();
    let texts = ["one".to_owned(), "two".to_owned()];
    let vectors = router.embed(&texts, &books).await.unwrap();
    let verdict = router.moderate("a text", &books).await.unwrap();
    let stored: Vec<Exchange> = vectors.exchanges.iter().chain(&verdict.exchanges).cloned().collect();
    let stored = serde_json::from_str(&serde_json::to_string(&stored).unwrap()).unwrap();
    let recording = Recording::new(stored);
    assert!(
        recording.offers(Role::Embed) && recording.offers(Role::Moderate) && !recording.offers(Role::Draft)
    );
    assert_eq!(recording.embed(&texts, &books).await.unwrap().content, vectors.content);
    assert_eq!(recording.moderate("a text", &books).await.unwrap().content, verdict.content);
    assert!(recording.embed(&["three".to_owned()], &books).await.unwrap_err().diverged);
}
