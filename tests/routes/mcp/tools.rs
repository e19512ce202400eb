//! Tools that read and that make, against the routes whose work they do.

use persona::persona::schema::validate_with;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Workspace, send};

use super::{BRIEF, Host, chat_tool, messages, text};

/// Fails unless a result is as the tool's own output schema says.
async fn assert_as_declared(host: &Host<'_>, tool: &str, made: &Value) {
    let tools = host.all("tools/list", "tools").await;
    let schema = &tools.iter().find(|listed| listed["name"] == tool).unwrap()["outputSchema"];
    let problems = validate_with(schema, "", made);
    assert!(problems.is_empty(), "{tool}: {problems:#?}");
}

#[tokio::test]
async fn a_persona_is_made_told_of_and_talked_with() {
    let workspace = Workspace::test("team").await;
    let host = Host::of(&workspace);
    let result = host.call("create_persona", json!({"intent": BRIEF, "seed": 7, "slug": "watchmaker"})).await;
    let made = &result["structuredContent"];
    assert_as_declared(&host, "create_persona", made).await;
    assert_eq!((&made["status"], &made["cost_usd"]), (&json!("completed"), &json!(0)));
    assert_eq!(
        (&made["persona"]["slug"], &made["persona"]["tool"]),
        (&json!("watchmaker"), &json!("chat_with_watchmaker"))
    );
    let link = &result["content"][1];
    assert_eq!((&link["type"], &link["uri"]), (&json!("resource_link"), &made["persona"]["resource"]));
    let run = workspace.get(&format!("/v1/runs/{}", text(&made["run_id"]))).await.json();
    assert_eq!(
        (&run["kind"], &run["status"], &run["seed"]),
        (&json!("persona.create"), &json!("completed"), &json!(7))
    );

    let read = host.made("get_persona", json!({"persona": "watchmaker"})).await;
    assert_as_declared(&host, "get_persona", &read).await;
    assert_eq!(read, workspace.get("/v1/personas/watchmaker").await.json());
    let said = host.made("chat_with_watchmaker", json!({"message": "Who are you?"})).await;
    assert_as_declared(&host, "chat_with_watchmaker", &said).await;
}

#[tokio::test]
async fn each_step_of_a_creation_is_told() {
    let workspace = Workspace::test("team").await;
    let params = json!({
        "name": "create_persona", "arguments": {"intent": BRIEF}, "_meta": {"progressToken": "making"},
    });
    let messages = messages(&send(Host::of(&workspace).request(4, "tools/call", params)).await);
    let (answer, told) = messages.split_last().unwrap();
    assert_eq!(
        (&answer["id"], &answer["result"]["structuredContent"]["status"]),
        (&json!(4), &json!("completed"))
    );
    assert!(told.len() > 8, "{told:?}");
    let mut before = -1.0;
    for message in told {
        assert_eq!(message["method"], "notifications/progress");
        let params = &message["params"];
        assert_eq!(params["progressToken"], "making");
        let progress = params["progress"].as_f64().unwrap();
        assert!(progress > before && progress <= params["total"].as_f64().unwrap(), "{message}");
        before = progress;
    }
    let run = answer["result"]["structuredContent"]["run_id"].as_str().unwrap();
    assert!(told[0]["params"]["message"].as_str().unwrap().contains(run));
    assert!(told.iter().any(|message| message["params"]["message"] == "soul_draft is done"));
}

#[tokio::test]
async fn failures_of_a_creation_are_results_with_their_envelope() {
    let workspace = Workspace::test("team").await;
    let host = Host::of(&workspace);
    let failures = [
        ("moderation_block", "moderation.intent_blocked"),
        ("budget_exceeded", "persona.cost_budget_exceeded"),
        ("provider_unavailable", "provider.unavailable"),
        ("schema_violation", "persona.schema_violation"),
    ];
    for (trigger, code) in failures {
        let told =
            host.failed("create_persona", json!({"intent": format!("[[trigger:{trigger}]] {BRIEF}")})).await;
        assert_eq!((told["code"].as_str(), told["run_id"].is_string()), (Some(code), true), "{told}");
    }
    host.made("create_persona", json!({"intent": BRIEF, "slug": "taken"})).await;
    let told = host.failed("create_persona", json!({"intent": "A cook from Lyon", "slug": "taken"})).await;
    assert_eq!((&told["code"], &told["param"]), (&json!("persona.slug_taken"), &json!("slug")));
    let free = Workspace::test("free").await;
    let told = Host::of(&free).failed("create_persona", json!({"intent": BRIEF, "pipeline": "fast"})).await;
    assert_eq!(told["code"], "plan.upgrade_required");
}

