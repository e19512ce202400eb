//! `POST`, `GET`, `DELETE /v1/schema/fields`.
use futures_util::future::join_all;
use serde_json::{Value, json};
use tests::Workspace;

use super::{BRIEF, PATH, delete, pointers, register, registered, uses};

#[tokio::test]
async fn a_field_is_registered_listed_and_deleted() {
    let workspace = Workspace::test("free").await;
    let field = json!({"name": "house", "type": "enum", "schema": {"enum": ["lion", "snake"]}});
    let answer = register(&workspace, &field).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let made = answer.json();
    assert_eq!(
        (&made["object"], &made["uses"], &made["required"]),
        (&json!("schema.field"), &json!(0), &json!(false))
    );
    assert_eq!(made["schema"], field["schema"]);
    assert_eq!(workspace.all(PATH).await, [made]);
    let gone = delete(&workspace, "/v1/schema/fields/house").await;
    assert_eq!((gone.status.as_u16(), &gone.json()["deleted"]), (200, &json!(true)));
    assert_eq!(workspace.all(PATH).await, Vec::<Value>::new());
    assert_eq!(delete(&workspace, "/v1/schema/fields/house").await.code(), "resource.not_found");
}

#[tokio::test]
async fn fields_are_listed_by_name_page_by_page() {
    let workspace = Workspace::test("team").await;
    for name in ["motto", "age_group", "zodiac"] {
        registered(&workspace, &json!({"name": name, "type": "string"})).await;
    }
    let first = workspace.get(&format!("{PATH}?limit=2")).await.json();
    let rest = workspace
        .get(&format!("{PATH}?limit=2&cursor={}", first["next_cursor"].as_str().unwrap()))
        .await
        .json();
    let names = |page: &Value| -> Vec<Value> {
        page["data"].as_array().unwrap().iter().map(|field| field["name"].clone()).collect()
    };
    assert_eq!(
        (names(&first), names(&rest)),
        (vec![json!("age_group"), json!("motto")], vec![json!("zodiac")])
    );
    assert_eq!((&first["has_more"], &rest["has_more"]), (&json!(true), &json!(false)));
}

#[tokio::test]
async fn the_same_definition_again_changes_nothing_and_an_unused_one_may_change() {
    let workspace = Workspace::test("team").await;
    let field = json!({"name": "level", "type": "integer", "schema": {"minimum": 1}});
    let first = register(&workspace, &field).await;
    let again = register(&workspace, &field).await;
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (201, 200));
    assert_eq!(first.json(), again.json());
    let other =
        register(&workspace, &json!({"name": "level", "type": "integer", "schema": {"minimum": 2}})).await;
    assert_eq!((other.status.as_u16(), &other.json()["schema"]["minimum"]), (200, &json!(2)));
    assert_eq!(other.json()["created_at"], first.json()["created_at"]);
}

#[tokio::test]
async fn every_problem_of_a_definition_is_400_with_its_pointer() {
    let workspace = Workspace::test("team").await;
    let nested = (0..20).fold(json!({}), |inner, _| json!({"items": inner}));
    for (body, pointer) in [
        (json!({"name": "Mood!", "type": "string"}), "/name"),
        (json!({"name": "a".repeat(41), "type": "string"}), "/name"),
        (json!({"name": "mood", "type": "text"}), "/type"),
        (json!({"name": "mood"}), "/type"),
        (json!({"name": "mood", "type": "string", "colour": "red"}), "/colour"),
        (json!({"name": "mood", "type": "enum"}), "/schema"),
        (json!({"name": "mood", "type": "enum", "schema": {"enum": []}}), "/schema/enum"),
        (json!({"name": "mood", "type": "string", "schema": {"type": "integer"}}), "/schema/type"),
        (json!({"name": "mood", "type": "string", "schema": {"minLength": -1}}), "/schema/minLength"),
        (json!({"name": "mood", "type": "string", "schema": {"pattern": "(a)\\1"}}), "/schema"),
        (
            json!({"name": "mood", "type": "string", "schema": {"$ref": "https://example.com/s"}}),
            "/schema/$ref",
        ),
        (
            json!({"name": "mood", "type": "array", "schema": {"$defs": {"a": {"items": {"$ref": "#/$defs/a"}}}}}),
            "/schema/$defs",
        ),
        (json!({"name": "mood", "type": "string", "schema": {"description": "x".repeat(9_000)}}), "/schema"),
    ] {
        let answer = register(&workspace, &body).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "request.invalid"), "{body}");
        assert!(pointers(&answer).contains(&pointer.to_owned()), "{body}: {}", answer.text);
    }
    let deep = register(&workspace, &json!({"name": "mood", "type": "array", "schema": nested})).await;
    assert_eq!(deep.status, 400, "{}", deep.text);
    assert_eq!(workspace.all(PATH).await, Vec::<Value>::new(), "nothing of what was refused is kept");
}

