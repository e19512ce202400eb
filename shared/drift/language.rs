//! What is known of a language, one file each under `languages/`, and telling the languages of short replies apart.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::OnceLock,
};

use serde::Deserialize;

use crate::consistency::text::{fold, says, words};

/// Lists of one language; `languages/README.md` says what each is for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Language {
    pub prose: Vec<String>,
    pub common: Vec<String>,
    pub machine: Vec<String>,
    pub ended: Vec<String>,
    pub service: Vec<String>,
    pub refusal: Vec<String>,
    pub sheet: Vec<String>,
    pub code: Vec<String>,
    pub unmarried: Vec<String>,
    pub spouse: Vec<String>,
    pub childless: Vec<String>,
    pub child: Vec<String>,
}

impl Language {
    /// Every list that is compared with folded text, folded once.
    fn folded(mut self) -> Self {
        let lists = [
            &mut self.machine,
            &mut self.ended,
            &mut self.service,
            &mut self.refusal,
            &mut self.sheet,
            &mut self.code,
            &mut self.unmarried,
            &mut self.spouse,
            &mut self.childless,
            &mut self.child,
            &mut self.common,
        ];
        for phrase in lists.into_iter().flatten() {
            *phrase = fold(phrase);
        }
        self
    }
}

#[expect(clippy::expect_used, reason = "a file of this crate, read by a test")]
fn all() -> &'static BTreeMap<String, Language> {
    static ALL: OnceLock<BTreeMap<String, Language>> = OnceLock::new();
    ALL.get_or_init(|| {
        let read: BTreeMap<String, Language> =
            serde_json::from_str(include_str!(concat!(env!("OUT_DIR"), "/languages.json")))
                .expect("the languages of drift");
        read.into_iter().map(|(code, language)| (code, language.folded())).collect()
    })
}

/// What is known of a language; nothing of most.
pub(super) fn known(code: &str) -> Option<&'static Language> {
    all().get(code)
}

/// The commonest words of a language, folded; none where no file knows it.
pub(super) fn common(code: &str) -> &'static [String] {
    known(code).map_or(&[], |language| &language.common)
}

/// Neutral assistant prose in a language, or in English.
pub(super) fn prose(code: &str) -> &'static [String] {
    known(code).or_else(|| known("en")).map_or(&[], |language| &language.prose)
}

/// The lists that may be found in a reply of a persona that speaks `code`: its own, and English, which models fall
/// back to.
pub(super) fn heard(code: &str) -> impl Iterator<Item = &'static Language> {
    let english = (code != "en").then(|| known("en")).flatten();
    known(code).into_iter().chain(english)
}

/// Common words that a reply must have of another language before it is taken for it.
const SURE: usize = 3;

/// The language that a folded reply is surely in, where it is none of `allowed`.
pub(super) fn other(folded: &str, allowed: &[&str]) -> Option<&'static str> {
    if !allowed.iter().any(|code| known(code).is_some()) {
        return None;
    }
    // Different ones, of two letters at least: a dialect's "i" is another language's "and".
    let words: BTreeSet<&str> = words(folded).filter(|word| word.chars().count() > 1).collect();
    let common =
        |language: &Language| words.iter().filter(|word| language.common.iter().any(|c| c == *word)).count();
    let own = allowed.iter().filter_map(|code| known(code)).map(common).max().unwrap_or(0);
    let others = all().iter().filter(|(code, _)| !allowed.contains(&code.as_str()));
    let (count, code) = others.map(|(code, language)| (common(language), code.as_str())).max()?;
    (count >= SURE && count > 2 * own).then_some(code)
}

/// The first phrase of a list that a folded text says.
pub(super) fn first_said<'a>(folded: &str, phrases: &'a [String]) -> Option<&'a str> {
    phrases.iter().map(String::as_str).find(|phrase| says(folded, phrase))
}

/// How many different phrases of a list a folded text says.
pub(super) fn count_said(folded: &str, phrases: &[String]) -> usize {
    phrases.iter().filter(|phrase| says(folded, phrase)).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::persona::language;

    #[test]
    fn every_file_is_of_a_language_and_full() {
        assert!(all().len() >= 11 && all().contains_key("en"));
        for (code, known) in all() {
            assert!(language::name(code).is_some(), "{code}");
            assert!(known.prose.len() >= 6 && known.common.len() >= 20, "{code}");
            assert!(known.machine.len() >= 8 && known.ended.len() >= 8 && known.sheet.len() >= 8, "{code}");
        }
    }

    #[test]
    fn the_language_of_a_short_reply_is_told_and_a_doubt_passes() {
        let told = |text: &str, allowed: &[&str]| other(&fold(text), allowed);
        assert_eq!(told("Hot water, coffee in, and leave it alone for five minutes.", &["de"]), Some("en"));
        assert_eq!(told("Le chat est dans la cuisine et il dort pour une fois.", &["en"]), Some("fr"));
        assert_eq!(told("Le chat est dans la cuisine et il dort pour une fois.", &["en", "fr"]), None);
        assert_eq!(told("Mei, so is des.", &["de"]), None);
        assert_eq!(told("valla kanka bilmiyorum", &["tr"]), None);
        assert_eq!(told("The cat is in the kitchen and it sleeps.", &["xx"]), None);
    }
}
