//! `PATCH /v1/personas/{persona}`.
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, Workspace, send};

const BRIEF: &str = "A 47-year-old glazier from Porto who keeps bees";

fn path(persona: &Value) -> String {
    format!("/v1/personas/{}", persona["id"].as_str().unwrap())
}

async fn patch(workspace: &Workspace, persona: &Value, body: &Value) -> Answer {
    send(workspace.call(Method::PATCH, &path(persona)).json(body)).await
}

#[tokio::test]
async fn a_merge_patch_changes_what_it_names_and_nothing_else() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await;
    let body = json!({"identity": {"residence": "Braga"}, "metadata": {"studio": "north", "wing": "left"}});
    let request = workspace
        .call(Method::PATCH, &path(&persona))
        .header("content-type", "application/merge-patch+json")
        .body(body.to_string());
    let answer = send(request).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("etag")),
        (200, "\"v2\"".to_owned()),
        "{}",
        answer.text
    );
    let mut wanted = persona.clone();
    wanted["identity"]["residence"] = json!("Braga");
    wanted["metadata"] = json!({"studio": "north", "wing": "left"});
    let edited = answer.json();
    for key in [
        "identity",
        "soul",
        "voice",
        "history",
        "relations",
        "knowledge",
        "boundaries",
        "scenario",
        "metadata",
        "slug",
    ] {
        assert_eq!(edited[key], wanted[key], "{key}");
    }
    let answer = patch(&workspace, &persona, &json!({"metadata": {"wing": null}})).await;
    assert_eq!(answer.json()["metadata"], json!({"studio": "north"}));
    let answer = patch(&workspace, &persona, &json!({"metadata": null})).await;
    assert_eq!((&answer.json()["metadata"], &answer.json()["version"]), (&json!({}), &json!(4)));
}

#[tokio::test]
async fn a_patch_that_changes_nothing_is_no_new_version() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await;
    for body in [
        json!({}),
        json!({"identity": {"age": persona["identity"]["age"]}}),
        json!({"version": 1, "id": persona["id"]}),
    ] {
        let answer = patch(&workspace, &persona, &body).await;
        assert_eq!((answer.status.as_u16(), answer.header("etag")), (200, "\"v1\"".to_owned()), "{body}");
        assert_eq!(answer.json(), persona);
    }
}

#[tokio::test]
async fn what_a_patch_may_not_do_is_told_with_pointers() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await;
    for (body, pointer) in [
        (json!({"soul": null}), "/soul"),
        (json!({"slug": null}), "/slug"),
        (json!({"slug": "import"}), "/slug"),
        (json!({"identity": {"name": null}}), "/identity/name"),
        (json!({"voice": {"samples": []}}), "/voice/samples"),
        (json!({"version": 2}), "/version"),
        (json!({"lineage": {"seed": 1}}), "/lineage"),
        (json!({"nobody": 1}), "/nobody"),
        (json!({"metadata": {"extensions": "text"}}), "/metadata/extensions"),
    ] {
        let answer = patch(&workspace, &persona, &body).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code()),
            (400, "request.invalid".to_owned()),
            "{body}: {}",
            answer.text
        );
        assert_eq!(answer.json()["error"]["details"][0]["pointer"], pointer, "{body}");
    }
    let answer = patch(&workspace, &persona, &json!({"language": "ru"})).await;
    assert_eq!(answer.code(), "persona.schema_violation", "its lines are English");
    let request = workspace
        .call(Method::PATCH, &path(&persona))
        .header("content-type", "application/yaml")
        .body("a: 1");
    assert_eq!(send(request).await.status, 415);
    assert_eq!(workspace.get(&path(&persona)).await.json(), persona);
}

#[tokio::test]
async fn a_persona_is_kept_well_below_what_an_item_may_have() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await;
    let half = "x".repeat(200_000);
    assert_eq!(
        patch(&workspace, &persona, &json!({"metadata": {"extensions": {"a": half}}})).await.status,
        200
    );
    let answer = patch(&workspace, &persona, &json!({"metadata": {"extensions": {"b": half}}})).await;
    assert_eq!(
        (answer.status.as_u16(), answer.code()),
        (413, "request.payload_too_large".to_owned()),
        "{}",
        answer.text
    );
    let listed = workspace.get("/v1/personas").await.json();
    assert_eq!(listed["data"][0]["metadata"], json!({}), "lists leave out what cards brought");
    assert_eq!(workspace.get(&path(&persona)).await.json()["metadata"]["extensions"]["a"], half);
}

#[tokio::test]
async fn edits_at_the_same_time_are_all_kept() {
    let workspace = Workspace::test("enterprise").await;
    let persona = workspace.persona(BRIEF).await;
    let bodies: Vec<Value> = (0..8).map(|n| json!({"metadata": {format!("k{n}"): "v"}})).collect();
    let answers = join_all(bodies.iter().map(|body| patch(&workspace, &persona, body))).await;
    let made = answers.iter().filter(|answer| answer.status == 200).count();
    assert!(answers.iter().all(|answer| [200, 412].contains(&answer.status.as_u16())), "{answers:?}");
    let after = workspace.get(&path(&persona)).await.json();
    assert_eq!(after["metadata"].as_object().unwrap().len(), made);
    assert_eq!(after["version"], 1 + made);
    assert!(made >= 4, "most are kept: {made}");
}

#[tokio::test]
async fn of_fifty_who_want_one_slug_exactly_one_gets_it() {
    let workspace = Workspace::test("enterprise").await;
    let mut personas = Vec::new();
    for _ in 0..10 {
        personas.push(workspace.persona(BRIEF).await);
    }
    let slug = json!({"slug": "the-one"});
    let create = json!({"intent": BRIEF, "slug": "the-one", "pipeline": "fast"});
    let renames = join_all((0..25).map(|n| patch(&workspace, &personas[n % 10], &slug)));
    let creations = join_all((0..25).map(|_| workspace.post("/v1/personas", &create)));
    let (renamed, created) = futures_util::future::join(renames, creations).await;
    let owner = workspace.get("/v1/personas/the-one").await.json();
    for answer in renamed.iter().chain(&created) {
        match answer.status.as_u16() {
            200 | 201 => assert_eq!(answer.json()["id"], owner["id"]),
            409 => assert_eq!(answer.code(), "persona.slug_taken"),
            // A single persona was renamed by several at once.
            other => assert_eq!(other, 412, "{}", answer.text),
        }
    }
    let with_it =
        workspace.all("/v1/personas").await.into_iter().filter(|persona| persona["slug"] == "the-one");
    assert_eq!(with_it.count(), 1);
}

#[tokio::test]
async fn a_conversation_stays_with_its_version_and_a_new_one_takes_the_newest() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await;
    let begin = async || {
        let begun =
            workspace.post("/v1/chat/conversations", &json!({"persona_id": persona["id"]})).await.json();
        format!("/v1/chat/conversations/{}/messages", begun["id"].as_str().unwrap())
    };
    let old = begin().await;
    let said = json!({"message": "Good evening"});
    assert_eq!(workspace.post(&old, &said).await.json()["persona_version"], 1);
    assert_eq!(patch(&workspace, &persona, &json!({"identity": {"residence": "Braga"}})).await.status, 200);
    assert_eq!(workspace.post(&old, &said).await.json()["persona_version"], 1);
    assert_eq!(workspace.post(&begin().await, &said).await.json()["persona_version"], 2);
}