#[tokio::test]
async fn personas_are_listed_by_words_language_and_visibility_page_by_page() {
    let workspace = Workspace::test("team").await;
    let host = Host::of(&workspace);
    let baker = json!({"intent": "A 30-year-old baker from Leeds", "visibility": "workspace"});
    let baker = workspace.post("/v1/personas", &baker).await.json();
    let chef = json!({"intent": "İzmirli 40 yaşında bir aşçı", "language": "tr"});
    let chef = workspace.post("/v1/personas", &chef).await.json();
    let listed = |filter: Value| {
        let host = &host;
        async move {
            let made = host.made("list_personas", filter).await;
            let ids = made["personas"].as_array().unwrap().iter().map(|persona| text(&persona["id"]));
            (ids.collect::<Vec<_>>(), made)
        }
    };
    let (all, made) = listed(json!({})).await;
    assert_eq!(all, [text(&chef["id"]), text(&baker["id"])]);
    assert_as_declared(&host, "list_personas", &made).await;
    assert_eq!(made["personas"][1]["tool"], chat_tool(&baker));
    assert_eq!(listed(json!({"language": "tr"})).await.0, [text(&chef["id"])]);
    assert_eq!(listed(json!({"visibility": "workspace"})).await.0, [text(&baker["id"])]);
    let name = baker["identity"]["name"].as_str().unwrap();
    assert_eq!(listed(json!({"q": name})).await.0, [text(&baker["id"])]);
    let (first, made) = listed(json!({"limit": 1})).await;
    let (second, last) = listed(json!({"limit": 1, "cursor": made["next_cursor"]})).await;
    assert_eq!([first, second].concat(), all);
    assert!(
        last["next_cursor"].is_null()
            || listed(json!({"limit": 1, "cursor": last["next_cursor"]})).await.0.is_empty()
    );
    let foreign = json!({"limit": 1, "cursor": made["next_cursor"], "language": "tr"});
    assert_eq!(host.failed("list_personas", foreign).await["param"], "cursor");
}

#[tokio::test]
async fn an_older_version_is_read_and_what_is_unknown_is_told() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await;
    let path = format!("/v1/personas/{}", text(&persona["id"]));
    send(workspace.call(Method::PATCH, &path).json(&json!({"metadata": {"seen": "twice"}}))).await;
    let host = Host::of(&workspace);
    let read = |version: Value| json!({"persona": persona["id"], "version": version});
    assert_eq!(host.made("get_persona", read(json!(1))).await["version"], 1);
    assert_eq!(host.made("get_persona", json!({"persona": persona["id"]})).await["version"], 2);
    for unknown in [read(json!(9)), json!({"persona": "nobody"})] {
        let told = host.failed("get_persona", unknown).await;
        assert_eq!((&told["code"], &told["param"]), (&json!("resource.not_found"), &json!("persona")));
    }
}

#[tokio::test]
async fn the_marketplace_is_searched_as_its_route_is() {
    let (owner, stranger) = (Workspace::test("team").await, Workspace::test("team").await);
    let persona = owner.persona(BRIEF).await;
    let path = format!("/v1/personas/{}", text(&persona["id"]));
    send(owner.call(Method::PATCH, &path).json(&json!({"visibility": "public"}))).await;
    let word = format!("quillwork{}", &text(&persona["id"])[20..]).to_lowercase();
    let listing =
        owner.post(&format!("{path}/publish"), &json!({"title": word, "tags": ["clocks"]})).await.json();
    let host = Host::of(&stranger);
    let found = host.made("search_marketplace", json!({"q": word})).await;
    assert_as_declared(&host, "search_marketplace", &found).await;
    assert_eq!(found["listings"][0]["id"], listing["id"]);
    let native = stranger.get(&format!("/v1/marketplace/personas?q={word}")).await.json();
    assert_eq!(found["listings"], native["data"]);
}
