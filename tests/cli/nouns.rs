//! The commands that call one route each.

use serde_json::Value;
use tests::Workspace;

use super::{BRIEF, Machine};

#[tokio::test]
async fn lists_are_tabs_for_programs_and_the_apis_list_as_json() {
    let workspace = Workspace::test("team").await;
    let machine = Machine::of(&workspace);
    for seed in 0..5 {
        machine
            .run(&["personas", "create", BRIEF, "--seed", &seed.to_string(), "--pipeline", "fast"])
            .await
            .well();
    }
    let listed = machine.run(&["personas", "list", "--limit", "3"]).await.well();
    assert_eq!(listed.stdout.lines().count(), 3);
    assert!(
        listed.stdout.lines().all(|line| line.starts_with("psn_") && line.matches('\t').count() == 6),
        "{}",
        listed.stdout
    );
    let all = machine.run(&["personas", "list", "--all", "--json"]).await.well().json();
    assert_eq!((all["data"].as_array().unwrap().len(), &all["has_more"]), (5, &false.into()));
    let some = machine.run(&["personas", "list", "--limit", "2", "--json"]).await.well().json();
    assert_eq!((some["data"].as_array().unwrap().len(), &some["has_more"]), (2, &true.into()));
}

#[tokio::test]
async fn personas_are_exported_imported_published_installed_and_deleted() {
    let (workspace, other) = (Workspace::test("team").await, Workspace::test("team").await);
    let machine = Machine::of(&workspace);
    let made = machine.run(&["personas", "create", BRIEF, "--visibility", "public"]).await.well();
    let id = made.stdout.trim();
    machine.run(&["personas", "export", id, "--format", "card_v2", "-o", "card.json"]).await.well();
    let card: Value = serde_json::from_str(&machine.read("card.json")).unwrap();
    assert_eq!(card["spec"], "chara_card_v2");
    let imported = machine.run(&["personas", "import", "card.json", "--slug", "again"]).await.well();
    assert!(imported.stdout.ends_with("\tagain\n"), "{}", imported.stdout);
    let exported = machine.run(&["personas", "export", id, "--format", "yaml"]).await.well();
    assert!(exported.stdout.contains("identity:\n"), "{}", exported.stdout);
    let listing = machine.run(&["personas", "publish", id, "--tags", "watches"]).await.well();
    let listing = listing.stdout.trim();
    let found =
        machine.run(&["marketplace", "search", "--tag", "watches", "--json", "--all"]).await.well().json();
    assert!(found["data"].as_array().unwrap().iter().any(|found| found["id"] == listing), "{found}");
    let there = Machine::of(&other);
    let installed = there.run(&["marketplace", "install", listing, "--slug", "copy"]).await.well();
    assert!(installed.stdout.ends_with("\tcopy\n"), "{}", installed.stdout);
    machine.run(&["personas", "unpublish", id]).await.well();
    assert_eq!(there.run(&["marketplace", "get", listing]).await.code, 3);
    let unasked = machine.run(&["personas", "delete", id]).await;
    assert!(unasked.code == 2 && unasked.stderr.contains("hint: say --yes"), "{}", unasked.stderr);
    machine.run(&["personas", "delete", id, "--yes"]).await.well();
    assert_eq!(machine.run(&["personas", "get", id]).await.code, 3);
}

#[tokio::test]
async fn keys_are_made_rotated_and_revoked() {
    let machine = Machine::of(&Workspace::test("team").await);
    let made = machine.run(&["keys", "create", "ci", "--scopes", "read,chat"]).await.well();
    assert!(made.stdout.starts_with("pk_test_") && made.stderr.contains("shown once"), "{made:?}");
    let id = made.stderr.split(' ').next().unwrap();
    let rotated = machine.run(&["keys", "rotate", id, "--grace-seconds", "60", "--json"]).await.well().json();
    machine.run(&["keys", "revoke", rotated["id"].as_str().unwrap(), "--yes"]).await.well();
    let listed = machine.run(&["keys", "list"]).await.well();
    assert!(listed.stdout.contains("\tread,chat\trevoked\t"), "{}", listed.stdout);
}

#[tokio::test]
async fn fields_pipelines_usage_and_the_workspace() {
    let machine = Machine::of(&Workspace::test("team").await);
    let field =
        ["schema", "fields", "create", "house", "--type", "string", "--schema", r#"{"maxLength": 20}"#];
    machine.run(&field).await.well();
    let made = machine
        .run(&["personas", "create", BRIEF, "--custom-fields", r#"{"house": "red"}"#, "--json"])
        .await
        .well();
    assert_eq!(made.json()["custom_fields"]["house"], "red");
    assert_eq!(
        machine.run(&["schema", "fields", "list"]).await.well().stdout,
        "house\tstring\tfalse\tfalse\t1\n"
    );
    assert_eq!(machine.run(&["schema", "fields", "delete", "house"]).await.code, 7);
    let pipeline = machine.run(&["pipelines", "get", "fast", "--json"]).await.well().json();
    let own = serde_json::json!({"description": "Mine", "steps": pipeline["steps"]});
    machine.file("mine.json", own.to_string());
    machine.run(&["pipelines", "put", "mine", "-f", "mine.json"]).await.well();
    let listed = machine.run(&["pipelines", "list"]).await.well();
    assert!(listed.stdout.contains("mine\t1\tfalse\tMine\n"), "{}", listed.stdout);
    machine.run(&["pipelines", "delete", "mine"]).await.well();
    machine.file("bad.yml", "description: [x\n");
    let bad = machine.run(&["pipelines", "put", "mine", "-f", "bad.yml"]).await;
    assert!(
        bad.code == 3 && bad.stderr.contains("bad.yml is not YAML that can be read, line "),
        "{}",
        bad.stderr
    );
    let changed = machine.run(&["workspace", "--pipeline", "fast", "--json"]).await.well().json();
    assert_eq!(changed["pipeline"], "fast");
    let usage = machine.run(&["usage", "--group-by", "kind"]).await.well();
    assert!(
        usage.stdout.starts_with("persona.create\t1\t0\t") && usage.stdout.contains("\ntotal\t1\t"),
        "{}",
        usage.stdout
    );
}

#[tokio::test]
async fn completions_and_the_manual_are_written() {
    let machine = Machine::new();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = machine.run(&["completion", shell]).await.well().stdout;
        assert!(script.contains("personas") && script.contains("redeliver"), "{shell}");
    }
    let page = machine.run(&["man"]).await.well().stdout;
    assert!(page.contains(".TH persona 1") && page.contains("Exit codes"), "{page}");
    assert!(machine.run(&["man", "personas", "create"]).await.well().stdout.contains("brief"));
    assert_eq!(machine.run(&["man", "nothing"]).await.code, 2);
    assert_eq!(machine.run(&["nothing"]).await.code, 2);
    assert_eq!(
        machine.run(&["--version"]).await.well().stdout,
        format!("persona {}\n", env!("CARGO_PKG_VERSION"))
    );
}
