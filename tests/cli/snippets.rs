//! The programs of docs/snippets, each run as it stands.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use tests::Workspace;
use tokio::{io::AsyncWriteExt, process::Command};

use super::{BRIEF, Ended, Machine, binary};

/// The first Go program on a busy machine compiles Go's library, too.
const PATIENCE: Duration = Duration::from_mins(5);

const LANGUAGES: [&str; 6] = ["curl.sh", "py", "ts", "go", "rs", "cli.sh"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// How a snippet is started.
fn program(what: &str, language: &str) -> Command {
    let file = root().join("docs/snippets").join(format!("{what}.{language}"));
    assert!(file.exists(), "{} is missing", file.display());
    let clients = root().join(".local/clients/python/bin");
    let (program, before): (PathBuf, &[&str]) = match language {
        "py" => (clients.join("python"), &[]),
        "ts" => (clients.join("node"), &[]),
        "go" => (clients.join("go"), &["run"]),
        "rs" => {
            let built = binary().with_file_name("examples").join(format!("snippet-{what}"));
            assert!(built.exists(), "{} is missing: cargo build -p tests --examples", built.display());
            return Command::new(built);
        }
        _ => ("sh".into(), &[]),
    };
    let mut command = Command::new(program);
    command.args(before).arg(file);
    command
}

async fn run(machine: &Machine, mut command: Command, more: &[(&str, &str)], input: &str) -> Ended {
    command.env_clear().envs(machine.environment()).envs(more.iter().copied());
    let own = binary().parent().unwrap().display().to_string();
    command
        .env("PATH", format!("{own}:{}", std::env::var("PATH").unwrap()))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    // Go compiles its library once for all, and asks the network for nothing.
    command
        .env("GOCACHE", root().join(".local/clients/go"))
        .env("GOTOOLCHAIN", "local")
        .env("GOPROXY", "off");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Most read nothing.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    Ended::of(tokio::time::timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap())
}

/// Runs a snippet in each language.
async fn each(what: &str, machine: &Machine, more: &[(&str, &str)], holds: impl Fn(&Ended) -> bool) {
    for language in LANGUAGES {
        let ended = run(machine, program(what, language), more, "").await;
        assert!(ended.code == 0 && holds(&ended), "{what}.{language}: {ended:?}");
    }
}

#[tokio::test]
async fn create() {
    let workspace = Workspace::test("team").await;
    let is_id = |ended: &Ended| ended.stdout.starts_with("psn_") && ended.stdout.trim().len() == 26;
    each("create", &Machine::of(&workspace), &[], is_id).await;
    let personas = workspace.all("/v1/personas").await;
    assert!(
        personas.len() == LANGUAGES.len()
            && personas.iter().all(|persona| persona["visibility"] == "workspace")
    );
}

#[tokio::test]
async fn chat() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await["id"].as_str().unwrap().to_owned();
    let said = |ended: &Ended| format!("{}{}", ended.stdout, ended.stderr).contains("in-character");
    each("chat", &Machine::of(&workspace), &[("PERSONA", persona.as_str())], said).await;
}

#[tokio::test]
async fn stream() {
    let workspace = Workspace::test("team").await;
    let streamed =
        |ended: &Ended| ended.stdout.contains("soul.core_desire") && ended.stdout.contains("run.completed");
    each("stream", &Machine::of(&workspace), &[], streamed).await;
}

#[tokio::test]
async fn webhook_verify() {
    let (machine, secret, body) = (Machine::new(), "whsec_test", "{\"id\":\"evt_1\",\n\"name\":\"Sahafçı\"}");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let signed = |seconds: u64| {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(format!("{seconds}.{body}").as_bytes());
        let hex = mac
            .finalize()
            .into_bytes()
            .iter()
            .fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        format!("t={seconds},v1={hex}")
    };
    for language in LANGUAGES {
        for (signature, sent, is_right) in [
            (signed(now), body, true),
            (signed(now) + ",v1=00", body, true),
            (signed(now), "{\"id\":\"evt_2\"}", false),
            (signed(now - 400), body, false),
            (format!("t={now},v1=abc"), body, false),
        ] {
            let mut command = program("webhook-verify", language);
            command.arg(&signature);
            let ended = run(&machine, command, &[("PERSONA_WEBHOOK_SECRET", secret)], sent).await;
            assert_eq!(
                (ended.code == 0, ended.stdout.trim() == "ok"),
                (is_right, is_right),
                "{language} {signature}: {ended:?}"
            );
        }
    }
}
