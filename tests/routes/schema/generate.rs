//! Fields that the pipeline fills from the character.
use persona::pipeline::json_stream::apply_delta;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{
    Workspace, send,
    support::{
        provider::{Fault, Script, shared},
        runs,
    },
};

use super::{BRIEF, delete, registered, uses};

/// One field of every type, each with bounds that a careless answer would miss.
fn fields() -> [Value; 7] {
    let item = json!({"type": "object", "properties": {"name": {"type": "string", "minLength": 3}, "count": {"type": "integer", "minimum": 1, "multipleOf": 3}},
        "required": ["name", "count"], "additionalProperties": false});
    [
        json!({"name": "motto", "type": "string", "schema": {"maxLength": 60}, "generate": true, "required": true}),
        json!({"name": "code", "type": "string", "schema": {"pattern": "^[A-Z]{2}-\\d{4}$"}, "generate": true}),
        json!({"name": "weight", "type": "number", "schema": {"minimum": 40.5, "maximum": 120}, "generate": true}),
        json!({"name": "level", "type": "integer", "schema": {"exclusiveMinimum": 4}, "generate": true}),
        json!({"name": "left_handed", "type": "boolean", "generate": true}),
        json!({"name": "house", "type": "enum", "schema": {"enum": ["lion", "snake"]}, "generate": true}),
        json!({"name": "bag", "type": "array", "generate": true,
            "schema": {"$defs": {"item": item}, "items": {"$ref": "#/$defs/item"}, "minItems": 2, "maxItems": 4}}),
    ]
}

async fn school() -> Workspace {
    let workspace = Workspace::test("team").await;
    for field in fields() {
        registered(&workspace, &field).await;
    }
    workspace
}

#[tokio::test]
async fn the_pipeline_fills_every_field_with_a_valid_value_and_streams_it() {
    let workspace = school().await;
    let request = workspace.call(Method::POST, "/v1/personas?stream=true").json(&json!({"intent": BRIEF}));
    let events = workspace.stream(request).await;
    let (mut made, mut filled) = (json!({}), Vec::new());
    for (_, _, data) in events.iter().filter(|event| event.1 == "layer.delta") {
        let path = data["path"].as_str().unwrap();
        filled.extend(path.strip_prefix("custom_fields.").map(str::to_owned));
        apply_delta(&mut made, path, data["value"].clone());
    }
    let id = events.last().unwrap().2["persona_id"].as_str().unwrap();
    let persona = workspace.get(&format!("/v1/personas/{id}")).await.json();
    assert_eq!(made["custom_fields"], persona["custom_fields"]);
    assert_eq!(filled.len(), 7, "each is sent once: {filled:?}");
    let definitions: Vec<persona::persona::Field> =
        fields().into_iter().map(|field| serde_json::from_value(field).unwrap()).collect();
    let values = persona["custom_fields"].as_object().unwrap();
    assert_eq!(persona::persona::field::value_problems(&definitions, values), []);
    let steps: Vec<&str> = events
        .iter()
        .filter(|event| event.1 == "step.completed")
        .map(|event| event.2["step"].as_str().unwrap())
        .collect();
    assert_eq!(steps[steps.len() - 2..], ["custom_fields", "finalize"]);
    let run =
        workspace.get(&format!("/v1/runs/{}", persona["lineage"]["run_id"].as_str().unwrap())).await.json();
    runs::assert_sound(&workspace, &run, &[]).await;
}

#[tokio::test]
async fn what_the_caller_gives_is_not_filled() {
    let workspace = school().await;
    let body = json!({"intent": BRIEF, "custom_fields": {"motto": "Never late.", "level": 7}});
    let persona = workspace.post("/v1/personas", &body).await;
    assert_eq!(persona.status, 201, "{}", persona.text);
    let persona = persona.json();
    assert_eq!(
        (&persona["custom_fields"]["motto"], &persona["custom_fields"]["level"]),
        (&json!("Never late."), &json!(7))
    );
    assert_eq!(persona["custom_fields"].as_object().unwrap().len(), 7);
    assert_eq!((uses(&workspace, "motto").await, uses(&workspace, "bag").await), (1, 1));
}

#[tokio::test]
async fn the_digest_of_the_pipeline_tells_that_fields_are_filled_and_which() {
    let (workspace, plain) = (Workspace::test("team").await, Workspace::test("team").await);
    let digest = |persona: &Value| persona["lineage"]["pipeline"]["digest"].clone();
    let bare = plain.persona(BRIEF).await;
    registered(&workspace, &json!({"name": "motto", "type": "string", "generate": true})).await;
    let one = workspace.persona(BRIEF).await;
    registered(&workspace, &json!({"name": "house", "type": "string", "generate": true})).await;
    let two = workspace.persona(BRIEF).await;
    assert_ne!(digest(&bare), digest(&one));
    assert_ne!(digest(&one), digest(&two));
    assert_eq!(bare["lineage"]["pipeline"]["name"], one["lineage"]["pipeline"]["name"]);
    for layer in ["identity", "soul", "voice"] {
        assert_eq!(bare[layer], one[layer], "{layer}: the fields come after the layers");
    }
    let run = workspace.get(&format!("/v1/runs/{}", one["lineage"]["run_id"].as_str().unwrap())).await.json();
    let order: Vec<&str> =
        run["steps"].as_array().unwrap().iter().map(|step| step["name"].as_str().unwrap()).collect();
    assert_eq!(order.len(), 12, "{order:?}");
    assert_eq!(order[order.len() - 3..], ["repair", "custom_fields", "finalize"]);
}

