//! Sign-ins that must not succeed: tampered with, stolen, replayed, forged; and what pages say of themselves.

use reqwest::{Method, Url};
use serde_json::{Value, json};
use tests::{
    Workspace, anonymous, base_url, invoke, send,
    support::sign_in::{Account, Browser, Program, Shown, join, pool, posted},
};

use super::{asked, expire};

/// The page that a browser is shown, which is a refusal and nothing else.
fn refused(page: &Shown, status: u16) {
    assert_eq!(page.status(), status, "{}: {}", page.url, page.text());
    assert!(page.text().contains("id=\"told\""), "{}", page.text());
}

#[tokio::test]
async fn nobody_is_led_elsewhere_than_to_a_port_of_their_own_machine() {
    for uri in [
        "https://evil.example/callback",
        "http://localhost:8000/callback",
        "http://127.0.0.1/callback",
        "http://127.0.0.1:8000/elsewhere",
        "http://127.0.0.1:8000@evil.example/callback",
        "http://user@127.0.0.1:8000/callback",
        "http://127.0.0.1:8000/callback?next=https://evil.example",
        "javascript:alert(1)//",
    ] {
        let url = Program::default().begins(&[("redirect_uri", uri)]);
        refused(&Browser::default().open(url).await, 400);
    }
    let page = Browser::default().open(Program::default().begins(&[("client_id", "another")])).await;
    refused(&page, 401);
}

#[tokio::test]
async fn what_a_program_asks_wrongly_it_is_told_where_it_listens() {
    for (name, value, code) in [
        ("response_type", "token", "unsupported_response_type"),
        ("code_challenge_method", "plain", "invalid_request"),
        ("code_challenge", "short", "invalid_request"),
        ("scope", "read everything", "invalid_scope"),
        ("workspace", "acme", "invalid_request"),
    ] {
        let program = Program::default();
        let back = Browser::default().open(program.begins(&[(name, value)])).await;
        assert!(back.answer.is_none(), "{name}: {}", back.text());
        assert_eq!(back.query("error").as_deref(), Some(code), "{name}");
        assert_eq!(back.query("state"), Some(program.state), "{name}");
        assert_eq!(back.query("iss"), Some(base_url()), "{name}");
    }
    let twice = format!("{}&state=another", Program::default().begins(&[]));
    refused(&Browser::default().open(twice.parse().unwrap()).await, 400);
}

/// A browser that has signed in at the provider, but was stopped before it came back; and where it would come back to.
async fn stopped(account: &Account) -> (Browser, Url) {
    let mut browser = Browser::default();
    let login = browser.open(Program::default().begins(&[])).await;
    let mut form: Vec<(String, String)> = login.form().into_iter().collect();
    form.extend([
        ("username".to_owned(), account.email.clone()),
        ("password".to_owned(), account.password.clone()),
    ]);
    let body = Url::parse_with_params("http://form", &form).unwrap();
    let sent = tests::client_without_redirects()
        .post(login.action())
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body.query().unwrap().to_owned());
    let back = send(sent).await.header("location").parse().unwrap();
    (browser, back)
}

/// The same address with another value.
fn with(url: &Url, name: &str, value: &str) -> Url {
    let mut changed = url.clone();
    let pairs: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(known, _)| known != name)
        .map(|(known, value)| (known.into_owned(), value.into_owned()))
        .chain([(name.to_owned(), value.to_owned())])
        .collect();
    changed.query_pairs_mut().clear().extend_pairs(pairs);
    changed
}

#[tokio::test]
async fn a_wrong_state_leads_nowhere_and_the_right_one_works_once() {
    let workspace = Workspace::test("team").await;
    let account = Account::member(&workspace, &["read"]).await;
    let (mut browser, back) = stopped(&account).await;
    for wrong in ["x", &"A".repeat(43), "<script>alert(1)</script>"] {
        let page = browser.open(with(&back, "state", wrong)).await;
        refused(&page, 400);
        assert!(!page.text().contains("<script"), "{}", page.text());
    }
    let page = browser.open(back.clone()).await;
    assert_eq!(page.choices(), std::slice::from_ref(&workspace.id), "{}", page.text());
    refused(&browser.open(back).await, 400);
}

#[tokio::test]
async fn another_browser_cannot_go_on_with_a_sign_in() {
    let workspace = Workspace::test("team").await;
    let account = Account::member(&workspace, &["read"]).await;
    let (mut own, back) = stopped(&account).await;
    refused(&Browser::default().open(back.clone()).await, 400);
    let page = own.open(back).await;
    refused(&Browser::default().open(page.url.clone()).await, 400);
    refused(&Browser::default().submit(&page, &[("decision", "approve")]).await, 400);
    let foreign = asked(&account, &[]).await.page.form();
    let form = [("form", foreign.get("form").unwrap().as_str()), ("decision", "approve")];
    refused(&own.submit(&page, &form).await, 400);
    let approved = own.submit(&page, &[("decision", "approve")]).await;
    assert!(approved.query("code").is_some(), "{}", approved.url);
}

#[tokio::test]
async fn what_the_provider_refuses_or_another_provider_says_is_no_sign_in() {
    let workspace = Workspace::test("team").await;
    let account = Account::member(&workspace, &["read"]).await;
    let (mut browser, back) = stopped(&account).await;
    refused(&browser.open(with(&back, "iss", "https://evil.example")).await, 400);
    refused(&browser.open(with(&back, "code", "forged")).await, 400);

    let (mut browser, back) = stopped(&account).await;
    let state = back.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let mut denied = back.clone();
    denied.query_pairs_mut().clear().append_pair("error", "access_denied").append_pair("state", &state);
    let told = browser.open(denied).await;
    assert_eq!(told.query("error").as_deref(), Some("access_denied"), "{}: {}", told.url, told.text());
    refused(&browser.open(back).await, 400);
}

