//! Fallback, retry, breaker, repair, and money.

use super::*;
use crate::provider::{
    Ask, Failure, Finish, Source, anything,
    recording::{Answered, Asked},
};

/// Two candidates: `first` and `second`, each at a server of its own.
fn two(first: &Server, second: &Server) -> Config {
    let provider = |name: &str, server: &Server| json!({"name": name, "kind": "openai", "base_url": server.url(), "api_key": KEY, "timeout_seconds": 5});
    let price =
        |name: &str, input: u32| json!({"provider": name, "model": "m", "input": input, "output": 10});
    let document = json!({
        "providers": [provider("first", first), provider("second", second)],
        "roles": {"draft": [{"provider": "first", "model": "m"}, {"provider": "second", "model": "m"}]},
        "prices": {"models": [price("first", 1), price("second", 2)]}
    });
    Config::parse(&document.to_string()).unwrap()
}

fn limited() -> Reply {
    Reply::json(429, fixture!("openai_rate_limited.json"))
}

fn broken() -> Reply {
    Reply::json(500, fixture!("openai_server_error.json"))
}

async fn ask(
    router: &Router,
    books: &Books,
    ear: &mut Ear,
) -> Result<super::super::Answer, super::super::Unanswered> {
    let request = request();
    router.answer(Ask { request: &request, validate: &is_person, purse: books, sink: Some(ear) }).await
}

#[tokio::test]
async fn an_answer_is_streamed_paid_and_recorded() {
    let server = Server::start(vec![Reply::events(fixture!("openai_chat.sse"))]).await;
    let router = impatient(config(&server, "openai", "m", json!({})));
    let (books, mut ear) = (Books::default(), Ear::default());
    let answer = ask(&router, &books, &mut ear).await.unwrap();
    assert_eq!((answer.content.text.as_str(), answer.content.finish), (MIRA, Finish::Stop));
    assert_eq!((answer.provider.as_str(), answer.model.as_str()), ("main", "m"));
    assert_eq!(ear.text(), MIRA);
    // (212 - 128) × 1 + 128 × 0.1 + 14 × 10 = 236.8 millionths
    assert_eq!(answer.cost, Usd::from_micros(237));
    let ledger = books.ledger();
    assert_eq!((ledger.spent, ledger.reserved, ledger.calls), (answer.cost, Usd::ZERO, 1));
    let exchange = &answer.exchanges[0];
    assert_eq!(exchange.request, Asked::Completion(request()));
    assert_eq!(exchange.digest, crate::provider::recording::digest(&request()));
    assert_eq!(answer.usage().output, 14);
}

#[tokio::test]
async fn a_throttled_call_waits_as_asked_and_is_made_again() {
    let server = Server::start(vec![
        limited().with("retry-after", "1"),
        Reply::json(200, fixture!("openai_chat.json")),
    ])
    .await;
    let router = impatient(config(&server, "openai", "m", json!({})));
    let (books, request) = (Books::default(), request());
    let began = std::time::Instant::now();
    let ask = Ask { request: &request, validate: &is_person, purse: &books, sink: None };
    let answer = router.answer(ask).await.unwrap();
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(answer.content.text, MIRA);
    assert_eq!(answer.exchanges[0].answer, Answered::Failed(Failure::Throttled(Some(1))));
    assert_eq!(answer.exchanges[0].cost, Usd::ZERO);
    assert_eq!(books.ledger().calls, 2);
}

#[tokio::test]
async fn a_vendor_that_asks_for_too_long_a_wait_is_passed_over() {
    let first = Server::start(vec![limited().with("retry-after", "30")]).await;
    let second = Server::start(vec![saying(MIRA)]).await;
    let router = impatient(two(&first, &second));
    let answer = ask(&router, &Books::default(), &mut Ear::default()).await.unwrap();
    assert_eq!(answer.provider, "second");
    assert_eq!(first.heard().len(), 1);
}

#[tokio::test]
async fn after_three_failures_the_next_candidate_is_asked() {
    let first = Server::start(vec![broken()]).await;
    let second = Server::start(vec![saying(MIRA)]).await;
    let router = impatient(two(&first, &second));
    let (books, mut ear) = (Books::default(), Ear::default());
    let answer = ask(&router, &books, &mut ear).await.unwrap();
    assert_eq!((answer.provider.as_str(), first.heard().len()), ("second", 3));
    assert_eq!(answer.exchanges.len(), 4);
    // 100 × 2 + 10 × 10 millionths; what failed cost nothing.
    assert_eq!(answer.cost, Usd::from_micros(300));
    assert_eq!(ear.restarts(), 0);
}

