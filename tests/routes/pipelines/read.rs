//! `/v1/pipelines`.
use tests::Workspace;

#[tokio::test]
async fn the_built_in_pipelines_are_listed_as_data() {
    let workspace = Workspace::test("free").await;
    let list = workspace.get("/v1/pipelines").await.json();
    let names: Vec<_> =
        list["data"].as_array().unwrap().iter().map(|pipeline| pipeline["name"].clone()).collect();
    assert_eq!(names, ["default", "fast", "strict-audit", "refine"]);
    let first = workspace.get("/v1/pipelines?limit=2").await.json();
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = workspace.get(&format!("/v1/pipelines?limit=2&cursor={cursor}")).await.json();
    assert_eq!((first["data"].as_array().unwrap().len(), &second["data"][0]["name"]), (2, &names[2]));
    assert_eq!((&second["has_more"], &second["next_cursor"]), (&false.into(), &serde_json::Value::Null));
    assert_eq!(workspace.get("/v1/pipelines/none").await.status, 404);
}
