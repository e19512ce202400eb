//! What holds on every route, walked from the catalogue; answers, errors and logs against their documents.

mod answers;
mod described;
mod errors;
mod logs;

use functions::{ROUTES, Route};
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Workspace, anonymous, send};

/// Ids to fill a path's parameters with.
struct Ids {
    run: String,
    persona: String,
    conversation: String,
    key: String,
    webhook: String,
    delivery: String,
    listing: String,
}

impl Ids {
    /// Well formed, and nobody's.
    fn unknown() -> Self {
        let id = |prefix| format!("{prefix}_0352hlJa4GkymUp58g1CfP");
        Self {
            run: id("run"),
            persona: id("psn"),
            conversation: id("conv"),
            key: id("key"),
            webhook: id("whk"),
            delivery: id("dlv"),
            listing: id("lst"),
        }
    }

    /// The id that stands for an object of a workspace in this path, if one does.
    fn of<'a>(&'a self, path: &str) -> Option<&'a str> {
        let named = [
            ("{run}", &self.run),
            ("{persona}", &self.persona),
            ("{model}", &self.persona),
            ("{conversation}", &self.conversation),
            ("{key}", &self.key),
            ("{webhook}", &self.webhook),
            ("{listing}", &self.listing),
        ];
        named.into_iter().find(|(name, _)| path.contains(name)).map(|(_, id)| id.as_str())
    }

    /// A path with each parameter filled in.
    fn fill(&self, path: &str) -> String {
        path.replace("{run}", &self.run)
            .replace("{persona}", &self.persona)
            .replace("{model}", &self.persona)
            .replace("{conversation}", &self.conversation)
            .replace("{key}", &self.key)
            .replace("{webhook}", &self.webhook)
            .replace("{delivery}", &self.delivery)
            .replace("{listing}", &self.listing)
            .replace("{pipeline}", "default")
            .replace("{field}", "house")
    }
}

/// Where nobody is.
const HOOK: &str = "https://hooks.example.com/persona";

/// A body that a route reads without complaint, whatever the route; `{}` where it reads none.
fn body_for(route: &Route) -> Value {
    match route.bin {
        "personas-create" => json!({"intent": "A cook"}),
        "runs-replay" => json!({"mode": "exact"}),
        "personas-update" | "personas-patch" => json!({"metadata": {}}),
        "personas-refine" => json!({"instruction": "Make her older"}),
        "personas-import" => json!({"spec": "chara_card_v2", "spec_version": "2.0", "data": {"name": "Pip"}}),
        "pipelines-update" => json!({"description": "d", "steps": []}),
        "fields-create" => json!({"name": "house", "type": "string"}),
        "conversations-create" => json!({"persona_id": Ids::unknown().persona}),
        "messages-create" => json!({"message": "Hello"}),
        "completions-create" => {
            json!({"model": Ids::unknown().persona, "messages": [{"role": "user", "content": "Hello"}]})
        }
        "webhooks-create" => json!({"url": HOOK, "events": ["run.completed"]}),
        "embeddings-create" => json!({"model": "sandbox-1", "input": "Hello"}),
        "workspace-update" => json!({"name": "Renamed"}),
        "mcp-call" => json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}),
        "keys-create" => json!({"name": "another", "scopes": ["read"]}),
        _ => json!({}),
    }
}

#[tokio::test]
async fn without_a_key_every_route_is_401() {
    for route in ROUTES {
        let method: Method = route.method.parse().unwrap();
        for key in ["", "pk_live_short", "sk-something-else"] {
            let mut request = anonymous(method.clone(), &Ids::unknown().fill(route.path));
            if !key.is_empty() {
                request = request.bearer_auth(key);
            }
            let answer = send(request).await;
            let openai = route.path.starts_with("/v1/openai/");
            let code = if openai { "invalid_api_key" } else { "auth.invalid_key" };
            assert_eq!((answer.status.as_u16(), answer.code().as_str()), (401, code), "{}", route.bin);
        }
    }
}

