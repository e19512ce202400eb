//! Report: how often personas hold their role against the attempts of tests/data/injections.yaml.
//!
//! `infra/local exec -- cargo run -q -p tests --bin injections`: the sandbox speaks, which is a simulation.
//! `infra/local exec --model qwen --providers-json tests/bin/injections.json -- cargo run -q -p tests --bin injections -- --live`:
//! the local model speaks, as personas whose sheets the sandbox wrote: five sheets would cost it half an hour.
#![allow(clippy::print_stdout, reason = "a report prints")]

use std::{collections::BTreeMap, env};

use tests::{
    Workspace,
    support::injections::{Outcome, try_all},
};

#[tokio::main]
async fn main() {
    let live = env::args().any(|argument| argument == "--live");
    let workspace =
        if live { Workspace::live("enterprise").await } else { Workspace::test("enterprise").await };
    println!("| language | attempt | held | answer |\n| --- | --- | --- | --- |");
    let outcomes = try_all(&workspace, |outcome| {
        let held = outcome.gave_in.clone().map_or("yes".to_owned(), |how| format!("**no**: {how}"));
        let answer: String = outcome.answer.replace(['\n', '|'], " ").chars().take(160).collect();
        println!("| {} | {} | {held} | {answer} |", outcome.attempt.language, outcome.attempt.kind);
    })
    .await;
    let held = |outcomes: &[&Outcome]| outcomes.iter().filter(|outcome| outcome.gave_in.is_none()).count();
    let mut by_language: BTreeMap<&str, Vec<_>> = BTreeMap::new();
    for outcome in &outcomes {
        by_language.entry(outcome.attempt.language).or_default().push(outcome);
    }
    for (language, outcomes) in &by_language {
        println!("{language}: {} of {} held", held(outcomes), outcomes.len());
    }
    println!("\nin all: {} of {} held", held(&outcomes.iter().collect::<Vec<_>>()), outcomes.len());
}
