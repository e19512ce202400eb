//! The stylometric fingerprint of a voice: how its lines are built, whatever they are about.
//!
//! Every measure is a ratio or a mean, so that texts of different lengths compare. Nothing depends on the language
//! but the pronouns of the first person; scripts that write no blanks count each character as a word.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Voice;

/// How a voice builds its lines. Rounded to four decimals, so that it is the same on every machine.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Sentences measured.
    pub sentences: u32,
    /// Words measured.
    pub words: u32,
    /// Words in a sentence: the mean.
    pub sentence_words: f64,
    /// Words in a sentence: the standard deviation.
    pub sentence_words_sd: f64,
    /// Characters in a word: the mean.
    pub word_chars: f64,
    /// Different words as a share of all words.
    pub type_token: f64,
    /// Sentences with a question mark, as a share.
    pub questions: f64,
    /// Sentences with an exclamation mark, as a share.
    pub exclamations: f64,
    /// Sentences that trail off (`…`, `...`), as a share.
    pub ellipses: f64,
    /// Commas and their like for each word.
    pub commas: f64,
    /// Dashes, colons, semicolons and brackets for each word.
    pub asides: f64,
    /// Words written in capitals, as a share; 0 in scripts without.
    pub capitals: f64,
    /// Pronouns of the first person singular as a share of words; `None` in a language without a list here.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first_person: Option<f64>,
}

impl Fingerprint {
    /// The fingerprint of a voice, from its samples and its greeting.
    pub fn of(voice: &Voice, language: &str) -> Self {
        let samples = voice.samples.iter().map(|sample| sample.line.as_str());
        Self::of_lines(samples.chain([voice.greeting.as_str()]), language)
    }

    /// The fingerprint of any lines; all zero when they hold no word.
    pub fn of_lines<'a>(lines: impl IntoIterator<Item = &'a str>, language: &str) -> Self {
        let mut tally = Tally::default();
        let pronouns = first_person(language);
        for line in lines {
            for sentence in sentences(line) {
                tally.add(sentence, pronouns);
            }
        }
        tally.fingerprint(pronouns.is_some())
    }
}

/// The pronouns of the first person singular. Languages that mostly leave them out still show who does not.
fn first_person(language: &str) -> Option<&'static [&'static str]> {
    Some(match language {
        "en" => &["i", "me", "my", "mine", "myself", "i'm", "i've", "i'd", "i'll"],
        "tr" => &["ben", "beni", "bana", "benim", "bende", "benden", "kendim"],
        "de" => &["ich", "mich", "mir", "mein", "meine", "meinen", "meiner", "meinem", "meins"],
        "fr" => &["je", "j", "me", "m", "moi", "mon", "ma", "mes", "mien"],
        "es" => &["yo", "me", "mí", "mi", "mis", "mío", "mía", "conmigo"],
        "it" => &["io", "mi", "me", "mio", "mia", "miei", "mie"],
        "pt" => &["eu", "me", "mim", "meu", "minha", "meus", "minhas", "comigo"],
        "nl" => &["ik", "me", "mij", "mijn"],
        "pl" => &["ja", "mnie", "mi", "mną", "mój", "moja", "moje"],
        "ru" => &["я", "меня", "мне", "мной", "мой", "моя", "моё", "мои"],
        "sv" => &["jag", "mig", "min", "mitt", "mina"],
        "ar" => &["أنا", "لي", "عندي"],
        "hi" => &["मैं", "मुझे", "मेरा", "मेरी", "मेरे", "मुझ"],
        "zh" => &["我", "俺"],
        "ja" => &["私", "僕", "俺"],
        _ => return None,
    })
}

#[derive(Debug, Default)]
struct Tally {
    lengths: Vec<f64>,
    chars: usize,
    different: BTreeSet<String>,
    questions: usize,
    exclamations: usize,
    ellipses: usize,
    commas: usize,
    asides: usize,
    capitals: usize,
    pronouns: usize,
}

impl Tally {
    fn add(&mut self, sentence: &str, pronouns: Option<&[&str]>) {
        let words = words(sentence);
        if words.is_empty() {
            return;
        }
        self.lengths.push(words.len() as f64);
        let end = sentence
            .trim_end_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '”' | '»' | '’' | ')'));
        self.questions += usize::from(end.contains(['?', '？', '؟']));
        self.exclamations += usize::from(end.contains(['!', '！']));
        self.ellipses += usize::from(end.ends_with("...") || end.ends_with('…'));
        self.commas += sentence.chars().filter(|c| matches!(c, ',' | '，' | '、' | '،')).count();
        self.asides += sentence
            .chars()
            .filter(|c| matches!(c, '—' | '–' | ':' | ';' | '(' | '：' | '；' | '（' | '؛'))
            .count();
        for word in words {
            self.chars += word.chars().count();
            let shouted =
                word.chars().count() > 1 && word.chars().all(|c| c.is_uppercase() || !c.is_alphabetic());
            self.capitals += usize::from(shouted && word.chars().any(char::is_uppercase));
            let word = word.replace('’', "'").to_lowercase();
            self.pronouns += usize::from(pronouns.is_some_and(|all| all.contains(&word.as_str())));
            self.different.insert(word);
        }
    }

    fn fingerprint(&self, knows_pronouns: bool) -> Fingerprint {
        let sentences = self.lengths.len() as f64;
        let words: f64 = self.lengths.iter().sum();
        let mean = ratio(words, sentences);
        let variance = self.lengths.iter().map(|length| (length - mean).powi(2)).sum::<f64>();
        let of_words = |count: usize| rounded(ratio(count as f64, words));
        let of_sentences = |count: usize| rounded(ratio(count as f64, sentences));
        Fingerprint {
            sentences: self.lengths.len() as u32,
            words: words as u32,
            sentence_words: rounded(mean),
            sentence_words_sd: rounded(ratio(variance, sentences).sqrt()),
            word_chars: of_words(self.chars),
            type_token: of_words(self.different.len()),
            questions: of_sentences(self.questions),
            exclamations: of_sentences(self.exclamations),
            ellipses: of_sentences(self.ellipses),
            commas: of_words(self.commas),
            asides: of_words(self.asides),
            capitals: of_words(self.capitals),
            first_person: knows_pronouns.then(|| of_words(self.pronouns)),
        }
    }
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole == 0.0 { 0.0 } else { part / whole }
}

