//! What a brief fixes about a persona, and how the model's reading of it is trusted: only where the brief's
//! own words bear it out, because small models invent.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    brief,
    text::{fold, stem, words},
};

/// What a brief fixes. `None`: the brief leaves it open.
///
/// Reads the `facts` of `intent_parse` as they are; `language` and `other_time` come from rules alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    /// The name, or the part of it that the brief gives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The age in years.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age: Option<Age>,
    /// Pronouns such as `she/her`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pronouns: Option<String>,
    /// What they do, or did, in the brief's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub occupation: Option<String>,
    /// Where they live or come from, in the brief's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub residence: Option<String>,
    /// Cultural background, in the brief's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub culture: Option<String>,
    /// The brief's own language, ISO-639-1, where it can be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
    /// Whether the brief sets the persona in another time than now, so that years say nothing about age.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub other_time: bool,
}

/// An age in years, known exactly or by its decade. As JSON a number, or `{"min", "max"}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Age {
    /// So many years.
    Exact(u16),
    /// Somewhere between, both ends included.
    Between {
        /// The least.
        min: u16,
        /// The most.
        max: u16,
    },
}

impl Age {
    /// Whether an age is this one, or within it.
    pub const fn admits(self, age: u16) -> bool {
        self.nearest(age) == age
    }

    /// The admitted age that is nearest to `age`.
    pub const fn nearest(self, age: u16) -> u16 {
        match self {
            Self::Exact(exact) => exact,
            Self::Between { min, .. } if age < min => min,
            Self::Between { max, .. } if age > max => max,
            Self::Between { .. } => age,
        }
    }
}

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(age) => write!(f, "{age}"),
            Self::Between { min, max } => write!(f, "{min} to {max}"),
        }
    }
}

impl Facts {
    /// The fixed facts as (field of identity, value), in the order of the contract: what prompts list.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        [
            ("name", self.name.clone()),
            ("age", self.age.map(|age| age.to_string())),
            ("pronouns", self.pronouns.clone()),
            ("occupation", self.occupation.clone()),
            ("residence", self.residence.clone()),
            ("culture", self.culture.clone()),
        ]
        .into_iter()
        .filter_map(|(field, value)| Some((field, value?)))
        .collect()
    }
}

/// One set of facts: what the rules read from `intent`, completed by what the model read and the intent's own
/// words support. Where both know a fact, the rules win.
pub fn merge(intent: &str, rules: &Facts, model: &Facts) -> Facts {
    let told = Told::of(intent, rules);
    let name = stated(model.name.as_deref()).filter(|name| told.names(name));
    let pronouns = stated(model.pronouns.as_deref()).filter(|_| told.leaves_gender_to_grammar());
    let occupation = stated(model.occupation.as_deref()).filter(|fact| told.mentions(fact));
    let residence = stated(model.residence.as_deref()).filter(|fact| told.mentions(fact));
    let culture = stated(model.culture.as_deref()).filter(|fact| told.mentions(fact));
    let age = model.age.filter(|age| matches!(age, Age::Exact(age) if told.counts(*age)));
    Facts {
        name: rules.name.clone().or(name),
        age: rules.age.or(age),
        pronouns: rules.pronouns.clone().or(pronouns),
        occupation: rules.occupation.clone().or(occupation),
        residence: rules.residence.clone().or(residence),
        culture: rules.culture.clone().or(culture),
        language: rules.language.clone(),
        other_time: rules.other_time,
    }
}

/// A model's fact, if it says something.
fn stated(fact: Option<&str>) -> Option<String> {
    let fact = fact?.trim();
    (!is_blank(fact)).then(|| fact.to_owned())
}

/// What models write when they know nothing.
fn is_blank(fact: &str) -> bool {
    let fact = fold(fact);
    fact.is_empty()
        || ["null", "none", "unknown", "n/a", "not specified", "unspecified", "not mentioned", "not given"]
            .contains(&fact.as_str())
}

