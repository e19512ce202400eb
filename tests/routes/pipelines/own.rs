//! `PUT` and `DELETE /v1/pipelines/{pipeline}`, and how a workspace's own are read.
use reqwest::Method;
use serde_json::{Value, json};
use tests::{Answer, Workspace, send};

use super::{delete, put, with_note};

fn told(answer: &Answer) -> Vec<(String, String)> {
    let error = &answer.json()["error"];
    let text = |detail: &Value, key: &str| detail[key].as_str().unwrap_or_default().to_owned();
    let details = error["details"].as_array().into_iter().flatten();
    details.map(|detail| (text(detail, "pointer"), text(detail, "message"))).collect()
}

#[tokio::test]
async fn a_pipeline_is_made_read_changed_and_deleted() {
    let workspace = Workspace::test("team").await;
    let made = put(&workspace, "considered", &with_note()).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let object = made.json();
    assert_eq!(
        (&object["name"], &object["version"], &object["built_in"]),
        (&json!("considered"), &json!(1), &json!(false))
    );
    assert_eq!((object["steps"].as_array().unwrap().len(), made.header("etag")), (12, "\"v1\"".to_owned()));
    assert_eq!(workspace.get("/v1/pipelines/considered").await.json(), object);
    let listed = workspace.all("/v1/pipelines").await;
    assert_eq!(
        listed.iter().map(|one| one["name"].as_str().unwrap()).collect::<Vec<_>>(),
        ["default", "fast", "strict-audit", "refine", "considered"]
    );
    assert_eq!(listed.last(), Some(&object));

    let again = put(&workspace, "considered", &object).await;
    assert_eq!(
        (again.status.as_u16(), again.json()),
        (200, object.clone()),
        "what GET answers, sent back, changes nothing"
    );
    let mut changed = with_note();
    changed["prompts"]["research"]["system"] = json!("You know some trades.");
    let after = put(&workspace, "considered", &changed).await;
    assert_eq!(
        (after.status.as_u16(), &after.json()["version"], &after.json()["created_at"]),
        (200, &json!(2), &object["created_at"])
    );
    assert_ne!(after.json()["digest"], object["digest"]);

    let gone = delete(&workspace, "considered").await;
    assert_eq!((gone.status.as_u16(), &gone.json()["object"]), (200, &json!("pipeline")));
    assert_eq!(workspace.get("/v1/pipelines/considered").await.code(), "resource.not_found");
    assert_eq!(delete(&workspace, "considered").await.code(), "resource.not_found");
}

#[tokio::test]
async fn a_pipeline_is_read_in_yaml() {
    let workspace = Workspace::test("team").await;
    let yaml = serde_saphyr::to_string(&with_note()).unwrap();
    let request =
        workspace.call(Method::PUT, "/v1/pipelines/considered").header("content-type", "application/yaml");
    let answer = send(request.body(yaml)).await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()["steps"].as_array().unwrap().len()),
        (201, 12),
        "{}",
        answer.text
    );
}

#[tokio::test]
async fn pipelines_of_ones_own_belong_to_team_and_above() {
    for plan in ["free", "pro"] {
        let workspace = Workspace::test(plan).await;
        let answer = put(&workspace, "considered", &with_note()).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "plan.upgrade_required"));
    }
}

#[tokio::test]
async fn the_services_own_cannot_be_overwritten_or_deleted() {
    let workspace = Workspace::test("team").await;
    for name in ["default", "fast", "strict-audit", "refine"] {
        let answer = put(&workspace, name, &with_note()).await;
        assert_eq!((answer.status.as_u16(), told(&answer)[0].0.as_str()), (400, "/name"), "{}", answer.text);
        assert_eq!(delete(&workspace, name).await.status, 400);
    }
    for name in ["Mine", "a%20b", "-a"] {
        assert_eq!(put(&workspace, name, &with_note()).await.status, 400, "{name}");
    }
    assert_eq!(workspace.all("/v1/pipelines").await.len(), 4);
}

