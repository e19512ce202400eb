//! The phrase banks, read from `phrases/*.json`: what the sandbox writes with, one file per language.

use std::{borrow::Cow, collections::BTreeMap, sync::OnceLock};

use serde::Deserialize;

/// Words by a key, each with further spellings to find it by: the first is written, all are looked up.
pub(super) type Lexicon = BTreeMap<String, Vec<String>>;

/// What all languages share: cultures with names and places, and the field of each occupation.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "the names are those of the file")]
pub(super) struct Common {
    pub(super) cultures: BTreeMap<String, Culture>,
    /// Where someone is from whose brief does not say.
    pub(super) any_culture: Vec<String>,
    pub(super) of_language: BTreeMap<String, String>,
    pub(super) heritage: Vec<String>,
    pub(super) occupations: BTreeMap<String, String>,
    pub(super) common_occupations: Vec<String>,
    pub(super) field_fallback: BTreeMap<String, String>,
}

/// A culture: its places and its names.
#[derive(Debug, Deserialize)]
pub(super) struct Culture {
    pub(super) language: String,
    #[serde(default)]
    pub(super) family_first: bool,
    pub(super) places: Vec<String>,
    pub(super) demonyms: Vec<String>,
    #[serde(flatten)]
    pub(super) names: Names,
    /// The same in the culture's own script.
    pub(super) native: Option<Names>,
}

/// Names to draw from.
#[derive(Debug, Deserialize)]
pub(super) struct Names {
    pub(super) he: Vec<String>,
    pub(super) she: Vec<String>,
    pub(super) family: Vec<String>,
}

/// One language's bank.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Phrases {
    pub(super) retired: String,
    pub(super) former: String,
    /// Between sentences: a space, or nothing.
    #[serde(default = "space")]
    pub(super) between: String,
    pub(super) occupations: Lexicon,
    pub(super) interests: Lexicon,
    pub(super) places: BTreeMap<String, String>,
    pub(super) cultures: BTreeMap<String, String>,
    pub(super) fields: BTreeMap<String, Field>,
    pub(super) soul: Soul,
    pub(super) identity: Identity,
    pub(super) voice: Voice,
    pub(super) history: History,
    pub(super) relations: Vec<Bond>,
    pub(super) knowledge: Knowledge,
    pub(super) boundaries: Boundaries,
    pub(super) scenario: Scenario,
    pub(super) chat: Chat,
}

