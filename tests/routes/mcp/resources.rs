//! Personas as resources: the YAML that the route answers.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{Workspace, send};

use super::{BRIEF, Host, OLDER, error_of};

#[tokio::test]
async fn a_resource_is_the_yaml_of_the_route() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await;
    let path = format!("/v1/personas/{}", persona["id"].as_str().unwrap());
    let yaml = send(workspace.call(Method::GET, &path).header("accept", "application/yaml")).await.text;
    let uri = format!("persona://{}", persona["id"].as_str().unwrap());
    for revision in OLDER.into_iter().chain([super::NEWEST]) {
        let host = Host::in_revision(&workspace, revision);
        let listed = &host.result("resources/list", Value::Null).await["resources"][0];
        assert_eq!((&listed["uri"], &listed["mimeType"]), (&json!(uri), &json!("application/yaml")));
        assert_eq!((&listed["name"], &listed["title"]), (&persona["slug"], &persona["identity"]["name"]));
        assert_eq!(listed["annotations"]["lastModified"], persona["updated_at"]);
        let read = host.result("resources/read", json!({"uri": uri})).await;
        let contents = &read["contents"][0];
        assert_eq!((&contents["uri"], &contents["mimeType"]), (&json!(uri), &json!("application/yaml")));
        assert_eq!(contents["text"], yaml, "{revision}");
    }
}

#[tokio::test]
async fn the_template_names_a_persona_by_slug_too_and_its_older_versions() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await;
    let path = format!("/v1/personas/{}", persona["id"].as_str().unwrap());
    send(workspace.call(Method::PATCH, &path).json(&json!({"metadata": {"seen": "twice"}}))).await;
    let host = Host::of(&workspace);
    let templates = host.result("resources/templates/list", Value::Null).await;
    assert_eq!(templates["resourceTemplates"][0]["uriTemplate"], "persona://{persona}{?version}");
    let slug = persona["slug"].as_str().unwrap();
    let read = |uri: String| {
        let host = &host;
        async move {
            super::text(&host.result("resources/read", json!({"uri": uri})).await["contents"][0]["text"])
        }
    };
    assert!(read(format!("persona://{slug}")).await.contains("seen: twice"));
    assert!(!read(format!("persona://{slug}?version=1")).await.contains("seen: twice"));
}

#[tokio::test]
async fn slugs_are_completed_as_they_are_typed() {
    let workspace = Workspace::test("team").await;
    for slug in ["watch-maker", "watch-mender", "baker"] {
        workspace.post("/v1/personas", &json!({"intent": BRIEF, "slug": slug})).await;
    }
    let complete = |uri: &str, name: &str, typed: &str| json!({"ref": {"type": "ref/resource", "uri": uri}, "argument": {"name": name, "value": typed}});
    let template = "persona://{persona}{?version}";
    let host = Host::of(&workspace);
    let found = host.result("completion/complete", complete(template, "persona", "watch")).await;
    assert_eq!(found["completion"], json!({"values": ["watch-mender", "watch-maker"], "hasMore": false}));
    for other in [complete(template, "version", ""), complete("file://{path}", "persona", "")] {
        assert_eq!(host.result("completion/complete", other).await["completion"]["values"], json!([]));
    }
    let chatting = workspace.with_key(&["chat"], None).await;
    let unseen = Host::of(&chatting).result("completion/complete", complete(template, "persona", "")).await;
    assert_eq!(unseen["completion"]["values"], json!([]));
}

#[tokio::test]
async fn what_is_no_resource_is_told_as_each_revision_says() {
    let workspace = Workspace::test("team").await;
    for (revision, code) in [("2026-07-28", -32602), ("2025-11-25", -32002), ("2025-06-18", -32002)] {
        let host = Host::in_revision(&workspace, revision);
        for uri in
            ["persona://psn_0352hlJa4GkymUp58g1CfP", "persona://nobody", "file:///etc/passwd", "persona://"]
        {
            let message = host.ask("resources/read", json!({"uri": uri})).await.pop().unwrap();
            let (told, envelope, _) = error_of(&message);
            assert_eq!((told, envelope.as_str()), (code, "resource.not_found"), "{revision} {uri}");
            assert_eq!(message["error"]["data"]["uri"], uri);
        }
    }
}
