//! Reading, listing and deleting personas.
use reqwest::Method;
use tests::Workspace;

#[tokio::test]
async fn a_persona_is_read_by_id_and_by_slug_as_json_and_as_yaml() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona("A 60-year-old photographer from Sydney who loves hiking").await;
    let id = persona["id"].as_str().unwrap();
    let by_id = workspace.get(&format!("/v1/personas/{id}")).await;
    assert_eq!(by_id.json(), persona);
    // One to be admitted and one to read; a process that meets the key for the first time looks whose it is.
    let mut requests = vec![by_id.store_requests()];
    for _ in 0..11 {
        requests.push(workspace.get(&format!("/v1/personas/{id}")).await.store_requests());
    }
    assert!(requests.contains(&2) && requests.iter().all(|count| [2, 3].contains(count)), "{requests:?}");
    assert_eq!(
        workspace.get(&format!("/v1/personas/{}", persona["slug"].as_str().unwrap())).await.json(),
        persona
    );
    let yaml = tests::send(
        workspace.call(Method::GET, &format!("/v1/personas/{id}")).header("accept", "application/yaml"),
    )
    .await;
    assert_eq!(yaml.header("content-type"), "application/yaml");
    assert!(yaml.text.starts_with(&format!("id: {id}\n")));
}

#[tokio::test]
async fn a_deleted_persona_is_gone_and_its_slug_free() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona("A 45-year-old musician from Toronto who enjoys painting").await;
    let path = format!("/v1/personas/{}", persona["id"].as_str().unwrap());
    assert_eq!(tests::send(workspace.call(Method::DELETE, &path)).await.status, 200);
    assert_eq!(workspace.get(&path).await.status, 404);
    assert_eq!(tests::send(workspace.call(Method::DELETE, &path)).await.status, 404);
    assert_eq!(workspace.get("/v1/personas").await.json()["data"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn lists_page_newest_first_and_a_tampered_cursor_is_400() {
    let workspace = Workspace::test("team").await;
    for _ in 0..3 {
        workspace.persona("A 32-year-old writer from Sydney who loves dancing").await;
    }
    let first = workspace.get("/v1/personas?limit=2").await.json();
    assert_eq!((first["data"].as_array().unwrap().len(), &first["has_more"]), (2, &true.into()));
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = workspace.get(&format!("/v1/personas?limit=2&cursor={cursor}")).await.json();
    assert_eq!((second["data"].as_array().unwrap().len(), &second["has_more"]), (1, &false.into()));
    assert!(first["data"][0]["id"].as_str() > first["data"][1]["id"].as_str());
    assert_eq!(
        workspace.get(&format!("/v1/personas?cursor={}x", &cursor[1..])).await.code(),
        "request.invalid"
    );
    assert_eq!(workspace.get(&format!("/v1/runs?cursor={cursor}")).await.code(), "request.invalid");
}

#[tokio::test]
async fn a_private_persona_is_for_its_key_and_admin_keys_alone() {
    let admin = Workspace::test("team").await;
    let (one, other) =
        (admin.with_key(&["read", "write"], None).await, admin.with_key(&["read"], None).await);
    let persona = one.persona("A 24-year-old teacher from Sydney who spends weekends volunteering").await;
    let path = format!("/v1/personas/{}", persona["id"].as_str().unwrap());
    assert_eq!(one.get(&path).await.status, 200);
    assert_eq!(admin.get(&path).await.status, 200);
    assert_eq!(other.get(&path).await.status, 404);
}
