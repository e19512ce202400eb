//! What the brief fixes is so. Tolerant where words can differ and mean the same, so that a violation is one
//! to anybody; occupation and residence are compared only within one language.

use super::{
    Rule, Violation,
    facts::{Facts, is_telling},
    names::bare,
    text::{fold, quoted, stem, words},
};
use crate::persona::{Layer, Layers};

pub(super) fn check(layers: &Layers, facts: &Facts) -> Vec<Violation> {
    [name(layers, facts), age(layers, facts), stated_age(layers), pronouns(layers, facts)]
        .into_iter()
        .flatten()
        .chain(occupation(layers, facts))
        .chain(residence(layers, facts))
        .collect()
}

fn broken(field: &str, found: &str, fixed: &str) -> Violation {
    Violation {
        check: Rule::FactsKept,
        pointer: format!("/identity/{field}"),
        other: None,
        message: format!("/identity/{field} is {found}, but the brief says {fixed}."),
        layers: vec![Layer::Identity],
    }
}

fn name(layers: &Layers, facts: &Facts) -> Option<Violation> {
    let fixed = facts.name.as_deref()?;
    let (own, told) = (bare(&layers.identity.name), bare(fixed));
    // A name may be written in the persona's own script: that cannot be compared word by word.
    let comparable = own.iter().all(|word| word.is_ascii()) == told.iter().all(|word| word.is_ascii());
    let kept = told.iter().all(|word| own.contains(word));
    (comparable && !kept).then(|| broken("name", &quoted(&layers.identity.name), &quoted(fixed)))
}

fn age(layers: &Layers, facts: &Facts) -> Option<Violation> {
    let fixed = facts.age.filter(|fixed| !fixed.admits(layers.identity.age))?;
    let mut violation = broken("age", &layers.identity.age.to_string(), &fixed.to_string());
    violation
        .layers
        .extend(layers.history.timeline.iter().any(|m| m.age.is_some()).then_some(Layer::History));
    Some(violation)
}

/// A summary that opens with another age than the persona's.
fn stated_age(layers: &Layers) -> Option<Violation> {
    let opening: String = layers.identity.summary.chars().take(48).collect();
    let stated = super::facts_from_brief(&opening).age?;
    let age = layers.identity.age;
    (!stated.admits(age)).then(|| Violation {
        check: Rule::FactsKept,
        pointer: "/identity/summary".to_owned(),
        other: Some("/identity/age".to_owned()),
        message: format!(
            "/identity/summary says an age of {stated} ({}), but /identity/age is {age}.",
            quoted(&layers.identity.summary)
        ),
        layers: vec![Layer::Identity],
    })
}

fn pronouns(layers: &Layers, facts: &Facts) -> Option<Violation> {
    let fixed = facts.pronouns.as_deref()?;
    let (own, told) = (gender(&layers.identity.pronouns)?, gender(fixed)?);
    (own != told).then(|| broken("pronouns", &quoted(&layers.identity.pronouns), &quoted(fixed)))
}

#[derive(PartialEq, Eq)]
enum Gender {
    She,
    He,
    They,
}

/// What pronouns say of gender; `None` where a language's pronouns say nothing, or several stand.
fn gender(pronouns: &str) -> Option<Gender> {
    let folded = fold(pronouns);
    let any = |list: &[&str]| words(&folded).any(|word| list.contains(&word));
    let she = any(&["she", "her", "hers", "elle", "ella", "lei", "ela", "она", "彼女", "هي", "zij"]);
    let he = any(&["he", "him", "his", "il", "el", "lui", "ele", "er", "он", "彼", "هو", "hij"]);
    let they = any(&["they", "them", "iel", "elle/iel"]);
    match (she, he, they) {
        (true, false, false) => Some(Gender::She),
        (false, true, false) => Some(Gender::He),
        (false, false, true) => Some(Gender::They),
        _ => None,
    }
}

/// Words that mean the same trade, as stems: whatever the brief's word, any of its row will do.
const TRADES: &[&[&str]] = &[
    &[
        "doctor", "physic", "surgeon", "medic", "gp", "pediat", "paedia", "cardio", "clinic", "hospit",
        "oncolo",
    ],
    &["teacher", "teach", "educat", "profes", "lectur", "school", "tutor", "classr"],
    &["lawyer", "attorn", "barris", "solici", "counse", "legal", "law"],
    &["writer", "author", "noveli", "essayi", "poet", "journa", "writ"],
    &["musician", "music", "singer", "guitar", "piani", "violin", "composer", "drumm"],
    &["engineer", "engine", "develo", "progra"],
    &["artist", "paint", "sculpt", "illust", "art"],
    &["scientist", "scien", "resear", "physic", "biolog", "chemis", "astron"],
    &["chef", "cook", "culina", "restau", "kitchen"],
    &["actor", "actress", "acting", "perfor", "theat"],
    &["photographer", "photog", "photo"],
    &["farmer", "farm", "grower", "ranch", "agric"],
    &["soldier", "milita", "army", "vetera", "infant", "sergea"],
    &["athlete", "athlet", "runner", "sprint", "olympi", "champi"],
    &["police", "detect", "office", "inspec"],
    &["owner", "entrep", "founde", "busine", "propri"],
    &["critic", "review", "column"],
    &["instructor", "instru", "teach", "coach", "traine"],
    &["activist", "campai", "advoca", "activi", "organi"],
    &["banker", "bank", "financ", "invest"],
    &["student", "studen", "pupil", "school", "univer", "underg"],
];

