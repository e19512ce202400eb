//! Report: how often personas hold their role against the attempts of tests/data/injections.yaml.
//!
//! `infra/local exec [OPTIONS] -- cargo run -q -p tests --bin injections -- [--live] [--drift-policy POLICY | --most-tokens N] [--kept FILE]`
//! Without `--live` the sandbox speaks, which is a simulation; with it the configured model. `--kept` adds each answer to
//! a file as it comes, and asks for none that is there. For the local model on sheets of the sandbox, as docs/LOCAL_MODEL.md
//! reports, OPTIONS are `--model qwen --providers-json tests/support/providers-local.json`.
#![allow(clippy::print_stdout, clippy::expect_used, reason = "a report prints, and fails by panicking")]

use std::{
    collections::BTreeMap,
    env,
    fs::{self, OpenOptions},
    io::Write,
};

use tests::{
    Workspace,
    support::injections::{Attempt, Outcome, Place, try_all},
};

#[tokio::main]
async fn main() {
    let mut arguments = env::args().skip(1);
    let (mut live, mut place, mut kept) = (false, Place::Conversation("observe".to_owned()), None);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--live" => live = true,
            "--drift-policy" => place = Place::Conversation(arguments.next().expect("a policy")),
            "--most-tokens" => {
                let most = arguments.next().and_then(|text| text.parse().ok());
                place = Place::Completion(most.expect("a number of tokens"));
            }
            "--kept" => kept = arguments.next(),
            other => println!("\"{other}\" is none of --live, --drift-policy, --most-tokens and --kept."),
        }
    }
    let workspace =
        if live { Workspace::live("enterprise").await } else { Workspace::test("enterprise").await };
    let before = kept.as_ref().and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
    let before = Outcome::kept(&before);
    println!("| language | attempt | held | drift | answer |\n| --- | --- | --- | --- | --- |");
    before.iter().for_each(row);
    let mut file = kept.map(|path| OpenOptions::new().create(true).append(true).open(path).expect("a file"));
    let outcomes = try_all(&workspace, &place, before, |outcome| {
        row(outcome);
        if let Some(file) = &mut file {
            writeln!(file, "{}", outcome.line()).expect("a line is kept");
        }
    })
    .await;
    println!();
    shares("language", &outcomes, |outcome| outcome.attempt.language);
    shares("attempt", &outcomes, |outcome| &outcome.attempt.kind);
    println!("in all: {} of {} held", held(outcomes.iter()), outcomes.len());
}

fn row(outcome: &Outcome) {
    let held = outcome.gave_in.clone().map_or("yes".to_owned(), |how| format!("**no**: {how}"));
    let answer: String = outcome.answer.replace(['\n', '|'], " ").chars().take(160).collect();
    let Attempt { language, kind, .. } = &outcome.attempt;
    println!("| {language} | {kind} | {held} | {} | {answer} |", outcome.verdict);
}

fn held<'a>(outcomes: impl Iterator<Item = &'a Outcome>) -> usize {
    outcomes.filter(|outcome| outcome.gave_in.is_none()).count()
}

fn shares<'a>(title: &str, outcomes: &'a [Outcome], of: impl Fn(&'a Outcome) -> &'a str) {
    let mut groups: BTreeMap<&str, Vec<&Outcome>> = BTreeMap::new();
    for outcome in outcomes {
        groups.entry(of(outcome)).or_default().push(outcome);
    }
    println!("| {title} | held |\n| --- | --- |");
    for (name, group) in &groups {
        println!("| {name} | {} of {} |", held(group.iter().copied()), group.len());
    }
    println!();
}
