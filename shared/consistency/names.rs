//! Names agree everywhere: nobody else bears the persona's name, and no text introduces the persona by another.

use std::sync::LazyLock;

use regex::Regex;

use super::{
    Rule, Violation,
    text::{fold, quoted, words},
};
use crate::persona::{Layer, Layers};

pub(super) fn check(layers: &Layers) -> Vec<Violation> {
    let mut violations: Vec<Violation> = own_relations(layers).map(|at| relation(layers, at)).collect();
    violations.extend(claims(layers));
    violations
}

/// The places in `relations` of those who bear the persona's own name.
pub(super) fn own_relations(layers: &Layers) -> impl Iterator<Item = usize> {
    let own = bare(&layers.identity.name);
    let same = move |name: &str| !own.is_empty() && bare(name) == own;
    layers.relations.iter().enumerate().filter(move |(_, other)| same(&other.name)).map(|(at, _)| at)
}

fn relation(layers: &Layers, at: usize) -> Violation {
    let other = &layers.relations[at];
    Violation {
        check: Rule::NamesAgree,
        pointer: format!("/relations/{at}/name"),
        other: Some("/identity/name".to_owned()),
        message: format!(
            "/relations/{at}/name is {} ({}), which is the persona's own name: /identity/name is {}.",
            quoted(&other.name),
            quoted(&other.relation),
            quoted(&layers.identity.name)
        ),
        layers: vec![Layer::Relations],
    }
}

/// A name's words, folded, without titles. A suffix such as `Jr.` stays: it tells people apart.
pub(super) fn bare(name: &str) -> Vec<String> {
    const TITLES: [&str; 26] = [
        "dr",
        "prof",
        "professor",
        "doctor",
        "mr",
        "mrs",
        "ms",
        "miss",
        "sir",
        "dame",
        "lady",
        "lord",
        "captain",
        "capt",
        "chef",
        "father",
        "sister",
        "rev",
        "bey",
        "hanim",
        "efendi",
        "herr",
        "frau",
        "madame",
        "don",
        "dona",
    ];
    let folded = fold(name);
    let all: Vec<String> = words(&folded).map(str::to_owned).collect();
    let rest: Vec<String> = all.iter().filter(|word| !TITLES.contains(&word.as_str())).cloned().collect();
    if rest.is_empty() { all } else { rest }
}

#[expect(clippy::panic, reason = "patterns of this file; the tests compile both")]
fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).unwrap_or_else(|error| panic!("a pattern does not compile: {error}"))
}

/// `Elena Conti is a chef`, `Elena Conti, a chef`, `Elena Conti, 54`: a text that opens with who it is about.
static OPENING: LazyLock<Regex> = LazyLock::new(|| {
    regex(concat!(
        r"^(?<name>\p{Lu}[\p{L}'’-]+(?: \p{Lu}[\p{L}'’-]+){1,2})",
        r"(?: (?:is|was) (?:an?|the) |, (?:an?|the) |, \d{1,3}\b| est une? | es una? | ist eine? | è una? )",
    ))
});
/// `My name is Elena Conti`, in seven languages.
static INTRODUCTION: LazyLock<Regex> = LazyLock::new(|| {
    regex(concat!(
        r"(?:[Mm]y name is|[Ii]'m called|\b(?:[Bb]enim )?[Aa]dım|[Ii]ch heiße|[Mm]ein Name ist|[Jj]e m[’']appelle|[Mm]on nom est",
        r"|[Mm]e llamo|[Mm]i nombre es|[Mm]i chiamo|[Mm]e chamo|[Mm]eu nome é) (?<name>\p{Lu}[\p{L}'’-]+(?: \p{Lu}[\p{L}'’-]+){1,2})",
    ))
});

/// The texts that may introduce the persona, with how they would.
fn introductions(layers: &Layers) -> impl Iterator<Item = (String, Layer, &str, &'static Regex)> {
    let told = [
        ("/identity/summary".to_owned(), Layer::Identity, layers.identity.summary.as_str(), &*OPENING),
        ("/history/backstory".to_owned(), Layer::History, &layers.history.backstory, &*OPENING),
        ("/voice/greeting".to_owned(), Layer::Voice, &layers.voice.greeting, &*INTRODUCTION),
    ];
    let lines = layers.voice.samples.iter().enumerate().map(|(at, sample)| {
        (format!("/voice/samples/{at}/line"), Layer::Voice, sample.line.as_str(), &*INTRODUCTION)
    });
    told.into_iter().chain(lines)
}

/// The full name that the text at `pointer` introduces the persona by, if there is one.
pub(super) fn claimed_at(layers: &Layers, pointer: &str) -> Option<String> {
    let (_, _, text, pattern) = introductions(layers).find(|(place, ..)| place == pointer)?;
    Some(pattern.captures(text)?.name("name")?.as_str().to_owned())
}

/// Texts that introduce the persona by a full name of which no word is in `identity.name`.
fn claims(layers: &Layers) -> impl Iterator<Item = Violation> {
    introductions(layers).filter_map(|(pointer, layer, text, pattern)| {
        let claimed = pattern.captures(text)?.name("name")?.as_str();
        is_another(layers, claimed).then(|| Violation {
            check: Rule::NamesAgree,
            message: format!(
                "{pointer} calls the persona {}, but /identity/name is {}.",
                quoted(claimed),
                quoted(&layers.identity.name)
            ),
            pointer,
            other: Some("/identity/name".to_owned()),
            layers: vec![layer],
        })
    })
}

/// Whether a full name can be neither the persona's, nor a relation's, nor a place of theirs.
fn is_another(layers: &Layers, claimed: &str) -> bool {
    let claimed = bare(claimed);
    let identity = &layers.identity;
    let elsewhere = [&identity.residence, &identity.culture, &identity.occupation, &layers.scenario.setting];
    let known: Vec<String> = elsewhere
        .into_iter()
        .chain(layers.relations.iter().map(|other| &other.name))
        .flat_map(|text| bare(text))
        .collect();
    let own = bare(&identity.name);
    let akin = |word: &String| {
        own.iter().any(|part| part == word || part.starts_with(word) || word.starts_with(part))
    };
    let latin = |name: &[String]| name.iter().all(|word| word.is_ascii());
    claimed.len() >= 2
        && latin(&claimed) == latin(&own)
        && !claimed.iter().any(akin)
        && !claimed.iter().any(|word| known.contains(word))
}
