//! What the persona says: in the declared language, and without what it never says.

use whatlang::{Detector, Lang};

use super::{
    Rule, Violation,
    text::{fold, lower, quoted, says, words},
};
use crate::persona::{Layer, Layers};

// ---- language

/// Letters below which a script cannot be told.
const LETTERS_FOR_SCRIPT: usize = 30;
/// Letters below which a language cannot be told.
const LETTERS_FOR_LANGUAGE: usize = 80;
/// The share of lines that must speak for the other language.
const SHARE_OF_LINES: f64 = 0.6;

/// Whether greeting and samples may be in a language; a doubt passes.
pub fn reads_as(layers: &Layers, language: &str) -> bool {
    self::language(layers, language).is_empty()
}

/// One decision over greeting and samples together; a doubt passes.
pub(super) fn language(layers: &Layers, declared: &str) -> Vec<Violation> {
    let lines: Vec<&str> = spoken_lines(layers).collect();
    let all = lines.join("\n");
    let other = other_script(&all, declared).or_else(|| other_language(&lines, &all, declared));
    let Some(other) = other else {
        return Vec::new();
    };
    let longest = lines.iter().max_by_key(|line| line.len()).copied().unwrap_or_default();
    vec![Violation {
        check: Rule::LanguageKept,
        pointer: "/voice/samples".to_owned(),
        other: Some("/voice/greeting".to_owned()),
        message: format!(
            "/voice/samples and /voice/greeting read as {other} ({}), but the declared language is \"{declared}\".",
            quoted(longest)
        ),
        layers: vec![Layer::Voice],
    }]
}

fn spoken_lines(layers: &Layers) -> impl Iterator<Item = &str> {
    let samples = layers.voice.samples.iter().map(|sample| sample.line.as_str());
    std::iter::once(layers.voice.greeting.as_str()).chain(samples)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Script {
    Latin,
    Cyrillic,
    Arabic,
    Hebrew,
    Greek,
    Han,
    Kana,
    Hangul,
    Devanagari,
    Bengali,
    Tamil,
    Thai,
    Georgian,
    Armenian,
    Other,
}

impl Script {
    const fn of(c: char) -> Self {
        match c {
            'A'..='Z' | 'a'..='z' | '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}' => Self::Latin,
            '\u{370}'..='\u{3ff}' | '\u{1f00}'..='\u{1fff}' => Self::Greek,
            '\u{400}'..='\u{52f}' => Self::Cyrillic,
            '\u{530}'..='\u{58f}' => Self::Armenian,
            '\u{590}'..='\u{5ff}' => Self::Hebrew,
            '\u{600}'..='\u{77f}' | '\u{fb50}'..='\u{fdff}' | '\u{fe70}'..='\u{feff}' => Self::Arabic,
            '\u{900}'..='\u{97f}' => Self::Devanagari,
            '\u{980}'..='\u{9ff}' => Self::Bengali,
            '\u{b80}'..='\u{bff}' => Self::Tamil,
            '\u{e00}'..='\u{e7f}' => Self::Thai,
            '\u{10a0}'..='\u{10ff}' => Self::Georgian,
            '\u{1100}'..='\u{11ff}' | '\u{ac00}'..='\u{d7af}' => Self::Hangul,
            '\u{3040}'..='\u{30ff}' => Self::Kana,
            '\u{3400}'..='\u{9fff}' | '\u{20000}'..='\u{3ffff}' => Self::Han,
            _ => Self::Other,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Latin => "Latin",
            Self::Cyrillic => "Cyrillic",
            Self::Arabic => "Arabic",
            Self::Hebrew => "Hebrew",
            Self::Greek => "Greek",
            Self::Han => "Chinese",
            Self::Kana => "Japanese",
            Self::Hangul => "Korean",
            Self::Devanagari => "Devanagari",
            Self::Bengali => "Bengali",
            Self::Tamil => "Tamil",
            Self::Thai => "Thai",
            Self::Georgian => "Georgian",
            Self::Armenian => "Armenian",
            Self::Other => "another",
        }
    }
}

/// The scripts that a language is written in; empty where this table does not know.
fn scripts(language: &str) -> &'static [Script] {
    match language {
        "ru" | "uk" | "be" | "bg" | "mk" | "mn" | "ky" | "tg" => &[Script::Cyrillic],
        "sr" | "bs" | "kk" | "uz" | "az" => &[Script::Latin, Script::Cyrillic],
        "ar" | "fa" | "ur" | "ps" => &[Script::Arabic],
        "he" | "yi" => &[Script::Hebrew],
        "el" => &[Script::Greek],
        "zh" => &[Script::Han],
        "ja" => &[Script::Han, Script::Kana],
        "ko" => &[Script::Hangul, Script::Han],
        "hi" | "mr" | "ne" => &[Script::Devanagari],
        "bn" => &[Script::Bengali],
        "ta" => &[Script::Tamil],
        "th" => &[Script::Thai],
        "ka" => &[Script::Georgian],
        "hy" => &[Script::Armenian],
        "en" | "tr" | "de" | "fr" | "es" | "it" | "pt" | "nl" | "sv" | "da" | "nb" | "no" | "nn" | "fi"
        | "et" | "pl" | "cs" | "sk" | "sl" | "hr" | "hu" | "ro" | "lt" | "lv" | "id" | "ms" | "vi" | "tl"
        | "ca" | "gl" | "eu" | "cy" | "ga" | "is" | "sq" | "af" | "sw" | "la" | "eo" | "mt" | "lb" => {
            &[Script::Latin]
        }
        _ => &[],
    }
}

