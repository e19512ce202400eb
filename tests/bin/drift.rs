//! The numbers of drift scoring: `fit` prints what shared/drift/fitted.rs holds, from the calibration half of the labelled
//! set alone; `dump` prints every signal of every reply as JSON lines. The report is `make bench BENCH=drift`.
//!
//! `infra/local exec --model none -- cargo run -q -p tests --bin drift -- fit`
#![allow(clippy::print_stdout, reason = "a report prints")]

use std::env;

use serde_json::json;
use tests::support::drift::{Case, fit, scored};

#[tokio::main]
async fn main() {
    let cases = scored().await;
    match env::args().nth(1).as_deref() {
        Some("fit") => {
            let calibration: Vec<&Case> =
                cases.iter().filter(|case| case.calibration && !case.mixed).collect();
            println!("{}", fit::fitted(&calibration));
        }
        Some("dump") => cases.iter().for_each(dump),
        other => println!("\"{}\" is neither fit nor dump.", other.unwrap_or_default()),
    }
}

fn dump(case: &Case) {
    let [with, without] = &case.signals;
    let [scored, bare] = &case.scored;
    let line = json!({
        "persona": case.persona, "language": case.language, "calibration": case.calibration, "label": case.label,
        "prompt": case.prompt, "text": case.text, "mixed": case.mixed, "voice_signals": with.voice,
        "listed": with.listed, "role": with.role, "touched": with.touched, "level": with.voice_level,
        "level_without": without.voice_level, "drift": scored.drift, "coherence": scored.coherence,
        "drift_without": bare.drift,
    });
    println!("{line}");
}