/// The intent as the witness of the model's facts.
struct Told<'a> {
    intent: &'a str,
    folded: String,
    rules: &'a Facts,
}

impl<'a> Told<'a> {
    fn of(intent: &'a str, rules: &'a Facts) -> Self {
        Self { intent, folded: fold(intent), rules }
    }

    /// A name's words all stand in the intent, with a capital where the script has capitals, and are
    /// neither a place nor a word for a kind of people there.
    fn names(&self, name: &str) -> bool {
        const PARTICLES: [&str; 12] =
            ["de", "da", "di", "del", "der", "van", "von", "bin", "al", "el", "la", "of"];
        let parts: Vec<String> = words(name).map(fold).collect();
        let given: Vec<&str> = words(self.intent).collect();
        let capital = |part: &String| {
            given.iter().any(|word| {
                fold(word) == *part
                    && !word.starts_with(char::is_lowercase)
                    && !brief::is_kind_of_people(part)
            })
        };
        let place = self.rules.residence.as_deref().map(fold).unwrap_or_default();
        let is_place = |part: &String| words(&place).any(|word| word == part);
        !parts.is_empty()
            && parts.iter().all(|part| PARTICLES.contains(&part.as_str()) || capital(part))
            && !parts.iter().any(is_place)
            && !parts.iter().all(|part| PARTICLES.contains(&part.as_str()))
            && !self.follows_a_place_word(&parts[0])
    }

    fn follows_a_place_word(&self, word: &str) -> bool {
        let all: Vec<&str> = words(&self.folded).collect();
        all.windows(2)
            .any(|pair| pair[1] == word && ["from", "in", "near", "at", "aus", "en"].contains(&pair[0]))
    }

    /// Pronouns can be inferred from grammar that the rules do not know, but not from English or Turkish,
    /// where the rules would have found the word.
    fn leaves_gender_to_grammar(&self) -> bool {
        !matches!(self.rules.language.as_deref(), Some("en" | "tr") | None)
    }

    /// At least half of the telling words stand in the intent, whatever their endings.
    fn mentions(&self, fact: &str) -> bool {
        let fact = fold(fact);
        let telling: Vec<&str> = words(&fact).filter(|word| is_telling(word)).collect();
        let given: Vec<&str> = words(&self.folded).collect();
        let found = telling.iter().filter(|word| {
            given.iter().any(|other| other == *word || (word.len() > 4 && other.starts_with(stem(word, 5))))
        });
        !telling.is_empty() && found.count() * 2 >= telling.len()
    }

    /// The number stands in the intent, and not as a count or a span of something else.
    fn counts(&self, age: u16) -> bool {
        const SPANS: [&str; 18] = [
            "for", "over", "since", "nearly", "almost", "about", "with", "has", "owns", "runs", "speaks",
            "depuis", "pendant", "seit", "hace", "durante", "at", "after",
        ];
        const AFTER: [&str; 16] = [
            "year", "years", "yrs", "old", "yo", "who", "and", "but", "from", "living", "yas", "ans",
            "jahre", "anos", "anni", "with",
        ];
        let digits = age.to_string();
        let text = brief::with_digits(&self.folded, self.rules.language.as_deref());
        text.match_indices(&digits).any(|(at, _)| {
            let (before, after) = (&text[..at], &text[at + digits.len()..]);
            let alone = !before.ends_with(|c: char| c.is_alphanumeric() || c == '.')
                && !after.starts_with(|c: char| c.is_ascii_digit());
            let last = words(before).last().unwrap_or_default();
            let next = after.trim_start_matches([' ', '-']);
            let fits = next.is_empty()
                || next.starts_with(|c: char| !c.is_ascii_alphanumeric())
                || AFTER.iter().any(|word| next.starts_with(word));
            alone && !SPANS.contains(&last) && fits
        })
    }
}

