//! `GET /v1/runs/{run}/events`.
use reqwest::Method;
use tests::Workspace;

#[tokio::test]
async fn a_stream_resumes_after_last_event_id_without_loss_or_repeat() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona("A 28-year-old engineer from Tokyo who collects vintage cars").await;
    let path = format!("/v1/runs/{}/events", persona["lineage"]["run_id"].as_str().unwrap());
    let count = workspace.all(&path).await.len() as u64;
    for after in [1, 7, count - 1] {
        let request = workspace
            .call(Method::GET, &path)
            .header("accept", "text/event-stream")
            .header("last-event-id", after.to_string());
        let numbers: Vec<u64> = workspace.stream(request).await.iter().map(|event| event.0).collect();
        assert_eq!(numbers, (after + 1..=count).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn pages_hold_each_event_once_and_a_cursor_is_for_its_own_run() {
    let workspace = Workspace::test("team").await;
    let mut paths = Vec::new();
    for intent in ["A 44-year-old gardener from Lyon", "A 33-year-old pilot from Oslo"] {
        let persona = workspace.persona(intent).await;
        paths.push(format!("/v1/runs/{}/events", persona["lineage"]["run_id"].as_str().unwrap()));
    }
    let whole = workspace.all(&paths[0]).await;
    let numbers: Vec<u64> = whole.iter().filter_map(|event| event["id"].as_u64()).collect();
    assert_eq!(numbers, (1..=whole.len() as u64).collect::<Vec<_>>());
    assert_eq!(whole.last().unwrap()["event"], "run.completed");

    let first = workspace.get(&format!("{}?after=2&limit=7", paths[0])).await.json();
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = workspace.get(&format!("{}?after=2&limit=7&cursor={cursor}", paths[0])).await.json();
    let ids = |page: &serde_json::Value| -> Vec<u64> {
        page["data"].as_array().unwrap().iter().filter_map(|event| event["id"].as_u64()).collect()
    };
    assert_eq!([ids(&first), ids(&second)].concat(), (3..=16).collect::<Vec<_>>());
    let elsewhere = workspace.get(&format!("{}?after=2&cursor={cursor}", paths[1])).await;
    assert_eq!((elsewhere.status.as_u16(), elsewhere.code().as_str()), (400, "request.invalid"));
    let last = workspace.get(&format!("{}?after={}", paths[0], whole.len())).await.json();
    assert_eq!((&last["data"], &last["has_more"]), (&serde_json::json!([]), &false.into()));
}
