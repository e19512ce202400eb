//! `POST /v1/runs/{run}/replay` and `GET /v1/runs/{run}/diff`.
use serde_json::{Value, json};
use tests::{Workspace, support::provider::shared};

#[tokio::test]
async fn an_exact_replay_reproduces_the_digest_at_no_cost() {
    let workspace = Workspace::test("team").await;
    for intent in [
        "A 62-year-old chef from London who is a chess enthusiast",
        "[[trigger:invalid_json]] A 40-year-old baker",
    ] {
        let persona = workspace.persona(intent).await;
        let run = persona["lineage"]["run_id"].as_str().unwrap();
        let answer = workspace.post(&format!("/v1/runs/{run}/replay"), &json!({"mode": "exact"})).await;
        let replay = answer.json();
        assert_eq!((answer.status.as_u16(), &replay["status"]), (201, &"completed".into()), "{replay}");
        assert_eq!(replay["replay"]["matches"], true);
        assert_eq!(replay["output_ref"]["digest"], persona["lineage"]["digest"]);
        assert_eq!((&replay["cost_usd"], &replay["replay_of"]), (&json!(0), &json!(run)));
    }
}

#[tokio::test]
async fn a_fresh_replay_makes_another_persona_and_tells_what_differs() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona("A 22-year-old aspiring chef from Vietnam").await;
    let run = persona["lineage"]["run_id"].as_str().unwrap();
    let body = json!({"mode": "fresh", "overrides": {"seed": 8}});
    let replay = workspace.post(&format!("/v1/runs/{run}/replay"), &body).await.json();
    assert_eq!(replay["status"], "completed", "{replay}");
    let diff = workspace.get(&format!("/v1/runs/{}/diff", replay["id"].as_str().unwrap())).await.json();
    assert_eq!((&diff["against"], &diff["identical"]), (&json!(run), &json!(false)));
    let same = workspace.get(&format!("/v1/runs/{run}/diff?against={run}")).await.json();
    assert_eq!(same["identical"], true);
}

const BRIEF: &str = "A 58-year-old watchmaker from Geneva who sings in a choir";
const COMPLETIONS: &str = "/v1/openai/chat/completions";

