//! Custom fields of personas: on creation, edits, refinement, import, replay.
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Workspace, send};

use super::{BRIEF, delete, least_requests, pointers, registered, uses};

/// A workspace whose personas have a house, a level and a bag.
async fn school() -> Workspace {
    let workspace = Workspace::test("team").await;
    registered(
        &workspace,
        &json!({"name": "house", "type": "enum", "schema": {"enum": ["lion", "snake"]}, "required": true}),
    )
    .await;
    registered(
        &workspace,
        &json!({"name": "level", "type": "integer", "schema": {"minimum": 1, "maximum": 20}}),
    )
    .await;
    let item = json!({"type": "object", "properties": {"name": {"type": "string", "pattern": "^[a-z ]+$"}}, "required": ["name"], "additionalProperties": false});
    let bag = json!({"$defs": {"item": item}, "items": {"$ref": "#/$defs/item"}, "maxItems": 3});
    registered(&workspace, &json!({"name": "bag", "type": "array", "schema": bag})).await;
    workspace
}

async fn pupil(workspace: &Workspace) -> Value {
    let fields = json!({"house": "lion", "level": 3, "bag": [{"name": "a wand"}]});
    let answer = workspace.post("/v1/personas", &json!({"intent": BRIEF, "custom_fields": fields})).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()
}

fn path(persona: &Value) -> String {
    format!("/v1/personas/{}", persona["id"].as_str().unwrap())
}

#[tokio::test]
async fn valid_fields_are_kept_checked_and_streamed() {
    let workspace = school().await;
    let fields = json!({"house": "lion", "level": 3, "bag": [{"name": "a wand"}]});
    let body = json!({"intent": BRIEF, "custom_fields": fields});
    let request = workspace.call(Method::POST, "/v1/personas?stream=true").json(&body);
    let events = workspace.stream(request).await;
    let mut made = json!({});
    for (_, _, data) in events.iter().filter(|event| event.1 == "layer.delta") {
        let place = data["path"].as_str().unwrap();
        persona::pipeline::json_stream::apply_delta(&mut made, place, data["value"].clone());
    }
    assert_eq!(made["custom_fields"], fields);
    let id = events.last().unwrap().2["persona_id"].as_str().unwrap();
    let persona = workspace.get(&format!("/v1/personas/{id}")).await.json();
    assert_eq!(persona["custom_fields"], fields);
    let checks = persona["consistency"]["checks"].as_array().unwrap();
    assert!(checks.iter().any(|check| check["name"] == "custom_fields_valid" && check["passed"] == true));
    for name in ["house", "level", "bag"] {
        assert_eq!(uses(&workspace, name).await, 1, "{name}");
    }
}

#[tokio::test]
async fn what_is_unregistered_invalid_or_missing_is_400_all_at_once() {
    let workspace = school().await;
    let fields = json!({"level": 21, "bag": [{"name": "Wand!"}, {"nom": "x"}], "zodiac": "leo"});
    let answer = workspace.post("/v1/personas", &json!({"intent": "", "custom_fields": fields})).await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "request.invalid"));
    let mut told = pointers(&answer);
    told.sort();
    told.dedup();
    assert_eq!(
        told,
        [
            "/custom_fields/bag/0/name",
            "/custom_fields/bag/1/name",
            "/custom_fields/bag/1/nom",
            "/custom_fields/house",
            "/custom_fields/level",
            "/custom_fields/zodiac",
            "/intent",
        ]
    );
    let without = workspace.post("/v1/personas", &json!({"intent": BRIEF})).await;
    assert_eq!(pointers(&without), ["/custom_fields/house"], "{}", without.text);
    assert_eq!(workspace.all("/v1/runs").await, Vec::<Value>::new());
    assert_eq!(uses(&workspace, "level").await, 0);
}

#[tokio::test]
async fn edits_are_held_to_the_fields_and_keep_what_is_required() {
    let workspace = school().await;
    let persona = pupil(&workspace).await;
    let path = path(&persona);
    let patch = |body: Value| send(workspace.call(Method::PATCH, &path).json(&body));
    for (wrong, pointer) in [
        (json!({"house": "owl"}), "/custom_fields/house"),
        (json!({"house": null}), "/custom_fields/house"),
        (json!({"level": 1.5}), "/custom_fields/level"),
        (json!({"zodiac": "leo"}), "/custom_fields/zodiac"),
    ] {
        let answer = patch(json!({"custom_fields": wrong})).await;
        assert_eq!(
            (answer.status.as_u16(), pointers(&answer)),
            (400, vec![pointer.to_owned()]),
            "{}",
            answer.text
        );
    }
    let mut whole = persona.clone();
    whole["custom_fields"] = json!({"level": 4});
    let answer = send(workspace.call(Method::PUT, &path).json(&whole)).await;
    assert_eq!((answer.status.as_u16(), pointers(&answer)), (400, vec!["/custom_fields/house".to_owned()]));
    let patched = patch(json!({"custom_fields": {"level": 4, "bag": null}})).await;
    assert_eq!(patched.status, 200, "{}", patched.text);
    assert_eq!(patched.json()["custom_fields"], json!({"house": "lion", "level": 4}));
    assert_eq!((uses(&workspace, "bag").await, uses(&workspace, "level").await), (0, 1));
    assert_eq!(delete(&workspace, "/v1/schema/fields/bag").await.status, 200);
    let mut whole = patched.json();
    whole["custom_fields"] = json!({"house": "snake"});
    let put = send(workspace.call(Method::PUT, &path).json(&whole).header("if-match", "\"v2\"")).await;
    assert_eq!((put.status.as_u16(), &put.json()["custom_fields"]), (200, &json!({"house": "snake"})));
    assert_eq!(uses(&workspace, "level").await, 0);
}