#[tokio::test]
async fn a_workspace_has_fifty_fields_at_most_however_many_register_at_once() {
    let workspace = Workspace::test("team").await;
    for number in 0..48 {
        registered(&workspace, &json!({"name": format!("f{number}"), "type": "string"})).await;
    }
    let more = (48..53).map(|number| {
        let workspace = &workspace;
        async move { register(workspace, &json!({"name": format!("f{number}"), "type": "string"})).await }
    });
    let statuses: Vec<u16> = join_all(more).await.iter().map(|answer| answer.status.as_u16()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 2, "{statuses:?}");
    assert!(statuses.iter().all(|status| [201, 400].contains(status)), "{statuses:?}");
    assert_eq!(workspace.all(PATH).await.len(), 50);
}

#[tokio::test]
async fn the_schemas_of_a_workspace_have_64_kib_together() {
    let workspace = Workspace::test("team").await;
    let large =
        |name: &str| json!({"name": name, "type": "string", "schema": {"description": "x".repeat(8_000)}});
    for number in 0..8 {
        registered(&workspace, &large(&format!("f{number}"))).await;
    }
    let answer = register(&workspace, &large("one_more")).await;
    assert_eq!(
        (answer.status.as_u16(), pointers(&answer)),
        (400, vec!["/schema".to_owned()]),
        "{}",
        answer.text
    );
    assert_eq!(register(&workspace, &large("f3")).await.status, 200);
    let all: serde_json::Map<String, Value> =
        (0..8).map(|n| (format!("f{n}"), json!("y".repeat(12_000)))).collect();
    let whole = workspace.post("/v1/personas", &json!({"intent": BRIEF, "custom_fields": all})).await;
    assert_eq!(whole.status, 201, "{}", whole.text);
    let mut more = all.clone();
    more["f0"] = json!("y".repeat(20_000));
    let refused = workspace.post("/v1/personas", &json!({"intent": BRIEF, "custom_fields": more})).await;
    assert_eq!((refused.status.as_u16(), pointers(&refused)), (400, vec!["/custom_fields".to_owned()]));
}

#[tokio::test]
async fn a_field_in_use_is_neither_changed_nor_deleted() {
    let workspace = Workspace::test("team").await;
    let path = "/v1/schema/fields/house";
    registered(&workspace, &json!({"name": "house", "type": "string"})).await;
    let body = json!({"intent": BRIEF, "custom_fields": {"house": "lion"}});
    let persona = workspace.post("/v1/personas", &body).await;
    assert_eq!(persona.status, 201, "{}", persona.text);
    let persona = format!("/v1/personas/{}", persona.json()["id"].as_str().unwrap());
    assert_eq!(uses(&workspace, "house").await, 1);
    let changed = register(&workspace, &json!({"name": "house", "type": "integer"})).await;
    assert_eq!((changed.status.as_u16(), changed.code().as_str()), (409, "schema.field_in_use"));
    let gone = delete(&workspace, path).await;
    assert_eq!((gone.status.as_u16(), gone.code().as_str()), (409, "schema.field_in_use"), "{}", gone.text);
    let read = workspace.get(&persona).await.json();
    assert_eq!(read["custom_fields"], json!({"house": "lion"}));
    assert_eq!(delete(&workspace, &persona).await.status, 200);
    assert_eq!(uses(&workspace, "house").await, 0);
    assert_eq!(delete(&workspace, path).await.status, 200);
}

