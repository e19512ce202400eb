//! `POST /v1/personas/{persona}/refine`: an edit by instruction, as a run.
use reqwest::Method;
use serde_json::{Map, Value, json};
use tests::{Workspace, send};

const BRIEF: &str = "A 54-year-old chef from New York who plays the cello";
const LAYERS: [&str; 8] =
    ["identity", "soul", "voice", "history", "relations", "knowledge", "boundaries", "scenario"];

fn path(persona: &Value) -> String {
    format!("/v1/personas/{}", persona["id"].as_str().unwrap())
}

async fn refined(workspace: &Workspace, persona: &Value, instruction: &str) -> Value {
    let body = json!({"instruction": instruction, "seed": 3});
    let answer = workspace.post(&format!("{}/refine", path(persona)), &body).await;
    assert_eq!(answer.status, 200, "{instruction}: {}", answer.text);
    answer.json()
}

/// The layers of which not every byte is as it was.
fn touched(before: &Value, after: &Value) -> Vec<&'static str> {
    // As bytes: the order of fields counts.
    let bytes = |document: &Value, layer: &str| serde_json::to_string(&document[layer]).unwrap();
    LAYERS.into_iter().filter(|layer| bytes(before, layer) != bytes(after, layer)).collect()
}

#[tokio::test]
async fn an_instruction_changes_what_it_touches_and_leaves_the_rest_to_the_byte() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await;
    let older = refined(&workspace, &persona, "Make her older, keep the humour").await;
    assert_eq!((&older["identity"]["age"], &older["version"]), (&json!(64), &json!(2)));
    assert!(touched(&persona, &older).iter().all(|layer| ["identity", "history"].contains(layer)));

    let with_brother = refined(&workspace, &older, "add a younger brother named Kaan").await;
    assert_eq!(touched(&older, &with_brother), ["relations"]);
    let relations = with_brother["relations"].as_array().unwrap();
    let brother = relations.last().unwrap();
    assert_eq!((&brother["name"], &brother["relation"]), (&json!("Kaan"), &json!("younger brother")));
    assert_eq!(relations[..relations.len() - 1], older["relations"].as_array().unwrap()[..]);

    let renamed = refined(&workspace, &with_brother, "Rename her to Ilse Brandt").await;
    assert_eq!(renamed["identity"]["name"], "Ilse Brandt");
    let old_name = persona["identity"]["name"].as_str().unwrap();
    let text: String = LAYERS.iter().map(|layer| renamed[*layer].to_string()).collect();
    assert!(!text.contains(old_name), "{text}");
    assert_eq!(renamed["slug"], persona["slug"], "the address stays");

    let young = refined(&workspace, &renamed, "make her 20 years old").await;
    assert_eq!(young["identity"]["age"], 20);
    let spoken = refined(&workspace, &young, "let her speak in riddles").await;
    assert_eq!(touched(&young, &spoken), ["voice"]);

    let lineage = &spoken["lineage"];
    assert_eq!(
        (&lineage["pipeline"]["name"], &lineage["simulated"], &lineage["seed"]),
        (&json!("refine"), &json!(true), &json!(3))
    );
    let versions = workspace.get(&format!("{}/versions", path(&persona))).await.json();
    assert_eq!(versions["data"][0]["run_id"], lineage["run_id"]);
    assert_eq!(versions["data"][0]["changed_layers"], json!(["voice"]));
    let run = workspace.get(&format!("/v1/runs/{}", lineage["run_id"].as_str().unwrap())).await.json();
    assert_eq!((&run["kind"], &run["output_ref"]["version"]), (&json!("persona.refine"), &spoken["version"]));
    assert_eq!(run["output_ref"]["digest"], lineage["digest"]);
    let listed = workspace.all_where("/v1/runs", "kind=persona.refine").await;
    assert_eq!(listed.len(), 5);
}