#[tokio::test]
async fn an_invalid_graph_is_400_with_the_reason_and_where() {
    let workspace = Workspace::test("team").await;
    let broken = |change: &dyn Fn(&mut Value)| {
        let mut body = with_note();
        change(&mut body);
        body
    };
    let cases: Vec<(Value, &str, &str)> = vec![
        (
            broken(&|body| body["steps"][1]["needs"] = json!(["intent_parse", "identity_draft"])),
            "/steps",
            "wait for each other: research, soul_draft, identity_draft.",
        ),
        (
            broken(&|body| body["steps"][3]["needs"] = json!(["identity_draft"])),
            "/steps",
            "wait for each other: identity_draft.",
        ),
        (
            broken(&|body| body["steps"][3]["layers"] = json!(["aura"])),
            "/steps/3/layers/0",
            "\"aura\" is not one of \"identity\"",
        ),
        (
            broken(&|body| body["steps"][1]["schema"] = Value::Null),
            "/steps/1/schema",
            "is a note and needs a schema",
        ),
        (
            broken(&|body| body["steps"][2]["needs"] = json!(["dream"])),
            "/steps/2/needs/0",
            "There is no step \"dream\"",
        ),
        (
            broken(&|body| body["steps"][4]["layers"] = json!(["soul"])),
            "/steps",
            "No step drafts the layer voice",
        ),
        (
            broken(&|body| body["steps"][4]["layers"] = json!(["soul", "voice"])),
            "/steps",
            "The layer soul is drafted more than once",
        ),
        (
            broken(&|body| drop(body["steps"].as_array_mut().unwrap().pop())),
            "/steps",
            "no step of kind finalize",
        ),
        (
            broken(&|body| drop(body["steps"].as_array_mut().unwrap().remove(9))),
            "/steps",
            "no step of kind consistency_check",
        ),
        (
            broken(&|body| body["steps"][1]["prompt"] = json!("nothing")),
            "/steps/1/prompt",
            "There is no prompt \"nothing\"",
        ),
        (broken(&|body| body["steps"][2]["role"] = json!("embed")), "/steps/2/role", "is not one of"),
        (
            broken(&|body| body["steps"][1]["name"] = json!("custom_fields")),
            "/steps/1/name",
            "choose another name",
        ),
        (
            broken(&|body| body["prompts"]["soul"]["user"] = json!("{{ intent")),
            "/prompts/soul/user",
            "is no template",
        ),
        (
            broken(&|body| body["prompts"]["soul"]["user"] = json!("{{ secrets }}")),
            "/prompts/soul/user",
            "There is no variable secrets",
        ),
        (
            broken(&|body| body["prompts"]["soul"]["user"] = json!("{{ \"x\" * 1000000000 }}")),
            "/prompts/soul/user",
            "it does too much",
        ),
        (
            broken(&|body| body["prompts"]["soul"]["user"] = json!("x".repeat(9_000))),
            "/prompts/soul/user",
            "at most 8192",
        ),
        (
            broken(&|body| body["prompts"]["soul"]["assistant"] = json!("x")),
            "/prompts/soul/assistant",
            "is not a field here",
        ),
        (
            broken(&|body| body["steps"][1]["schema"]["$ref"] = json!("https://example.com/s")),
            "/steps/1/schema/$ref",
            "no reference",
        ),
        (broken(&|body| body["colour"] = json!("red")), "/colour", "is not a field here"),
        (broken(&|body| body["name"] = json!("another")), "/name", "the path's is"),
        (
            broken(&|body| {
                let step = body["steps"][1].clone();
                body["steps"].as_array_mut().unwrap().extend(vec![step; 40]);
            }),
            "/steps",
            "at most 40",
        ),
    ];
    for (body, pointer, reason) in cases {
        let answer = put(&workspace, "broken", &body).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (400, "request.invalid"),
            "{reason}: {}",
            answer.text
        );
        let told = told(&answer);
        assert!(
            told.iter().any(|(at, why)| at == pointer && why.contains(reason)),
            "{pointer} {reason}: {told:#?}"
        );
    }
    assert_eq!(workspace.get("/v1/pipelines/broken").await.code(), "resource.not_found", "nothing is kept");
}

