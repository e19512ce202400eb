//! Signing in with a browser on the same machine: from `persona auth login` to a key, and to its end.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use tests::{
    Workspace, anonymous, base_url, send,
    support::sign_in::{Account, Browser, Program, join, posted},
};

use super::{asked, error, expire, signed_in, text, tried};

#[tokio::test]
async fn signing_in_ends_in_a_key_of_the_chosen_workspace_and_logging_out_ends_the_key() {
    let workspace = Workspace::test("team").await;
    let account = Account::member(&workspace, &["read", "write", "chat"]).await;
    let mut asked = asked(&account, &[]).await;
    for shown in [account.email.as_str(), "Persona CLI", "read, write, chat", "test mode", &workspace.id] {
        assert!(asked.page.text().contains(shown), "{shown}: {}", asked.page.text());
    }
    let code = asked.approves().await;
    let answer = asked.program.redeems(&code).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("cache-control").as_str()),
        (200, "no-store"),
        "{}",
        answer.text
    );
    let told = answer.json();
    let key = text(&told["access_token"]);
    assert!(key.starts_with("pk_test_"), "{told}");
    assert_eq!(told["token_type"], "Bearer");
    assert_eq!(told["expires_in"], 90 * 24 * 60 * 60);
    assert_eq!(told["scope"], "read write chat");
    assert_eq!(told["workspace"], json!({"id": workspace.id, "name": "t", "mode": "test"}));
    assert_eq!(told["person"]["email"], account.email);

    assert_eq!(tried(&workspace, &key).await, 200);
    let listed = workspace.get("/v1/keys").await.json();
    let listed =
        listed["data"].as_array().unwrap().iter().find(|it| it["id"] == told["key_id"]).unwrap().clone();
    assert_eq!(listed["name"], format!("CLI of {}", account.email));

    let ended = posted("revoke", &[("token", &key), ("client_id", "persona-cli")]).await;
    assert_eq!(ended.status, 200, "{}", ended.text);
    assert_eq!(tried(&workspace, &key).await, 401);
    let again = posted("revoke", &[("token", &key), ("client_id", "persona-cli")]).await;
    assert_eq!(again.status, 200, "{}", again.text);
}

