//! `/v1/workspace`.
use tests::Workspace;

#[tokio::test]
async fn a_workspace_tells_plan_mode_and_limits() {
    let workspace = Workspace::test("pro").await;
    let object = workspace.get("/v1/workspace").await.json();
    assert_eq!(object["id"], workspace.id.as_str());
    assert_eq!((&object["plan"], &object["mode"]), (&"pro".into(), &"test".into()));
    assert_eq!(object["limits"]["requests_per_minute"], 600);
}
