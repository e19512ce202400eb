//! `GET /v1/openai/models`, whole and one.

use serde_json::{Value, json};
use tests::Workspace;

use super::{BRIEF, refused};

const MODELS: &str = "/v1/openai/models";

async fn listed(workspace: &Workspace) -> Vec<String> {
    let list = workspace.get(MODELS).await.json();
    assert_eq!(list["object"], "list");
    let ids = list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap().to_owned());
    ids.collect()
}

#[tokio::test]
async fn a_key_sees_whom_it_may_talk_to_and_the_embedding_models() {
    let workspace = Workspace::test("team").await;
    let own = workspace.persona(BRIEF).await;
    let body = json!({"intent": "A 30-year-old baker from Leeds", "visibility": "workspace"});
    let shared = workspace.post("/v1/personas", &body).await.json();
    let slug = |persona: &Value| persona["slug"].as_str().unwrap().to_owned();
    assert_eq!(listed(&workspace).await, [slug(&shared), slug(&own), "sandbox-1".to_owned()]);
    let colleague = workspace.with_key(&["chat"], None).await;
    assert_eq!(listed(&colleague).await, [slug(&shared), "sandbox-1".to_owned()]);
    let one = |id: String| format!("{MODELS}/{id}");
    assert_eq!(colleague.get(&one(slug(&shared))).await.status, 200);
    assert_eq!(refused(&colleague.get(&one(slug(&own))).await, 404, "model_not_found"), "model");
}

#[tokio::test]
async fn a_model_is_called_as_it_was_asked_for() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await;
    let id = persona["id"].as_str().unwrap();
    for name in [id.to_owned(), persona["slug"].as_str().unwrap().to_owned(), format!("{id}@1")] {
        let model = workspace.get(&format!("{MODELS}/{name}")).await.json();
        assert_eq!((&model["id"], &model["object"]), (&json!(name), &json!("model")));
        assert_eq!(
            (&model["persona"]["persona_id"], &model["persona"]["version"]),
            (&persona["id"], &json!(1))
        );
        assert_eq!(model["persona"]["name"], persona["identity"]["name"]);
        assert!(model["created"].as_i64().unwrap() > 1_700_000_000, "{model}");
    }
    let embeds = workspace.get(&format!("{MODELS}/sandbox-1")).await.json();
    assert_eq!((&embeds["id"], embeds.get("persona")), (&json!("sandbox-1"), None));
    for unknown in ["nobody", "psn_0352hlJa4GkymUp58g1CfP", "@1"] {
        refused(&workspace.get(&format!("{MODELS}/{unknown}")).await, 404, "model_not_found");
    }
}
