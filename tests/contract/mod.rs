//! What holds on every route, walked from the catalogue; answers, errors and logs against their documents.

mod answers;
mod described;
mod errors;
mod logs;

use functions::ROUTES;
use reqwest::Method;
use serde_json::json;
use tests::{Workspace, anonymous, send};

/// A path with each parameter filled in.
fn filled(path: &str, run: &str, persona: &str) -> String {
    path.replace("{run}", run).replace("{persona}", persona).replace("{pipeline}", "default")
}

const NO_RUN: &str = "run_0352hlJa4GkymUp58g1CfP";
const NO_PERSONA: &str = "psn_0352hlJa4GkymUp58g1CfP";

#[tokio::test]
async fn without_a_key_every_route_is_401() {
    for route in ROUTES {
        let method: Method = route.method.parse().unwrap();
        for key in ["", "pk_live_short", "sk-something-else"] {
            let mut request = anonymous(method.clone(), &filled(route.path, NO_RUN, NO_PERSONA));
            if !key.is_empty() {
                request = request.bearer_auth(key);
            }
            let answer = send(request).await;
            assert_eq!(
                (answer.status.as_u16(), answer.code().as_str()),
                (401, "auth.invalid_key"),
                "{}",
                route.bin
            );
        }
    }
}

#[tokio::test]
async fn another_workspaces_objects_answer_as_unknown_ones_do() {
    let (owner, stranger) = (Workspace::test("team").await, Workspace::test("team").await);
    let persona = owner.persona("A 66-year-old chef from Sydney who collects vintage cars").await;
    let (run, id) = (persona["lineage"]["run_id"].as_str().unwrap(), persona["id"].as_str().unwrap());
    let with_objects =
        ROUTES.iter().filter(|route| route.path.contains("{run}") || route.path.contains("{persona}"));
    for route in with_objects {
        let method: Method = route.method.parse().unwrap();
        let body = json!({"mode": "exact"});
        let ask = |path: String| send(stranger.call(method.clone(), &path).json(&body));
        let (foreign, unknown) =
            (ask(filled(route.path, run, id)).await, ask(filled(route.path, NO_RUN, NO_PERSONA)).await);
        assert_eq!(foreign.status, 404, "{}", route.bin);
        let plain = |answer: &tests::Answer, id: &str| {
            let mut error = answer.json()["error"].clone();
            error["request_id"] = "".into();
            error.to_string().replace(id, "ID")
        };
        let (own, none) = if route.path.contains("{run}") { (run, NO_RUN) } else { (id, NO_PERSONA) };
        assert_eq!(plain(&foreign, own), plain(&unknown, none), "{}", route.bin);
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
