//! `PUT /v1/personas/{persona}`, and what PUT and PATCH share.
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, Workspace, send};

const BRIEF: &str = "A 54-year-old chef from New York who plays the cello";

fn path(persona: &Value) -> String {
    format!("/v1/personas/{}", persona["id"].as_str().unwrap())
}

async fn put(workspace: &Workspace, persona: &Value, body: &Value) -> Answer {
    send(workspace.call(Method::PUT, &path(persona)).json(body)).await
}

fn pointers(answer: &Answer) -> Vec<String> {
    let details = answer.json()["error"]["details"].as_array().cloned().unwrap_or_default();
    let mut pointers: Vec<String> =
        details.iter().map(|detail| detail["pointer"].as_str().unwrap().to_owned()).collect();
    pointers.sort();
    pointers
}

#[tokio::test]
async fn an_edit_is_a_new_version_and_the_old_one_stays_readable() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await;
    let mut body = persona.clone();
    body["soul"]["core_fear"] = json!("An empty dining room.");
    body["metadata"] = json!({"studio": "north"});
    let answer = put(&workspace, &persona, &body).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("etag")),
        (200, "\"v2\"".to_owned()),
        "{}",
        answer.text
    );
    let edited = answer.json();
    assert_eq!((&edited["version"], &edited["soul"]), (&json!(2), &body["soul"]));
    assert_eq!(edited["created_at"], persona["created_at"]);
    assert!(edited["updated_at"].as_str() > persona["updated_at"].as_str());
    assert_ne!(edited["lineage"]["digest"], persona["lineage"]["digest"]);
    assert_eq!(workspace.get(&path(&persona)).await.json(), edited);
    assert_eq!(workspace.get(&format!("{}?version=1", path(&persona))).await.json(), persona);
    assert_eq!(workspace.get(&format!("{}?version=3", path(&persona))).await.status, 404);
    let listed = workspace.get("/v1/personas").await.json();
    assert_eq!(listed["data"], json!([edited]));
}

#[tokio::test]
async fn a_document_sent_back_as_it_came_is_no_new_version() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await;
    let answer = put(&workspace, &persona, &persona).await;
    assert_eq!((answer.status.as_u16(), answer.header("etag")), (200, "\"v1\"".to_owned()));
    assert_eq!(answer.json(), persona);
    assert_eq!(
        workspace.get(&format!("{}/versions", path(&persona))).await.json()["data"].as_array().unwrap().len(),
        1
    );
}

#[tokio::test]
async fn what_cannot_be_edited_and_what_is_wrong_is_told_at_once_and_changes_nothing() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await;
    let mut body = persona.clone();
    body["id"] = json!("psn_0352hlJa4GkymUp58g1CfP");
    body["version"] = json!(9);
    body["created_at"] = json!("2020-01-01T00:00:00.000Z");
    body["colour"] = json!("red");
    body["slug"] = json!("No Slug");
    body["language"] = json!("xx");
    body["visibility"] = json!("secret");
    body["metadata"] = json!({"n": 1});
    body["custom_fields"] = json!({"zodiac": "leo"});
    body["identity"]["age"] = json!(151);
    body["soul"]["values"][0]["weight"] = json!("much");
    body.as_object_mut().unwrap().remove("voice");
    let answer = put(&workspace, &persona, &body).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (400, "request.invalid".to_owned()));
    assert_eq!(
        pointers(&answer),
        [
            "/colour",
            "/created_at",
            "/custom_fields/zodiac",
            "/id",
            "/identity/age",
            "/language",
            "/metadata/n",
            "/slug",
            "/soul/values/0/weight",
            "/version",
            "/visibility",
            "/voice",
        ]
    );
    for (kind, body) in [
        ("application/json", "[]"),
        ("application/json", "{"),
        ("application/json", ""),
        ("application/yaml", "a: [1"),
        ("application/yaml", "- 1"),
    ] {
        let request = workspace.call(Method::PUT, &path(&persona)).header("content-type", kind).body(body);
        assert_eq!(send(request).await.code(), "request.invalid", "{kind} {body}");
    }
    assert_eq!(workspace.get(&path(&persona)).await.json(), persona);
}

