//! `POST /v1/personas`.
use reqwest::Method;
use serde_json::{Value, json};
use tests::Workspace;

const CHEF: &str = "A 54-year-old chef from New York who is a social media influencer";

#[tokio::test]
async fn a_brief_becomes_a_persona_with_every_top_level_key() {
    let persona = Workspace::test("team").await.persona(CHEF).await;
    for key in [
        "id",
        "object",
        "slug",
        "version",
        "workspace_id",
        "visibility",
        "language",
        "intent",
        "identity",
        "soul",
        "voice",
        "history",
        "relations",
        "knowledge",
        "boundaries",
        "scenario",
        "custom_fields",
        "metadata",
        "consistency",
        "lineage",
        "created_at",
        "updated_at",
        "published_at",
    ] {
        assert!(persona.get(key).is_some(), "no {key}");
    }
    assert_eq!(persona["identity"]["age"], 54);
    assert_eq!(persona["lineage"]["simulated"], true, "the sandbox's work is labelled");
    assert!(persona["voice"]["samples"].as_array().unwrap().len() >= 6);
}

#[tokio::test]
async fn the_stream_reads_as_on_the_users_page_and_its_deltas_make_the_persona() {
    let workspace = Workspace::test("team").await;
    // As curl's -d sends it: no JSON content type.
    let request = workspace
        .call(Method::POST, "/v1/personas?stream=true")
        .header("accept", "text/event-stream")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(json!({"intent": CHEF}).to_string());
    let events = workspace.stream(request).await;
    assert_eq!(events[0].1, "run.started");
    assert_eq!(events[0].2["step"], "intent_parse");
    let numbers: Vec<u64> = events.iter().map(|event| event.0).collect();
    assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>());
    let mut applied = json!({});
    for (_, _, data) in events.iter().filter(|event| event.1 == "layer.delta") {
        let path = data["path"].as_str().unwrap();
        match path.split_once('.') {
            Some((layer, field)) => applied[layer][field] = data["value"].clone(),
            None => applied[path] = data["value"].clone(),
        }
    }
    let (_, last, data) = events.last().unwrap();
    assert_eq!(last, "run.completed");
    assert_eq!(data["total_cost_usd"], 0);
    let persona =
        workspace.get(&format!("/v1/personas/{}", data["persona_id"].as_str().unwrap())).await.json();
    for (layer, value) in applied.as_object().unwrap() {
        assert_eq!(&persona[layer], value, "{layer}");
    }
    assert_eq!(applied.as_object().unwrap().len(), 8);
}

#[tokio::test]
async fn respond_async_answers_202_at_once_and_the_run_goes_on() {
    let workspace = Workspace::test("team").await;
    let request = workspace
        .call(Method::POST, "/v1/personas")
        .header("prefer", "respond-async")
        .json(&json!({"intent": CHEF}));
    let answer = tests::send(request).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let location = answer.header("location");
    let request =
        workspace.call(Method::GET, &format!("{location}/events")).header("accept", "text/event-stream");
    assert_eq!(workspace.stream(request).await.last().unwrap().1, "run.completed");
}

async fn refused(body: Value) -> (u16, Value) {
    let answer = Workspace::test("free").await.post("/v1/personas", &body).await;
    (answer.status.as_u16(), answer.json()["error"].clone())
}

#[tokio::test]
async fn every_problem_of_a_body_is_listed_at_once() {
    let (status, error) = refused(json!({"intent": 5, "colour": "red", "seed": -1})).await;
    assert_eq!((status, &error["code"]), (400, &"request.invalid".into()));
    assert_eq!(error["details"].as_array().unwrap().len(), 3, "{error}");
}

#[tokio::test]
async fn a_brief_of_4001_characters_is_refused_and_names_its_length() {
    let (status, error) = refused(json!({"intent": "ü".repeat(4001)})).await;
    assert_eq!((status, &error["param"]), (400, &"intent".into()));
    assert!(error["message"].as_str().unwrap().contains("4001"));
}