#[tokio::test]
async fn a_sign_in_ends_after_ten_minutes() {
    let workspace = Workspace::test("team").await;
    let account = Account::member(&workspace, &["read"]).await;
    let mut asked = asked(&account, &[]).await;
    expire("SIGN_IN", asked.page.form().get("sign_in").unwrap()).await;
    refused(&asked.browser.submit(&asked.page, &[("decision", "approve")]).await, 400);
    refused(&asked.browser.open(asked.page.url.clone()).await, 400);
}

#[tokio::test]
async fn nobody_chooses_a_workspace_that_is_not_theirs() {
    let (own, foreign) = (Workspace::test("team").await, Workspace::test("team").await);
    let account = Account::member(&own, &["read"]).await;
    let mut asked = asked(&account, &[("workspace", &foreign.id)]).await;
    assert_eq!(asked.page.choices(), std::slice::from_ref(&own.id));
    assert!(asked.page.text().contains("is none of yours"), "{}", asked.page.text());
    let chosen = [("decision", "approve"), ("workspace", foreign.id.as_str())];
    refused(&asked.browser.submit(&asked.page, &chosen).await, 400);
    let nothing = [("decision", "approve"), ("workspace", "ws_0352hlJa4GkymUp58g1CfP")];
    refused(&asked.browser.submit(&asked.page, &nothing).await, 400);
}

#[tokio::test]
async fn who_has_no_workspace_is_told_what_to_do_and_may_go_back() {
    let account = Account::new().await;
    let mut asked = asked(&account, &[]).await;
    assert!(asked.page.choices().is_empty());
    for told in ["id=\"no-workspace\"", account.email.as_str(), "Ask the administrator"] {
        assert!(asked.page.text().contains(told), "{told}: {}", asked.page.text());
    }
    let back = asked.browser.submit(&asked.page, &[("decision", "deny")]).await;
    assert_eq!(back.query("error").as_deref(), Some("access_denied"), "{}", back.url);
}

#[tokio::test]
async fn an_address_that_the_provider_has_not_verified_opens_no_workspace() {
    let workspace = Workspace::test("team").await;
    let account =
        Account::with(&format!("{}@unverified.example", &workspace.id[3..].to_lowercase()), false).await;
    join(&workspace, &account.email, &["read"]).await;
    let page = asked(&account, &[]).await.page;
    assert!(page.choices().is_empty(), "{}", page.text());
    assert!(page.text().contains("not verified your e-mail address"), "{}", page.text());
}

#[tokio::test]
async fn pages_are_kept_framed_scripted_and_referred_to_by_nobody() {
    let made = json!({"name": "<img src=x onerror=alert(1)>&\"'", "plan": "team", "mode": "test"});
    let made: Value = invoke("admin-create-workspace", &made).await;
    let account = Account::new().await;
    let set = json!([{"email": account.email, "scopes": ["read"]}]);
    invoke("admin-members", &json!({"workspace_id": made["workspace"]["id"], "set": set})).await;
    let page = asked(&account, &[]).await.page;
    assert!(!page.text().contains("<img") && page.text().contains("&lt;img"), "{}", page.text());

    let plain = send(anonymous(Method::GET, "/v1/auth/device")).await;
    let refusal = send(anonymous(Method::GET, "/v1/auth/callback?state=x")).await;
    for answer in [page.answer.as_ref().unwrap(), &plain, &refusal] {
        let policy = answer.header("content-security-policy");
        for part in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"]
        {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("script-src") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert_eq!(answer.header("x-frame-options"), "DENY");
        assert_eq!(answer.header("access-control-allow-origin"), "");
        assert!(answer.header("persona-request-id").starts_with("req_"));
        assert!(!answer.text.contains("<script"), "{}", answer.text);
    }
    let begun = tests::client_without_redirects().get(Program::default().begins(&[])).send().await.unwrap();
    let cookie = begun.headers()["set-cookie"].to_str().unwrap().to_owned();
    for part in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=600"] {
        assert!(cookie.contains(part), "{cookie}");
    }
}

#[tokio::test]
async fn forms_are_bounded_and_read_as_forms_alone() {
    let long = "x".repeat(17 * 1024);
    let answer = posted("token", &[("grant_type", &long)]).await;
    assert_eq!(super::error(&answer), (400, "invalid_request".to_owned()));
    let json = anonymous(Method::POST, "/v1/auth/token").json(&json!({"grant_type": "authorization_code"}));
    assert_eq!(super::error(&send(json).await), (400, "invalid_request".to_owned()));
    let preflight = send(anonymous(Method::OPTIONS, "/v1/auth/token")).await;
    assert_eq!(
        (preflight.status.as_u16(), preflight.header("access-control-allow-origin").as_str()),
        (405, "")
    );
}

#[tokio::test]
async fn an_account_that_is_disabled_at_the_provider_signs_in_no_more() {
    let workspace = Workspace::test("team").await;
    let account = Account::member(&workspace, &["read"]).await;
    pool("AdminDisableUser", json!({"Username": account.email})).await;
    let page = Browser::default().sign_in(Program::default().begins(&[]), &account).await;
    assert!(page.text().contains("disabled"), "{}", page.text());
}
