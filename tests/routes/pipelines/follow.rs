//! Runs that follow a pipeline of the workspace's own.
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    Workspace, least_requests,
    support::{provider::shared, runs},
};

use super::{delete, put, with_note};

const BRIEF: &str = "A 58-year-old watchmaker from Geneva who sings in a choir";

async fn follower() -> Workspace {
    let workspace = Workspace::test("team").await;
    assert_eq!(put(&workspace, "considered", &with_note()).await.status, 201);
    workspace
}

async fn persona(workspace: &Workspace) -> Value {
    let answer =
        workspace.post("/v1/personas", &json!({"intent": BRIEF, "pipeline": "considered", "seed": 7})).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()
}

#[tokio::test]
async fn an_extra_step_runs_streams_and_is_built_on() {
    let workspace = follower().await;
    let body = json!({"intent": BRIEF, "pipeline": "considered"});
    let events = workspace.stream(workspace.call(Method::POST, "/v1/personas?stream=true").json(&body)).await;
    let steps: Vec<&str> = events
        .iter()
        .filter(|event| event.1 == "step.completed")
        .map(|event| event.2["step"].as_str().unwrap())
        .collect();
    assert_eq!(steps[..3], ["intent_parse", "research", "soul_draft"]);
    assert_eq!(steps.len(), 12);
    let id = events.last().unwrap().2["persona_id"].as_str().unwrap();
    let persona = workspace.get(&format!("/v1/personas/{id}")).await.json();
    let run =
        workspace.get(&format!("/v1/runs/{}", persona["lineage"]["run_id"].as_str().unwrap())).await.json();
    assert_eq!(run["pipeline"]["name"], "considered");
    assert_eq!(run["pipeline"]["digest"], workspace.get("/v1/pipelines/considered").await.json()["digest"]);
    let order: Vec<&str> =
        run["steps"].as_array().unwrap().iter().map(|step| step["name"].as_str().unwrap()).collect();
    assert_eq!(
        (order[..3].to_vec(), order.last()),
        (vec!["intent_parse", "research", "soul_draft"], Some(&"finalize"))
    );
    runs::assert_sound(&workspace, &run, &[]).await;
}

#[tokio::test]
async fn a_run_is_replayed_exactly_after_its_pipeline_was_changed_and_deleted() {
    let workspace = follower().await;
    let persona = persona(&workspace).await;
    let run = persona["lineage"]["run_id"].as_str().unwrap().to_owned();
    let mut changed = with_note();
    changed["prompts"]["soul"]["user"] = json!("Write {{ form }}");
    assert_eq!(put(&workspace, "considered", &changed).await.json()["version"], 2);
    runs::assert_replays(&workspace, &run, Duration::from_mins(1)).await;
    assert_eq!(delete(&workspace, "considered").await.status, 200);
    runs::assert_replays(&workspace, &run, Duration::from_mins(1)).await;
    let fresh = workspace.post(&format!("/v1/runs/{run}/replay"), &json!({"mode": "fresh"})).await.json();
    assert_eq!(
        (&fresh["status"], &fresh["pipeline"]),
        (&json!("completed"), &persona["lineage"]["pipeline"]),
        "{fresh}"
    );
    let body = json!({"intent": BRIEF, "pipeline": "considered"});
    assert_eq!(
        workspace.post("/v1/personas", &body).await.status,
        400,
        "new runs cannot follow what is gone"
    );
}

#[tokio::test]
async fn a_run_that_has_begun_keeps_its_pipeline() {
    let workspace = follower().await;
    let body = json!({"intent": format!("[[trigger:slow]] {BRIEF}"), "pipeline": "considered"});
    let run = runs::begin(&workspace, &body).await;
    let digest = workspace.get("/v1/pipelines/considered").await.json()["digest"].clone();
    assert_eq!(delete(&workspace, "considered").await.status, 200);
    let mut fast = with_note();
    fast["description"] = json!("Another under the same name.");
    assert_eq!(put(&workspace, "considered", &fast).await.status, 201);
    let ended = runs::ended(&workspace, &run, Duration::from_secs(200)).await;
    assert_eq!((&ended["status"], &ended["pipeline"]["digest"]), (&json!("completed"), &digest), "{ended}");
    runs::assert_sound(&workspace, &ended, &[]).await;
}

#[tokio::test]
async fn workspaces_with_pipelines_of_one_name_follow_each_its_own() {
    let (one, other) = (follower().await, Workspace::test("team").await);
    let mut body = with_note();
    body["prompts"]["research"]["user"] = json!("Another question. {{ form }}");
    assert_eq!(put(&other, "considered", &body).await.status, 201);
    let (mine, theirs) = (persona(&one).await, persona(&other).await);
    let digest = |persona: &Value| persona["lineage"]["pipeline"]["digest"].clone();
    assert_ne!(digest(&mine), digest(&theirs));
}

#[tokio::test]
async fn a_prompt_that_fails_on_its_values_fails_the_run_and_names_the_step() {
    let workspace = Workspace::test("team").await;
    let mut body = with_note();
    body["prompts"]["soul"]["user"] = json!("{% if intent %}{{ intent | shout }}{% endif %}");
    assert_eq!(put(&workspace, "considered", &body).await.status, 201);
    let answer = workspace.post("/v1/personas", &json!({"intent": BRIEF, "pipeline": "considered"})).await;
    let error = answer.json()["error"].clone();
    assert_eq!(
        (answer.status.as_u16(), &error["code"], &error["param"]),
        (400, &json!("request.invalid"), &json!("pipeline"))
    );
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("step \"soul_draft\"") && message.contains("unknown filter"), "{message}");
    let run = workspace.get(&format!("/v1/runs/{}", error["run_id"].as_str().unwrap())).await.json();
    assert_eq!(run["status"], "failed");
}