/// The script of a text that is mostly not in a script of its language.
fn other_script(text: &str, declared: &str) -> Option<String> {
    let allowed = scripts(declared);
    let found: Vec<Script> = text.chars().filter(|c| c.is_alphabetic()).map(Script::of).collect();
    if allowed.is_empty() || found.len() < LETTERS_FOR_SCRIPT {
        return None;
    }
    let count = |script: Script| found.iter().filter(|other| **other == script).count();
    let kana = count(Script::Kana);
    if declared == "ja" && kana == 0 && count(Script::Han) > LETTERS_FOR_SCRIPT {
        return Some("Chinese".to_owned());
    }
    if declared == "zh" && kana * 4 > found.len() {
        return Some("Japanese".to_owned());
    }
    let fitting = found.iter().filter(|script| allowed.contains(script)).count();
    if fitting * 2 >= found.len() {
        return None;
    }
    let strangest =
        found.iter().filter(|script| !allowed.contains(script)).max_by_key(|script| count(**script))?;
    Some(format!("{} script", strangest.name()))
}

/// Languages that short texts in related ones are mistaken for, or that hardly anyone writes a persona in.
const UNSURE: [Lang; 12] = [
    Lang::Epo,
    Lang::Lat,
    Lang::Aka,
    Lang::Zul,
    Lang::Sna,
    Lang::Jav,
    Lang::Tgl,
    Lang::Cym,
    Lang::Afr,
    Lang::Slv,
    Lang::Tuk,
    Lang::Uzb,
];

/// Groups within which a trigram model is not to be trusted with a few lines.
const ALIKE: &[&[Lang]] = &[
    &[Lang::Nob, Lang::Dan, Lang::Swe],
    &[Lang::Spa, Lang::Por, Lang::Cat, Lang::Ita],
    &[Lang::Ces, Lang::Slk, Lang::Pol],
    &[Lang::Hrv, Lang::Srp, Lang::Slv, Lang::Mkd, Lang::Bul],
    &[Lang::Rus, Lang::Ukr, Lang::Bel, Lang::Bul, Lang::Srp, Lang::Mkd],
    &[Lang::Tur, Lang::Aze, Lang::Tuk, Lang::Uzb],
    &[Lang::Nld, Lang::Afr],
    &[Lang::Fin, Lang::Est],
    &[Lang::Hin, Lang::Mar, Lang::Nep],
    &[Lang::Ara, Lang::Pes, Lang::Urd],
    &[Lang::Ind, Lang::Jav, Lang::Tgl],
];

