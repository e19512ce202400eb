//! From a card's texts to layers, by fixed rules: what a text says is put where it belongs, and where the card says
//! nothing the layers say so. The same card always makes the same layers.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Value, json};

use super::{Card, phrases};
use crate::{
    consistency,
    persona::{Layer, Layers},
};

/// Layers made of a card, and where it said nothing.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Derived {
    pub(super) layers: Layers,
    /// Pointers to what the card does not state.
    pub(super) unstated: Vec<String>,
}

/// An age where the card gives none: a grown-up's.
const AGE: u64 = 30;

#[expect(clippy::panic, reason = "patterns of this file; its tests compile each")]
fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).unwrap_or_else(|error| panic!("a pattern of cards is wrong: {error}"))
}

/// `key: value`, `key = value`, `key("value")`, `[key: value;` of the ways in which cards list traits.
static LISTED: LazyLock<Regex> = LazyLock::new(|| {
    regex(
        r#"(?m)(?:^|[\[{(;,])[\s*_+\-•#]*([\p{L} ]{3,24}?)\s*[*_]*\s*(?::|=|\()\s*[*_]*"?([^\n;\])}"]{1,400})"#,
    )
});
static MACRO_CHAR: LazyLock<Regex> = LazyLock::new(|| regex(r"(?i)\{\{char\}\}|<bot>|<char>"));
static MACRO_USER: LazyLock<Regex> = LazyLock::new(|| regex(r"(?i)\{\{user\}\}|<user>"));
static COMMENT: LazyLock<Regex> = LazyLock::new(|| regex(r"(?s)\{\{//.*?\}\}"));
static SPEAKER: LazyLock<Regex> = LazyLock::new(|| {
    regex(r"(?i)^\s*(\{\{char\}\}|\{\{user\}\}|<bot>|<char>|<user>|[^:\n]{1,60})\s*:\s*(.*)$")
});
static NUMBER: LazyLock<Regex> = LazyLock::new(|| regex(r"\d{1,3}"));

/// What a macro for the user stands for where nobody is there yet: the name that card readers give them by default.
const USER: &str = "User";

/// The reader of one card.
struct Reading<'a> {
    card: &'a Card,
    language: &'a str,
    unstated: Vec<String>,
}

/// The layers of a card in a language.
pub(super) fn derive(card: &Card, language: &str) -> Option<Derived> {
    let mut reading = Reading { card, language, unstated: Vec::new() };
    let made = reading.layers();
    Some(Derived { layers: Layers::from_value(&made).ok()?, unstated: reading.unstated })
}

/// The name that `{{char}}` stands for.
pub(super) fn called(card: &Card) -> &str {
    let nickname = card.text("nickname").trim();
    if nickname.is_empty() { card.text("name").trim() } else { nickname }
}

/// A text with its macros resolved as far as they are about the character; others stay as they are.
pub(super) fn plain(card: &Card, text: &str) -> String {
    let text = COMMENT.replace_all(text, "");
    let text = MACRO_CHAR.replace_all(&text, regex::NoExpand(called(card)));
    MACRO_USER.replace_all(&text, regex::NoExpand(USER)).replace("\r\n", "\n").trim().to_owned()
}

/// The language that a card's own speech is in, else English.
pub(super) fn language_of(card: &Card) -> &'static str {
    let spoken: Vec<String> = ["first_mes", "mes_example", "description"]
        .iter()
        .map(|field| plain(card, card.text(field)))
        .filter(|text| !text.is_empty())
        .collect();
    let told = spoken.iter().find_map(|text| consistency::language_of(text));
    told.unwrap_or("en")
}

/// A text cut to so many characters, at the end of a sentence or a word where there is one.
fn clipped(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let cut: String = text.chars().take(most).collect();
    let sentence = cut.rfind(['.', '!', '?', '。', '！', '？', '\n']).filter(|at| *at > cut.len() / 2);
    let end = sentence.and_then(|at| cut[at..].chars().next().map(|sign| at + sign.len_utf8()));
    let end = end.or_else(|| cut.rfind(' ')).unwrap_or(cut.len());
    cut[..end].trim_end().to_owned()
}