#[tokio::test]
async fn a_contradiction_is_422_with_its_places_and_changes_nothing() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await;
    let mut body = persona.clone();
    body["identity"]["age"] = json!(12);
    body["relations"][0]["name"] = persona["identity"]["name"].clone();
    let answer = put(&workspace, &persona, &body).await;
    assert_eq!(
        (answer.status.as_u16(), answer.code()),
        (422, "persona.schema_violation".to_owned()),
        "{}",
        answer.text
    );
    let pointers = pointers(&answer);
    assert!(pointers.iter().any(|pointer| pointer.starts_with("/history/timeline/")), "{pointers:?}");
    assert!(pointers.iter().any(|pointer| pointer.starts_with("/relations/0")), "{pointers:?}");
    assert_eq!(workspace.get(&path(&persona)).await.json(), persona);
}

#[tokio::test]
async fn a_stale_if_match_is_refused() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await;
    let mut body = persona.clone();
    body["metadata"] = json!({"a": "1"});
    let with = |tag: &'static str, body: &Value| {
        workspace.call(Method::PUT, &path(&persona)).header("if-match", tag).json(body)
    };
    let first = send(with("\"v1\"", &body)).await;
    assert_eq!(first.status, 200, "{}", first.text);
    for tag in ["\"v1\"", "W/\"v2\"", "v2", "\"nonsense\""] {
        let answer = send(with(tag, &body)).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code()),
            (412, "request.precondition_failed".to_owned()),
            "{tag}"
        );
    }
    let mut again = first.json();
    again["metadata"] = json!({"a": "2"});
    assert_eq!(send(with("\"v1\", \"v2\"", &again)).await.header("etag"), "\"v3\"");
    let deletion =
        |tag: &'static str| workspace.call(Method::DELETE, &path(&persona)).header("if-match", tag);
    assert_eq!(send(deletion("\"v2\"")).await.status, 412);
    assert_eq!(send(deletion("*")).await.status, 200);
}

#[tokio::test]
async fn a_new_slug_frees_the_old_one_and_a_taken_one_is_409() {
    let workspace = Workspace::test("team").await;
    let (one, other) =
        (workspace.persona(BRIEF).await, workspace.persona("A 30-year-old baker from Leeds").await);
    let mut body = one.clone();
    body["slug"] = other["slug"].clone();
    let answer = put(&workspace, &one, &body).await;
    assert_eq!((answer.status.as_u16(), answer.code()), (409, "persona.slug_taken".to_owned()));
    assert_eq!(answer.json()["error"]["param"], "slug");
    body["slug"] = json!("the-cellist");
    assert_eq!(put(&workspace, &one, &body).await.status, 200);
    let old = format!("/v1/personas/{}", one["slug"].as_str().unwrap());
    assert_eq!(workspace.get(&old).await.status, 404);
    assert_eq!(workspace.get("/v1/personas/the-cellist").await.json()["id"], one["id"]);
    let mut body = other.clone();
    body["slug"] = one["slug"].clone();
    assert_eq!(put(&workspace, &other, &body).await.status, 200);
    assert_eq!(workspace.get(&old).await.json()["id"], other["id"]);
}

#[tokio::test]
async fn another_workspace_and_a_reader_cannot_edit() {
    let (workspace, stranger) = (Workspace::test("team").await, Workspace::test("team").await);
    let persona = workspace.persona(BRIEF).await;
    assert_eq!(put(&stranger, &persona, &persona).await.status, 404);
    let reader = workspace.with_key(&["read"], None).await;
    assert_eq!(put(&reader, &persona, &persona).await.code(), "auth.insufficient_scope");
    let writer = workspace.with_key(&["read", "write"], None).await;
    assert_eq!(put(&writer, &persona, &persona).await.status, 404, "it is private to the key that made it");
}