fn occupation(layers: &Layers, facts: &Facts) -> Option<Violation> {
    let fixed = facts.occupation.as_deref()?;
    let identity = &layers.identity;
    let told = comparable(facts, layers).then(|| fold(fixed))?;
    let place_to_look =
        [&identity.occupation, &identity.summary, &layers.history.backstory].map(|text| fold(text));
    let expertise: Vec<String> = layers.knowledge.expertise.iter().map(|text| fold(text)).collect();
    let given: Vec<&str> = place_to_look.iter().chain(&expertise).flat_map(|text| words(text)).collect();
    let telling: Vec<&str> = words(&told).filter(|word| is_telling(word)).collect();
    let mentioned = |word: &&str| {
        let row = TRADES.iter().filter(|row| row.iter().any(|stem| word.starts_with(stem)));
        let stems = row.flat_map(|row| row.iter().copied()).chain([stem(word, 5)]);
        let stems: Vec<&str> = stems.collect();
        given.iter().any(|other| stems.iter().any(|stem| other.starts_with(stem)))
    };
    (!telling.is_empty() && !telling.iter().any(mentioned))
        .then(|| broken("occupation", &quoted(&identity.occupation), &quoted(fixed)))
}

/// Names of one place, as stems: any of a row speaks for all of it.
const PLACES: &[&[&str]] = &[
    &["york", "nyc", "manhat", "brookl", "bronx", "harlem", "queens"],
    &["france", "french", "paris"],
    &["spain", "spani", "madrid", "barcel"],
    &["nether", "dutch", "hollan", "amster"],
    &["britai", "britis", "englan", "englis", "kingdo", "london"],
    &["irelan", "irish", "dublin"],
    &["poland", "polish", "warsaw"],
    &["wales", "welsh"],
    &["denmar", "danish", "copenh"],
    &["switze", "swiss"],
    &["zealan", "kiwi", "maori", "auckla", "wellin"],
    &["turkey", "turki", "istanb", "ankara", "izmir"],
    &["americ", "states", "usa"],
    &["mumbai", "bombay"],
    &["delhi", "india"],
    &["beijin", "peking", "china", "chines"],
    &["czech", "prague"],
    &["portug", "lisbon"],
    &["greece", "greek", "athens"],
    &["hong", "kong", "canton"],
    &["thaila", "thai", "bangko"],
    &["emirat", "dubai"],
    &["peru", "lima"],
];

/// A place of the brief may be home or origin: it is missing only if no text of the persona knows it.
fn residence(layers: &Layers, facts: &Facts) -> Option<Violation> {
    let fixed = facts.residence.as_deref()?;
    let told = comparable(facts, layers).then(|| fold(fixed))?;
    let identity = &layers.identity;
    let mut texts = vec![
        &identity.residence,
        &identity.culture,
        &identity.summary,
        &identity.occupation,
        &layers.history.backstory,
        &layers.scenario.setting,
        &layers.scenario.situation,
    ];
    texts.extend(layers.history.timeline.iter().flat_map(|moment| [&moment.event, &moment.effect]));
    let folded: Vec<String> = texts.into_iter().map(|text| fold(text)).collect();
    let given: Vec<&str> = folded.iter().flat_map(|text| words(text)).collect();
    let telling: Vec<&str> = words(&told).filter(|word| is_telling(word)).collect();
    let mentioned = |word: &&str| {
        let row = PLACES.iter().filter(|row| row.iter().any(|stem| word.starts_with(stem)));
        let stems: Vec<&str> = row.flat_map(|row| row.iter().copied()).chain([stem(word, 4)]).collect();
        given.iter().any(|other| stems.iter().any(|stem| other.starts_with(stem)))
    };
    (!telling.is_empty() && !telling.iter().any(mentioned))
        .then(|| broken("residence", &quoted(&identity.residence), &quoted(fixed)))
}

/// Whether the brief's words can be looked for in the persona's: both are in one language. The persona's
/// language is the best of those it speaks only by intent, so its own text decides.
fn comparable(facts: &Facts, layers: &Layers) -> bool {
    let text = format!("{} {}", layers.identity.summary, layers.history.backstory);
    let persona = super::facts_from_brief(&text).language;
    persona.is_some() && persona == facts.language
}