/// The language of a text, where it is surely another than the declared one.
fn other_language(lines: &[&str], all: &str, declared: &str) -> Option<String> {
    if all.chars().filter(|c| c.is_alphabetic()).count() < LETTERS_FOR_LANGUAGE {
        return None;
    }
    let expected = detectable(declared);
    let unsure: Vec<Lang> = UNSURE.into_iter().filter(|lang| Some(*lang) != expected).collect();
    let found = Detector::with_denylist(unsure).detect(all)?;
    let lang = found.lang();
    let alike =
        |a: Lang, b: Lang| a == b || ALIKE.iter().any(|group| group.contains(&a) && group.contains(&b));
    if !found.is_reliable() || expected.is_some_and(|expected| alike(expected, lang)) {
        return None;
    }
    // English has the words to make sure, both ways.
    let english = english_share(all);
    let sure = match (expected, lang) {
        (Some(Lang::Eng), _) => english < 0.12,
        (_, Lang::Eng) => english > 0.15,
        (None, _) => false,
        _ => true,
    };
    (sure && lines_agree(lines, expected, lang)).then(|| lang.eng_name().to_owned())
}

/// Whether most lines, each by itself, are closer to `found` than to `expected`.
fn lines_agree(lines: &[&str], expected: Option<Lang>, found: Lang) -> bool {
    let Some(expected) = expected else {
        return true;
    };
    let detector = Detector::with_allowlist(vec![expected, found]);
    let votes: Vec<bool> = lines
        .iter()
        .filter(|line| line.chars().filter(|c| c.is_alphabetic()).count() >= 15)
        .filter_map(|line| Some(detector.detect(line)?.lang() == found))
        .collect();
    let share = votes.iter().filter(|vote| **vote).count() as f64 / votes.len().max(1) as f64;
    share >= SHARE_OF_LINES
}

/// The share of a text's words that are small English words.
fn english_share(text: &str) -> f64 {
    const SMALL: [&str; 50] = [
        "the", "and", "you", "that", "is", "it", "to", "of", "a", "i", "in", "for", "not", "with", "this",
        "what", "my", "your", "be", "have", "are", "was", "but", "we", "they", "he", "she", "if", "there",
        "when", "don", "me", "do", "no", "so", "at", "on", "just", "who", "one", "all", "out", "it's", "can",
        "will", "from", "or", "how", "by", "an",
    ];
    let folded = fold(text);
    let (mut small, mut count) = (0_usize, 0_usize);
    for word in words(&folded) {
        count += 1;
        small += usize::from(SMALL.contains(&word));
    }
    small as f64 / count.max(1) as f64
}

/// The language that a text is surely in, ISO-639-1.
pub fn language_of(text: &str) -> Option<&'static str> {
    if text.chars().filter(|c| c.is_alphabetic()).count() < LETTERS_FOR_SCRIPT {
        return None;
    }
    let found = Detector::with_denylist(UNSURE.to_vec()).detect(text).filter(whatlang::Info::is_reliable)?;
    // Several codes mean the same to the detector; of those, the more spoken one.
    let spoken = |code: &&str| !["bs", "gl", "ms", "nn", "no"].contains(code);
    crate::persona::language::codes().filter(spoken).find(|code| detectable(code) == Some(found.lang()))
}

