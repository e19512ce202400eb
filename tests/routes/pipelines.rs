//! `/v1/pipelines`.
use tests::Workspace;

#[tokio::test]
async fn the_built_in_pipelines_are_listed_as_data() {
    let workspace = Workspace::test("free").await;
    let list = workspace.get("/v1/pipelines").await.json();
    let names: Vec<_> =
        list["data"].as_array().unwrap().iter().map(|pipeline| pipeline["name"].clone()).collect();
    assert_eq!(names, ["default", "fast", "strict-audit"]);
    assert_eq!(workspace.get("/v1/pipelines/none").await.status, 404);
}