#[tokio::test]
async fn an_exact_replay_fills_them_as_they_were_whatever_became_of_the_fields() {
    let workspace = school().await;
    let persona = workspace.persona(BRIEF).await;
    let path = format!("/v1/personas/{}", persona["id"].as_str().unwrap());
    assert_eq!(delete(&workspace, &path).await.status, 200);
    for field in fields() {
        let path = format!("/v1/schema/fields/{}", field["name"].as_str().unwrap());
        assert_eq!(delete(&workspace, &path).await.status, 200, "{path}");
    }
    registered(&workspace, &json!({"name": "motto", "type": "integer", "generate": true})).await;
    let replay = format!("/v1/runs/{}/replay", persona["lineage"]["run_id"].as_str().unwrap());
    let exact = workspace.post(&replay, &json!({"mode": "exact"})).await.json();
    assert_eq!(
        (&exact["status"], &exact["replay"]["matches"]),
        (&json!("completed"), &json!(true)),
        "{exact}"
    );
    let made = workspace.all(&format!("/v1/runs/{}/events", exact["id"].as_str().unwrap())).await;
    let mut again = json!({});
    for event in made.iter().filter(|event| event["event"] == "layer.delta") {
        apply_delta(&mut again, event["data"]["path"].as_str().unwrap(), event["data"]["value"].clone());
    }
    assert_eq!(again["custom_fields"], persona["custom_fields"]);
    let fresh = workspace.post(&replay, &json!({"mode": "fresh"})).await.json();
    assert_eq!(fresh["status"], "completed", "{fresh}");
    let second =
        workspace.get(&format!("/v1/personas/{}", fresh["output_ref"]["id"].as_str().unwrap())).await.json();
    assert!(second["custom_fields"]["motto"].is_i64(), "a fresh one goes by today's: {second}");
}

#[tokio::test]
async fn fields_are_filled_within_the_budget() {
    let workspace = school().await;
    // Triggered, every call but the first is quoted at 0.40: six drafts, the judge and the fields.
    let body = json!({"intent": format!("[[trigger:budget_exceeded]] {BRIEF}"), "budget_usd": 3.3});
    let run = runs::begin(&workspace, &body).await;
    let ended = runs::ended(&workspace, &run, std::time::Duration::from_mins(1)).await;
    assert_eq!(
        (&ended["status"], &ended["error"]["code"]),
        (&json!("failed"), &json!("persona.cost_budget_exceeded")),
        "{ended}"
    );
    runs::assert_sound(&workspace, &ended, &[]).await;
    for name in ["motto", "bag"] {
        assert_eq!(uses(&workspace, name).await, 0);
    }
}

#[tokio::test]
async fn a_filled_field_can_be_edited_and_refinements_leave_it_alone() {
    let workspace = school().await;
    let persona = workspace.persona(BRIEF).await;
    let path = format!("/v1/personas/{}", persona["id"].as_str().unwrap());
    let patch = json!({"custom_fields": {"level": 12}});
    let edited = send(workspace.call(Method::PATCH, &path).json(&patch)).await;
    assert_eq!((edited.status.as_u16(), &edited.json()["custom_fields"]["level"]), (200, &json!(12)));
    let refined = workspace.post(&format!("{path}/refine"), &json!({"instruction": "Make her older"})).await;
    assert_eq!(
        (refined.status.as_u16(), &refined.json()["custom_fields"]),
        (200, &edited.json()["custom_fields"]),
        "{}",
        refined.text
    );
}

#[tokio::test]
async fn a_model_that_answers_beside_the_schema_is_asked_again_and_paid_within_the_budget() {
    let workspace = Workspace::live("team").await;
    registered(&workspace, &json!({"name": "motto", "type": "string", "generate": true})).await;
    registered(&workspace, &json!({"name": "level", "type": "integer", "schema": {"minimum": 3, "maximum": 9}, "generate": true})).await;
    for (seed, fault) in [(9_100, None), (9_101, Some(Fault::Misfit)), (9_102, Some(Fault::Garbled))] {
        if let Some(fault) = fault {
            shared()
                .misbehave(seed, Script { step: Some("custom_fields"), ..Script::always(fault).times(1) });
        } else {
            shared();
        }
        let run = runs::begin(&workspace, &json!({"intent": BRIEF, "seed": seed, "budget_usd": 0.5})).await;
        let run = runs::ended(&workspace, &run, std::time::Duration::from_mins(1)).await;
        assert_eq!(run["status"], "completed", "{fault:?}: {run}");
        let sold = shared().sold(seed);
        runs::assert_sound(&workspace, &run, &sold).await;
        let asked = sold.iter().filter(|call| call.step == "custom_fields").count();
        assert_eq!(asked, if fault.is_some() { 2 } else { 1 });
        runs::assert_replays(&workspace, run["id"].as_str().unwrap(), std::time::Duration::from_mins(1))
            .await;
    }
}
