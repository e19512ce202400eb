//! The words that a listing is found by, and the words of a query: one reading for both, so that what is written
//! differently compares equal. Bounded: what is too much is left out of a listing and refused in a query.

use std::collections::BTreeMap;

use unicode_normalization::char::is_combining_mark;

use crate::{
    consistency::text::folded,
    drift,
    error::{Error, Result},
};

/// Words that a listing is found by, at most; those that weigh most are kept. Common ones do not count.
pub const WORDS_MOST: usize = 64;
/// Words of a query, at most.
pub const QUERY_WORDS_MOST: usize = 8;
/// Characters of a query, at most.
pub const QUERY_CHARACTERS_MOST: usize = 200;
/// Characters of a word that count; the rest of a longer one is ignored, here as there.
const LONGEST: usize = 40;

/// A listing's texts, each with what a word in it weighs and how many words it has as a rule.
const TITLE: Field = Field { weight: 6.0, usual: 3.0, singles: true };
const TAGS: Field = Field { weight: 4.0, usual: 4.0, singles: true };
const SUMMARY: Field = Field { weight: 2.0, usual: 15.0, singles: false };

/// BM25's two constants: how soon more of the same word stops counting, and how far a long text's words count less.
const SATURATION: f64 = 1.2;
const LENGTH: f64 = 0.75;
/// The sum of the fields at which half of the highest impact is reached.
const HALF: f64 = 8.0;

#[derive(Clone, Copy)]
struct Field {
    weight: f64,
    usual: f64,
    /// Whether single characters of scripts without blanks are words, too, besides their pairs.
    singles: bool,
}

/// A word of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// As it compares.
    pub text: String,
    /// What it says about the listing, 1 to 255: BM25's measure of term frequency over title, tags and summary.
    pub impact: u8,
    /// Whether the language has it in every other sentence, and the listing does not have it in its title. Such a word is
    /// known of the listing but leads to it by no shelf of its own.
    pub common: bool,
}

/// The words of a listing, those that weigh most first.
pub fn of_listing(title: &str, tags: &[String], summary: &str, language: &str) -> Vec<Word> {
    let mut sums: BTreeMap<String, (f64, bool)> = BTreeMap::new();
    let mut read = |text: &str, field: Field, lifts: bool| {
        let found = split(text, field.singles);
        let norm = 1.0 - LENGTH + LENGTH * found.len() as f64 / field.usual;
        let mut counts: BTreeMap<String, f64> = BTreeMap::new();
        for word in found {
            *counts.entry(word).or_default() += 1.0;
        }
        for (word, count) in counts {
            let entry = sums.entry(word).or_default();
            entry.0 += field.weight * count * (SATURATION + 1.0) / (count + SATURATION * norm);
            entry.1 |= lifts;
        }
    };
    read(title, TITLE, true);
    read(&tags.join("\n"), TAGS, false);
    read(summary, SUMMARY, false);
    let common = drift::common_words(language);
    let word = |(text, (sum, lifted)): (String, (f64, bool))| Word {
        impact: (255.0 * sum / (sum + HALF)).round().clamp(1.0, 255.0) as u8,
        common: !lifted && common.contains(&text),
        text,
    };
    let mut words: Vec<Word> = sums.into_iter().map(word).collect();
    words.sort_by(|a, b| (a.common, b.impact, &a.text).cmp(&(b.common, a.impact, &b.text)));
    // The common ones stand last; they take no place, so all of them are kept.
    let kept = words.iter().filter(|word| !word.common).count();
    if kept > WORDS_MOST {
        words.drain(WORDS_MOST..kept);
    }
    words
}

