//! `tools/list` and `prompts/list`: what a key sees of a workspace, page by page.

use serde_json::{Value, json};
use tests::Workspace;

use super::{BRIEF, Host, chat_tool, names};

const COMMON: [&str; 4] = ["list_personas", "get_persona", "create_persona", "search_marketplace"];

#[tokio::test]
async fn every_persona_is_a_tool_besides_those_that_every_workspace_has() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await;
    let host = Host::of(&workspace);
    let list = host.result("tools/list", Value::Null).await;
    assert_eq!((&list["cacheScope"], list["ttlMs"].as_u64()), (&json!("private"), Some(30_000)));
    let tools = list["tools"].as_array().unwrap();
    assert_eq!(names(tools)[..4], COMMON);
    assert_eq!(names(tools)[4..], [chat_tool(&persona)]);
    let chat = &tools[4];
    let name = persona["identity"]["name"].as_str().unwrap();
    assert_eq!(chat["title"], format!("Chat with {name}"));
    assert!(chat["description"].as_str().unwrap().contains(persona["identity"]["summary"].as_str().unwrap()));
    assert_eq!(chat["inputSchema"]["required"], json!(["message"]));
    for tool in tools {
        assert!(tool["name"].as_str().unwrap().len() <= 64);
        assert_eq!(
            (&tool["inputSchema"]["type"], &tool["outputSchema"]["type"]),
            (&json!("object"), &json!("object"))
        );
        assert!(tool["annotations"]["readOnlyHint"].is_boolean(), "{tool}");
    }
}

#[tokio::test]
async fn scopes_decide_what_is_listed_and_what_may_be_called() {
    let owner = Workspace::test("team").await;
    let body = json!({"intent": BRIEF, "visibility": "workspace"});
    let persona = owner.post("/v1/personas", &body).await.json();
    let talk = chat_tool(&persona);
    let seen: [(&str, Vec<&str>, usize); 3] = [
        ("read", vec!["list_personas", "get_persona", "search_marketplace"], 1),
        ("write", vec!["create_persona"], 0),
        ("chat", vec![&talk], 0),
    ];
    for (scope, tools, others) in seen {
        let key = owner.with_key(&[scope], None).await;
        let host = Host::of(&key);
        assert_eq!(names(&host.all("tools/list", "tools").await), tools, "{scope}");
        assert_eq!(host.all("prompts/list", "prompts").await.len(), others, "{scope}");
        assert_eq!(host.all("resources/list", "resources").await.len(), others, "{scope}");
        for tool in COMMON.into_iter().chain([talk.as_str()]).filter(|tool| !tools.contains(tool)) {
            let call = json!({"name": tool, "arguments": {"message": "Hello"}});
            let (code, envelope, told) = host.error("tools/call", call).await;
            assert_eq!(
                (code, envelope.as_str()),
                (-32000, "auth.insufficient_scope"),
                "{scope} {tool}: {told}"
            );
        }
        if scope != "read" {
            let prompt = json!({"name": persona["slug"]});
            assert_eq!(host.error("prompts/get", prompt).await.1, "auth.insufficient_scope");
            let uri = json!({"uri": format!("persona://{}", persona["id"].as_str().unwrap())});
            assert_eq!(host.error("resources/read", uri).await.1, "auth.insufficient_scope");
        }
    }
}

#[tokio::test]
async fn lists_come_in_pages_without_gap_or_repeat() {
    let workspace = Workspace::test("team").await;
    let card = |number: usize| json!({"spec": "chara_card_v2", "spec_version": "2.0", "data": {"name": format!("Pip the {number}th")}});
    let mut slugs = Vec::new();
    for number in 0..55 {
        let made = workspace.post("/v1/personas/import", &card(number)).await;
        assert_eq!(made.status, 201, "{}", made.text);
        slugs.push(made.json()["slug"].as_str().unwrap().to_owned());
    }
    slugs.reverse();
    let host = Host::of(&workspace);
    let first = host.result("tools/list", Value::Null).await;
    assert_eq!(first["tools"].as_array().unwrap().len(), 54);
    let cursor = first["nextCursor"].clone();
    assert!(cursor.is_string());
    let tools: Vec<String> = slugs.iter().map(|slug| format!("chat_with_{slug}")).collect();
    assert_eq!(names(&host.all("tools/list", "tools").await)[4..], tools);
    assert_eq!(names(&host.all("prompts/list", "prompts").await), slugs);
    assert_eq!(names(&host.all("resources/list", "resources").await), slugs);
    // A cursor is good for its own list, and for its own workspace.
    assert_eq!(host.error("prompts/list", json!({"cursor": cursor})).await.2["param"], "cursor");
    let other = Workspace::test("team").await;
    assert_eq!(Host::of(&other).error("tools/list", json!({"cursor": cursor})).await.2["param"], "cursor");
}

#[tokio::test]
async fn a_slug_that_is_too_long_for_a_name_gives_way_to_the_id() {
    let workspace = Workspace::test("team").await;
    let fits = "s".repeat(54);
    let long = "s".repeat(55);
    let made = |slug: String| {
        let workspace = &workspace;
        async move {
            let body = json!({"intent": BRIEF, "slug": slug});
            workspace.post("/v1/personas", &body).await.json()
        }
    };
    let (fitting, overlong) = (made(fits.clone()).await, made(long).await);
    let host = Host::of(&workspace);
    let by_id = format!("chat_with_{}", overlong["id"].as_str().unwrap());
    assert_eq!(
        names(&host.all("tools/list", "tools").await)[4..],
        [by_id.clone(), format!("chat_with_{fits}")]
    );
    for (tool, persona) in [(by_id, &overlong), (chat_tool(&fitting), &fitting)] {
        let said = host.made(&tool, json!({"message": "Who are you?"})).await;
        let path = format!("/v1/chat/conversations/{}", said["conversation_id"].as_str().unwrap());
        assert_eq!(workspace.get(&path).await.json()["persona_id"], persona["id"]);
    }
}

#[tokio::test]
async fn a_prompt_is_what_makes_a_model_be_the_persona() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await;
    let host = Host::of(&workspace);
    let list = host.result("prompts/list", Value::Null).await;
    assert_eq!(list["prompts"][0]["name"], persona["slug"]);
    assert_eq!(list["prompts"][0]["title"], persona["identity"]["name"]);
    for name in ["slug", "id"] {
        let prompt = host.result("prompts/get", json!({"name": persona[name]})).await;
        let message = &prompt["messages"][0];
        assert_eq!((&message["role"], &message["content"]["type"]), (&json!("user"), &json!("text")));
        let text = message["content"]["text"].as_str().unwrap();
        assert!(text.contains(persona["identity"]["name"].as_str().unwrap()), "{text}");
        assert!(text.contains(persona["soul"]["core_desire"].as_str().unwrap()), "{text}");
    }
    let (code, envelope, told) = host.error("prompts/get", json!({"name": "nobody"})).await;
    assert_eq!((code, envelope.as_str()), (-32602, "resource.not_found"));
    assert!(told["message"].as_str().unwrap().contains("nobody"));
    let given = json!({"name": persona["slug"], "arguments": {"mood": "dark"}});
    assert_eq!(host.error("prompts/get", given).await.2["param"], "arguments.mood");
}