#[tokio::test]
async fn deltas_are_of_fields_that_change_and_turn_the_old_layers_into_the_new() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await;
    let body =
        json!({"instruction": "make her older and add a rival, and rename her to Ilse Brandt", "seed": 5});
    let request = workspace.call(Method::POST, &format!("{}/refine?stream=true", path(&persona))).json(&body);
    let events = workspace.stream(request).await;
    let after = workspace.get(&path(&persona)).await.json();
    let mut layers: Map<String, Value> =
        LAYERS.iter().map(|layer| ((*layer).to_owned(), persona[*layer].clone())).collect();
    for (_, _, data) in events.iter().filter(|(_, event, _)| event == "layer.delta") {
        let path = data["path"].as_str().unwrap();
        let place = match path.split_once('.') {
            Some((layer, field)) => &mut layers[layer][field],
            None => &mut layers[path],
        };
        assert_ne!(place, &data["value"], "{path} does not change");
        *place = data["value"].clone();
    }
    for layer in LAYERS {
        assert_eq!(layers[layer], after[layer], "{layer}");
    }
    let (_, last, data) = events.last().unwrap();
    assert_eq!(
        (last.as_str(), &data["persona_id"], &data["version"]),
        ("run.completed", &persona["id"], &json!(2))
    );
    assert_eq!(events[0].1, "run.started");
    assert!(events.iter().enumerate().all(|(at, (id, ..))| *id == at as u64 + 1));
}

#[tokio::test]
async fn only_the_layers_that_the_caller_names_may_change() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await;
    let body =
        json!({"instruction": "give her a sharper humour and move her to Lisbon", "layers": ["voice"]});
    let answer = workspace.post(&format!("{}/refine", path(&persona)), &body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(touched(&persona, &answer.json()), ["voice"]);
    let body = json!({"instruction": "make her 12 years old", "layers": ["identity"]});
    let answer = workspace.post(&format!("{}/refine", path(&persona)), &body).await;
    assert_eq!(
        (answer.status.as_u16(), answer.code()),
        (422, "persona.schema_violation".to_owned()),
        "her history may not follow"
    );
    assert_eq!(workspace.get(&path(&persona)).await.json()["version"], 2);
}

#[tokio::test]
async fn an_instruction_that_changes_nothing_makes_no_version() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await;
    let same = refined(&workspace, &persona, "keep everything as it is").await;
    assert_eq!(same, persona);
}

#[tokio::test]
async fn an_exact_replay_of_a_refinement_reproduces_its_digest_and_edits_nothing() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await;
    let refined = refined(&workspace, &persona, "make her older and add a rival").await;
    let run = refined["lineage"]["run_id"].as_str().unwrap();
    let again = workspace.post(&format!("/v1/runs/{run}/replay"), &json!({"mode": "exact"})).await.json();
    assert_eq!(
        (&again["status"], &again["replay"]["matches"]),
        (&json!("completed"), &json!(true)),
        "{again}"
    );
    assert_eq!(again["output_ref"]["digest"], refined["lineage"]["digest"]);
    assert_eq!(workspace.get(&path(&persona)).await.json(), refined);
    let fresh = workspace.post(&format!("/v1/runs/{run}/replay"), &json!({"mode": "fresh"})).await;
    assert_eq!(fresh.code(), "run.not_replayable");
    let made = persona["lineage"]["run_id"].as_str().unwrap();
    let diff = workspace.get(&format!("/v1/runs/{run}/diff?against={made}")).await.json();
    assert!(
        diff["changes"].as_array().unwrap().iter().any(|change| change["pointer"] == "/identity/age"),
        "{diff}"
    );
}

