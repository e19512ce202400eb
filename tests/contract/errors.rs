//! Every code of the table of errors: produced over HTTP, or why no request to the routes built so far can.

use functions::{ROUTES, Route};
use persona::{error::Code, key::Scope};
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, Workspace, anonymous, send};

use super::{Ids, body_for, described};

/// How a code comes about.
enum Produced {
    /// By a call to a route, or to no route.
    By(Option<&'static Route>, Answer),
    /// Not yet; the reason.
    Not(&'static str),
}

fn route(bin: &str) -> &'static Route {
    ROUTES.iter().find(|route| route.bin == bin).unwrap()
}

async fn created(workspace: &Workspace, body: &Value) -> Produced {
    Produced::By(Some(route("personas-create")), workspace.post("/v1/personas", body).await)
}

async fn triggered(name: &str) -> Produced {
    let body = json!({"intent": format!("[[trigger:{name}]] A 40-year-old baker from Leeds")});
    created(&Workspace::test("team").await, &body).await
}

async fn posted(kind: &str, body: String) -> Produced {
    let workspace = Workspace::test("team").await;
    let request = workspace.call(Method::POST, "/v1/personas").header("content-type", kind).body(body);
    Produced::By(Some(route("personas-create")), send(request).await)
}

async fn got(workspace: &Workspace, bin: &str, path: &str) -> Produced {
    Produced::By(Some(route(bin)), workspace.get(path).await)
}

/// A run that goes on for a while.
async fn slow_run(workspace: &Workspace) -> String {
    let body = json!({"intent": "[[trigger:slow]] A 40-year-old baker from Leeds"});
    let request = workspace.call(Method::POST, "/v1/personas").header("prefer", "respond-async").json(&body);
    send(request).await.json()["id"].as_str().unwrap().to_owned()
}

async fn emptied_bucket() -> Produced {
    let workspace = Workspace::test("free").await;
    for _ in 0..90 {
        let answer = workspace.get("/v1/workspace").await;
        if answer.status == 429 {
            assert!(answer.header("retry-after").parse::<u32>().unwrap() >= 1);
            return Produced::By(Some(route("workspace-get")), answer);
        }
    }
    Produced::Not("a free workspace has 30 calls at once")
}

async fn produced(code: Code) -> Produced {
    let team = || Workspace::test("team");
    match code {
        Code::RequestInvalid => created(&team().await, &json!({"intent": "", "colour": "red"})).await,
        Code::InvalidKey => {
            let expired = team().await.with_key(&["admin"], Some(0)).await;
            got(&expired, "workspace-get", "/v1/workspace").await
        }
        Code::CostBudgetExceeded => triggered("budget_exceeded").await,
        Code::IntentBlocked => triggered("moderation_block").await,
        Code::InsufficientScope => {
            let reader = team().await.with_key(&["read"], None).await;
            created(&reader, &json!({"intent": "A cook"})).await
        }
        Code::OriginNotAllowed => {
            let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
            let request = team().await.call(Method::POST, "/v1/mcp").header("origin", "https://evil.example");
            let mut answer = send(request.json(&ping)).await;
            // The route tells what is wrong with a message as a message, with the envelope in it.
            answer.text = answer.json()["error"]["data"].to_string();
            Produced::By(None, answer)
        }
        Code::UpgradeRequired => {
            created(&Workspace::test("free").await, &json!({"intent": "A cook", "pipeline": "fast"})).await
        }
        Code::NotFound => got(&team().await, "runs-get", &format!("/v1/runs/{}", Ids::unknown().run)).await,
        Code::MethodNotAllowed => {
            let answer = send(anonymous(Method::PUT, "/v1/runs")).await;
            assert_eq!(answer.header("allow"), "GET");
            Produced::By(None, answer)
        }
        Code::NotAcceptable => {
            let request = team().await.call(Method::GET, "/v1/runs").header("accept", "image/png");
            Produced::By(Some(route("runs-list")), send(request).await)
        }
        Code::SlugTaken => {
            let (workspace, body) = (team().await, json!({"intent": "A cook from Lyon", "slug": "cook"}));
            created(&workspace, &body).await;
            created(&workspace, &body).await
        }
        Code::RunNotCancellable => {
            let workspace = team().await;
            let persona = workspace.persona("A 51-year-old doctor from London").await;
            let path = format!("/v1/runs/{}/cancel", persona["lineage"]["run_id"].as_str().unwrap());
            Produced::By(Some(route("runs-cancel")), workspace.post(&path, &json!({})).await)
        }
        Code::RunNotReplayable => {
            let workspace = team().await;
            let run = slow_run(&workspace).await;
            let answer = workspace.post(&format!("/v1/runs/{run}/replay"), &json!({"mode": "exact"})).await;
            workspace.post(&format!("/v1/runs/{run}/cancel"), &json!({})).await;
            Produced::By(Some(route("runs-replay")), answer)
        }
        Code::PayloadTooLarge => posted("application/json", "x".repeat(300_000)).await,
        Code::UnsupportedMediaType => posted("application/xml", "<a/>".to_owned()).await,
        Code::SchemaViolation => triggered("schema_violation").await,
        Code::RateLimitExceeded => emptied_bucket().await,
        Code::ProviderUnavailable => triggered("provider_unavailable").await,
        Code::Internal => Produced::Not("a fault of ours; what it tells is tested in functions/serve"),
        Code::WorkspaceBudgetExceeded => {
            let workspace = Workspace::live("team").await;
            let cap = json!({"monthly_budget_usd": 0.5});
            assert_eq!(send(workspace.call(Method::PATCH, "/v1/workspace").json(&cap)).await.status, 200);
            created(&workspace, &json!({"intent": "A cook", "budget_usd": 0.75})).await
        }
        Code::IdempotencyKeyReused | Code::IdempotencyInProgress => {
            let (workspace, same) = (team().await, code == Code::IdempotencyInProgress);
            let keyed = |intent: &str| {
                let call = workspace.call(Method::POST, "/v1/personas").header("idempotency-key", "one");
                call.json(&json!({"intent": format!("[[trigger:slow]] {intent}")}))
            };
            let first = tokio::spawn(send(keyed("A cook")));
            tokio::time::sleep(std::time::Duration::from_millis(600)).await;
            let second = send(keyed(if same { "A cook" } else { "A baker" })).await;
            first.await.unwrap();
            Produced::By(Some(route("personas-create")), second)
        }
        Code::ConversationBusy => {
            let workspace = team().await;
            let persona = workspace.persona("A 51-year-old doctor from London").await;
            let begun = json!({"persona_id": persona["id"]});
            let conversation = workspace.post("/v1/chat/conversations", &begun).await.json();
            let path = format!("/v1/chat/conversations/{}/messages", conversation["id"].as_str().unwrap());
            let slow = json!({"message": "[[trigger:slow]] Take your time", "stream": true});
            let speaking = workspace.call(Method::POST, &path).json(&slow).send().await.unwrap();
            assert_eq!(speaking.status(), 200);
            Produced::By(
                Some(route("messages-create")),
                workspace.post(&path, &json!({"message": "Me, too"})).await,
            )
        }
        Code::FieldInUse => {
            let workspace = team().await;
            workspace.post("/v1/schema/fields", &json!({"name": "house", "type": "string"})).await;
            let body = json!({"intent": "A cook from Lyon", "custom_fields": {"house": "lion"}});
            workspace.post("/v1/personas", &body).await;
            let request = workspace.call(Method::DELETE, "/v1/schema/fields/house");
            Produced::By(Some(route("fields-delete")), send(request).await)
        }
        Code::PreconditionFailed => {
            let workspace = team().await;
            let persona = workspace.persona("A 51-year-old doctor from London").await;
            let path = format!("/v1/personas/{}", persona["id"].as_str().unwrap());
            let request = workspace.call(Method::PATCH, &path).header("if-match", "\"v9\"");
            Produced::By(Some(route("personas-patch")), send(request.json(&json!({"slug": "a"}))).await)
        }
    }
}

#[tokio::test]
async fn every_code_is_produced_as_its_row_and_the_document_say() {
    for &code in Code::ALL {
        let (route, answer) = match produced(code).await {
            Produced::By(route, answer) => (route, answer),
            Produced::Not(reason) => {
                let listed = ROUTES.iter().any(|route| route.errors.contains(&code));
                assert!(!listed, "{code} is in the catalogue but is not produced: {reason}");
                continue;
            }
        };
        let body = answer.json();
        let error = &body["error"];
        assert_eq!(
            (answer.status.as_u16(), error["code"].as_str(), error["type"].as_str()),
            (code.status(), Some(code.as_str()), Some(code.kind())),
            "{body}"
        );
        let tail = code.as_str().split('.').nth(1).unwrap();
        assert_eq!(error["doc_url"], format!("https://docs.persona.dev/errors#{tail}"));
        assert_eq!(error["request_id"], answer.header("persona-request-id"));
        match route {
            Some(route) => described::assert_described(route.endpoint(), &answer),
            None => described::assert_is("Error", &body),
        }
    }
}

#[tokio::test]
async fn what_every_route_refuses_is_described_on_every_route() {
    let workspace = Workspace::test("team").await;
    let keys = [workspace.with_key(&["chat"], None).await, workspace.with_key(&["read"], None).await];
    for route in ROUTES {
        let method: Method = route.method.parse().unwrap();
        let path = Ids::unknown().fill(route.path);
        let call = |path: &str| workspace.call(method.clone(), path);
        // A key of another scope; keys for chat may read nothing else, and the other way round.
        let weak = if route.scope == Scope::Chat { &keys[1] } else { &keys[0] };
        let mut refusals = vec![
            (401, anonymous(method.clone(), &path)),
            (406, call(&path).header("accept", "image/png")),
            (400, call(&format!("{path}?nonsense=1")).json(&body_for(route))),
            (400, call(&path).header("persona-version", "1999-01-01")),
        ];
        if route.scope != Scope::Any {
            refusals.push((403, weak.call(method.clone(), &path)));
        }
        for (status, request) in refusals {
            let answer = send(request).await;
            assert_eq!(answer.status, status, "{}: {}", route.bin, answer.text);
            described::assert_described(route.endpoint(), &answer);
        }
        if Ids::unknown().of(route.path).is_some() {
            let answer = send(call(&path).json(&body_for(route))).await;
            assert_eq!(answer.status, 404, "{}: {}", route.bin, answer.text);
            described::assert_described(route.endpoint(), &answer);
        }
    }
}
