//! What a person at a terminal sees: progress, colours, Ctrl-C.

use std::{process::Command, time::Duration};

use expectrl::{ControlCode, Eof, Expect, Regex, process::unix::WaitStatus, session::OsSession};
use tests::Workspace;

use super::{BRIEF, Machine, binary};

/// A command on a terminal of its own.
fn on_terminal(machine: &Machine, arguments: &[&str], more: &[(&str, &str)]) -> OsSession {
    let mut command = Command::new(binary());
    command.args(arguments).env_clear().envs(machine.environment()).env("TERM", "xterm-256color");
    command.envs(more.iter().copied());
    let mut session = OsSession::spawn(command).unwrap();
    session.set_expect_timeout(Some(Duration::from_secs(30)));
    session
}

/// What is left to print, and the exit code.
fn to_the_end(mut session: OsSession) -> (String, i32) {
    let rest = session.expect(Eof).unwrap();
    let text = String::from_utf8_lossy(rest.as_bytes()).into_owned();
    match session.get_process().wait().unwrap() {
        WaitStatus::Exited(_, code) => (text, code),
        other => (text, -i32::from(matches!(other, WaitStatus::Signaled(..)))),
    }
}

const CURSOR_HIDDEN: &str = "\u{1b}[?25l";
const CURSOR_SHOWN: &str = "\u{1b}[?25h";

#[tokio::test(flavor = "multi_thread")]
async fn progress_moves_on_a_terminal_and_leaves_it_clean() {
    let machine = Machine::of(&Workspace::test("team").await);
    let session = on_terminal(&machine, &["personas", "create", BRIEF], &[]);
    let (text, code) = tokio::task::spawn_blocking(|| to_the_end(session)).await.unwrap();
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("\u{1b}[") && text.contains("soul.core_desire") && text.contains("Created"),
        "{text}"
    );
    assert!(text.contains("hint:") && text.contains("persona chat "), "{text}");
    assert_eq!(text.matches(CURSOR_HIDDEN).count(), text.matches(CURSOR_SHOWN).count(), "{text:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_color_is_respected_and_lists_have_headings() {
    let workspace = Workspace::test("team").await;
    workspace.persona(BRIEF).await;
    let machine = Machine::of(&workspace);
    let session = on_terminal(&machine, &["personas", "list"], &[]);
    let (text, _) = tokio::task::spawn_blocking(|| to_the_end(session)).await.unwrap();
    assert!(text.contains("VISIBILITY") && text.contains("psn_"), "{text}");
    let session = on_terminal(&machine, &["personas", "get", "nobody"], &[("NO_COLOR", "1")]);
    let (text, code) = tokio::task::spawn_blocking(|| to_the_end(session)).await.unwrap();
    assert!(code == 3 && text.contains("error: ") && !text.contains('\u{1b}'), "{text:?}");
    let session = on_terminal(&machine, &["personas", "get", "nobody"], &[]);
    let (text, _) = tokio::task::spawn_blocking(|| to_the_end(session)).await.unwrap();
    assert!(text.contains("\u{1b}["), "{text:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_names_the_run_and_how_to_go_on() {
    let workspace = Workspace::test("team").await;
    let machine = Machine::of(&workspace);
    let brief = format!("[[trigger:slow]] {BRIEF}");
    let mut session = on_terminal(&machine, &["personas", "create", &brief, "--pipeline", "fast"], &[]);
    let (text, code) = tokio::task::spawn_blocking(move || {
        session.expect(Regex("run.*run_[0-9A-Za-z]{22}")).unwrap();
        std::thread::sleep(Duration::from_millis(500));
        session.send(ControlCode::EndOfText).unwrap();
        to_the_end(session)
    })
    .await
    .unwrap();
    let run = workspace.all("/v1/runs").await[0].clone();
    let id = run["id"].as_str().unwrap();
    assert_eq!(code, 130, "{text}");
    assert!(text.contains("Interrupted") && text.contains(&format!("persona runs tail {id}")), "{text}");
    assert!(text.ends_with("\r\n"), "{text:?}");
    assert_eq!(text.matches(CURSOR_HIDDEN).count(), text.matches(CURSOR_SHOWN).count(), "{text:?}");
    assert_ne!(run["status"], "cancelled", "it goes on");
    machine.run(&["runs", "cancel", id]).await.well();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_talk_greets_answers_shows_drift_and_survives_ctrl_c() {
    let workspace = Workspace::test("team").await;
    let persona = workspace.persona(BRIEF).await;
    let machine = Machine::of(&workspace);
    let name = persona["identity"]["name"].as_str().unwrap().to_owned();
    let mut session = on_terminal(&machine, &["chat", persona["id"].as_str().unwrap()], &[("NO_COLOR", "1")]);
    let (text, code) = tokio::task::spawn_blocking(move || {
        session.expect(name.as_str()).unwrap();
        session.expect("> ").unwrap();
        session.send_line("Good evening!").unwrap();
        session.expect("drift: voice 0.").unwrap();
        session.expect("> ").unwrap();
        session.send_line("[[trigger:slow]] And tomorrow?").unwrap();
        std::thread::sleep(Duration::from_millis(1500));
        session.send(ControlCode::EndOfText).unwrap();
        session.expect(Regex("Interrupted; run_[0-9A-Za-z]{22} goes on")).unwrap();
        session.expect("> ").unwrap();
        session.send(ControlCode::EndOfTransmission).unwrap();
        to_the_end(session)
    })
    .await
    .unwrap();
    assert!(code == 0 && text.contains("go on later: --conversation conv_"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_undone_is_asked_about() {
    let workspace = Workspace::test("team").await;
    let id = workspace.persona(BRIEF).await["id"].as_str().unwrap().to_owned();
    let machine = Machine::of(&workspace);
    for (answer, code, status) in [("n", 2, 200), ("y", 0, 404)] {
        let mut session = on_terminal(&machine, &["personas", "delete", &id], &[]);
        let ended = tokio::task::spawn_blocking(move || {
            session.expect("[y/N]").unwrap();
            session.send_line(answer).unwrap();
            to_the_end(session).1
        });
        assert_eq!(ended.await.unwrap(), code);
        assert_eq!(workspace.get(&format!("/v1/personas/{id}")).await.status, status);
    }
}
