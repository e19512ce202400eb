//! Who is a member of what: addresses become people, people stay who they are, and memberships end.

use reqwest::Method;
use serde_json::json;
use tests::{
    Workspace, invoke, send,
    support::sign_in::{Account, join, pool},
};

use super::{asked, error, signed_in, text, tried};

#[tokio::test]
async fn a_membership_belongs_to_the_first_who_signs_in_with_the_address_and_not_to_the_address() {
    let workspace = Workspace::test("team").await;
    let first = Account::member(&workspace, &["read"]).await;
    signed_in(&first, &[]).await;
    // The account is deleted, and the address given to somebody else.
    pool("AdminDeleteUser", json!({"Username": first.email})).await;
    let second = Account::with(&first.email, true).await;
    assert!(asked(&second, &[]).await.page.choices().is_empty());
    // The administrator says that it is them now.
    let removed = json!({"workspace_id": workspace.id, "remove": [first.email]});
    invoke("admin-members", &removed).await;
    join(&workspace, &second.email, &["read"]).await;
    assert_eq!(asked(&second, &[]).await.page.choices(), std::slice::from_ref(&workspace.id));
}

#[tokio::test]
async fn who_is_no_member_any_more_loses_the_keys_that_they_got_by_signing_in() {
    let workspace = Workspace::test("team").await;
    let account = Account::member(&workspace, &["read"]).await;
    let key = text(&signed_in(&account, &[]).await["access_token"]);
    let mut late = asked(&account, &[]).await;
    let code = late.approves().await;
    let removed = json!({"workspace_id": workspace.id, "remove": [account.email.to_uppercase()]});
    let told = invoke("admin-members", &removed).await;
    assert_eq!(told["members"], json!([]));
    assert_eq!(tried(&workspace, &key).await, 401);
    assert_eq!(error(&late.program.redeems(&code).await), (400, "access_denied".to_owned()));
    assert!(asked(&account, &[]).await.page.choices().is_empty());
}

#[tokio::test]
async fn whoever_is_faster_no_key_outlives_its_membership() {
    let workspace = Workspace::test("team").await;
    for _ in 0..4 {
        let account = Account::member(&workspace, &["read"]).await;
        let mut agreed = asked(&account, &[]).await;
        let code = agreed.approves().await;
        let removed = json!({"workspace_id": workspace.id, "remove": [account.email]});
        let (answer, _) = tokio::join!(agreed.program.redeems(&code), invoke("admin-members", &removed));
        if answer.status == 200 {
            assert_eq!(tried(&workspace, &text(&answer.json()["access_token"])).await, 401);
        } else {
            assert_eq!(error(&answer), (400, "access_denied".to_owned()));
        }
    }
}

#[tokio::test]
async fn what_a_member_may_do_counts_when_the_key_is_made() {
    let workspace = Workspace::test("team").await;
    let account = Account::member(&workspace, &["admin"]).await;
    let mut agreed = asked(&account, &[("scope", "read write admin")]).await;
    let code = agreed.approves().await;
    let told = join(&workspace, &account.email, &["read", "chat"]).await;
    assert_eq!(told["members"][0]["scopes"], json!(["read", "chat"]));
    assert_eq!(told["members"][0]["has_signed_in"], true);
    assert_eq!(agreed.program.redeems(&code).await.json()["scope"], "read");
}

#[tokio::test]
async fn where_nothing_of_it_may_be_granted_a_workspace_cannot_be_chosen() {
    let workspace = Workspace::test("team").await;
    let account = Account::member(&workspace, &["chat"]).await;
    let mut asked = asked(&account, &[("scope", "write")]).await;
    assert!(asked.page.text().contains("You may grant nothing"), "{}", asked.page.text());
    assert!(asked.page.choices().is_empty());
    let forced = [("decision", "approve"), ("workspace", workspace.id.as_str())];
    assert_eq!(asked.browser.submit(&asked.page, &forced).await.status(), 400);
}

#[tokio::test]
async fn a_rotated_key_stays_the_persons_own() {
    let workspace = Workspace::test("team").await;
    let account = Account::member(&workspace, &["read"]).await;
    let told = signed_in(&account, &[]).await;
    let path = format!("/v1/keys/{}/rotate", text(&told["key_id"]));
    let rotated = workspace.post(&path, &json!({"grace_seconds": 0})).await.json();
    assert_eq!(tried(&workspace, &text(&rotated["secret"])).await, 200);
    invoke("admin-members", &json!({"workspace_id": workspace.id, "remove": [account.email]})).await;
    assert_eq!(tried(&workspace, &text(&rotated["secret"])).await, 401);
    assert_eq!(send(workspace.call(Method::GET, "/v1/workspace")).await.status, 200, "others' keys stay");
}
