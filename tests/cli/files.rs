//! `personas pull`, `push`, `edit` and `diff`: a round trip without loss.

use reqwest::{Method, header::ACCEPT};
use serde_json::{Value, json};
use tests::{Workspace, send};

use super::{BRIEF, Machine};

/// The API's YAML of a persona.
async fn yaml(workspace: &Workspace, id: &str) -> String {
    let request =
        workspace.call(Method::GET, &format!("/v1/personas/{id}")).header(ACCEPT, "application/yaml");
    send(request).await.text
}

/// A machine with a persona in `p.yml`.
async fn pulled() -> (Workspace, Machine, String) {
    let workspace = Workspace::test("team").await;
    let machine = Machine::of(&workspace);
    let id = workspace.persona(BRIEF).await["id"].as_str().unwrap().to_owned();
    machine.run(&["personas", "pull", &id, "-o", "p.yml"]).await.well();
    (workspace, machine, id)
}

async fn version(workspace: &Workspace, id: &str) -> Value {
    workspace.get(&format!("/v1/personas/{id}")).await.json()["version"].clone()
}

/// Changes a line of `p.yml`.
fn edit(machine: &Machine, from: &str, to: &str) {
    let text = machine.read("p.yml");
    assert!(text.contains(from), "{from} is not in\n{text}");
    machine.file("p.yml", text.replacen(from, to, 1));
}

#[tokio::test]
async fn a_file_is_the_apis_yaml_below_two_lines_and_unedited_it_pushes_nothing() {
    let (workspace, machine, id) = pulled().await;
    let text = machine.read("p.yml");
    let body: String = text.split_inclusive('\n').skip(2).collect();
    assert_eq!(body, yaml(&workspace, &id).await);
    assert!(text.lines().nth(1).unwrap().contains("etag=\"v1\""), "{text}");
    let pushed = machine.run(&["personas", "push", "p.yml"]).await.well();
    assert!(pushed.stdout.starts_with("Nothing to push"), "{}", pushed.stdout);
    assert_eq!((version(&workspace, &id).await, machine.read("p.yml")), (json!(1), text));
}

#[tokio::test]
async fn sixty_personas_go_through_yaml_and_back_to_the_byte() {
    let workspace = Workspace::test("team").await;
    let machine = Machine::of(&workspace);
    let briefs = include_str!("../data/intents.txt").lines().filter(|line| !line.trim().is_empty()).cycle();
    for (number, brief) in briefs.take(60).enumerate() {
        let made = workspace
            .post(
                "/v1/personas",
                &json!({"intent": brief, "seed": number, "slug": format!("p{number}"), "pipeline": "fast"}),
            )
            .await;
        assert_eq!(made.status, 201, "{brief}: {}", made.text);
        let id = made.json()["id"].as_str().unwrap().to_owned();
        machine.run(&["personas", "pull", &id, "-o", "p.yml", "--force"]).await.well();
        let before = machine.read("p.yml");
        machine.run(&["personas", "push", "p.yml"]).await.well();
        machine.run(&["personas", "pull", &id, "-o", "q.yml", "--force"]).await.well();
        assert_eq!((machine.read("q.yml"), version(&workspace, &id).await), (before, json!(1)), "{brief}");
    }
}

#[tokio::test]
async fn an_edit_is_a_new_version_and_its_file_is_ready_for_the_next_one() {
    let (workspace, machine, id) = pulled().await;
    edit(&machine, "identity:\n", "# Who she is.\nidentity:\n");
    edit(&machine, "visibility: private", "visibility: workspace # for all of us");
    let pushed = machine.run(&["personas", "push", "p.yml"]).await.well();
    assert!(pushed.stdout.contains("is at version 2"), "{}", pushed.stdout);
    let text = machine.read("p.yml");
    for kept in
        ["# Who she is.\nidentity:\n", "visibility: workspace # for all of us", "version: 2\n", "etag=\"v2\""]
    {
        assert!(text.contains(kept), "{kept} is not in\n{text}");
    }
    edit(&machine, "visibility: workspace", "visibility: private");
    machine.run(&["personas", "push", "p.yml"]).await.well();
    assert_eq!(version(&workspace, &id).await, 3);
    let pulled = machine.run(&["personas", "pull", &id, "-o", "p.yml"]).await.well();
    assert!(
        pulled.stderr.starts_with("Wrote") && machine.read("p.yml").contains("# Who she is."),
        "{}",
        pulled.stderr
    );
}

#[tokio::test]
async fn a_stale_file_is_refused_with_what_has_changed_there() {
    let (workspace, machine, id) = pulled().await;
    let path = format!("/v1/personas/{id}");
    send(workspace.call(Method::PATCH, &path).json(&json!({"metadata": {"by": "somebody else"}}))).await;
    edit(&machine, "visibility: private", "visibility: workspace");
    let before = machine.read("p.yml");
    let stale = machine.run(&["personas", "push", "p.yml"]).await;
    assert_eq!((stale.code, stale.stdout.as_str()), (7, ""), "{}", stale.stderr);
    for told in ["error: p.yml is of version 1, but ", "at version 2 now", "+  by: somebody else", "--force"]
    {
        assert!(stale.stderr.contains(told), "{told} is not in\n{}", stale.stderr);
    }
    assert!(!stale.stderr.contains("visibility: workspace"), "the diff is of there alone\n{}", stale.stderr);
    assert_eq!((version(&workspace, &id).await, machine.read("p.yml")), (json!(2), before));
    machine.run(&["personas", "push", "p.yml", "--force"]).await.well();
    let now = workspace.get(&path).await.json();
    assert_eq!(
        (&now["version"], &now["visibility"], &now["metadata"]),
        (&json!(3), &json!("workspace"), &json!({}))
    );
}