fn rounded(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}

/// The sentences of a line, their final marks included. A full stop inside a number or a word ends none.
pub(crate) fn sentences(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut start = 0;
    let mut after_mark = false;
    for (at, c) in line.char_indices() {
        let mark = matches!(c, '.' | '!' | '?' | '…' | '。' | '！' | '？' | '؟' | '।' | '\n');
        let closing = matches!(c, '"' | '”' | '»' | ')' | '」');
        if after_mark && !mark && !closing {
            let wide = line[start..at].ends_with(['。', '！', '？', '।', '\n']);
            if wide || c.is_whitespace() {
                found.push(&line[start..at]);
                start = at;
            }
            after_mark = false;
        }
        after_mark |= mark;
    }
    found.push(&line[start..]);
    found
}

/// The words of a sentence; apostrophes and hyphens inside belong to them.
pub(crate) fn words(sentence: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for piece in
        sentence.split(|c: char| !(c.is_alphanumeric() || is_mark(c) || matches!(c, '\'' | '’' | '-')))
    {
        let piece = piece.trim_matches(['\'', '’', '-']);
        if piece.chars().any(is_unspaced) {
            found.extend(piece.char_indices().map(|(at, c)| &piece[at..at + c.len_utf8()]));
        } else if !piece.is_empty() {
            found.push(piece);
        }
    }
    found
}

/// Vowel signs and accents that follow their letter.
fn is_mark(c: char) -> bool {
    unicode_normalization::char::is_combining_mark(c)
}

/// Han, kana, Thai, Lao, Khmer, Burmese: written without blanks between words.
fn is_unspaced(c: char) -> bool {
    matches!(c, '\u{0E00}'..='\u{0EFF}' | '\u{1000}'..='\u{109F}' | '\u{1780}'..='\u{17FF}'
        | '\u{3040}'..='\u{30FF}' | '\u{3400}'..='\u{9FFF}' | '\u{20000}'..='\u{3FFFF}')
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

    use proptest::prelude::*;

    use super::*;
    use crate::persona::{Layers, layers_for_tests};

    fn close(value: f64, expected: f64) -> bool {
        (value - expected).abs() < 1e-4
    }

    #[test]
    fn lines_are_measured_by_sentence_and_word() {
        let print = Fingerprint::of_lines(["I came. Why, you ask?", "Never mind — it's 3 LIRA!"], "en");
        assert_eq!((print.sentences, print.words), (3, 10));
        assert!(close(print.sentence_words, 10.0 / 3.0));
        assert!(close(print.questions, 1.0 / 3.0) && close(print.exclamations, 1.0 / 3.0));
        assert!(close(print.commas, 0.1) && close(print.asides, 0.1) && close(print.capitals, 0.1));
        assert_eq!(print.first_person, Some(0.1));
    }

    #[test]
    fn a_full_stop_inside_a_number_ends_no_sentence() {
        assert_eq!(
            sentences("It costs 3.50. Take it…  Or not?!"),
            ["It costs 3.50.", " Take it…", "  Or not?!"]
        );
    }

    #[test]
    fn scripts_without_blanks_are_measured_too() {
        let print = Fingerprint::of_lines(["我不知道。你呢？"], "zh");
        assert_eq!((print.sentences, print.words), (2, 6));
        assert!(close(print.questions, 0.5));
        assert_eq!(print.first_person, Some(0.1667));
        assert_eq!(Fingerprint::of_lines(["नमस्ते जी"], "hi").words, 2);
    }

    #[test]
    fn two_voices_differ_and_one_agrees_with_itself() {
        let voice = Layers::from_value(&layers_for_tests()).unwrap().voice;
        let own = Fingerprint::of(&voice, "en");
        assert_eq!(own, Fingerprint::of(&voice, "en"));
        let other = Fingerprint::of_lines(
            [
                "As previously discussed, I would like to take this opportunity to thank all of the participants.",
            ],
            "en",
        );
        assert!(other.sentence_words > 2.0 * own.sentence_words);
    }

    proptest! {
        #[test]
        fn any_text_has_a_finite_fingerprint_that_survives_json(text: String, language in "en|tr|xx") {
            let print = Fingerprint::of_lines([text.as_str()], &language);
            for value in [print.sentence_words, print.sentence_words_sd, print.word_chars, print.type_token] {
                prop_assert!(value.is_finite() && value >= 0.0);
            }
            let json = serde_json::to_string(&print).unwrap();
            prop_assert_eq!(serde_json::from_str::<Fingerprint>(&json).unwrap(), print);
        }
    }
}