#[tokio::test]
async fn an_estimate_never_passes_what_was_reserved() {
    let text = format!("{{\"name\":\"{}\",\"age\":61}}", "Mira ".repeat(400));
    let body = json!({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": "stop"}]});
    let server = Server::start(vec![Reply::events(format!("data: {body}\n\ndata: [DONE]\n\n"))]).await;
    let router = impatient(config(&server, "openai", "m", json!({})));
    let answer = ask(&router, &Books::default(), &mut Ear::default()).await.unwrap();
    assert_eq!(answer.content.usage.output, u64::from(request().max_tokens));
}

#[tokio::test]
async fn a_refused_request_is_not_repeated() {
    let first = Server::start(vec![Reply::json(401, fixture!("openai_wrong_key.json"))]).await;
    let second = Server::start(vec![saying(MIRA)]).await;
    let router = impatient(two(&first, &second));
    let answer = ask(&router, &Books::default(), &mut Ear::default()).await.unwrap();
    assert_eq!((answer.provider.as_str(), first.heard().len()), ("second", 1));
}

#[tokio::test]
async fn half_a_stream_is_voided_paid_and_begun_anew() {
    let server =
        Server::start(vec![Reply::events(fixture!("openai_half.sse")).breaking(), saying(MIRA)]).await;
    let router = impatient(config(&server, "openai", "m", json!({})));
    let (books, mut ear) = (Books::default(), Ear::default());
    let answer = ask(&router, &books, &mut ear).await.unwrap();
    assert_eq!((ear.restarts(), ear.text().as_str()), (1, MIRA));
    assert!(answer.exchanges[0].cost > Usd::ZERO, "what was written may be charged");
    assert_eq!(books.ledger().spent, answer.cost);
    assert_eq!(answer.cost, answer.exchanges.iter().map(|exchange| exchange.cost).sum());
}

#[tokio::test]
async fn an_answer_that_does_not_fit_is_sent_back_once() {
    let bad = r#"{"name":"Mira","age":999}"#;
    let server = Server::start(vec![saying(bad), saying(MIRA)]).await;
    let router = impatient(config(&server, "openai", "m", json!({})));
    let mut ear = Ear::default();
    let answer = ask(&router, &Books::default(), &mut ear).await.unwrap();
    assert_eq!(answer.content.text, MIRA);
    assert_eq!((ear.restarts(), ear.text().as_str()), (1, MIRA));
    let messages = &server.heard()[1].body["messages"];
    assert_eq!(messages[2], json!({"role": "assistant", "content": bad}));
    assert!(messages[3]["content"].as_str().unwrap().contains("/age: is not an age"));
}

#[tokio::test]
async fn an_answer_that_stays_wrong_goes_to_the_next_candidate_and_then_ends() {
    let first = Server::start(vec![saying("no")]).await;
    let second = Server::start(vec![saying("{}"), saying(MIRA)]).await;
    let answer = ask(&impatient(two(&first, &second)), &Books::default(), &mut Ear::default()).await.unwrap();
    assert_eq!((first.heard().len(), second.heard().len()), (2, 2));
    // The second candidate begins with the question, not with the other's mistakes.
    assert_eq!(second.heard()[0].body["messages"].as_array().unwrap().len(), 2);
    assert_eq!(answer.provider, "second");

    let server = Server::start(vec![saying("no")]).await;
    let router = impatient(config(&server, "openai", "m", json!({})));
    let unanswered = ask(&router, &Books::default(), &mut Ear::default()).await.unwrap_err();
    assert_eq!(unanswered.error.code, Code::ProviderUnavailable);
    assert_eq!((unanswered.exchanges.len(), unanswered.cost), (2, Usd::from_micros(400)));
}

#[tokio::test]
async fn when_all_fail_the_caller_learns_nothing_of_the_vendors_and_the_log_all() {
    let server = Server::start(vec![broken()]).await;
    let router = impatient(config(&server, "openai", "m", json!({})));
    let unanswered = ask(&router, &Books::default(), &mut Ear::default()).await.unwrap_err();
    assert_eq!(unanswered.exchanges.len(), 3);
    let error = unanswered.error;
    assert_eq!(error.code, Code::ProviderUnavailable);
    assert!(!error.message.contains("main") && !error.message.contains("500"), "{}", error.message);
    assert!(error.source_chain().unwrap().contains("main m: Unavailable"));
}

#[tokio::test]
async fn a_filtered_answer_goes_to_the_next_candidate() {
    let filtered = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"{\\\"na\"},\"finish_reason\":null}]}\n\n\
                    data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"content_filter\"}]}\n\n";
    let first = Server::start(vec![Reply::events(filtered)]).await;
    let second = Server::start(vec![saying(MIRA)]).await;
    let mut ear = Ear::default();
    let answer = ask(&impatient(two(&first, &second)), &Books::default(), &mut ear).await.unwrap();
    assert_eq!((answer.provider.as_str(), first.heard().len()), ("second", 1));
    assert_eq!(ear.text(), MIRA);
}

#[tokio::test]
async fn the_circuit_opens_after_five_failures_and_the_next_asking_does_not_call() {
    let server = Server::start(vec![broken()]).await;
    let router = impatient(config(&server, "openai", "m", json!({})));
    for calls in [3, 5, 5] {
        let unanswered = ask(&router, &Books::default(), &mut Ear::default()).await.unwrap_err();
        assert_eq!(server.heard().len(), calls);
        assert_eq!(unanswered.error.code, Code::ProviderUnavailable);
        if calls == 5 {
            assert!(unanswered.error.retry_after.is_some_and(|seconds| (1..=20).contains(&seconds)));
        }
    }
}

#[tokio::test]
async fn a_purse_that_refuses_ends_the_asking_before_the_call() {
    let server = Server::start(vec![saying(MIRA)]).await;
    let router = impatient(config(&server, "openai", "m", json!({})));
    let worst = router.candidates(Role::Draft)[0].worst_case(&request());
    let short = Books::with_budget(worst - Usd::from_micros(1));
    let unanswered = ask(&router, &short, &mut Ear::default()).await.unwrap_err();
    assert_eq!(unanswered.error.code, Code::CostBudgetExceeded);
    assert!(server.heard().is_empty() && unanswered.exchanges.is_empty());
    assert!(ask(&router, &Books::with_budget(worst), &mut Ear::default()).await.is_ok());
}

#[tokio::test]
async fn a_listener_that_stops_ends_the_call_and_the_text_so_far_is_paid() {
    let server = Server::start(vec![Reply::events(fixture!("openai_chat.sse"))]).await;
    let router = impatient(config(&server, "openai", "m", json!({})));
    let (books, mut ear) = (Books::default(), Ear { stop_at: Some(1), ..Ear::default() });
    let unanswered = ask(&router, &books, &mut ear).await.unwrap_err();
    assert_eq!(unanswered.error.code, Code::NotFound);
    let ledger = books.ledger();
    assert!(ledger.spent > Usd::ZERO && ledger.spent == unanswered.cost);
    assert_eq!((ledger.reserved, server.heard().len()), (Usd::ZERO, 1));
}

#[tokio::test]
async fn vectors_and_verdicts_are_retried_paid_and_recorded_too() {
    let server = Server::start(vec![
        broken(),
        Reply::json(200, fixture!("openai_embeddings.json")),
        Reply::json(200, fixture!("openai_moderation.json")),
    ])
    .await;
    let router = impatient(config(&server, "openai", "m", json!({})));
    let books = Books::default();
    let texts = ["one".to_owned(), "two".to_owned()];
    let vectors = router.embed(&texts, &books).await.unwrap();
    assert_eq!((vectors.content.len(), vectors.exchanges.len()), (2, 2));
    assert_eq!(vectors.cost, Usd::from_micros(9));
    let verdict = router.moderate("a text", &books).await.unwrap();
    assert_eq!(verdict.content.flagged.len(), 2);
    assert_eq!(books.ledger().spent, Usd::from_micros(9));
}

#[tokio::test]
async fn a_role_that_nobody_has_is_not_offered() {
    let server = Server::start(vec![saying(MIRA)]).await;
    let router = impatient(config(&server, "openai", "m", json!({})));
    assert!(router.offers(Role::Chat) && router.offers(Role::Embed) && !router.offers(Role::Judge));
    let judged = CompletionRequest { role: Role::Judge, ..request() };
    let books = Books::default();
    let ask = Ask { request: &judged, validate: &anything, purse: &books, sink: None };
    let error = router.answer(ask).await.unwrap_err().error;
    assert_eq!(error.code, Code::ProviderUnavailable);
    assert!(error.source_chain().unwrap().contains("Judge"));
}

#[tokio::test]
async fn the_sandbox_answers_for_nothing_and_its_outages_open_no_circuit() {
    let router = impatient(Config::sandbox());
    let (books, mut ear) = (Books::default(), Ear::default());
    let request = CompletionRequest {
        inputs: json!({"step": "identity_draft", "intent": "[[trigger:provider_unavailable]] A baker."}),
        ..request()
    };
    for _ in 0..3 {
        let ask = Ask { request: &request, validate: &anything, purse: &books, sink: Some(&mut ear) };
        assert_eq!(router.answer(ask).await.unwrap_err().exchanges.len(), 3);
    }
    let answer = ask_sandbox(&router, &books).await;
    assert_eq!((answer.provider.as_str(), answer.cost), ("sandbox", Usd::ZERO));
}

async fn ask_sandbox(router: &Router, books: &Books) -> super::super::Answer {
    let request = CompletionRequest {
        inputs: json!({"step": "identity_draft", "intent": "A baker.", "layers": ["identity"]}),
        ..request()
    };
    let ask = Ask { request: &request, validate: &anything, purse: books, sink: None };
    router.answer(ask).await.unwrap()
}
