//! Clients that others wrote and that the API promises to work with: scripts in `tests/clients` run them unmodified.
//! A script prints a line for each check and ends at the first that fails.

use std::{path::PathBuf, process::Stdio, time::Duration};

use serde_json::{Value, json};
use tests::{
    Workspace, base_url,
    support::sign_in::{Account, join},
};
use tokio::process::Command;

const BRIEF: &str = "A 58-year-old watchmaker from Geneva who sings in a choir";
const PATIENCE: Duration = Duration::from_mins(2);

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// What a script must know of the stack; each has workspaces of its own.
async fn environment() -> Vec<(&'static str, String)> {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await;
    let begun = workspace.post("/v1/chat/conversations", &json!({"persona_id": persona["id"]})).await.json();
    let limited = Workspace::test("free").await;
    let poor = limited.persona(BRIEF).await;
    let foreign = Workspace::test("team").await.persona(BRIEF).await;
    vec![
        ("PERSONA_BASE_URL", base_url()),
        ("PERSONA_API_KEY", workspace.key.clone()),
        ("PERSONA_MODEL", text(&persona["slug"])),
        ("PERSONA_CONVERSATION", text(&begun["id"])),
        ("PERSONA_LIMITED_KEY", limited.key.clone()),
        ("PERSONA_LIMITED_MODEL", text(&poor["slug"])),
        ("PERSONA_FOREIGN", text(&foreign["id"])),
        ("PERSONA_OWN_WORKSPACE", workspace.id.clone()),
        ("PERSONA_CLI", crate::cli::binary().display().to_string()),
    ]
}

/// Runs a script to its end; every line but the last is a check that held.
async fn run(program: &str, script: &str, at_least: usize) {
    run_with(program, script, at_least, environment().await).await;
}

async fn run_with(program: &str, script: &str, at_least: usize, environment: Vec<(&'static str, String)>) {
    let program = root().join(".local/clients/python/bin").join(program);
    assert!(program.exists(), "{} is missing: `make clients` installs it", program.display());
    let script = root().join("tests/clients").join(script);
    let mut command = Command::new(program);
    command.arg(script).stdin(Stdio::null()).kill_on_drop(true);
    command.env("PYTHONDONTWRITEBYTECODE", "1").envs(environment);
    let output = tokio::time::timeout(PATIENCE, command.output()).await.expect("the script ends").unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}\n{complaint}");
    let (last, checks) =
        told.lines().collect::<Vec<_>>().split_last().map(|(last, rest)| (*last, rest.to_vec())).unwrap();
    assert_eq!(last, "done", "{told}");
    assert!(checks.len() >= at_least && checks.iter().all(|line| line.starts_with("ok ")), "{told}");
}

#[tokio::test]
async fn openai_for_python() {
    run("python", "python/openai_client.py", 40).await;
}

#[tokio::test]
async fn langchain() {
    run("python", "python/langchain_client.py", 14).await;
}

#[tokio::test]
async fn mcp_for_python() {
    run("python", "python/mcp_client.py", 36).await;
}

#[tokio::test]
async fn mcp_for_python_over_stdio() {
    run("python", "python/mcp_stdio_client.py", 37).await;
}

#[tokio::test]
async fn the_mcp_inspector() {
    run("node", "node/inspector.mjs", 7).await;
}

#[tokio::test]
async fn the_mcp_conformance_suite() {
    run("node", "node/conformance.mjs", 2).await;
}

#[tokio::test]
async fn openai_for_node() {
    run("node", "node/openai.mjs", 18).await;
}

/// The built command line, where it is there: then it is signed in, too.
fn command_line() -> Option<(&'static str, String)> {
    let built = root().join("target/debug/persona");
    built.exists().then(|| ("PERSONA_CLI", built.display().to_string()))
}

#[tokio::test]
async fn signing_in_with_chromium() {
    let (one, other) = (Workspace::test("team").await, Workspace::test("team").await);
    let account = Account::member(&one, &["admin"]).await;
    join(&other, &account.email, &["read", "write", "chat"]).await;
    let mut environment = vec![
        ("PERSONA_BASE_URL", base_url()),
        ("PERSONA_EMAIL", account.email),
        ("PERSONA_PASSWORD", account.password),
        ("PERSONA_WORKSPACE", one.id),
        ("PERSONA_OTHER_WORKSPACE", other.id),
    ];
    environment.extend(command_line());
    run_with("node", "node/sign_in.mjs", 25, environment).await;
}

#[tokio::test]
async fn the_vercel_ai_sdk() {
    run("node", "node/vercel.mjs", 14).await;
}