/// The sentences of a text.
fn sentences(text: &str) -> Vec<String> {
    let mut sentences = Vec::new();
    let mut current = String::new();
    for letter in text.chars() {
        if letter == '\n' {
            sentences.push(std::mem::take(&mut current));
            continue;
        }
        current.push(letter);
        if matches!(letter, '.' | '!' | '?' | '。' | '！' | '？' | '…') {
            sentences.push(std::mem::take(&mut current));
        }
    }
    sentences.push(current);
    let tidy = |text: String| text.trim().trim_matches(['*', '"', '“', '”', '„', '«', '»', ' ']).to_owned();
    sentences
        .into_iter()
        .map(tidy)
        .filter(|text| text.chars().filter(|c| c.is_alphanumeric()).count() > 1)
        .collect()
}

impl Reading<'_> {
    fn text(&self, field: &str) -> String {
        plain(self.card, self.card.text(field))
    }

    fn unstated(&mut self, pointer: &str) -> String {
        self.unstated.push(pointer.to_owned());
        phrases::of(self.language).unstated.clone()
    }

    /// A text where there is one, else that there is none.
    fn or_unstated(&mut self, pointer: &str, text: Option<String>, most: usize) -> String {
        match text.map(|text| clipped(text.trim(), most)).filter(|text| !text.is_empty()) {
            Some(text) => text,
            None => self.unstated(pointer),
        }
    }

    /// Items of a list within its bounds; what lacks is filled with that there is none.
    fn list(&mut self, pointer: &str, items: Vec<String>, least: usize, most: usize, length: usize) -> Value {
        let mut items: Vec<String> = items
            .iter()
            .map(|item| clipped(item.trim(), length))
            .filter(|item| !item.is_empty())
            .take(most)
            .collect();
        if items.len() < least {
            let filler = self.unstated(pointer);
            items.resize(least, clipped(&filler, length));
        }
        json!(items)
    }

    /// What the description lists under one of these names.
    fn listed(&self, names: &[&str]) -> Option<String> {
        let text = format!("{}\n{}", self.text("description"), self.text("personality"));
        let found = LISTED.captures_iter(&text).find(|found| {
            let key = found[1].trim().to_lowercase();
            names.contains(&key.as_str())
        })?;
        let value = found[2].trim().trim_matches(['"', '“', '”', '*', '\'', ' ']).to_owned();
        (!value.is_empty()).then_some(value)
    }

    fn listed_items(&self, names: &[&str]) -> Vec<String> {
        let items = self.listed(names).unwrap_or_default();
        let parts = items.split([',', '+', '、', '，', '/']);
        parts
            .map(|part| part.trim().trim_matches(['"', '“', '”', ' ']).to_owned())
            .filter(|part| !part.is_empty())
            .collect()
    }

    fn layers(&mut self) -> Value {
        let identity = self.identity();
        let age = identity["age"].as_u64().unwrap_or(AGE);
        let mut layers = json!({"identity": identity, "soul": self.soul(), "voice": self.voice()});
        layers["history"] = self.history(age);
        layers["relations"] = self.relations();
        layers["knowledge"] = self.knowledge();
        layers["boundaries"] = self.boundaries();
        layers["scenario"] = self.scenario();
        Layer::ALL
            .iter()
            .map(|layer| (layer.as_str().to_owned(), layers[layer.as_str()].take()))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }

    fn identity(&mut self) -> Value {
        let description = self.text("description");
        let facts = consistency::facts_from_brief(&description);
        let summary = sentences(&description).into_iter().next();
        // What the summary says of age is what the rules hold the age to.
        let opening: String = summary.clone().unwrap_or_default().chars().take(48).collect();
        let told = consistency::facts_from_brief(&opening)
            .age
            .or(facts.age)
            .map(|age| u64::from(age.nearest(AGE as u16)));
        let listed =
            self.listed(&["age", "yaş", "alter", "âge", "edad", "età", "idade", "возраст", "年齢", "年龄"]);
        let listed =
            listed.and_then(|text| NUMBER.find(&text)?.as_str().parse().ok()).filter(|age| *age <= 150);
        let age = told.or(listed).unwrap_or_else(|| {
            self.unstated.push("/identity/age".to_owned());
            AGE
        });
        let pronouns =
            facts.pronouns.or_else(|| self.listed(&["pronouns"])).or_else(|| self.pronouns(&description));
        let appearance = self
            .listed(&["appearance", "looks", "görünüş", "aussehen", "apparence", "apariencia"])
            .or_else(|| Some(description.clone()));
        let occupation = self
            .listed(&[
                "occupation",
                "job",
                "profession",
                "work",
                "role",
                "meslek",
                "beruf",
                "métier",
                "profesión",
            ])
            .or(facts.occupation);
        let residence = self
            .listed(&["residence", "home", "location", "lives in", "yaşadığı yer", "wohnort"])
            .or(facts.residence);
        let culture = self
            .listed(&[
                "culture",
                "nationality",
                "ethnicity",
                "species",
                "race",
                "origin",
                "köken",
                "herkunft",
            ])
            .or(facts.culture);
        json!({
            "name": clipped(self.card.text("name").trim(), 120),
            "age": age,
            "pronouns": self.or_unstated("/identity/pronouns", pronouns, 40),
            "occupation": self.or_unstated("/identity/occupation", occupation, 160),
            "residence": self.or_unstated("/identity/residence", residence, 160),
            "culture": self.or_unstated("/identity/culture", culture, 240),
            "appearance": self.or_unstated("/identity/appearance", appearance, 800),
            "summary": self.or_unstated("/identity/summary", summary, 300),
        })
    }

    /// By the words that an English description uses, where it surely uses one kind.
    fn pronouns(&self, description: &str) -> Option<String> {
        let folded = description.to_lowercase();
        let count = |wanted: &[&str]| {
            folded.split(|c: char| !c.is_alphanumeric()).filter(|word| wanted.contains(word)).count()
        };
        let (she, he) = (count(&["she", "her", "hers", "herself"]), count(&["he", "him", "his", "himself"]));
        match (self.language, she, he) {
            ("en", she, he) if she > 2 * he => Some("she/her".to_owned()),
            ("en", she, he) if he > 2 * she => Some("he/him".to_owned()),
            _ => None,
        }
    }

    fn soul(&mut self) -> Value {
        let personality = self.text("personality");
        let traits: Vec<String> = personality
            .split([',', ';', '\n', '、', '，', '+'])
            .map(|item| item.trim().trim_matches(['.', '"', '[', ']', '(', ')', ' ']).to_owned())
            .filter(|item| !item.is_empty() && item.chars().count() <= 60)
            .take(7)
            .collect();
        let why = phrases::of(self.language).unstated.clone();
        let names = self.list("/soul/values", traits, 3, 7, 60);
        let values: Vec<Value> = names
            .as_array()
            .into_iter()
            .flatten()
            .map(|name| json!({"name": name, "weight": 0.5, "why": why}))
            .collect();
        let desire =
            self.listed(&["goal", "goals", "desire", "desires", "wants", "motivation", "ziel", "amaç"]);
        let fear = self.listed(&["fear", "fears", "angst", "korku", "peur", "miedo"]);
        let wound = self.listed(&["wound", "trauma", "secret"]);
        self.unstated.push("/soul/traits".to_owned());
        json!({
            "core_desire": self.or_unstated("/soul/core_desire", desire, 400),
            "core_fear": self.or_unstated("/soul/core_fear", fear, 400),
            "wound": self.or_unstated("/soul/wound", wound, 600),
            "values": values,
            "beliefs": self.list("/soul/beliefs", sentences(&personality), 2, 8, 300),
            "contradictions": self.list("/soul/contradictions", Vec::new(), 1, 5, 300),
            "traits": {"openness": 0.5, "conscientiousness": 0.5, "extraversion": 0.5, "agreeableness": 0.5, "neuroticism": 0.5},
            "moral_lines": self.list("/soul/moral_lines", Vec::new(), 1, 6, 300),
        })
    }

    fn voice(&mut self) -> Value {
        let samples = self.samples();
        let greeting = self.or_unstated("/voice/greeting", Some(self.text("first_mes")), 600);
        let lines: Vec<String> =
            samples.iter().filter_map(|sample| sample["line"].as_str()).map(str::to_owned).collect();
        let shortest = lines
            .iter()
            .flat_map(|line| sentences(line))
            .filter(|line| line.chars().count() <= 160)
            .min_by_key(|line| line.chars().count());
        let unsaid = phrases::of(self.language).unsaid.clone();
        let tone = self.text("personality");
        json!({
            "tone": self.or_unstated("/voice/tone", Some(tone), 160),
            "register": "neutral",
            "sentence_style": self.or_unstated("/voice/sentence_style", None, 300),
            "vocabulary": self.list("/voice/vocabulary", own_words(&lines.join(" ")), 4, 16, 60),
            "quirks": self.list("/voice/quirks", self.listed_items(&["quirks", "mannerisms", "habits"]), 1, 6, 200),
            "catchphrases": self.list("/voice/catchphrases", shortest.into_iter().collect(), 1, 6, 160),
            "never_says": [unsaid],
            "greeting": greeting,
            "samples": samples,
        })
    }

    /// Six to twelve lines of the card's own: of the example messages first, then of the greetings. Where there are
    /// fewer, they come again.
    fn samples(&mut self) -> Vec<Value> {
        let mut lines = self.dialogue();
        let greetings: Vec<String> = std::iter::once(self.text("first_mes"))
            .chain(self.card.texts("alternate_greetings").map(|text| plain(self.card, text)))
            .collect();
        for greeting in &greetings {
            lines.extend(sentences(greeting).into_iter().map(|line| (String::new(), line)));
        }
        lines.truncate(12);
        if lines.is_empty() {
            lines.push((String::new(), phrases::of(self.language).refusal.clone()));
        }
        if lines.len() < 6 {
            self.unstated.push("/voice/samples".to_owned());
            lines = lines.iter().cycle().take(6).cloned().collect();
        }
        let unstated = &phrases::of(self.language).unstated;
        let context =
            |context: &str| if context.is_empty() { unstated.clone() } else { clipped(context, 200) };
        lines
            .iter()
            .map(|(said, line)| json!({"context": context(said), "line": clipped(line, 800)}))
            .collect()
    }

    /// What the character says in the example messages, each with what was said before.
    fn dialogue(&self) -> Vec<(String, String)> {
        let name = self.card.text("name").trim().to_lowercase();
        let (mut before, mut lines): (String, Vec<(String, String)>) = Default::default();
        let mut is_own = false;
        for line in self.card.text("mes_example").lines() {
            if line.trim().eq_ignore_ascii_case("<START>") {
                (before, is_own) = (String::new(), false);
            } else if let Some(found) = SPEAKER.captures(line) {
                let speaker = found[1].trim().to_lowercase();
                is_own = ["{{char}}", "<bot>", "<char>", name.as_str()].contains(&speaker.as_str());
                let said = plain(self.card, &found[2]);
                if is_own {
                    lines.push((std::mem::take(&mut before), said));
                } else {
                    before = said;
                }
            } else if let (true, Some((_, last))) = (is_own, lines.last_mut()) {
                *last = format!("{last}\n{}", plain(self.card, line)).trim().to_owned();
            }
        }
        lines.retain(|(_, line)| line.chars().filter(|c| c.is_alphanumeric()).count() > 1);
        lines
    }

    fn history(&mut self, age: u64) -> Value {
        let description = self.text("description");
        let event = self.unstated("/history/timeline");
        let moment = |age: u64| json!({"age": age, "event": event, "effect": event});
        json!({
            "backstory": self.or_unstated("/history/backstory", Some(description), 4_000),
            "timeline": [moment(0), moment(age / 2), moment(age)],
        })
    }

    fn relations(&mut self) -> Value {
        let text = self.unstated("/relations");
        let nobody =
            json!({"name": text, "relation": clipped(&text, 80), "feeling": text, "description": text});
        json!([nobody, nobody])
    }

    fn knowledge(&mut self) -> Value {
        let tags: Vec<String> = self.card.texts("tags").map(str::to_owned).collect();
        let expertise = self.listed_items(&["skills", "expertise", "abilities", "knowledge"]);
        let mut interests = self.listed_items(&["interests", "hobbies", "likes", "loves"]);
        interests.extend(tags);
        json!({
            "expertise": self.list("/knowledge/expertise", expertise, 2, 8, 120),
            "interests": self.list("/knowledge/interests", interests, 2, 8, 120),
            "ignorance": self.list("/knowledge/ignorance", Vec::new(), 1, 6, 120),
            "languages": [self.language],
        })
    }

    fn boundaries(&mut self) -> Value {
        let dislikes = self.listed_items(&["dislikes", "hates"]);
        self.unstated.push("/boundaries/refusal_line".to_owned());
        json!({
            "refuses": self.list("/boundaries/refuses", Vec::new(), 2, 8, 200),
            "deflects": self.list("/boundaries/deflects", dislikes, 1, 6, 200),
            "refusal_line": phrases::of(self.language).refusal,
        })
    }

    fn scenario(&mut self) -> Value {
        let scenario = self.text("scenario");
        let setting = sentences(&scenario).into_iter().next();
        json!({
            "setting": self.or_unstated("/scenario/setting", setting, 400),
            "situation": self.or_unstated("/scenario/situation", Some(scenario), 600),
        })
    }
}

/// The longest words of a text, in the order in which they come.
fn own_words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.split(|c: char| !c.is_alphanumeric() && c != '\'').map(str::to_lowercase) {
        if word.chars().count() >= 5 && word.chars().count() <= 30 && !words.contains(&word) {
            words.push(word);
        }
    }
    words.truncate(8);
    words
}