#[tokio::test]
async fn an_edit_that_leaves_fields_alone_asks_for_none() {
    let workspace = school().await;
    let path = path(&pupil(&workspace).await);
    let patch = |body: Value| workspace.call(Method::PATCH, &path).json(&body);
    let plain = least_requests(|number| patch(json!({"metadata": {"a": number.to_string()}}))).await;
    let fields = least_requests(|number| patch(json!({"custom_fields": {"level": 9 + number}}))).await;
    assert_eq!(plain + 1, fields);
}

#[tokio::test]
async fn a_creation_asks_for_fields_only_where_there_are_some_to_heed() {
    let request = |workspace: &Workspace| {
        let body = json!({"intent": BRIEF});
        workspace.call(Method::POST, "/v1/personas").header("prefer", "respond-async").json(&body)
    };
    let (bare, some, heeded) =
        (Workspace::test("free").await, Workspace::test("free").await, Workspace::test("free").await);
    registered(&some, &json!({"name": "level", "type": "integer"})).await;
    registered(&heeded, &json!({"name": "house", "type": "string", "required": true})).await;
    let (bare, some) = (least_requests(|_| request(&bare)).await, least_requests(|_| request(&some)).await);
    assert_eq!((bare, some), (2, 2), "the key's, and the run's");
    assert_eq!(send(request(&heeded)).await.status, 400);
    let unrequired = json!({"name": "house", "type": "string"});
    assert_eq!(heeded.post("/v1/schema/fields", &unrequired).await.status, 200);
    assert_eq!(send(request(&heeded)).await.status, 202);
}

#[tokio::test]
async fn a_persona_from_before_a_field_was_required_can_still_be_edited() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await;
    registered(&workspace, &json!({"name": "house", "type": "string", "required": true})).await;
    let path = path(&persona);
    let answer = send(workspace.call(Method::PATCH, &path).json(&json!({"metadata": {"a": "b"}}))).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let given = json!({"custom_fields": {"house": "lion"}});
    assert_eq!(send(workspace.call(Method::PATCH, &path).json(&given)).await.status, 200);
    let taken =
        send(workspace.call(Method::PATCH, &path).json(&json!({"custom_fields": {"house": null}}))).await;
    assert_eq!(pointers(&taken), ["/custom_fields/house"]);
}

#[tokio::test]
async fn a_refinement_leaves_custom_fields_as_they_are() {
    let workspace = school().await;
    let persona = pupil(&workspace).await;
    let refine = format!("{}/refine", path(&persona));
    let strange = json!({"instruction": "Make her older", "custom_fields": {"level": 9}});
    assert_eq!(pointers(&workspace.post(&refine, &strange).await), ["/custom_fields"]);
    let refined = workspace.post(&refine, &json!({"instruction": "Make her older"})).await;
    assert_eq!((refined.status.as_u16(), &refined.json()["custom_fields"]), (200, &persona["custom_fields"]));
    assert_eq!(uses(&workspace, "level").await, 1);
}

#[tokio::test]
async fn an_import_is_held_to_the_fields_that_it_brings() {
    let workspace = school().await;
    let persona = pupil(&workspace).await;
    let card = workspace.get(&format!("{}/export", path(&persona))).await.json();
    for body in [&persona, &card] {
        let copy = workspace.post("/v1/personas/import", body).await;
        assert_eq!(
            (copy.status.as_u16(), &copy.json()["custom_fields"]),
            (201, &persona["custom_fields"]),
            "{}",
            copy.text
        );
    }
    assert_eq!(uses(&workspace, "bag").await, 3);
    let elsewhere = Workspace::test("team").await;
    for body in [&persona, &card] {
        let refused = elsewhere.post("/v1/personas/import", body).await;
        assert_eq!((refused.status.as_u16(), pointers(&refused).len()), (400, 3), "{}", refused.text);
    }
    assert_eq!(elsewhere.all("/v1/personas").await, Vec::<Value>::new());
}

#[tokio::test]
async fn replays_go_by_the_definitions_of_their_run() {
    let workspace = school().await;
    let persona = pupil(&workspace).await;
    let run = format!("/v1/runs/{}", persona["lineage"]["run_id"].as_str().unwrap());
    let pinned = workspace.get(&run).await.json()["input"]["fields"].clone();
    assert_eq!(pinned.as_array().unwrap().len(), 3, "{pinned}");
    let replay = format!("{run}/replay");
    let fresh = workspace.post(&replay, &json!({"mode": "fresh"})).await;
    assert_eq!(fresh.status, 201, "{}", fresh.text);
    let second = workspace
        .get(&format!("/v1/personas/{}", fresh.json()["output_ref"]["id"].as_str().unwrap()))
        .await
        .json();
    assert_eq!(second["custom_fields"], persona["custom_fields"]);
    assert_eq!(uses(&workspace, "house").await, 2);
    for persona in [&persona, &second] {
        assert_eq!(delete(&workspace, &path(persona)).await.status, 200);
    }
    for name in ["house", "level", "bag"] {
        assert_eq!(delete(&workspace, &format!("/v1/schema/fields/{name}")).await.status, 200, "{name}");
    }
    let exact = workspace.post(&replay, &json!({"mode": "exact"})).await.json();
    assert_eq!(
        (&exact["status"], &exact["replay"]["matches"]),
        (&json!("completed"), &json!(true)),
        "{exact}"
    );
    let fresh = workspace.post(&replay, &json!({"mode": "fresh"})).await;
    assert_eq!((fresh.status.as_u16(), pointers(&fresh).len()), (400, 3), "{}", fresh.text);
}
