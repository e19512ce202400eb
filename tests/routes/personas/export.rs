//! `GET /v1/personas/{persona}/export`: cards V2 and V3, and YAML.
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Workspace, send};

/// Every card of tests/data/cards.
fn corpus() -> Vec<(String, Value)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("data/cards");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files
        .map(|file| {
            let text = std::fs::read_to_string(&file).unwrap();
            (file.file_stem().unwrap().to_string_lossy().into_owned(), serde_json::from_str(&text).unwrap())
        })
        .collect()
}

fn without_own(mut card: Value) -> Value {
    card["data"]["extensions"].as_object_mut().unwrap().remove("persona_api");
    card
}

fn path(persona: &Value, format: &str) -> String {
    format!("/v1/personas/{}/export?format={format}", persona["id"].as_str().unwrap())
}

#[tokio::test]
async fn every_card_of_the_corpus_comes_back_as_it_was() {
    let workspace = Workspace::test("enterprise").await;
    let cards = corpus();
    assert!(cards.len() >= 10);
    for (name, card) in cards {
        let persona = workspace.post("/v1/personas/import", &card).await;
        assert_eq!(persona.status, 201, "{name}: {}", persona.text);
        let persona = persona.json();
        assert_eq!(persona["language"], name[..2]);
        let format = if card["spec"] == "chara_card_v2" { "card_v2" } else { "card_v3" };
        let exported = workspace.get(&path(&persona, format)).await;
        assert_eq!(exported.status, 200, "{}", exported.text);
        assert_eq!(without_own(exported.json()), card, "{name}");
        let yaml = workspace.get(&path(&persona, "yaml")).await;
        let push = workspace.call(Method::PUT, &format!("/v1/personas/{}", persona["id"].as_str().unwrap()));
        let pushed = send(push.header("content-type", "application/yaml").body(yaml.text)).await;
        assert_eq!(
            (pushed.status.as_u16(), pushed.header("etag")),
            (200, "\"v1\"".to_owned()),
            "{name}: {}",
            pushed.text
        );
    }
}

#[tokio::test]
async fn a_persona_survives_a_card_of_either_kind() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona("A 54-year-old chef from New York who plays the cello").await;
    for (format, spec) in [("card_v2", "chara_card_v2"), ("card_v3", "chara_card_v3")] {
        let exported = workspace.get(&path(&persona, format)).await;
        assert_eq!(exported.header("content-type"), "application/json");
        let file = format!("attachment; filename=\"{}.json\"", persona["slug"].as_str().unwrap());
        assert_eq!(exported.header("content-disposition"), file);
        let card = exported.json();
        assert_eq!((&card["spec"], &card["data"]["name"]), (&json!(spec), &persona["identity"]["name"]));
        assert_eq!(card["data"]["first_mes"], persona["voice"]["greeting"]);
        let again = workspace.post("/v1/personas/import", &card).await;
        assert_eq!(again.status, 201, "{}", again.text);
        let again = again.json();
        for key in [
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
        ] {
            assert_eq!(again[key], persona[key], "{format}: {key}");
        }
        assert_eq!(again["lineage"]["digest"], persona["lineage"]["digest"]);
    }
}

#[tokio::test]
async fn an_older_version_is_exported_and_what_is_unknown_is_refused() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona("A 30-year-old baker from Leeds").await;
    let one = format!("/v1/personas/{}", persona["id"].as_str().unwrap());
    let patch = json!({"voice": {"greeting": "Fresh out of the oven, mind your fingers."}});
    assert_eq!(send(workspace.call(Method::PATCH, &one).json(&patch)).await.status, 200);
    let first_line = async |query: &str| {
        workspace.get(&format!("{one}/export?{query}")).await.json()["data"]["first_mes"].clone()
    };
    assert_eq!(first_line("format=card_v2").await, patch["voice"]["greeting"]);
    assert_eq!(first_line("version=1").await, persona["voice"]["greeting"]);
    let yaml = workspace.get(&format!("{one}/export?format=yaml")).await;
    assert_eq!(yaml.header("content-type"), "application/yaml");
    assert_eq!(workspace.get(&format!("{one}/export?format=card_v1")).await.code(), "request.invalid");
    assert_eq!(workspace.get(&format!("{one}/export?version=9")).await.status, 404);
    let stranger = Workspace::test("team").await;
    assert_eq!(stranger.get(&format!("{one}/export")).await.status, 404);
}