/// Whether a folded word says something by itself.
pub(super) fn is_telling(word: &str) -> bool {
    const SMALL: [&str; 22] = [
        "the",
        "and",
        "for",
        "with",
        "from",
        "who",
        "that",
        "city",
        "new",
        "former",
        "retired",
        "professional",
        "aspiring",
        "senior",
        "veteran",
        "seasoned",
        "experienced",
        "working",
        "der",
        "die",
        "una",
        "bir",
    ];
    (word.chars().count() >= 3 || !word.is_ascii()) && !SMALL.contains(&word)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

    use serde_json::json;

    use super::*;
    use crate::consistency::facts_from_brief;

    fn merged(intent: &str, model: serde_json::Value) -> Facts {
        merge(intent, &facts_from_brief(intent), &serde_json::from_value(model).unwrap())
    }

    #[test]
    fn what_the_model_invents_is_dropped() {
        let facts = merged(
            "A grumpy lighthouse keeper who hates visitors",
            json!({"name": "Elias Thorne", "age": 63, "pronouns": "he/him", "occupation": "lighthouse keeper",
                "residence": "Cornwall, England", "culture": "British"}),
        );
        assert_eq!(facts.name, None);
        assert_eq!(facts.age, None);
        assert_eq!(facts.pronouns, None);
        assert!(facts.occupation.unwrap().ends_with("lighthouse keeper"));
        assert_eq!(facts.residence, None);
        assert_eq!(facts.culture, None);
    }

    #[test]
    fn what_the_brief_says_in_words_the_rules_do_not_know_is_taken_from_the_model() {
        let facts = merged(
            "Captain Nemo commands a submarine; thirty-nine winters under water. French by choice.",
            json!({"name": "Captain Nemo", "age": null, "pronouns": null, "occupation": "submarine captain",
                "residence": null, "culture": "French"}),
        );
        assert_eq!(facts.name.as_deref(), Some("Captain Nemo"));
        assert_eq!(facts.occupation.as_deref(), Some("submarine captain"));
        assert_eq!(facts.culture.as_deref(), Some("French"));
    }

    #[test]
    fn the_rules_win_over_the_model() {
        let facts = merged("A 54-year-old chef from New York", json!({"age": 45, "residence": "York"}));
        assert_eq!(facts.age, Some(Age::Exact(54)));
        assert_eq!(facts.residence.as_deref(), Some("New York"));
    }

    #[test]
    fn a_place_or_a_kind_of_people_is_no_name() {
        for (intent, name) in [
            ("A 37-year-old Muslim man from Turkey", "Muslim"),
            ("A homosexual Black Atheist woman", "Black Atheist"),
            ("A 24-year-old writer from Sydney", "Sydney"),
            ("A 54-year-old chef from New York", "New York Chef"),
        ] {
            assert_eq!(merged(intent, json!({"name": name})).name, None, "{intent}");
        }
    }

    #[test]
    fn a_number_that_counts_something_else_is_no_age() {
        assert_eq!(merged("She has taught for 30 years", json!({"age": 30})).age, None);
        assert_eq!(merged("He keeps 12 cats", json!({"age": 12})).age, None);
        assert_eq!(merged("Born in 1970 in Oslo", json!({"age": 70})).age, None);
        assert_eq!(merged("Age unknown, maybe 40", json!({"age": 40})).age, Some(Age::Exact(40)));
    }

    #[test]
    fn grammatical_gender_is_left_to_the_model() {
        let intent = "Une boulangère de Lyon qui aime la mer et les livres";
        assert_eq!(merged(intent, json!({"pronouns": "elle"})).pronouns.as_deref(), Some("elle"));
    }

    #[test]
    fn an_age_is_a_number_or_a_span_in_json() {
        let facts = Facts { age: Some(Age::Between { min: 70, max: 79 }), ..Facts::default() };
        assert_eq!(serde_json::to_value(&facts).unwrap(), json!({"age": {"min": 70, "max": 79}}));
        assert_eq!(facts.lines(), [("age", "70 to 79".to_owned())]);
        let back: Facts = serde_json::from_value(json!({"age": 54, "name": null})).unwrap();
        assert_eq!(back.age, Some(Age::Exact(54)));
    }
}