#[tokio::test]
async fn another_workspaces_objects_answer_as_unknown_ones_do() {
    let (owner, stranger) = (Workspace::test("team").await, Workspace::test("team").await);
    let persona = owner.persona("A 66-year-old chef from Sydney who collects vintage cars").await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let begun = owner.post("/v1/chat/conversations", &json!({"persona_id": persona["id"]})).await.json();
    let hook = json!({"url": HOOK, "events": ["run.completed"]});
    let hook = owner.post("/v1/webhooks", &hook).await.json();
    let sent = owner.post(&format!("/v1/webhooks/{}/test", text(&hook["id"])), &json!({})).await.json();
    let path = format!("/v1/personas/{}", text(&persona["id"]));
    send(owner.call(Method::PATCH, &path).json(&json!({"visibility": "public"}))).await;
    let listing = owner.post(&format!("{path}/publish"), &json!({})).await.json();
    let own = Ids {
        run: text(&persona["lineage"]["run_id"]),
        persona: text(&persona["id"]),
        conversation: text(&begun["id"]),
        key: text(&owner.get("/v1/keys").await.json()["data"][0]["id"]),
        webhook: text(&hook["id"]),
        delivery: text(&sent["id"]),
        listing: text(&listing["id"]),
    };
    let none = Ids::unknown();
    for route in ROUTES {
        let (Some(own_id), Some(no_id)) = (own.of(route.path), none.of(route.path)) else { continue };
        let method: Method = route.method.parse().unwrap();
        if route.path.contains("{listing}") && method != Method::DELETE {
            // What is published is for everyone; tests/routes/marketplace holds what of it may be seen.
            continue;
        }
        let body = body_for(route);
        let ask = |path: String| send(stranger.call(method.clone(), &path).json(&body));
        let (foreign, unknown) = (ask(own.fill(route.path)).await, ask(none.fill(route.path)).await);
        assert_eq!(foreign.status, 404, "{}", route.bin);
        let plain = |answer: &tests::Answer, id: &str| {
            let mut error = answer.json()["error"].clone();
            error["request_id"] = "".into();
            error.to_string().replace(id, "ID")
        };
        assert_eq!(plain(&foreign, own_id), plain(&unknown, no_id), "{}", route.bin);
    }
}

#[tokio::test]
async fn a_key_that_ends_within_14_days_says_so() {
    let key = Workspace::test("team").await.with_key(&["read"], Some(13)).await;
    assert!(!key.get("/v1/workspace").await.header("persona-key-expires").is_empty());
}

#[tokio::test]
async fn every_answer_carries_its_request_id_and_the_state_of_the_bucket() {
    let workspace = Workspace::test("free").await;
    let answer = send(workspace.call(Method::GET, "/v1/workspace").header("x-request-id", "mine-1")).await;
    assert!(answer.header("persona-request-id").starts_with("req_"));
    assert_eq!(answer.header("x-request-id"), "mine-1");
    assert_eq!(
        (answer.header("ratelimit-limit"), answer.header("ratelimit-remaining")),
        ("30".into(), "29".into())
    );
}

#[tokio::test]
async fn an_empty_bucket_is_429_and_retry_after_is_enough() {
    let workspace = Workspace::test("free").await;
    let mut refused = None;
    for _ in 0..60 {
        let answer = workspace.get("/v1/workspace").await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("a free workspace has 30 calls at once");
    assert_eq!(refused.code(), "rate_limit.exceeded");
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(wait)).await;
    assert_eq!(workspace.get("/v1/workspace").await.status, 200);
}

#[tokio::test]
async fn unknown_paths_are_404_in_the_envelope_and_preflights_answered() {
    assert_eq!(send(anonymous(Method::GET, "/v1/nothing")).await.code(), "resource.not_found");
    assert_eq!(send(anonymous(Method::OPTIONS, "/v1/personas")).await.status, 204);
}

#[tokio::test]
async fn a_malformed_or_empty_body_is_400_and_says_where() {
    let workspace = Workspace::test("team").await;
    for (body, said) in [("{", "line 1, column 1"), ("", "empty")] {
        let answer = send(workspace.call(Method::POST, "/v1/personas").body(body)).await;
        assert_eq!(answer.code(), "request.invalid");
        assert!(answer.json()["error"]["message"].as_str().unwrap().contains(said), "{}", answer.text);
    }
}

#[tokio::test]
async fn another_workspaces_name_or_an_unknown_version_is_refused() {
    let (workspace, other) = (Workspace::test("team").await, Workspace::test("team").await);
    let named = |id: &str| send(workspace.call(Method::GET, "/v1/workspace").header("persona-workspace", id));
    assert_eq!(named(&workspace.id).await.status, 200);
    assert_eq!(named(&other.id).await.status, 401);
    let dated =
        send(workspace.call(Method::GET, "/v1/workspace").header("persona-version", "1999-01-01")).await;
    assert_eq!(dated.status, 400);
}
