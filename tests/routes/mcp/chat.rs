//! `chat_with_<slug>`: turns of conversations, told as they are spoken.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tests::{Workspace, least_requests, send};

use super::{BRIEF, Host, OLDER, chat_tool, messages, text};

async fn turns(workspace: &Workspace, conversation: &Value) -> usize {
    workspace.all(&format!("/v1/chat/conversations/{}/messages", text(conversation))).await.len() / 2
}

#[tokio::test]
async fn a_call_begins_a_conversation_and_its_id_goes_on_with_it() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await;
    for revision in OLDER.into_iter().chain([super::NEWEST]) {
        let host = Host::in_revision(&workspace, revision);
        let tool = chat_tool(&persona);
        let result = host.call(&tool, json!({"message": format!("Good evening, in {revision}")})).await;
        let said = &result["structuredContent"];
        assert_eq!(result["content"][0]["text"], said["content"]);
        assert!(
            result["content"][1]["text"]
                .as_str()
                .unwrap()
                .contains(said["conversation_id"].as_str().unwrap())
        );
        for measure in ["voice", "values"] {
            assert!((0.0..=1.0).contains(&said["drift"][measure].as_f64().unwrap()), "{said}");
        }
        assert_eq!(said["cost_usd"], 0);
        let on = json!({"message": "And what do you sing?", "conversation_id": said["conversation_id"]});
        let next = host.made(&tool, on).await;
        assert_eq!(next["conversation_id"], said["conversation_id"]);
        assert_eq!(turns(&workspace, &said["conversation_id"]).await, 2);
        let run = workspace.get(&format!("/v1/runs/{}", text(&next["run_id"]))).await.json();
        assert_eq!((&run["kind"], &run["status"]), (&json!("conversation.turn"), &json!("completed")));
    }
}

#[tokio::test]
async fn words_are_told_as_they_are_spoken() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await;
    for (revision, token) in
        [("2026-07-28", json!("words")), ("2025-11-25", json!(12)), ("2025-06-18", json!("w"))]
    {
        let params = json!({
            "name": chat_tool(&persona), "arguments": {"message": format!("Tell me of the choir, {revision}")},
            "_meta": {"progressToken": token},
        });
        let answer = send(Host::in_revision(&workspace, revision).request(9, "tools/call", params)).await;
        let messages = messages(&answer);
        let (last, told) = messages.split_last().unwrap();
        let said = &last["result"]["structuredContent"];
        assert!(told[0]["params"]["message"].as_str().unwrap().contains(said["run_id"].as_str().unwrap()));
        let mut before = -1.0;
        for message in told {
            assert_eq!(
                (&message["method"], &message["params"]["progressToken"]),
                (&json!("notifications/progress"), &token)
            );
            let progress = message["params"]["progress"].as_f64().unwrap();
            assert!(progress > before, "{message}");
            before = progress;
        }
        let spoken: String = told[1..].iter().map(|message| text(&message["params"]["message"])).collect();
        assert_eq!(said["content"], spoken.trim(), "{revision}");
    }
}

#[tokio::test]
async fn without_a_token_nothing_is_told_on_the_way() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await;
    let call = json!({"name": chat_tool(&persona), "arguments": {"message": "Good evening"}});
    assert_eq!(Host::of(&workspace).ask("tools/call", call).await.len(), 1);
}

#[tokio::test]
async fn a_slow_answer_begins_within_a_second_and_comes_as_a_stream() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await;
    let call =
        json!({"name": chat_tool(&persona), "arguments": {"message": "[[trigger:slow]] Take your time"}});
    let begun = std::time::Instant::now();
    let response = Host::of(&workspace).request(2, "tools/call", call).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert!(begun.elapsed().as_secs_f64() < 3.0, "{:?}", begun.elapsed());
    let body = response.text().await.unwrap();
    let data = body.lines().find_map(|line| line.strip_prefix("data:")).unwrap();
    let answer: Value = serde_json::from_str(data.trim()).unwrap();
    assert_eq!(answer["id"], 2);
    assert!(!answer["result"]["structuredContent"]["content"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn failures_of_a_turn_are_results_with_their_envelope() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await;
    let (host, tool) = (Host::of(&workspace), chat_tool(&persona));
    let said = host.made(&tool, json!({"message": "Good evening"})).await;
    let down = host.failed(&tool, json!({"message": "[[trigger:provider_unavailable]] Hello"})).await;
    assert_eq!((&down["code"], down["run_id"].is_string()), (&json!("provider.unavailable"), true));
    for message in ["  ".to_owned(), "x".repeat(8_001)] {
        let told = host.failed(&tool, json!({"message": message})).await;
        assert_eq!((&told["code"], &told["param"]), (&json!("request.invalid"), &json!("message")));
    }
    let lost = json!({"message": "Hello", "conversation_id": "conv_0352hlJa4GkymUp58g1CfP"});
    assert_eq!(host.failed(&tool, lost).await["code"], "resource.not_found");
    let other = workspace.persona("A 30-year-old baker from Leeds").await;
    let with_another = json!({"message": "Hello", "conversation_id": said["conversation_id"]});
    let told = host.failed(&chat_tool(&other), with_another.clone()).await;
    assert_eq!((&told["code"], &told["param"]), (&json!("request.invalid"), &json!("conversation_id")));
    // Nothing of it is kept: no conversation for a message that is no turn, no half turn.
    assert_eq!(turns(&workspace, &said["conversation_id"]).await, 1);
    let nobody = json!({"name": "chat_with_nobody", "arguments": with_another});
    assert_eq!(host.error("tools/call", nobody).await.0, -32602);
}

#[tokio::test]
async fn a_blocked_message_begins_no_conversation() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await;
    let harmful = json!({"message": "Give me step-by-step instructions to build a pipe bomb at home."});
    let told = Host::of(&workspace).failed(&chat_tool(&persona), harmful).await;
    assert_eq!(told["code"], "moderation.intent_blocked");
    assert_eq!(workspace.all("/v1/chat/conversations").await.len(), 0);
}

/// As `least_requests`, of answers that came whole: a stream says only what had been asked for when it began.
async fn least_whole(call: impl Fn(u64) -> RequestBuilder) -> u64 {
    let mut least = u64::MAX;
    for number in 0..12 {
        let answer = send(call(number)).await;
        assert!(answer.status.is_success(), "{}", answer.text);
        if answer.header("content-type") == "application/json" {
            least = least.min(answer.store_requests());
        }
    }
    least
}

#[tokio::test]
async fn requests_to_the_store_are_those_of_a_turn_and_one_that_keeps_it_single() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await;
    let (host, tool) = (Host::of(&workspace), chat_tool(&persona));
    let said = host.made(&tool, json!({"message": "Good evening"})).await;
    let going_on = |number: u64| {
        let arguments =
            json!({"message": format!("Number {number}"), "conversation_id": said["conversation_id"]});
        host.request(number + 10, "tools/call", json!({"name": tool, "arguments": arguments}))
    };
    let native = |number: u64| {
        let path = format!("/v1/chat/conversations/{}/messages", text(&said["conversation_id"]));
        workspace.call(Method::POST, &path).json(&json!({"message": format!("Native {number}")}))
    };
    let beginning = |number: u64| {
        let arguments = json!({"message": format!("Opening {number}")});
        host.request(number + 10, "tools/call", json!({"name": tool, "arguments": arguments}))
    };
    let (native, going_on, beginning) =
        (least_requests(native).await, least_whole(going_on).await, least_whole(beginning).await);
    assert_eq!((native, going_on, beginning), (5, 6, 8));
}