#[tokio::test]
async fn edits_that_were_not_pushed_are_not_overwritten() {
    let (_, machine, id) = pulled().await;
    edit(&machine, "visibility: private", "visibility: workspace");
    let refused = machine.run(&["personas", "pull", &id, "-o", "p.yml"]).await;
    assert!(
        refused.code == 2 && refused.stderr.contains("p.yml has edits that were not pushed"),
        "{}",
        refused.stderr
    );
    let diff = machine.run(&["personas", "diff", "p.yml", "--exit-code"]).await;
    assert!(
        diff.code == 1 && diff.stdout.contains("-visibility: private\n+visibility: workspace\n"),
        "{}",
        diff.stdout
    );
    machine.run(&["personas", "pull", &id, "-o", "p.yml", "--force"]).await.well();
    assert_eq!(machine.run(&["personas", "diff", "p.yml", "--exit-code"]).await.code, 0);
    machine.file("notes.txt", "mine");
    let refused = machine.run(&["personas", "pull", &id, "-o", "notes.txt"]).await;
    assert_eq!((refused.code, machine.read("notes.txt").as_str()), (2, "mine"), "{}", refused.stderr);
}

#[tokio::test]
async fn what_is_no_yaml_or_no_persona_is_told_with_its_place() {
    let (workspace, machine, id) = pulled().await;
    let name = machine.read("p.yml").lines().position(|line| line.starts_with("  name: ")).unwrap() + 1;
    edit(&machine, "  name: ", "  name: \"");
    let broken = machine.run(&["personas", "push", "p.yml"]).await;
    assert_eq!(broken.code, 3, "{}", broken.stderr);
    assert!(broken.stderr.contains("p.yml is not YAML that can be read, line "), "{}", broken.stderr);
    assert!(broken.stderr.contains("column "), "{name}: {}", broken.stderr);
    machine.run(&["personas", "pull", &id, "-o", "p.yml", "--force"]).await.well();
    edit(&machine, "  age: 58", "  age: fifty-eight");
    let wrong = machine.run(&["personas", "push", "p.yml"]).await;
    assert!(wrong.code == 3 && wrong.stderr.contains("fifty-eight"), "{}", wrong.stderr);
    machine.run(&["personas", "pull", &id, "-o", "p.yml", "--force"]).await.well();
    edit(&machine, "  age: 58", "  age: 9");
    let contradiction = machine.run(&["personas", "push", "p.yml"]).await;
    assert!(
        contradiction.code == 8 && contradiction.stderr.contains("/identity/age"),
        "{}",
        contradiction.stderr
    );
    assert_eq!(version(&workspace, &id).await, 1);
}

#[tokio::test]
async fn comments_survive_edit() {
    let (workspace, machine, id) = pulled().await;
    let edit = async |script: &str, arguments: &[&str]| {
        let editor = machine.file("editor.sh", format!("#!/bin/sh\n{script}\n"));
        let mut command = machine.command(arguments);
        command.env("EDITOR", format!("sh '{}'", editor.display()));
        super::ended(command).await
    };
    let arguments = ["personas", "edit", id.as_str()];
    let script = r#"sed -i -e 's/^identity:/# Who she is.\nidentity:/' -e 's/^visibility: .*/visibility: workspace # ours/' "$1""#;
    edit(script, &arguments).await.well();
    assert_eq!(version(&workspace, &id).await, 2);
    let path = format!("/v1/personas/{id}");
    send(workspace.call(Method::PATCH, &path).json(&json!({"metadata": {"by": "somebody else"}}))).await;
    let seen = edit(r#"cp "$1" seen.yml"#, &arguments).await.well();
    assert_eq!(seen.stdout, "Nothing changed.\n");
    let text = machine.read("seen.yml");
    for kept in
        ["# Who she is.\nidentity:\n", "visibility: workspace # ours\n", "by: somebody else", "version: 3\n"]
    {
        assert!(text.contains(kept), "{kept} is not in\n{text}");
    }
    assert_eq!(version(&workspace, &id).await, 3);
}

#[tokio::test]
async fn what_an_edit_got_wrong_is_opened_again_and_never_lost() {
    let (workspace, machine, id) = pulled().await;
    // The first time it is wrong; the second time the complaint is there, and it is put right.
    let script = r#"if grep -q '^# error: ' "$1"; then cp "$1" seen.yml; sed -i 's/^visibility: .*/visibility: workspace/' "$1"; else sed -i 's/^visibility: .*/visibility: secret/' "$1"; fi"#;
    let editor = machine.file("editor.sh", format!("#!/bin/sh\n{script}\n"));
    let mut command = machine.command(&["personas", "edit", &id]);
    command.env("EDITOR", format!("sh '{}'", editor.display()));
    super::ended(command).await.well();
    assert!(machine.read("seen.yml").starts_with("# error: "), "{}", machine.read("seen.yml"));
    let now = workspace.get(&format!("/v1/personas/{id}")).await.json();
    assert_eq!((&now["visibility"], &now["version"]), (&json!("workspace"), &json!(2)));
    let editor =
        machine.file("editor.sh", "#!/bin/sh\nsed -i 's/^visibility: .*/visibility: secret/' \"$1\"\n");
    let mut command = machine.command(&["personas", "edit", &id]);
    command.env("EDITOR", format!("sh '{}'", editor.display()));
    let given_up = super::ended(command).await;
    assert_eq!(given_up.code, 3, "{}", given_up.stderr);
    let kept =
        given_up.stderr.lines().find_map(|line| line.strip_prefix("hint: your text is kept: ")).unwrap();
    assert!(std::fs::read_to_string(kept).unwrap().contains("visibility: secret"));
    std::fs::remove_dir_all(std::path::Path::new(kept).parent().unwrap()).unwrap();
}