#[tokio::test]
async fn an_unregistered_custom_field_is_refused() {
    let (status, error) = refused(json!({"intent": "A cook", "custom_fields": {"mood": 1}})).await;
    assert_eq!((status, &error["details"][0]["pointer"]), (400, &"/custom_fields/mood".into()));
}

#[tokio::test]
async fn choosing_a_pipeline_needs_the_team_plan() {
    let (status, error) = refused(json!({"intent": "A cook", "pipeline": "fast"})).await;
    assert_eq!((status, &error["code"]), (403, &"plan.upgrade_required".into()));
}

#[tokio::test]
async fn the_three_pipelines_all_make_valid_personas() {
    let workspace = Workspace::test("team").await;
    for pipeline in ["default", "fast", "strict-audit"] {
        let answer = workspace.post("/v1/personas", &json!({"intent": CHEF, "pipeline": pipeline})).await;
        assert_eq!(answer.status, 201, "{pipeline}: {}", answer.text);
        assert_eq!(answer.json()["lineage"]["pipeline"]["name"], pipeline);
    }
}

#[tokio::test]
async fn a_taken_slug_is_409() {
    let workspace = Workspace::test("team").await;
    let body = json!({"intent": CHEF, "slug": "the-chef"});
    assert_eq!(workspace.post("/v1/personas", &body).await.status, 201);
    let again = workspace.post("/v1/personas", &body).await;
    assert_eq!((again.status.as_u16(), again.code().as_str()), (409, "persona.slug_taken"));
}

async fn triggered(name: &str) -> (u16, Value) {
    let intent = format!("[[trigger:{name}]] A 40-year-old baker from Leeds");
    let answer = Workspace::test("team").await.post("/v1/personas", &json!({"intent": intent})).await;
    (answer.status.as_u16(), answer.json()["error"].clone())
}

#[tokio::test]
async fn the_402_of_the_users_page_reads_the_same_way() {
    let (status, error) = triggered("budget_exceeded").await;
    assert_eq!(status, 402);
    assert_eq!(error["code"], "persona.cost_budget_exceeded");
    assert_eq!(error["message"], "Run aborted: $1.20 exceeds budget $1.00.");
    assert_eq!(error["type"], "billing");
    assert_eq!(error["doc_url"], "https://docs.persona.dev/errors#cost_budget_exceeded");
    assert!(error["run_id"].as_str().unwrap().starts_with("run_"));
    assert!(error["request_id"].as_str().unwrap().starts_with("req_"));
}

#[tokio::test]
async fn a_blocked_intent_is_403_with_its_category_and_calls_no_drafting_model() {
    let (status, error) = triggered("moderation_block").await;
    assert_eq!((status, &error["code"]), (403, &"moderation.intent_blocked".into()), "{error}");
}

#[tokio::test]
async fn a_persona_that_contradicts_itself_after_repair_is_422() {
    let (status, error) = triggered("schema_violation").await;
    assert_eq!((status, &error["code"]), (422, &"persona.schema_violation".into()));
    assert!(!error["details"].as_array().unwrap().is_empty());
}

#[tokio::test]
async fn a_provider_that_is_down_is_503() {
    let (status, error) = triggered("provider_unavailable").await;
    assert_eq!((status, &error["code"]), (503, &"provider.unavailable".into()));
}

#[tokio::test]
async fn an_invalid_answer_is_repaired_and_a_throttled_call_tried_again() {
    for name in ["invalid_json", "throttled"] {
        let (status, error) = triggered(name).await;
        assert_eq!(status, 201, "{name}: {error}");
    }
}

#[tokio::test]
async fn the_same_brief_and_seed_make_the_same_document_however_the_steps_race() {
    let workspace = Workspace::test("team").await;
    let (one, other) = (workspace.persona(CHEF).await, workspace.persona(CHEF).await);
    assert_eq!(one["lineage"]["digest"], other["lineage"]["digest"]);
}