fn detectable(language: &str) -> Option<Lang> {
    let code = match language {
        "ar" => "ara",
        "az" => "aze",
        "be" => "bel",
        "bg" => "bul",
        "bn" => "ben",
        "ca" => "cat",
        "cs" => "ces",
        "cy" => "cym",
        "da" => "dan",
        "de" => "deu",
        "el" => "ell",
        "en" => "eng",
        "eo" => "epo",
        "es" => "spa",
        "et" => "est",
        "fa" => "pes",
        "fi" => "fin",
        "fr" => "fra",
        "he" => "heb",
        "hi" => "hin",
        "hr" | "bs" => "hrv",
        "hu" => "hun",
        "hy" => "hye",
        "id" | "ms" => "ind",
        "it" => "ita",
        "ja" => "jpn",
        "ka" => "kat",
        "ko" => "kor",
        "la" => "lat",
        "lt" => "lit",
        "lv" => "lav",
        "mk" => "mkd",
        "mr" => "mar",
        "nb" | "no" | "nn" => "nob",
        "ne" => "nep",
        "nl" => "nld",
        "pl" => "pol",
        "pt" | "gl" => "por",
        "ro" => "ron",
        "ru" => "rus",
        "sk" => "slk",
        "sl" => "slv",
        "sr" => "srp",
        "sv" => "swe",
        "ta" => "tam",
        "th" => "tha",
        "tl" => "tgl",
        "tr" => "tur",
        "uk" => "ukr",
        "ur" => "urd",
        "uz" => "uzb",
        "vi" => "vie",
        "yi" => "yid",
        "zh" => "cmn",
        "af" => "afr",
        _ => return None,
    };
    Lang::from_code(code)
}

// ---- never_says

/// A forbidden phrase and where it is said all the same.
pub(super) struct Said {
    /// Its place in `never_says`.
    pub(super) entry: usize,
    /// JSON Pointer to the text that says it.
    pub(super) pointer: String,
    /// That text.
    pub(super) text: String,
}

pub(super) fn never_says(layers: &Layers, language: &str) -> Vec<Violation> {
    let told = |said: &Said| Violation {
        check: Rule::NeverSaysUnsaid,
        pointer: said.pointer.clone(),
        other: Some(format!("/voice/never_says/{}", said.entry)),
        message: format!(
            "{} says {}, but /voice/never_says/{} forbids {}.",
            said.pointer,
            quoted(&said.text),
            said.entry,
            quoted(&layers.voice.never_says[said.entry])
        ),
        layers: vec![Layer::Voice],
    };
    all_said(layers, language).iter().map(told).collect()
}

/// Every forbidden phrase that greeting, samples, catchphrases, favoured words or the refusal line use.
pub(super) fn all_said(layers: &Layers, language: &str) -> Vec<Said> {
    let voice = &layers.voice;
    let mut texts = vec![("/voice/greeting".to_owned(), &voice.greeting)];
    texts.extend(
        voice.samples.iter().enumerate().map(|(at, s)| (format!("/voice/samples/{at}/line"), &s.line)),
    );
    texts.extend(
        voice.catchphrases.iter().enumerate().map(|(at, c)| (format!("/voice/catchphrases/{at}"), c)),
    );
    texts.extend(
        voice.vocabulary.iter().enumerate().map(|(at, word)| (format!("/voice/vocabulary/{at}"), word)),
    );
    texts.push(("/boundaries/refusal_line".to_owned(), &layers.boundaries.refusal_line));
    let lowered: Vec<(String, &String, String)> =
        texts.into_iter().map(|(pointer, text)| (pointer, text, spaced(&lower(text, language)))).collect();
    let mut found = Vec::new();
    for (entry, phrase) in voice.never_says.iter().enumerate() {
        let phrase = spaced(&lower(phrase, language));
        let phrase = phrase.trim_matches(|c: char| !c.is_alphanumeric());
        let saying = lowered.iter().filter(|(_, _, text)| says(text, phrase));
        found.extend(saying.map(|(pointer, text, _)| Said {
            entry,
            pointer: pointer.clone(),
            text: (*text).clone(),
        }));
    }
    found
}

fn spaced(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