#[tokio::test]
async fn a_stale_if_match_is_refused() {
    let workspace = Workspace::test("team").await;
    let matching = |tag: &str, body: &Value| {
        send(workspace.call(Method::PUT, "/v1/pipelines/considered").header("if-match", tag).json(body))
    };
    assert_eq!(
        matching("\"v1\"", &with_note()).await.code(),
        "request.precondition_failed",
        "there is none yet"
    );
    assert_eq!(put(&workspace, "considered", &with_note()).await.status, 201);
    let mut changed = with_note();
    changed["description"] = json!("Another.");
    assert_eq!(matching("\"v1\"", &changed).await.status, 200);
    assert_eq!(matching("\"v1\"", &with_note()).await.code(), "request.precondition_failed");
    let stale = workspace.call(Method::DELETE, "/v1/pipelines/considered").header("if-match", "\"v1\"");
    assert_eq!(send(stale).await.status, 412);
    assert_eq!(workspace.get("/v1/pipelines/considered").await.json()["version"], 2);
}

#[tokio::test]
async fn the_active_pipeline_is_deleted_only_after_another_is_chosen() {
    let workspace = Workspace::test("team").await;
    assert_eq!(put(&workspace, "considered", &with_note()).await.status, 201);
    let chosen = |name: &'static str| {
        send(workspace.call(Method::PATCH, "/v1/workspace").json(&json!({"pipeline": name})))
    };
    assert_eq!(chosen("considered").await.status, 200);
    let refused = delete(&workspace, "considered").await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (400, "request.invalid"));
    assert!(refused.text.contains("active pipeline") && refused.text.contains("PATCH /v1/workspace"));
    assert_eq!(workspace.get("/v1/pipelines/considered").await.status, 200, "it is still there");
    let persona = workspace.persona("A 51-year-old doctor from London").await;
    assert_eq!(persona["lineage"]["pipeline"]["name"], "considered", "{}", persona["lineage"]);
    assert_eq!(chosen("default").await.status, 200);
    assert_eq!(delete(&workspace, "considered").await.status, 200);
    assert_eq!(chosen("considered").await.code(), "request.invalid", "it is gone");
}

#[tokio::test]
async fn another_workspaces_pipelines_are_unknown() {
    let (owner, stranger) = (Workspace::test("team").await, Workspace::test("team").await);
    assert_eq!(put(&owner, "considered", &with_note()).await.status, 201);
    assert_eq!(workspace_sees_nothing(&stranger).await, 4);
    let mut other = with_note();
    other["description"] = json!("The stranger's own of the same name.");
    assert_eq!(put(&stranger, "considered", &other).await.status, 201);
    let read = |workspace: &Workspace| {
        let request = workspace.call(Method::GET, "/v1/pipelines/considered");
        async { send(request).await.json()["description"].clone() }
    };
    assert_ne!(read(&owner).await, read(&stranger).await);
    assert_eq!(delete(&stranger, "considered").await.status, 200);
    assert_eq!(owner.get("/v1/pipelines/considered").await.status, 200);
    let reader = owner.with_key(&["read"], None).await;
    assert_eq!(put(&reader, "considered", &with_note()).await.code(), "auth.insufficient_scope");
}

async fn workspace_sees_nothing(stranger: &Workspace) -> usize {
    assert_eq!(stranger.get("/v1/pipelines/considered").await.code(), "resource.not_found");
    assert_eq!(delete(stranger, "considered").await.code(), "resource.not_found");
    let theirs = stranger.post("/v1/personas", &json!({"intent": "A cook", "pipeline": "considered"})).await;
    assert_eq!((theirs.status.as_u16(), told(&theirs)[0].0.as_str()), (400, "/pipeline"), "{}", theirs.text);
    stranger.all("/v1/pipelines").await.len()
}

#[tokio::test]
async fn a_workspace_has_twenty_pipelines_at_most() {
    let workspace = Workspace::test("team").await;
    for number in 0..20 {
        assert_eq!(put(&workspace, &format!("p{number}"), &with_note()).await.status, 201);
    }
    let answer = put(&workspace, "one-more", &with_note()).await;
    assert_eq!((answer.status.as_u16(), told(&answer)[0].0.as_str()), (400, "/name"), "{}", answer.text);
    assert_eq!(put(&workspace, "p7", &with_note()).await.status, 200);
    assert_eq!(workspace.all("/v1/pipelines").await.len(), 24);
}
