//! `npm i -g @persona/cli`: packed, installed from the tarballs, and run.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Command;

use super::{Ended, ended, shown};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// A command of Node's, which comes with the clients.
fn node(program: &str, home: &Path, arguments: &[&str]) -> Command {
    let folder = root().join(".local/clients/python/bin");
    assert!(folder.join(program).exists(), "{program} is missing: `make clients` installs it");
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new(folder.join(program));
    command.args(arguments).env("PATH", path).env("HOME", home).current_dir(home).stdin(Stdio::null());
    command.env("npm_config_offline", "true").env("npm_config_update_notifier", "false");
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

#[tokio::test]
async fn the_packages_install_globally_from_their_tarballs_and_run() {
    let home = TempDir::new().unwrap();
    let (folder, prefix) = (home.path().join("packages"), home.path().join("prefix"));
    let assemble = root().join("cli/npm/assemble.mjs");
    let binary = super::binary();
    ended(node("node", home.path(), &[shown(&assemble), shown(&binary), shown(&folder)])).await.well();
    let mut tarballs = Vec::new();
    for package in fs::read_dir(&folder).unwrap() {
        let package = package.unwrap().path();
        let packed = ended(node("npm", home.path(), &["pack", "--json", shown(&package)])).await.well();
        let packed: Value = serde_json::from_str(&packed.stdout).unwrap();
        let packed = packed
            .as_array()
            .and_then(|all| all.first())
            .or_else(|| packed.as_object()?.values().next())
            .unwrap()
            .clone();
        tarballs.push(format!("./{}", packed["filename"].as_str().unwrap()));
    }
    assert_eq!(tarballs.len(), 2, "{tarballs:?}");
    let mut install = vec!["install", "--global", "--no-audit", "--no-fund", "--prefix", shown(&prefix)];
    install.extend(tarballs.iter().map(String::as_str));
    ended(node("npm", home.path(), &install)).await.well();
    let run = async |arguments: &[&str]| -> Ended {
        let mut command = node("node", home.path(), &[]);
        command.arg(prefix.join("bin/persona")).args(arguments).env_remove("PERSONA_API_KEY");
        ended(command).await
    };
    assert_eq!(run(&["--version"]).await.well().stdout, format!("persona {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(run(&["personas", "list"]).await.code, 4, "the exit code is the binary's");
    let installed: Vec<_> = fs::read_dir(prefix.join("lib/node_modules/@persona")).unwrap().collect();
    assert_eq!(installed.len(), 2);
    for package in installed {
        let manifest = fs::read_to_string(package.unwrap().path().join("package.json")).unwrap();
        assert!(!manifest.contains("\"scripts\""), "nothing runs while it is installed: {manifest}");
    }
}

#[test]
fn every_version_is_the_workspaces() {
    let manifest: Value =
        serde_json::from_str(&fs::read_to_string(root().join("cli/npm/package.json")).unwrap()).unwrap();
    let platforms = manifest["optionalDependencies"].as_object().unwrap().values();
    assert!(
        platforms.chain([&manifest["version"]]).all(|version| version == env!("CARGO_PKG_VERSION")),
        "{manifest}"
    );
}