/// The words of a query, each once. A text without any letter or digit has none.
///
/// # Errors
/// `request.invalid` where it is too long or has too many words.
pub fn of_query(q: &str) -> Result<Vec<String>> {
    let characters = q.chars().count();
    if characters > QUERY_CHARACTERS_MOST {
        let message = format!(
            "q has {characters} characters; at most {QUERY_CHARACTERS_MOST} are searched. Use fewer words."
        );
        return Err(Error::invalid("q", message));
    }
    let mut words: Vec<String> = Vec::new();
    for word in runs(q).flat_map(|run| run.asked()) {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    if words.len() > QUERY_WORDS_MOST {
        let message = format!(
            "q has {} words (in scripts without blanks, pairs of characters); at most {QUERY_WORDS_MOST} are searched. Leave some out.",
            words.len()
        );
        return Err(Error::invalid("q", message));
    }
    Ok(words)
}

/// A tag as it compares: folded, single blanks. Empty where it has neither letter nor digit.
pub fn tag(text: &str) -> String {
    let folded = folded(text, is_diacritic);
    if folded.chars().any(char::is_alphanumeric) { folded } else { String::new() }
}

/// Every word of a text, repetitions included.
fn split(text: &str, singles: bool) -> Vec<String> {
    runs(text).flat_map(|run| run.told(singles)).collect()
}

/// Letters of one kind in a row.
struct Run {
    letters: Vec<char>,
    blankless: bool,
}

impl Run {
    /// What a listing's text says: the word, or in a script without blanks each pair of characters.
    fn told(&self, singles: bool) -> Vec<String> {
        if !self.blankless {
            return self.word().into_iter().collect();
        }
        let one = |c: &char| c.to_string();
        let pairs = self.letters.windows(2).map(|pair| pair.iter().collect());
        if self.letters.len() == 1 || singles {
            self.letters.iter().map(one).chain(pairs).collect()
        } else {
            pairs.collect()
        }
    }

    /// What a query asks for: the word, or the fewest pairs that cover the run.
    fn asked(&self) -> Vec<String> {
        if !self.blankless {
            return self.word().into_iter().collect();
        }
        let last = self.letters.len().saturating_sub(2);
        let pair = |at: usize| self.letters.iter().skip(at).take(2).collect();
        (0..self.letters.len()).step_by(2).map(|at| pair(at.min(last))).collect()
    }

    /// A single letter is no word: it is what an apostrophe leaves of `l'amour`. A single digit is one.
    fn word(&self) -> Option<String> {
        let says = self.letters.len() > 1 || self.letters.iter().all(|c| c.is_numeric());
        says.then(|| self.letters.iter().take(LONGEST).collect())
    }
}

/// The runs of a text. Unicode's own word boundaries end at each character of scripts without blanks and keep
/// `l'amour` whole; here the first are kept together for their pairs, and the second parts.
fn runs(text: &str) -> impl Iterator<Item = Run> {
    let mut found: Vec<Run> = Vec::new();
    let mut joined = false;
    for c in folded(text, is_diacritic).chars() {
        let c = if c == 'ς' { 'σ' } else { c };
        let blankless = is_blankless(c);
        match found.last_mut() {
            _ if !is_letter(c) => joined = false,
            Some(run) if joined && (run.blankless == blankless || is_combining_mark(c)) => {
                run.letters.push(c);
            }
            _ => {
                found.push(Run { letters: vec![c], blankless });
                joined = true;
            }
        }
    }
    found.into_iter()
}

/// Marks that careful writers set and others leave out: accents of Latin, Greek and Cyrillic, points of Hebrew and
/// Arabic. The marks of other scripts are letters.
const fn is_diacritic(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{591}'..='\u{5c7}' | '\u{610}'..='\u{61a}' | '\u{640}' | '\u{64b}'..='\u{65f}' | '\u{670}')
}

/// Joiners that show nothing stand within words of Persian and of Indian languages.
fn is_letter(c: char) -> bool {
    c.is_alphanumeric() || is_combining_mark(c) || matches!(c, '\u{200c}' | '\u{200d}')
}

/// Thai, Lao, Burmese, Khmer, Japanese and Chinese write no blanks; Korean hangs its endings on words.
const fn is_blankless(c: char) -> bool {
    matches!(c, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{3040}'..='\u{30ff}'
        | '\u{3400}'..='\u{9fff}' | '\u{ac00}'..='\u{d7af}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use proptest::prelude::*;

    use super::*;

    fn asked(q: &str) -> Vec<String> {
        of_query(q).unwrap()
    }

    fn told(summary: &str) -> Vec<String> {
        split(summary, true)
    }

    #[test]
    fn words_compare_equal_however_they_are_written() {
        for (one, other) in [
            ("IŞIK", "ışık"),
            ("Işık", "isik"),
            ("İstanbul", "ISTANBUL"),
            ("Straße", "STRASSE"),
            ("ΟΔΟΣ", "οδός"),
            ("Ёлка", "елка"),
            ("ﬁn", "FIN"),
            ("Ｂook", "book"),
            ("café", "cafe\u{301}"),
            ("كِتَاب", "كتاب"),
        ] {
            assert_eq!(asked(one), asked(other), "{one} and {other}");
        }
    }

    #[test]
    fn vowels_of_indian_scripts_are_no_accents() {
        assert_ne!(asked("कि"), asked("की"));
        assert_eq!(asked("प्रेमचंद की"), ["प्रेमचंद", "की"]);
        assert_ne!(asked("かんたん"), asked("がんたん"));
    }

    #[test]
    fn apostrophes_part_and_what_they_leave_is_no_word() {
        assert_eq!(asked("l'amour de O’Neill, R2D2 & 7"), ["amour", "de", "neill", "r2d2", "7"]);
        assert_eq!(asked("…!!"), Vec::<String>::new());
        assert_eq!(asked("sea Sea SEA"), ["sea"]);
    }

    #[test]
    fn scripts_without_blanks_are_read_by_pairs_that_a_part_of_them_matches() {
        assert_eq!(asked("灯台守の老人"), ["灯台", "守の", "老人"]);
        assert_eq!(asked("灯台守"), ["灯台", "台守"]);
        assert_eq!(asked("등대지기 노인"), ["등대", "지기", "노인"]);
        let listing = told("静かな灯台守の老人");
        for part in ["灯台守", "台守", "老人", "灯"] {
            assert!(asked(part).iter().all(|word| listing.contains(word)), "{part}");
        }
        assert_eq!(told("AI助手"), ["ai", "助", "手", "助手"]);
    }

    #[test]
    fn a_title_weighs_more_than_a_tag_and_a_tag_more_than_a_summary() {
        let words =
            of_listing("Lighthouse", &["noir".to_owned()], "She keeps the light of the harbour", "en");
        let impact = |text: &str| words.iter().find(|word| word.text == text).map_or(0, |word| word.impact);
        assert!(impact("lighthouse") > impact("noir") && impact("noir") > impact("harbour"));
        assert!(impact("harbour") > 0);
    }

    #[test]
    fn common_words_have_no_shelf_unless_the_title_has_them() {
        let words = of_listing("The Visitor", &[], "the visitor of the house and of the garden", "en");
        let is_common = |text: &str| words.iter().find(|word| word.text == text).map(|word| word.common);
        assert_eq!(
            (is_common("the"), is_common("of"), is_common("house")),
            (Some(false), Some(true), Some(false))
        );
    }

    #[test]
    fn a_listing_keeps_the_words_that_weigh_most() {
        let summary = (0..90).map(|n| format!("word{n:02}")).collect::<Vec<_>>().join(" ");
        let words = of_listing("Quay Warden", &["port".to_owned()], &summary, "en");
        assert_eq!(words.len(), WORDS_MOST);
        assert!(
            ["quay", "warden", "port"].iter().all(|text| words[..3].iter().any(|word| word.text == *text))
        );
    }

    #[test]
    fn a_query_that_is_too_much_is_refused_in_words() {
        let error = of_query("a1 b2 c3 d4 e5 f6 g7 h8 i9").unwrap_err();
        assert!(error.message.contains("9 words"), "{error}");
        assert!(of_query(&"x".repeat(201)).unwrap_err().message.contains("201 characters"));
        assert!(of_query("a1 b2 c3 d4 e5 f6 g7 h8").is_ok());
    }

    #[test]
    fn tags_compare_without_case_and_accents() {
        assert_eq!(tag("  Slice  of Life "), "slice of life");
        assert_eq!(tag("Şiir"), "siir");
        assert_eq!(tag("!!"), "");
    }

    proptest! {
        #[test]
        fn whatever_is_in_a_short_title_is_found_by_it(title in "\\PC{1,24}") {
            let words = of_listing(&title, &[], "", "en");
            for word in runs(&title).flat_map(|run| run.asked()) {
                prop_assert!(words.iter().any(|known| known.text == word), "{} in {:?}", word, title);
            }
        }

        #[test]
        fn any_text_is_read_within_the_bounds(text in "\\PC{0,400}") {
            let words = of_listing(&text, std::slice::from_ref(&text), &text, "tr");
            prop_assert!(words.iter().filter(|word| !word.common).count() <= WORDS_MOST);
            prop_assert!(words.iter().all(|word| word.text.chars().count() <= LONGEST));
            if let Ok(asked) = of_query(&text) {
                prop_assert!(asked.len() <= QUERY_WORDS_MOST);
            }
        }
    }
}
