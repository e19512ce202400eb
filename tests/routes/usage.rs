//! `GET /v1/usage`, and the monthly budget.
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, Workspace, send, support::provider::shared};

const BRIEF: &str = "A 58-year-old watchmaker from Geneva who sings in a choir";

async fn usage(workspace: &Workspace, query: &str) -> Value {
    let answer = workspace.get(&format!("/v1/usage{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

async fn capped(workspace: &Workspace, cap: &Value) -> Answer {
    let body = json!({"monthly_budget_usd": cap});
    send(workspace.call(Method::PATCH, "/v1/workspace").json(&body)).await
}

/// The sum of what the workspace's runs say that they cost, in micro-dollars.
async fn spent(workspace: &Workspace) -> i64 {
    let runs = workspace.all("/v1/runs").await;
    runs.iter().map(|run| micros(&run["cost_usd"])).sum()
}

fn micros(usd: &Value) -> i64 {
    (usd.as_f64().unwrap() * 1e6).round() as i64
}

/// The path of the messages of a conversation with this persona.
async fn talk(workspace: &Workspace, persona: &Value) -> String {
    let begun = workspace.post("/v1/chat/conversations", &json!({"persona_id": persona["id"]})).await.json();
    format!("/v1/chat/conversations/{}/messages", begun["id"].as_str().unwrap())
}

#[tokio::test]
async fn usage_counts_every_run_by_day_kind_and_key() {
    shared();
    let workspace = Workspace::live("enterprise").await;
    let persona = workspace.persona(BRIEF).await;
    let path = talk(&workspace, &persona).await;
    for _ in 0..2 {
        assert_eq!(workspace.post(&path, &json!({"message": "Good evening"})).await.status, 200);
    }
    workspace.post("/v1/personas", &json!({"intent": BRIEF, "budget_usd": 0.000_01})).await;
    let by_kind = usage(&workspace, "?group_by=kind").await;
    let rows = by_kind["data"].as_array().unwrap();
    let of = |kind: &str| rows.iter().find(|row| row["kind"] == kind).unwrap();
    assert_eq!(of("conversation.turn")["runs"], 2, "{by_kind}");
    let created = of("persona.create");
    assert_eq!((&created["runs"], &created["unfinished_runs"]), (&json!(2), &json!(1)), "{by_kind}");
    let total = spent(&workspace).await;
    assert!(total > 0);
    for group in ["day", "kind", "key"] {
        let told = usage(&workspace, &format!("?group_by={group}")).await;
        assert_eq!(micros(&told["total"]["cost_usd"]), total, "{told}");
        let parts = told["data"].as_array().unwrap().iter().map(|row| micros(&row["cost_usd"]));
        assert_eq!(parts.sum::<i64>(), total, "{told}");
    }
    let before = usage(&workspace, "?from=2026-01-01&to=2026-01-31").await;
    assert_eq!((&before["total"]["runs"], &before["data"]), (&json!(0), &json!([])));
    let stranger = Workspace::test("team").await;
    assert_eq!(usage(&stranger, "").await["total"]["runs"], 0);
}

#[tokio::test]
async fn what_is_wrong_with_a_question_for_usage_is_named() {
    let workspace = Workspace::test("team").await;
    for (query, param) in [
        ("?from=yesterday", "from"),
        ("?to=2026-02-30", "to"),
        ("?from=2026-02-01&to=2026-01-01", "from"),
        ("?from=2026-01-01&to=2026-11-01", "from"),
        ("?group_by=colour", "group_by"),
    ] {
        let answer = workspace.get(&format!("/v1/usage{query}")).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["error"]["param"]),
            (400, &json!(param)),
            "{query}"
        );
    }
}

#[tokio::test]
async fn a_months_cap_holds_whatever_runs_at_once() {
    shared();
    let workspace = Workspace::live("enterprise").await;
    let persona = workspace.persona(BRIEF).await;
    let alone = spent(&workspace).await;
    let dollars = |micros: i64| micros as f64 / 1e6;
    // Set aside for each is the worst case, which is far above what it costs; three fit at once.
    let budget = alone * 30;
    let cap = alone + budget * 3 + budget / 2;
    assert_eq!(capped(&workspace, &json!(dollars(cap))).await.status, 200);
    let body = json!({"intent": BRIEF, "seed": 7, "budget_usd": dollars(budget)});
    let create = || workspace.call(Method::POST, "/v1/personas").header("prefer", "wait=60").json(&body);
    let asked = join_all((0..8).map(|_| send(create()))).await;
    let refused: Vec<_> =
        asked.iter().filter(|answer| answer.code() == "billing.workspace_budget_exceeded").collect();
    assert_eq!(refused.len(), 5, "{asked:?}");
    assert!(refused.iter().all(|answer| answer.status == 402 && answer.text.contains("monthly_budget_usd")));
    assert!(asked.iter().filter(|answer| answer.status == 201).count() == 3, "{asked:?}");
    // What was set aside and not spent is free again.
    assert_eq!(send(create()).await.status, 201);
    let now = spent(&workspace).await;
    assert_eq!(now, alone * 5, "each costs the same");
    // A run that names no budget makes do with what is left: nothing, when the cap is spent.
    let path = talk(&workspace, &persona).await;
    assert_eq!(workspace.post(&path, &json!({"message": "Good evening"})).await.status, 200);
    let now = spent(&workspace).await;
    assert_eq!(capped(&workspace, &json!(dollars(now))).await.status, 200);
    let broke = workspace.post(&path, &json!({"message": "And now?"})).await;
    assert_eq!((broke.status.as_u16(), broke.code().as_str()), (402, "billing.workspace_budget_exceeded"));
    assert_eq!(spent(&workspace).await, now);
    assert_eq!(capped(&workspace, &Value::Null).await.json()["monthly_budget_usd"], Value::Null);
    assert_eq!(workspace.post(&path, &json!({"message": "And now?"})).await.status, 200);
}
