//! `GET /v1/runs/{run}/events`.
use reqwest::Method;
use tests::Workspace;

#[tokio::test]
async fn a_stream_resumes_after_last_event_id_without_loss_or_repeat() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona("A 28-year-old engineer from Tokyo who collects vintage cars").await;
    let path = format!("/v1/runs/{}/events", persona["lineage"]["run_id"].as_str().unwrap());
    let whole = workspace.get(&path).await.json();
    let count = whole["data"].as_array().unwrap().len() as u64;
    for after in [1, 7, count - 1] {
        let request = workspace
            .call(Method::GET, &path)
            .header("accept", "text/event-stream")
            .header("last-event-id", after.to_string());
        let numbers: Vec<u64> = workspace.stream(request).await.iter().map(|event| event.0).collect();
        assert_eq!(numbers, (after + 1..=count).collect::<Vec<_>>());
    }
}