/// The path of the messages of a conversation with a new persona.
async fn begun(workspace: &Workspace, more: Value) -> String {
    let persona = workspace.persona(BRIEF).await;
    let mut body = json!({"persona_id": persona["id"]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let conversation = workspace.post("/v1/chat/conversations", &body).await.json();
    format!("/v1/chat/conversations/{}/messages", conversation["id"].as_str().unwrap())
}

/// One turn that is heard whole; its run.
async fn said(workspace: &Workspace, messages: &str, body: Value) -> Value {
    let answer = workspace.post(messages, &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    workspace.get(&format!("/v1/runs/{}", answer.json()["run_id"].as_str().unwrap())).await.json()
}

async fn replayed(workspace: &Workspace, run: &Value, body: &Value) -> Value {
    let answer = workspace.post(&format!("/v1/runs/{}/replay", run["id"].as_str().unwrap()), body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let replay = answer.json();
    assert_eq!((&replay["status"], &replay["replay_of"]), (&json!("completed"), &run["id"]), "{replay}");
    replay
}

/// An exact replay of a turn comes to the same words, and costs nothing.
async fn assert_repeats(workspace: &Workspace, run: &Value) {
    let replay = replayed(workspace, run, &json!({"mode": "exact"})).await;
    assert_eq!((&replay["replay"]["matches"], &replay["kind"]), (&json!(true), &run["kind"]), "{replay}");
    assert_eq!(replay["output_ref"], json!({"object": "digest", "digest": run["output_ref"]["digest"]}));
    assert_eq!((&replay["cost_usd"], &replay["steps"][0]["cached"]), (&json!(0), &json!(true)), "{replay}");
    let diff = workspace.get(&format!("/v1/runs/{}/diff", replay["id"].as_str().unwrap())).await.json();
    assert_eq!((&diff["identical"], &diff["against"]), (&json!(true), &run["id"]), "{diff}");
}

#[tokio::test]
async fn turns_repeat_exactly_though_the_conversation_has_gone_on() {
    let workspace = Workspace::test("enterprise").await;
    for policy in ["observe", "reanchor", "regenerate"] {
        let messages = begun(&workspace, json!({"drift_policy": policy})).await;
        let mut runs = Vec::new();
        // Enough of them for notes on what has left the window.
        for turn in 0..22 {
            let body =
                json!({"message": format!("This is thing number {turn} that I tell you."), "stream": false});
            runs.push(said(&workspace, &messages, body).await);
        }
        let before = workspace.all(&messages).await;
        for at in [0, 12, 20, 21] {
            assert_repeats(&workspace, &runs[at]).await;
        }
        assert_eq!(workspace.all(&messages).await, before, "a replay is not heard");
    }
}

#[tokio::test]
async fn a_turn_that_searched_repeats_without_a_search() {
    shared();
    let workspace = Workspace::live("enterprise").await;
    let messages = begun(&workspace, json!({})).await;
    let message = "[[call:web.search {\"query\": \"weather in Geneva\"}]] What is the weather?";
    let body = json!({"message": message, "tools": ["web.search"], "seed": 7_401});
    let run = said(&workspace, &messages, body).await;
    assert_eq!(shared().sold(7_401).len(), 2);
    assert_repeats(&workspace, &run).await;
    assert_eq!(shared().sold(7_401).len(), 2, "the provider was asked again");
}

#[tokio::test]
async fn completions_repeat_exactly_with_the_functions_they_call() {
    let workspace = Workspace::test("enterprise").await;
    let persona = workspace.persona(BRIEF).await;
    let weather =
        json!({"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}});
    for (message, tools) in
        [("What do you sing?", json!(null)), ("[[call:weather]] And the weather?", json!([weather]))]
    {
        let mut body = json!({"model": persona["id"], "messages": [{"role": "user", "content": message}]});
        if tools.is_array() {
            body["tools"] = tools;
        }
        let answer = workspace.post(COMPLETIONS, &body).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let run = workspace.get(&answer.header("location")).await.json();
        assert_eq!(run["kind"], "openai.completion");
        assert_repeats(&workspace, &run).await;
    }
}

#[tokio::test]
async fn a_fresh_replay_of_a_turn_asks_again_and_is_not_heard() {
    shared();
    let workspace = Workspace::live("enterprise").await;
    let messages = begun(&workspace, json!({})).await;
    let run = said(&workspace, &messages, json!({"message": "Good evening", "seed": 7_501})).await;
    let before = workspace.all(&messages).await;
    let body = json!({"mode": "fresh", "overrides": {"seed": 7_502}});
    let replay = replayed(&workspace, &run, &body).await;
    assert_eq!((&replay["seed"], &replay["replay"]["matches"]), (&json!(7_502), &Value::Null));
    assert_eq!((shared().sold(7_501).len(), shared().sold(7_502).len()), (1, 1));
    assert_eq!(workspace.all(&messages).await, before);
    let diff = workspace.get(&format!("/v1/runs/{}/diff", replay["id"].as_str().unwrap())).await.json();
    assert!(
        diff["changes"].as_array().unwrap().iter().all(|change| change["pointer"] == "/content"),
        "{diff}"
    );
}

#[tokio::test]
async fn a_turn_whose_replay_is_asked_for_wrongly_is_left_alone() {
    let workspace = Workspace::test("enterprise").await;
    let messages = begun(&workspace, json!({})).await;
    said(&workspace, &messages, json!({"message": "Good evening"})).await;
    let run = said(&workspace, &messages, json!({"message": "And good night"})).await;
    let path = format!("/v1/runs/{}/replay", run["id"].as_str().unwrap());
    let body = json!({"mode": "fresh", "overrides": {"intent": "A baker", "language": "tr"}});
    let answer = workspace.post(&path, &body).await;
    let details = answer.json()["error"]["details"].clone();
    let pointers: Vec<&str> =
        details.as_array().unwrap().iter().map(|one| one["pointer"].as_str().unwrap()).collect();
    assert_eq!((answer.status.as_u16(), pointers), (400, vec!["/overrides/intent", "/overrides/language"]));
    for (override_, value) in [("budget_usd", json!(0)), ("seed", json!(-1))] {
        let body = json!({"mode": "fresh", "overrides": {override_: value}});
        let told = workspace.post(&path, &body).await.json();
        assert_eq!(told["error"]["details"][0]["pointer"], format!("/overrides/{override_}"), "{told}");
    }
    let other = Workspace::test("enterprise").await;
    assert_eq!(other.post(&path, &json!({"mode": "exact"})).await.code(), "resource.not_found");
    let conversation = messages.trim_end_matches("/messages");
    assert_eq!(tests::send(workspace.call(reqwest::Method::DELETE, conversation)).await.status, 200);
    let answer = workspace.post(&path, &json!({"mode": "exact"})).await;
    assert_eq!(
        (answer.status.as_u16(), answer.code().as_str()),
        (409, "run.not_replayable"),
        "{}",
        answer.text
    );
}
