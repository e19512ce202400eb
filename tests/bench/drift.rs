//! Drift scoring on the test half of the labelled set: the area under the ROC curve of each signal, with intervals, what
//! verdicts come of each label, and how soon a conversation that has drifted is told.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use persona::drift::{Smoothed, Verdict};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tests::support::drift::{Case, auc, scored};

use crate::figures::{Row, Samples};

const RESAMPLES: usize = 1_000;
/// Turns in character before a spliced conversation drifts.
const TURNS_BEFORE: usize = 6;
/// Turns that it then has, at most.
const TURNS_AFTER: usize = 6;

type Measure = fn(&Case) -> f64;

/// What is told apart from what, by which measure, and what must be reached.
struct Claim {
    what: &'static str,
    measure: Measure,
    positive: fn(&Case) -> bool,
    negative: fn(&Case) -> bool,
    must: Option<f64>,
}

fn voice(case: &Case) -> f64 {
    case.scored[0].drift.voice
}

fn voice_without_vectors(case: &Case) -> f64 {
    case.scored[1].drift.voice
}

fn values(case: &Case) -> f64 {
    case.scored[0].drift.values
}

fn worst(case: &Case) -> f64 {
    case.scored[0].drift.worst()
}

fn length(case: &Case) -> f64 {
    case.text.split_whitespace().count() as f64
}

fn in_voice(case: &Case) -> bool {
    case.label == "in-voice"
}

fn other_voice(case: &Case) -> bool {
    ["assistant", "impostor"].contains(&case.label.as_str())
}

fn out_of_role(case: &Case) -> bool {
    ["role-break", "obeyed-injection"].contains(&case.label.as_str())
}

fn contradicts(case: &Case) -> bool {
    case.label == "value-contradiction"
}

const CLAIMS: &[Claim] = &[
    Claim {
        what: "voice: assistant prose and other personas",
        measure: voice,
        positive: other_voice,
        negative: in_voice,
        must: Some(0.90),
    },
    Claim {
        what: "voice: assistant prose",
        measure: voice,
        positive: |case| case.label == "assistant",
        negative: in_voice,
        must: None,
    },
    Claim {
        what: "voice: other personas, same question",
        measure: voice,
        positive: |case| case.label == "impostor",
        negative: in_voice,
        must: None,
    },
    Claim {
        what: "voice: other personas of the test half alone",
        measure: voice,
        positive: |case| case.label == "impostor" && !case.mixed,
        negative: in_voice,
        must: None,
    },
    Claim {
        what: "voice: another language",
        measure: voice,
        positive: |case| case.label == "wrong-language",
        negative: in_voice,
        must: None,
    },
    Claim {
        what: "voice, without vectors: assistant prose and other personas",
        measure: voice_without_vectors,
        positive: other_voice,
        negative: in_voice,
        must: None,
    },
    Claim {
        what: "length alone: assistant prose and other personas",
        measure: length,
        positive: other_voice,
        negative: in_voice,
        must: None,
    },
    Claim {
        what: "values: role broken, instructions obeyed",
        measure: values,
        positive: out_of_role,
        negative: in_voice,
        must: Some(0.85),
    },
    Claim {
        what: "values: contradictions",
        measure: values,
        positive: contradicts,
        negative: in_voice,
        must: Some(0.85),
    },
    Claim {
        what: "values: contradictions against faithful answers to probes",
        measure: values,
        positive: contradicts,
        negative: |case| in_voice(case) && case.prompt.starts_with("probe"),
        must: None,
    },
    Claim {
        what: "values: role and contradictions together",
        measure: values,
        positive: |case| out_of_role(case) || contradicts(case),
        negative: in_voice,
        must: None,
    },
    Claim {
        what: "the larger of both: everything that is labelled as drift",
        measure: worst,
        positive: |case| !in_voice(case),
        negative: in_voice,
        must: None,
    },
];

/// Prints the report, and returns what is promised.
pub(crate) async fn measure() -> Vec<Row> {
    let cases: Vec<Case> = scored().await.into_iter().filter(|case| !case.calibration).collect();
    println!("Drift, local signals, test half: {} replies.\n", cases.len());
    println!("| told apart from replies in voice | AUC | 95 % | replies |\n| --- | --- | --- | --- |");
    let mut rows = Vec::new();
    for claim in CLAIMS {
        let (found, interval, count) = told(&cases, claim);
        println!("| {} | {found:.3} | {:.2} to {:.2} | {count} |", claim.what, interval.0, interval.1);
        let row = |must: f64| {
            Row::stated(
                &format!("drift AUC, {}", claim.what),
                format!("{found:.3}"),
                &format!("≥ {must:.2}"),
                found >= must,
            )
        };
        rows.extend(claim.must.map(row));
    }
    println!("\n{}", verdicts(&cases));
    spliced(&cases);
    rows
}

