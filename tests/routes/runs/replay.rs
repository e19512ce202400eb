//! `POST /v1/runs/{run}/replay` and `GET /v1/runs/{run}/diff`.
use serde_json::json;
use tests::Workspace;

#[tokio::test]
async fn an_exact_replay_reproduces_the_digest_at_no_cost() {
    let workspace = Workspace::test("team").await;
    for intent in [
        "A 62-year-old chef from London who is a chess enthusiast",
        "[[trigger:invalid_json]] A 40-year-old baker",
    ] {
        let persona = workspace.persona(intent).await;
        let run = persona["lineage"]["run_id"].as_str().unwrap();
        let answer = workspace.post(&format!("/v1/runs/{run}/replay"), &json!({"mode": "exact"})).await;
        let replay = answer.json();
        assert_eq!((answer.status.as_u16(), &replay["status"]), (201, &"completed".into()), "{replay}");
        assert_eq!(replay["replay"]["matches"], true);
        assert_eq!(replay["output_ref"]["digest"], persona["lineage"]["digest"]);
        assert_eq!((&replay["cost_usd"], &replay["replay_of"]), (&json!(0), &json!(run)));
    }
}

#[tokio::test]
async fn a_fresh_replay_makes_another_persona_and_tells_what_differs() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona("A 22-year-old aspiring chef from Vietnam").await;
    let run = persona["lineage"]["run_id"].as_str().unwrap();
    let body = json!({"mode": "fresh", "overrides": {"seed": 8}});
    let replay = workspace.post(&format!("/v1/runs/{run}/replay"), &body).await.json();
    assert_eq!(replay["status"], "completed", "{replay}");
    let diff = workspace.get(&format!("/v1/runs/{}/diff", replay["id"].as_str().unwrap())).await.json();
    assert_eq!((&diff["against"], &diff["identical"]), (&json!(run), &json!(false)));
    let same = workspace.get(&format!("/v1/runs/{run}/diff?against={run}")).await.json();
    assert_eq!(same["identical"], true);
}
