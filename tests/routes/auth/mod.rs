//! `/v1/auth`: signing in at the stack's identity provider, as a command line and a browser do it, over HTTP.
mod browser;
mod device;
mod members;
mod refused;

use serde_json::Value;
use tests::{
    Answer, Workspace,
    support::sign_in::{Account, Browser, Program, Shown},
};

/// A sign-in that has come to the question of what to grant.
struct Asked {
    browser: Browser,
    program: Program,
    page: Shown,
}

/// Begins a sign-in with these values besides the usual ones, and signs in at the provider.
async fn asked(account: &Account, more: &[(&str, &str)]) -> Asked {
    let (mut browser, program) = (Browser::default(), Program::default());
    let page = browser.sign_in(program.begins(more), account).await;
    assert_eq!(page.status(), 200, "{}", page.text());
    Asked { browser, program, page }
}

impl Asked {
    /// The person chooses what is chosen already, and agrees. The answer: the code.
    async fn approves(&mut self) -> String {
        let back = self.browser.submit(&self.page, &[("decision", "approve")]).await;
        assert!(back.answer.is_none(), "{}: {}", back.url, back.text());
        assert_eq!(back.query("state").as_deref(), Some(self.program.state.as_str()));
        assert_eq!(back.query("iss"), Some(tests::base_url()));
        back.query("code").unwrap()
    }
}

/// A whole sign-in: what the token endpoint answers.
async fn signed_in(account: &Account, more: &[(&str, &str)]) -> Value {
    let mut asked = asked(account, more).await;
    let code = asked.approves().await;
    let answer = asked.program.redeems(&code).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

/// What the workspace says to a key.
async fn tried(workspace: &Workspace, key: &str) -> u16 {
    workspace.through(key).get("/v1/workspace").await.status.as_u16()
}

/// The error of an OAuth answer.
fn error(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.json()["error"].as_str().unwrap_or_default().to_owned())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Lets something be too late: an item of the workspaces table.
async fn expire(kind: &str, ticket: &str) {
    let digest = persona::key::hex(&<sha2::Sha256 as sha2::Digest>::digest(ticket.as_bytes()));
    let (partition, sort_key) = (format!("AUTH#{kind}#{digest}"), kind.to_owned());
    #[expect(clippy::disallowed_methods, reason = "a test that makes time pass")]
    let client = aws_sdk_dynamodb::Client::new(&aws_config::load_from_env().await);
    let text = aws_sdk_dynamodb::types::AttributeValue::S;
    client
        .update_item()
        .table_name(tests::variable("WORKSPACES_TABLE"))
        .key("pk", text(partition))
        .key("sk", text(sort_key))
        .update_expression("SET ends_at = :past")
        .condition_expression("attribute_exists(pk)")
        .expression_attribute_values(":past", aws_sdk_dynamodb::types::AttributeValue::N("1".to_owned()))
        .send()
        .await
        .unwrap();
}