#[tokio::test]
async fn the_document_of_endpoints_names_them_as_they_are() {
    let answer = send(anonymous(Method::GET, "/v1/auth/metadata")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let told = answer.json();
    assert_eq!(told["issuer"], base_url());
    assert_eq!(told["authorization_endpoint"], format!("{}/v1/auth/authorize", base_url()));
    assert_eq!(told["code_challenge_methods_supported"], json!(["S256"]));
    assert_eq!(answer.header("access-control-allow-origin"), "", "other origins read none of it");
}

#[tokio::test]
async fn a_person_of_several_workspaces_chooses_and_the_one_that_was_asked_for_is_chosen_already() {
    let (one, other) = (Workspace::test("team").await, Workspace::live("team").await);
    let account = Account::member(&one, &["read"]).await;
    join(&other, &account.email, &["admin"]).await;
    let mut asked = asked(&account, &[("workspace", &other.id), ("scope", "read admin")]).await;
    assert_eq!(asked.page.choices().len(), 2, "{}", asked.page.text());
    assert_eq!(asked.page.form().get("workspace"), Some(&other.id));
    let code = asked.approves().await;
    let told = asked.program.redeems(&code).await.json();
    assert_eq!((&told["workspace"]["id"], &told["scope"]), (&json!(other.id), &json!("read admin")));

    let mut asked = super::asked(&account, &[("scope", "read admin")]).await;
    let back = asked.browser.submit(&asked.page, &[("decision", "approve"), ("workspace", &one.id)]).await;
    let told = asked.program.redeems(&back.query("code").unwrap()).await.json();
    assert_eq!(
        (&told["workspace"]["id"], &told["scope"]),
        (&json!(one.id), &json!("read")),
        "no more than they have"
    );
}

#[tokio::test]
async fn administration_is_granted_only_where_it_is_asked_for_by_name() {
    let workspace = Workspace::test("team").await;
    let account = Account::member(&workspace, &["admin"]).await;
    assert_eq!(signed_in(&account, &[]).await["scope"], "read write chat");
    let told = signed_in(&account, &[("scope", "admin")]).await;
    assert_eq!(told["scope"], "admin");
    // The last admin key of a workspace cannot be revoked otherwise; who signs in can always get another.
    let ended =
        posted("revoke", &[("token", &text(&told["access_token"])), ("client_id", "persona-cli")]).await;
    assert_eq!(ended.status, 200, "{}", ended.text);
}

#[tokio::test]
async fn a_person_may_deny_and_the_program_is_told() {
    let workspace = Workspace::test("team").await;
    let account = Account::member(&workspace, &["read"]).await;
    let mut asked = asked(&account, &[]).await;
    let back = asked.browser.submit(&asked.page, &[("decision", "deny")]).await;
    assert_eq!(back.query("error").as_deref(), Some("access_denied"), "{}", back.url);
    assert_eq!(back.query("state"), Some(asked.program.state.clone()));
    assert_eq!(back.query("iss"), Some(base_url()));
    let after = asked.browser.submit(&asked.page, &[("decision", "approve")]).await;
    assert_eq!(
        after.query("error").as_deref(),
        Some("access_denied"),
        "what was decided stays: {}",
        after.url
    );
}

#[tokio::test]
async fn a_second_click_is_answered_as_the_first_one() {
    let workspace = Workspace::test("team").await;
    let account = Account::member(&workspace, &["read"]).await;
    let mut asked = asked(&account, &[]).await;
    let first = asked.browser.submit(&asked.page, &[("decision", "approve")]).await;
    let second = asked.browser.submit(&asked.page, &[("decision", "approve")]).await;
    assert_eq!(first.url, second.url);
    let reloaded = asked.browser.open(asked.page.url.clone()).await;
    assert_eq!(reloaded.url, first.url, "the page leads on, once it is decided");
    let answer = asked.program.redeems(&first.query("code").unwrap()).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

#[tokio::test]
async fn a_code_works_once_and_a_second_time_ends_the_key_that_it_made() {
    let workspace = Workspace::test("team").await;
    let account = Account::member(&workspace, &["read"]).await;
    let mut asked = asked(&account, &[]).await;
    let code = asked.approves().await;
    let key = text(&asked.program.redeems(&code).await.json()["access_token"]);
    assert_eq!(tried(&workspace, &key).await, 200);
    assert_eq!(error(&asked.program.redeems(&code).await), (400, "invalid_grant".to_owned()));
    assert_eq!(tried(&workspace, &key).await, 401);
}

#[tokio::test]
async fn of_two_who_redeem_a_code_at_once_neither_keeps_a_key() {
    let workspace = Workspace::test("team").await;
    let account = Account::member(&workspace, &["read"]).await;
    for _ in 0..3 {
        let mut asked = asked(&account, &[]).await;
        let code = asked.approves().await;
        let answers = join_all((0..4).map(|_| asked.program.redeems(&code))).await;
        for answer in answers.iter().filter(|answer| answer.status == 200) {
            assert_eq!(tried(&workspace, &text(&answer.json()["access_token"])).await, 401);
        }
        assert!(answers.iter().filter(|answer| answer.status == 200).count() <= 1);
    }
}

#[tokio::test]
async fn a_code_is_good_for_who_asked_alone() {
    let workspace = Workspace::test("team").await;
    let account = Account::member(&workspace, &["read"]).await;
    let mut asked = asked(&account, &[]).await;
    let code = asked.approves().await;
    let invalid = (400, "invalid_grant".to_owned());
    let stranger = Program { redirect_uri: asked.program.redirect_uri.clone(), ..Program::default() };
    assert_eq!(error(&stranger.redeems(&code).await), invalid, "another verifier");
    let elsewhere = [("redirect_uri", "http://127.0.0.1:49153/callback")];
    assert_eq!(error(&asked.program.redeems_with(&code, &elsewhere).await), invalid, "another port");
    for unknown in ["", "x", &"A".repeat(43)] {
        assert_eq!(error(&asked.program.redeems(unknown).await).0, 400);
    }
    assert_eq!(
        error(&asked.program.redeems_with(&code, &[("client_id", "other")]).await),
        (401, "invalid_client".to_owned())
    );
    assert_eq!(
        error(&asked.program.redeems_with(&code, &[("grant_type", "password")]).await),
        (400, "unsupported_grant_type".to_owned())
    );
    assert_eq!(asked.program.redeems(&code).await.status, 200, "none of that has used it up");
}

#[tokio::test]
async fn a_code_must_be_redeemed_within_a_minute() {
    let workspace = Workspace::test("team").await;
    let account = Account::member(&workspace, &["read"]).await;
    let mut asked = asked(&account, &[]).await;
    let code = asked.approves().await;
    expire("CODE", &code).await;
    assert_eq!(error(&asked.program.redeems(&code).await), (400, "invalid_grant".to_owned()));
}

#[tokio::test]
async fn a_program_may_listen_by_either_version_of_the_protocol() {
    let workspace = Workspace::test("team").await;
    let account = Account::member(&workspace, &["read"]).await;
    let redirect_uri = "http://[::1]:49152/callback".to_owned();
    let (mut browser, program) = (Browser::default(), Program { redirect_uri, ..Program::default() });
    let page = browser.sign_in(program.begins(&[]), &account).await;
    let back = browser.submit(&page, &[("decision", "approve")]).await;
    assert_eq!(back.url.host_str(), Some("[::1]"));
    assert_eq!(program.redeems(&back.query("code").unwrap()).await.status, 200);
}

#[tokio::test]
async fn two_sign_ins_in_two_tabs_do_not_meet() {
    let workspace = Workspace::test("team").await;
    let account = Account::member(&workspace, &["read"]).await;
    let (mut browser, one, other) = (Browser::default(), Program::default(), Program::default());
    let first = browser.sign_in(one.begins(&[]), &account).await;
    let second = browser.sign_in(other.begins(&[]), &account).await;
    for (program, page) in [(&one, &first), (&other, &second)] {
        let back = browser.submit(page, &[("decision", "approve")]).await;
        assert_eq!(back.query("state").as_deref(), Some(program.state.as_str()));
        assert_eq!(program.redeems(&back.query("code").unwrap()).await.status, 200);
    }
}

#[tokio::test]
async fn a_full_workspace_gives_the_place_of_the_persons_oldest_sign_in_and_else_none() {
    let workspace = Workspace::test("team").await;
    let (account, other) =
        (Account::member(&workspace, &["read"]).await, Account::member(&workspace, &["read"]).await);
    let first = text(&signed_in(&account, &[]).await["access_token"]);
    let second = text(&signed_in(&account, &[]).await["access_token"]);
    // One was made with the workspace.
    for number in 0..17 {
        let key = json!({"name": format!("{number}"), "scopes": ["read"]});
        assert_eq!(workspace.post("/v1/keys", &key).await.status, 201);
    }
    let third = text(&signed_in(&account, &[]).await["access_token"]);
    let standing =
        [tried(&workspace, &first).await, tried(&workspace, &second).await, tried(&workspace, &third).await];
    assert_eq!(standing, [401, 200, 200], "the oldest has given its place");

    let mut asked = asked(&other, &[]).await;
    let code = asked.approves().await;
    let answer = asked.program.redeems(&code).await;
    assert_eq!(error(&answer), (400, "access_denied".to_owned()));
    assert!(answer.text.contains("20 live keys"), "{}", answer.text);
}

#[tokio::test]
async fn a_key_that_was_made_in_another_way_is_not_ended_by_logging_out() {
    let workspace = Workspace::test("team").await;
    let answer = posted("revoke", &[("token", &workspace.key), ("client_id", "persona-cli")]).await;
    assert_eq!(error(&answer), (400, "unsupported_token_type".to_owned()));
    assert_eq!(workspace.get("/v1/workspace").await.status, 200);
    for unknown in ["x", "pk_live_nothing", &format!("pk_test_{}", "0".repeat(49))] {
        let answer = posted("revoke", &[("token", unknown), ("client_id", "persona-cli")]).await;
        assert_eq!(answer.status, 200, "{unknown}: {}", answer.text);
    }
    let answer = posted("revoke", &[("token", &workspace.key), ("client_id", "other")]).await;
    assert_eq!(error(&answer), (401, "invalid_client".to_owned()));
}