/// The words of a line of work.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Field {
    pub(super) workplace: String,
    pub(super) tool: String,
    pub(super) matter: String,
    pub(super) expertise: Vec<String>,
    pub(super) words: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Soul {
    pub(super) core_desire: Vec<String>,
    pub(super) core_fear: Vec<String>,
    pub(super) wound: Vec<String>,
    pub(super) values: Vec<Worth>,
    #[serde(default)]
    pub(super) cause: Cause,
    pub(super) beliefs: Vec<String>,
    pub(super) contradictions: Vec<String>,
    pub(super) moral_lines: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Worth {
    pub(super) name: String,
    pub(super) why: Vec<String>,
}

/// What is said of a cause that the brief names; empty where the language cannot quote one.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cause {
    pub(super) whys: Vec<String>,
    pub(super) beliefs: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Identity {
    pub(super) appearance: Vec<String>,
    pub(super) build: Vec<String>,
    pub(super) hair: Vec<String>,
    pub(super) detail: Vec<String>,
    pub(super) clothes: Vec<String>,
    pub(super) summary: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Voice {
    pub(super) tones: Vec<Tone>,
    pub(super) sentence_style: Vec<String>,
    pub(super) vocabulary: Vec<String>,
    pub(super) quirks: Vec<String>,
    pub(super) catchphrases: Vec<String>,
    pub(super) never_says: Vec<String>,
    pub(super) greeting: Vec<String>,
    pub(super) samples: Vec<Occasion>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tone {
    pub(super) tone: String,
    pub(super) register: String,
}

/// Something that prompts a line, and lines for it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Occasion {
    pub(super) context: String,
    /// Only for a persona whose brief names a cause.
    #[serde(default)]
    pub(super) cause: bool,
    pub(super) lines: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct History {
    /// Sentences around a clause of the brief, in the brief's own language.
    #[serde(default)]
    pub(super) clause: Vec<String>,
    pub(super) origin: Vec<String>,
    pub(super) youth: Vec<String>,
    pub(super) turn: Vec<String>,
    pub(super) now: Vec<String>,
    pub(super) child: Vec<Moment>,
    pub(super) youth_events: Vec<Moment>,
    pub(super) adult: Vec<Moment>,
    pub(super) middle: Vec<Moment>,
    pub(super) late: Vec<Moment>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Moment {
    pub(super) event: String,
    pub(super) effect: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Bond {
    pub(super) relation: String,
    pub(super) who: Who,
    #[serde(default)]
    pub(super) family: bool,
    /// Whether the persona speaks of them with love.
    #[serde(default = "yes")]
    pub(super) dear: bool,
    /// Only for a grown-up persona.
    #[serde(default)]
    pub(super) adult: bool,
    pub(super) feeling: String,
    pub(super) description: Vec<String>,
}

/// Whose names fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Who {
    She,
    He,
    Any,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Knowledge {
    /// Keys of the interests that anyone may have.
    pub(super) interests: Vec<String>,
    pub(super) ignorance: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Boundaries {
    pub(super) refuses: Vec<String>,
    pub(super) deflects: Vec<String>,
    pub(super) refusal_line: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Scenario {
    pub(super) setting: Vec<String>,
    pub(super) situation: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Chat {
    pub(super) hello: Vec<String>,
    pub(super) about: Vec<String>,
    pub(super) plain: Vec<String>,
    pub(super) ask: Vec<String>,
    pub(super) greetings: Vec<String>,
}

fn space() -> String {
    " ".to_owned()
}

const fn yes() -> bool {
    true
}

/// The banks by language. English is first: it stands in for every other language.
const FILES: [(&str, &str); 11] = [
    ("en", include_str!("phrases/en.json")),
    ("tr", include_str!("phrases/tr.json")),
    ("de", include_str!("phrases/de.json")),
    ("fr", include_str!("phrases/fr.json")),
    ("es", include_str!("phrases/es.json")),
    ("it", include_str!("phrases/it.json")),
    ("pt", include_str!("phrases/pt.json")),
    ("ja", include_str!("phrases/ja.json")),
    ("zh", include_str!("phrases/zh.json")),
    ("ar", include_str!("phrases/ar.json")),
    ("ru", include_str!("phrases/ru.json")),
];

/// The languages that have a bank.
pub(super) fn languages() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(language, _)| *language)
}

/// Whether a language has a bank of its own.
pub(super) fn has(language: &str) -> bool {
    languages().any(|known| known == language)
}

/// The bank of a language; English where there is none.
pub(super) fn of(language: &str) -> &'static Phrases {
    static BANKS: [OnceLock<Phrases>; FILES.len()] = [const { OnceLock::new() }; FILES.len()];
    let index = FILES.iter().position(|(known, _)| *known == language).unwrap_or(0);
    BANKS[index].get_or_init(|| parsed(FILES[index].1))
}

/// What all languages share.
pub(super) fn common() -> &'static Common {
    static COMMON: OnceLock<Common> = OnceLock::new();
    COMMON.get_or_init(|| parsed(include_str!("phrases/common.json")))
}

#[expect(clippy::expect_used, reason = "the files are part of the program and every one is read by a test")]
fn parsed<T: for<'de> Deserialize<'de>>(text: &str) -> T {
    serde_json::from_str(text).expect("a phrase bank is well-formed")
}

impl Phrases {
    /// The words of a field, or of the nearest one this language has.
    pub(super) fn field(&self, name: &str) -> &Field {
        let mut name = name;
        loop {
            if let Some(field) = self.fields.get(name) {
                return field;
            }
            name = common().field_fallback.get(name).map_or("general", String::as_str);
        }
    }

    /// What `interest` (a key of the lexicon) is called.
    pub(super) fn interest<'a>(&'a self, interest: &'a str) -> &'a str {
        self.interests.get(interest).and_then(|words| words.first()).map_or(interest, String::as_str)
    }

    /// What an English place name is in this language.
    pub(super) fn place<'a>(&'a self, place: &'a str) -> &'a str {
        self.places.get(place).map_or(place, String::as_str)
    }
}

/// Fills `{slot}`s. `{slot_cap}` is the slot with a capital first letter, `{slot_low}` with a small one.
/// A slot without a value stays as it is, which the tests look for.
pub(super) fn fill<'v>(
    template: &str,
    language: &str,
    value: &dyn Fn(&str) -> Option<Cow<'v, str>>,
) -> String {
    let mut text = String::with_capacity(template.len() + 32);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let Some((slot, after)) = after.split_once('}') else {
            text.push('{');
            rest = after;
            continue;
        };
        match resolve(slot, language, value) {
            Some(word) => text.push_str(&word),
            None => text.extend(["{", slot, "}"]),
        }
        rest = after;
    }
    text.push_str(rest);
    text
}

fn resolve<'v>(
    slot: &str,
    language: &str,
    value: &dyn Fn(&str) -> Option<Cow<'v, str>>,
) -> Option<Cow<'v, str>> {
    if let Some(base) = slot.strip_suffix("_cap") {
        return value(base).map(|word| Cow::Owned(capital(&word, language)));
    }
    if let Some(base) = slot.strip_suffix("_low") {
        return value(base).map(|word| Cow::Owned(small(&word)));
    }
    value(slot)
}

/// The text with a capital first letter; in Turkish `i` keeps its dot.
pub(super) fn capital(text: &str, language: &str) -> String {
    let mut letters = text.chars();
    if language == "tr" && text.starts_with('i') {
        return format!("İ{}", &text[1..]);
    }
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// The text with a small first letter.
pub(super) fn small(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}