fn told(cases: &[Case], claim: &Claim) -> (f64, (f64, f64), usize) {
    let of = |cases: &[&Case], wanted: fn(&Case) -> bool| -> Vec<f64> {
        cases.iter().filter(|case| wanted(case)).map(|case| (claim.measure)(case)).collect()
    };
    let all: Vec<&Case> = cases.iter().collect();
    let found = auc(&of(&all, claim.positive), &of(&all, claim.negative));
    let personas: Vec<&str> =
        cases.iter().map(|case| case.persona.as_str()).collect::<BTreeSet<_>>().into_iter().collect();
    let by_persona: BTreeMap<&str, Vec<&Case>> = personas
        .iter()
        .map(|name| (*name, cases.iter().filter(|case| case.persona == *name).collect()))
        .collect();
    // Replies of one persona are not independent: personas are drawn first, then replies.
    let mut random = StdRng::seed_from_u64(7);
    let drawn: Samples = (0..RESAMPLES)
        .map(|_| {
            let mut sample = Vec::new();
            for _ in &personas {
                let of_one = &by_persona[personas[random.random_range(0..personas.len())]];
                sample.extend((0..of_one.len()).map(|_| of_one[random.random_range(0..of_one.len())]));
            }
            auc(&of(&sample, claim.positive), &of(&sample, claim.negative))
        })
        .collect();
    let at = |share: f64| drawn.quantile(share).unwrap_or_default();
    let count = all.iter().filter(|case| (claim.positive)(case) || (claim.negative)(case)).count();
    (found, (at(0.025), at(0.975)), count)
}

fn verdicts(cases: &[Case]) -> String {
    let mut table =
        String::from("| label | in-character | drifting | out-of-character |\n| --- | --- | --- | --- |\n");
    for label in [
        "in-voice",
        "assistant",
        "impostor",
        "wrong-language",
        "value-contradiction",
        "obeyed-injection",
        "role-break",
    ] {
        let of_label: Vec<Verdict> = cases
            .iter()
            .filter(|case| case.label == label)
            .map(|case| case.scored[0].drift.verdict)
            .collect();
        let count = |verdict| of_label.iter().filter(|found| **found == verdict).count();
        let counts = [Verdict::InCharacter, Verdict::Drifting, Verdict::OutOfCharacter].map(count);
        let _ = writeln!(table, "| {label} | {} | {} | {} |", counts[0], counts[1], counts[2]);
    }
    table
}

/// Conversations that begin in character and then are spoken by neutral assistant prose: in how many the moving average
/// crosses, and after how many such turns; and how often it crosses before.
fn spliced(cases: &[Case]) {
    let mut waited = Vec::new();
    let (mut conversations, mut early) = (0, 0);
    let personas: BTreeSet<&str> = cases.iter().map(|case| case.persona.as_str()).collect();
    for persona in personas {
        let of = |label: &str| {
            cases.iter().filter(|case| case.persona == persona && case.label == label).collect::<Vec<_>>()
        };
        let (kept, left) = (of("in-voice"), of("assistant"));
        for begin in 0..kept.len() {
            conversations += 1;
            let mut smoothed = Smoothed::default();
            for at in 0..TURNS_BEFORE {
                smoothed = smoothed.after(&kept[(begin + at) % kept.len()].scored[0].drift);
                early += usize::from(smoothed.above && at + 1 == TURNS_BEFORE);
            }
            for at in 0..TURNS_AFTER {
                smoothed = smoothed.after(&left[(begin + at) % left.len()].scored[0].drift);
                if smoothed.above {
                    waited.push(at + 1);
                    break;
                }
            }
        }
    }
    waited.sort_unstable();
    let clean = cases.iter().filter(|case| in_voice(case));
    let alarms = clean.clone().filter(|case| case.scored[0].drift.verdict != Verdict::InCharacter).count();
    println!(
        "Clean turns with another verdict than in-character: {alarms} of {}. Of {conversations} conversations that turn into \
         assistant prose after {TURNS_BEFORE} turns, the moving average crosses in {}, after {} such turns at the median, {} \
         at most; it was above before in {early}.\n",
        clean.count(),
        waited.len(),
        waited.get(waited.len() / 2).copied().unwrap_or_default(),
        waited.last().copied().unwrap_or_default(),
    );
}