#[tokio::test]
async fn a_hostile_prompt_is_stopped_and_costs_nobody_else_anything() {
    let workspace = Workspace::test("team").await;
    let mut body = with_note();
    let loops = "{% if intent %}{% for a in intent %}{% for b in intent %}{% for c in intent %}{% for d in intent %}.{% endfor %}{% endfor %}{% endfor %}{% endfor %}{% endif %}";
    body["prompts"]["soul"]["user"] = json!(loops);
    assert_eq!(put(&workspace, "considered", &body).await.status, 201);
    let answer = workspace.post("/v1/personas", &json!({"intent": BRIEF, "pipeline": "considered"})).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    assert!(
        answer.json()["error"]["message"].as_str().unwrap().contains("it does too much"),
        "{}",
        answer.text
    );
    assert_eq!(workspace.persona(BRIEF).await["language"], "en");
}

#[tokio::test]
async fn the_budget_holds_for_pipelines_of_ones_own() {
    let workspace = follower().await;
    let body = json!({"intent": format!("[[trigger:budget_exceeded]] {BRIEF}"), "pipeline": "considered", "budget_usd": 0.7});
    let run = runs::begin(&workspace, &body).await;
    let ended = runs::ended(&workspace, &run, Duration::from_mins(1)).await;
    assert_eq!(
        (&ended["status"], &ended["error"]["code"]),
        (&json!("failed"), &json!("persona.cost_budget_exceeded")),
        "{ended}"
    );
    assert!(ended["cost_usd"].as_f64().unwrap() <= 0.7, "{ended}");
    runs::assert_sound(&workspace, &ended, &[]).await;
}

#[tokio::test]
async fn no_vendor_is_paid_more_than_the_budget_of_a_run_that_follows_ones_own() {
    let workspace = Workspace::live("team").await;
    assert_eq!(put(&workspace, "considered", &with_note()).await.status, 201);
    let budgets = [0.001, 0.004, 0.01, 0.02, 0.5];
    shared();
    let mut statuses = Vec::new();
    for (seed, budget) in (9_200..).zip(budgets) {
        let body = json!({"intent": BRIEF, "pipeline": "considered", "seed": seed, "budget_usd": budget});
        let run = runs::begin(&workspace, &body).await;
        let run = runs::ended(&workspace, &run, Duration::from_mins(1)).await;
        runs::assert_sound(&workspace, &run, &shared().sold(seed)).await;
        statuses.push(run["status"].clone());
    }
    assert_eq!(
        (&statuses[0], statuses.last()),
        (&json!("failed"), Some(&json!("completed"))),
        "{statuses:?}"
    );
}

#[tokio::test]
async fn fields_are_filled_in_pipelines_of_ones_own_too() {
    let workspace = follower().await;
    let field = json!({"name": "motto", "type": "string", "generate": true});
    assert_eq!(workspace.post("/v1/schema/fields", &field).await.status, 201);
    let made = persona(&workspace).await;
    assert!(made["custom_fields"]["motto"].is_string(), "{made}");
    assert_ne!(
        made["lineage"]["pipeline"]["digest"],
        workspace.get("/v1/pipelines/considered").await.json()["digest"]
    );
    let run = made["lineage"]["run_id"].as_str().unwrap();
    runs::assert_replays(&workspace, run, Duration::from_mins(1)).await;
    let fresh = workspace.post(&format!("/v1/runs/{run}/replay"), &json!({"mode": "fresh"})).await.json();
    assert_eq!(
        (&fresh["status"], &fresh["pipeline"]),
        (&json!("completed"), &made["lineage"]["pipeline"]),
        "{fresh}"
    );
}

#[tokio::test]
async fn a_pipeline_of_ones_own_refines() {
    let workspace = Workspace::test("team").await;
    let made = workspace.persona(BRIEF).await;
    let mut body = workspace.get("/v1/pipelines/refine").await.json();
    body.as_object_mut().unwrap().retain(|key, _| ["description", "steps"].contains(&key.as_str()));
    body["description"] = json!("Our way to edit.");
    assert_eq!(put(&workspace, "our-edit", &body).await.status, 201);
    let path = format!("/v1/personas/{}/refine", made["id"].as_str().unwrap());
    let refined =
        workspace.post(&path, &json!({"instruction": "Make her older", "pipeline": "our-edit"})).await;
    assert_eq!(
        (refined.status.as_u16(), &refined.json()["lineage"]["pipeline"]["name"]),
        (200, &json!("our-edit")),
        "{}",
        refined.text
    );
    let wrong = workspace.post("/v1/personas", &json!({"intent": BRIEF, "pipeline": "our-edit"})).await;
    assert_eq!(wrong.status, 400, "a pipeline that edits makes nobody");
}

#[tokio::test]
async fn the_services_pipelines_take_no_more_requests_than_before() {
    let workspace = follower().await;
    let begin = |pipeline: &str| {
        let body = json!({"intent": BRIEF, "pipeline": pipeline});
        workspace.call(Method::POST, "/v1/personas").header("prefer", "respond-async").json(&body)
    };
    let built_in = least_requests(|_| begin("fast")).await;
    assert_eq!((least_requests(|_| begin("considered")).await, built_in), (3, 2));
}
