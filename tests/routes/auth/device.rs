//! Signing in on a device without a browser: codes, waiting, and a person who approves elsewhere (RFC 8628).

use std::time::Duration;

use reqwest::Url;
use serde_json::Value;
use tests::{
    Answer, Workspace, base_url,
    support::sign_in::{Account, Browser, Shown, posted},
};

use super::{error, expire, text, tried};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

async fn begun(more: &[(&str, &str)]) -> Value {
    let mut form = vec![("client_id", "persona-cli")];
    form.extend(more);
    let answer = posted("device", &form).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

async fn asks(device: &Value) -> Answer {
    let code = text(&device["device_code"]);
    posted("token", &[("grant_type", GRANT), ("client_id", "persona-cli"), ("device_code", &code)]).await
}

/// Asks as often as a device may, until there is an answer.
async fn waits(device: &Value) -> Answer {
    let mut seconds = 5;
    loop {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let answer = asks(device).await;
        if answer.status == 200 {
            return answer;
        }
        match error(&answer).1.as_str() {
            "slow_down" if seconds < 30 => seconds += 5,
            "authorization_pending" => {}
            _ => return answer,
        }
    }
}

/// The page that a person gets who enters this code.
async fn entered(browser: &mut Browser, account: &Account, code: &str) -> Shown {
    let url =
        Url::parse_with_params(&format!("{}/v1/auth/authorize", base_url()), [("user_code", code)]).unwrap();
    browser.sign_in(url, account).await
}

#[tokio::test]
async fn a_device_waits_until_a_person_approves_it_and_gets_a_key_once() {
    let workspace = Workspace::test("team").await;
    let account = Account::member(&workspace, &["read", "chat"]).await;
    let device = begun(&[("scope", "read chat"), ("workspace", &workspace.id)]).await;
    assert_eq!((&device["expires_in"], &device["interval"]), (&600.into(), &5.into()));
    let code = text(&device["user_code"]);
    let page = format!("{}/v1/auth/device", base_url());
    assert_eq!(device["verification_uri"], page);
    assert_eq!(device["verification_uri_complete"], format!("{page}?user_code={code}"));
    assert_eq!(error(&asks(&device).await), (400, "authorization_pending".to_owned()));

    let mut browser = Browser::default();
    let confirm = browser.open(text(&device["verification_uri_complete"]).parse().unwrap()).await;
    assert!(confirm.text().contains(&code), "{}", confirm.text());
    let asked = browser.sign_in(confirm.link(), &account).await;
    assert!(asked.text().contains(&code) && asked.text().contains("read, chat"), "{}", asked.text());
    let done = browser.submit(&asked, &[("decision", "approve")]).await;
    assert!(done.text().contains("Your device is signed in"), "{}", done.text());
    let again = browser.submit(&asked, &[("decision", "deny")]).await;
    assert!(again.text().contains("Your device is signed in"), "what was decided stays: {}", again.text());

    let told = waits(&device).await;
    assert_eq!(told.status, 200, "{}", told.text);
    let key = text(&told.json()["access_token"]);
    assert_eq!(tried(&workspace, &key).await, 200);
    assert_eq!(told.json()["scope"], "read chat");
    assert_eq!(error(&waits(&device).await), (400, "invalid_grant".to_owned()));
    assert_eq!(tried(&workspace, &key).await, 401, "a second time ends the key");
}

#[tokio::test]
async fn a_device_that_asks_too_often_must_wait_longer() {
    let device = begun(&[]).await;
    assert_eq!(error(&asks(&device).await).1, "authorization_pending");
    assert_eq!(error(&asks(&device).await).1, "slow_down");
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(error(&asks(&device).await).1, "slow_down", "five seconds are no longer enough");
    tokio::time::sleep(Duration::from_millis(15_500)).await;
    assert_eq!(error(&asks(&device).await).1, "authorization_pending", "but fifteen are");
}

#[tokio::test]
async fn a_person_may_deny_and_the_device_is_told() {
    let workspace = Workspace::test("team").await;
    let account = Account::member(&workspace, &["read"]).await;
    let (device, mut browser) = (begun(&[]).await, Browser::default());
    let typed = text(&device["user_code"]).to_lowercase().replace('-', " ");
    let asked = entered(&mut browser, &account, &typed).await;
    let done = browser.submit(&asked, &[("decision", "deny")]).await;
    assert!(done.text().contains("Nothing was granted"), "{}", done.text());
    assert_eq!(error(&waits(&device).await), (400, "access_denied".to_owned()));
}

#[tokio::test]
async fn a_device_that_nobody_approves_in_time_has_to_start_again() {
    let workspace = Workspace::test("team").await;
    let account = Account::member(&workspace, &["read"]).await;
    let (device, mut browser) = (begun(&[]).await, Browser::default());
    let asked = entered(&mut browser, &account, &text(&device["user_code"])).await;
    expire("DEVICE", &text(&device["device_code"])).await;
    assert_eq!(error(&asks(&device).await), (400, "expired_token".to_owned()));
    let late = browser.submit(&asked, &[("decision", "approve")]).await;
    assert_eq!(late.status(), 400, "{}", late.text());
    assert!(late.text().contains("expired"), "{}", late.text());
    assert_eq!(error(&asks(&device).await), (400, "expired_token".to_owned()));
}

#[tokio::test]
async fn a_wrong_code_may_be_entered_again_a_few_times_and_then_no_more() {
    let workspace = Workspace::test("team").await;
    let account = Account::member(&workspace, &["read"]).await;
    let (device, mut browser) = (begun(&[]).await, Browser::default());
    let wrong = entered(&mut browser, &account, "BBBB-BBBB").await;
    assert!(wrong.text().contains("id=\"wrong-code\""), "{}", wrong.text());
    let right = [("decision", "code"), ("user_code", device["user_code"].as_str().unwrap())];
    let asked = browser.submit(&wrong, &right).await;
    assert!(asked.text().contains("Approve"), "a slip is forgiven: {}", asked.text());

    let mut guesser = Browser::default();
    let mut page = entered(&mut guesser, &account, "CCCC-CCCC").await;
    for _ in 0..3 {
        page = guesser.submit(&page, &[("decision", "code"), ("user_code", "DDDD-DDDD")]).await;
        assert!(page.text().contains("id=\"wrong-code\""), "{}", page.text());
    }
    let refused = guesser.submit(&page, &[("decision", "code"), ("user_code", "FFFF-FFFF")]).await;
    assert!(refused.text().contains("Too many codes were wrong"), "{}", refused.text());
    // Another sign-in of the same person does not begin anew.
    let refused = entered(&mut Browser::default(), &account, "GGGG-GGGG").await;
    assert!(refused.text().contains("Too many codes were wrong"), "{}", refused.text());
}

#[tokio::test]
async fn what_is_no_device_is_told_so() {
    let unknown = serde_json::json!({"device_code": "A".repeat(43)});
    assert_eq!(error(&asks(&unknown).await), (400, "invalid_grant".to_owned()));
    let other = posted("device", &[("client_id", "another")]).await;
    assert_eq!(error(&other), (401, "invalid_client".to_owned()));
    let scope = posted("device", &[("client_id", "persona-cli"), ("scope", "root")]).await;
    assert_eq!(error(&scope), (400, "invalid_scope".to_owned()));
}