#[tokio::test]
async fn yaml_goes_out_and_comes_back_without_a_new_version() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await;
    let yaml = send(workspace.call(Method::GET, &path(&persona)).header("accept", "application/yaml")).await;
    let push = |text: String| {
        workspace.call(Method::PUT, &path(&persona)).header("content-type", "application/yaml").body(text)
    };
    let answer = send(push(format!("# Pulled, and commented.\n{}", yaml.text))).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("etag")),
        (200, "\"v1\"".to_owned()),
        "{}",
        answer.text
    );

    let strange = "no\nyes: \"007\"\n\n  - ~ 🐙 #x\r\n'…\u{85}\ttab";
    let mut edited = persona.clone();
    edited["soul"]["wound"] = json!(strange);
    edited["metadata"] = json!({"on": "no", "007": "1e3", "~": "null", "": "- a\n- b", "é": "2026-11-01"});
    edited["soul"]["values"][0]["weight"] = json!(0.300_000_000_000_000_04);
    let stored = put(&workspace, &persona, &edited).await;
    assert_eq!(stored.header("etag"), "\"v2\"", "{}", stored.text);
    let yaml = send(workspace.call(Method::GET, &path(&persona)).header("accept", "text/yaml")).await;
    let answer = send(push(yaml.text)).await;
    assert_eq!(answer.header("etag"), "\"v2\"", "{}", answer.text);
    assert_eq!(answer.json(), stored.json());
    assert_eq!(answer.json()["soul"]["wound"], strange);
}

#[tokio::test]
async fn hostile_yaml_is_400_with_line_and_column() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await;
    let bomb = (1..12).fold("a0: &a0 [lol]\n".to_owned(), |text, n| {
        text + &format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 9].join(", "))
    });
    let deep = format!("a: {}{}", "[".repeat(5_000), "]".repeat(5_000));
    for text in [bomb, deep, "a: 1\na: 2".to_owned(), "a: *nobody".to_owned()] {
        let request = workspace
            .call(Method::PUT, &path(&persona))
            .header("content-type", "application/yaml")
            .body(text);
        let answer = send(request).await;
        assert_eq!(answer.code(), "request.invalid", "{}", answer.text);
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains("line ") && message.contains("column "), "{message}");
    }
    let huge = format!("a: {}", "x".repeat(300_000));
    let request =
        workspace.call(Method::PUT, &path(&persona)).header("content-type", "application/yaml").body(huge);
    assert_eq!(send(request).await.status, 413);
    assert_eq!(workspace.get(&path(&persona)).await.json(), persona);
}

#[tokio::test]
async fn a_persona_of_every_brief_survives_yaml_and_json_in_every_language() {
    let workspace = Workspace::test("enterprise").await;
    let intents: Vec<&str> =
        include_str!("../../data/intents.txt").lines().filter(|line| !line.trim().is_empty()).collect();
    let languages = ["en", "tr", "de", "fr", "es", "it", "pt", "ja", "zh", "ar", "ru", "pl"];
    assert!(intents.len() >= 60);
    let walk = async |at: usize, intent: &str| {
        let body = json!({"intent": intent, "seed": at, "language": languages[at % languages.len()], "pipeline": "fast"});
        let answer = workspace.post("/v1/personas", &body).await;
        assert_eq!(answer.status, 201, "{intent}: {}", answer.text);
        let persona = answer.json();
        let yaml =
            send(workspace.call(Method::GET, &path(&persona)).header("accept", "application/yaml")).await;
        let push = workspace.call(Method::PUT, &path(&persona)).header("content-type", "application/yaml");
        let answer = send(push.body(yaml.text.clone())).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("etag")),
            (200, "\"v1\"".to_owned()),
            "{}",
            yaml.text
        );
        assert_eq!(answer.json(), persona);
    };
    for some in intents.iter().enumerate().collect::<Vec<_>>().chunks(4) {
        futures_util::future::join_all(some.iter().map(|(at, intent)| walk(*at, intent))).await;
    }
}