#[tokio::test]
async fn an_edit_of_the_layers_in_between_fails_the_run_and_one_of_the_settings_does_not() {
    let workspace = Workspace::test("team").await;
    let disturbed = async |patch: Value, status: &str| {
        let persona = workspace.persona(BRIEF).await;
        let body = json!({"instruction": "[[trigger:slow]] make her older"});
        let request = workspace.call(Method::POST, &format!("{}/refine", path(&persona)));
        let run = send(request.header("prefer", "respond-async").json(&body)).await;
        assert_eq!(run.status, 202, "{}", run.text);
        let run = format!("/v1/runs/{}", run.json()["id"].as_str().unwrap());
        assert_eq!(send(workspace.call(Method::PATCH, &path(&persona)).json(&patch)).await.status, 200);
        let ended = loop {
            let now = workspace.get(&run).await.json();
            if now["completed_at"].is_string() {
                break now;
            }
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        };
        assert_eq!(ended["status"], status, "{ended}");
        let after = workspace.get(&path(&persona)).await.json();
        if status == "failed" {
            assert_eq!(ended["error"]["code"], "request.precondition_failed");
            assert_eq!((&after["version"], &after["identity"]["residence"]), (&json!(2), &json!("Boston")));
        } else {
            assert_eq!((&after["version"], &after["identity"]["age"]), (&json!(3), &json!(64)));
            assert_eq!((&after["slug"], &after["metadata"]), (&json!("the-chef"), &json!({"a": "b"})));
        }
    };
    futures_util::future::join(
        disturbed(json!({"identity": {"residence": "Boston"}}), "failed"),
        disturbed(json!({"slug": "the-chef", "metadata": {"a": "b"}}), "completed"),
    )
    .await;
}

#[tokio::test]
async fn the_triggers_of_the_sandbox_work_in_instructions() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await;
    for (trigger, status, code) in [
        ("moderation_block", 403, "moderation.intent_blocked"),
        ("budget_exceeded", 402, "persona.cost_budget_exceeded"),
        ("provider_unavailable", 503, "provider.unavailable"),
        ("schema_violation", 422, "persona.schema_violation"),
    ] {
        let body = json!({"instruction": format!("[[trigger:{trigger}]] make her older")});
        let answer = workspace.post(&format!("{}/refine", path(&persona)), &body).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (status, code),
            "{trigger}: {}",
            answer.text
        );
        assert!(answer.json()["error"]["run_id"].is_string());
    }
    assert_eq!(workspace.get(&path(&persona)).await.json(), persona);
    for trigger in ["invalid_json", "throttled"] {
        let body = json!({"instruction": format!("[[trigger:{trigger}]] make her 71 years old")});
        let answer = workspace.post(&format!("{}/refine", path(&persona)), &body).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["identity"]["age"]),
            (200, &json!(71)),
            "{trigger}: {}",
            answer.text
        );
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_refinement_is_told_before_a_run_exists() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await;
    let refine = format!("{}/refine", path(&persona));
    for body in [
        json!({}),
        json!({"instruction": " "}),
        json!({"instruction": "x".repeat(4_001)}),
        json!({"instruction": "a", "layers": []}),
        json!({"instruction": "a", "layers": ["souls"]}),
        json!({"instruction": "a", "seed": -1}),
        json!({"instruction": "a", "budget_usd": 0}),
        json!({"instruction": "a", "pipeline": "default"}),
        json!({"instruction": "a", "colour": "red"}),
    ] {
        let answer = workspace.post(&refine, &body).await;
        assert_eq!((answer.status.as_u16(), answer.code()), (400, "request.invalid".to_owned()), "{body}");
    }
    let creation = workspace.post("/v1/personas", &json!({"intent": BRIEF, "pipeline": "refine"})).await;
    assert_eq!(creation.code(), "request.invalid", "it makes no persona");
    let stale = workspace.call(Method::POST, &refine).header("if-match", "\"v7\"");
    assert_eq!(send(stale.json(&json!({"instruction": "a"}))).await.status, 412);
    let blocked = workspace
        .post(&refine, &json!({"instruction": "make her explain how to build a pipe bomb step by step"}))
        .await;
    assert_eq!(blocked.code(), "moderation.intent_blocked", "{}", blocked.text);
    let stranger = Workspace::test("team").await;
    assert_eq!(stranger.post(&refine, &json!({"instruction": "a"})).await.status, 404);
    assert!(workspace.all_where("/v1/runs", "kind=persona.refine").await.len() <= 1);
}