#[tokio::test]
async fn a_run_holds_its_fields_until_it_fails_or_is_cancelled() {
    let workspace = Workspace::test("team").await;
    registered(&workspace, &json!({"name": "house", "type": "string"})).await;
    let slow = json!({"intent": format!("[[trigger:slow]] {BRIEF}"), "custom_fields": {"house": "lion"}});
    let run = tests::support::runs::begin(&workspace, &slow).await;
    assert_eq!(delete(&workspace, "/v1/schema/fields/house").await.code(), "schema.field_in_use");
    assert_eq!(workspace.post(&format!("/v1/runs/{run}/cancel"), &json!({})).await.status, 200);
    assert_eq!(uses(&workspace, "house").await, 0);
    let blocked = json!({"intent": format!("[[trigger:moderation_block]] {BRIEF}"), "custom_fields": {"house": "lion"}});
    assert_eq!(workspace.post("/v1/personas", &blocked).await.code(), "moderation.intent_blocked");
    assert_eq!(uses(&workspace, "house").await, 0);
    assert_eq!(delete(&workspace, "/v1/schema/fields/house").await.status, 200);
}

#[tokio::test]
async fn a_deletion_and_creations_at_once_never_leave_a_persona_with_an_unknown_field() {
    let workspace = Workspace::test("team").await;
    for round in 0..3 {
        registered(&workspace, &json!({"name": "house", "type": "string"})).await;
        let body = json!({"intent": BRIEF, "custom_fields": {"house": "lion"}});
        let creations = join_all((0..3).map(|_| workspace.post("/v1/personas", &body)));
        let (made, gone) = tokio::join!(creations, delete(&workspace, "/v1/schema/fields/house"));
        let made: Vec<_> = made.into_iter().filter(|answer| answer.status == 201).collect();
        if gone.status == 200 {
            assert_eq!(made.len(), 0, "round {round}: personas have a field that is gone");
            continue;
        }
        assert_eq!(gone.code(), "schema.field_in_use");
        assert_eq!(uses(&workspace, "house").await, made.len() as u64);
        for persona in made {
            let path = format!("/v1/personas/{}", persona.json()["id"].as_str().unwrap());
            assert_eq!(delete(&workspace, &path).await.status, 200);
        }
        assert_eq!(delete(&workspace, "/v1/schema/fields/house").await.status, 200);
    }
}

#[tokio::test]
async fn creations_at_once_are_all_counted() {
    let workspace = Workspace::test("team").await;
    registered(&workspace, &json!({"name": "house", "type": "string"})).await;
    let slow = json!({"intent": format!("[[trigger:slow]] {BRIEF}"), "custom_fields": {"house": "lion"}});
    let runs = join_all((0..16).map(|_| tests::support::runs::begin(&workspace, &slow))).await;
    assert_eq!(uses(&workspace, "house").await, 16);
    let cancels = runs.iter().map(|run| {
        let path = format!("/v1/runs/{run}/cancel");
        let workspace = &workspace;
        async move { workspace.post(&path, &json!({})).await.status.as_u16() }
    });
    assert_eq!(join_all(cancels).await, vec![200; 16]);
    assert_eq!(uses(&workspace, "house").await, 0);
}

#[tokio::test]
async fn another_workspaces_fields_are_unknown() {
    let (owner, stranger) = (Workspace::test("team").await, Workspace::test("team").await);
    registered(&owner, &json!({"name": "house", "type": "string", "required": true})).await;
    assert_eq!(stranger.all(PATH).await, Vec::<Value>::new());
    assert_eq!(delete(&stranger, "/v1/schema/fields/house").await.code(), "resource.not_found");
    let theirs = json!({"intent": BRIEF, "custom_fields": {"house": "lion"}});
    assert_eq!(pointers(&stranger.post("/v1/personas", &theirs).await), ["/custom_fields/house"]);
    assert_eq!(stranger.post("/v1/personas", &json!({"intent": BRIEF})).await.status, 201);
    registered(&stranger, &json!({"name": "house", "type": "integer"})).await;
    assert_eq!(uses(&owner, "house").await, 0);
    let reader = owner.with_key(&["read"], None).await;
    assert_eq!(reader.all(PATH).await.len(), 1);
    assert_eq!(delete(&reader, "/v1/schema/fields/house").await.code(), "auth.insufficient_scope");
}
