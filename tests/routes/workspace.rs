//! `/v1/workspace`.
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, Workspace, send};

#[tokio::test]
async fn a_workspace_tells_plan_mode_and_limits() {
    let workspace = Workspace::test("pro").await;
    let object = workspace.get("/v1/workspace").await.json();
    assert_eq!(object["id"], workspace.id.as_str());
    assert_eq!((&object["plan"], &object["mode"]), (&"pro".into(), &"test".into()));
    assert_eq!(object["limits"]["requests_per_minute"], 600);
}

async fn changed(workspace: &Workspace, body: &Value) -> Answer {
    send(workspace.call(Method::PATCH, "/v1/workspace").json(body)).await
}

#[tokio::test]
async fn an_administrator_changes_name_pipeline_and_budget() {
    let workspace = Workspace::test("team").await;
    let before = workspace.get("/v1/workspace").await;
    let change = json!({"name": "Acme", "pipeline": "fast", "monthly_budget_usd": 12.5});
    let answer = changed(&workspace, &change).await;
    let object = answer.json();
    for (field, value) in change.as_object().unwrap() {
        assert_eq!(&object[field], value, "{object}");
    }
    assert_eq!(workspace.get("/v1/workspace").await.json(), object);
    assert_ne!(answer.header("etag"), before.header("etag"));
    let persona = workspace.persona("A 51-year-old doctor from London").await;
    let run = workspace.get(&format!("/v1/runs/{}", persona["lineage"]["run_id"].as_str().unwrap())).await;
    assert_eq!(run.json()["pipeline"]["name"], "fast");
    let stale = workspace.call(Method::PATCH, "/v1/workspace").header("if-match", before.header("etag"));
    assert_eq!(send(stale.json(&json!({"name": "Late"}))).await.code(), "request.precondition_failed");
    assert_eq!(workspace.get("/v1/workspace").await.json()["name"], "Acme");
}

#[tokio::test]
async fn what_is_wrong_with_a_change_is_named_and_changes_nothing() {
    let workspace = Workspace::test("team").await;
    let before = workspace.get("/v1/workspace").await.json();
    for (body, named) in [
        (json!({"name": " "}), "name"),
        (json!({"pipeline": "fastest"}), "fastest"),
        (json!({"pipeline": "refine"}), "refine"),
        (json!({"api_version": "1999-01-01"}), "1999-01-01"),
        (json!({"monthly_budget_usd": 0}), "monthly_budget_usd"),
        (json!({"plan": "enterprise"}), "plan"),
        (json!({}), ""),
    ] {
        let answer = changed(&workspace, &body).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, "request.invalid"), "{body}");
        assert!(answer.text.contains(named), "{}", answer.text);
    }
    assert_eq!(workspace.get("/v1/workspace").await.json(), before);
    let free = Workspace::test("free").await;
    assert_eq!(changed(&free, &json!({"pipeline": "fast"})).await.code(), "plan.upgrade_required");
}
