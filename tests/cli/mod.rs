//! The `persona` command line as people run it: a process of its own, against the running stack.

mod auth;
mod chat;
mod failures;
mod files;
mod making;
mod mcp;
mod nouns;
mod packaging;
mod proxy;
mod runs;
mod snippets;
mod terminal;
mod webhooks;

use std::{
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;
use tests::{Workspace, base_url};
use tokio::{io::AsyncWriteExt, process::Command};

const BRIEF: &str = "A 58-year-old watchmaker from Geneva who sings in a choir";
const PATIENCE: Duration = Duration::from_mins(1);

/// The binary under test, beside the one that tests it.
pub(crate) fn binary() -> PathBuf {
    let own = std::env::current_exe().expect("a test binary");
    let built = own.ancestors().nth(2).expect("the folder of binaries").join("persona");
    assert!(built.exists(), "{} is missing: cargo build -p persona-cli", built.display());
    built
}

/// Somebody's machine: a home of its own, nobody signed in.
pub(crate) struct Machine {
    home: TempDir,
    base_url: String,
    key: Option<String>,
}

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).expect("UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }

    /// Standard output as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|_| Value::String(format!("{self:?}")))
    }

    /// The last line of standard output.
    pub(crate) fn line(&self) -> &str {
        self.stdout.lines().last().unwrap_or_default()
    }

    /// The same, of a command that went well.
    pub(crate) fn well(self) -> Self {
        assert_eq!(self.code, 0, "{}{}", self.stdout, self.stderr);
        self
    }
}

impl Machine {
    /// Where nobody is signed in.
    pub(crate) fn new() -> Self {
        Self { home: TempDir::new().expect("a folder"), base_url: base_url(), key: None }
    }

    /// Where the environment has the key of a workspace.
    pub(crate) fn of(workspace: &Workspace) -> Self {
        Self { key: Some(workspace.key.clone()), ..Self::new() }
    }

    /// The same machine, asking another address.
    pub(crate) fn asking(self, base_url: &str) -> Self {
        Self { base_url: base_url.to_owned(), ..self }
    }

    /// A file of it.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// A file of it, written.
    pub(crate) fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).expect("a file");
        path
    }

    /// A file of it, read.
    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("a file")
    }

    /// What the process is told by its environment.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        let folder = |name: &str| self.path(name).display().to_string();
        let mut environment = vec![
            ("HOME", folder("")),
            ("XDG_CONFIG_HOME", folder("config")),
            ("XDG_STATE_HOME", folder("state")),
            ("PERSONA_NO_KEYRING", "1".to_owned()),
            ("PERSONA_BASE_URL", self.base_url.clone()),
            ("PATH", std::env::var("PATH").unwrap_or_default()),
        ];
        environment.extend(self.key.clone().map(|key| ("PERSONA_API_KEY", key)));
        environment
    }

    /// A command, not yet started.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .args(arguments)
            .env_clear()
            .envs(self.environment())
            .current_dir(self.home.path())
            .kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs a command to its end.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Ended {
        ended(self.command(arguments)).await
    }

    /// Runs a command that reads this.
    pub(crate) async fn fed(&self, arguments: &[&str], input: &str) -> Ended {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().expect("a process");
        let mut stdin = child.stdin.take().expect("standard input");
        // A command that refuses reads nothing.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
        Ended::of(output.expect("an end").expect("an output"))
    }

    /// A persona of its workspace, as JSON.
    pub(crate) async fn persona(&self, persona: &str) -> Value {
        self.run(&["personas", "get", persona, "--json"]).await.well().json()
    }
}

/// Waits for a command's end.
pub(crate) async fn ended(mut command: Command) -> Ended {
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    Ended::of(output.expect("an end").expect("an output"))
}

/// A path as an argument.
pub(crate) fn shown(path: &Path) -> &str {
    path.to_str().expect("a path of UTF-8")
}
