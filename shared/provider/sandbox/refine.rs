//! What the sandbox makes of an instruction: a few kinds of edits that it knows by their words, and for all others the
//! instruction itself, put where its words point to. Deterministic, and no understanding.

use std::sync::OnceLock;

use regex::Regex;
use serde_json::{Value, json};

use super::{person::Person, trigger::without_triggers};

/// Every layer, in the order of the contract.
const LAYERS: [&str; 8] =
    ["identity", "soul", "voice", "history", "relations", "knowledge", "boundaries", "scenario"];

/// An edit that an instruction asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Edit {
    Age(u64),
    Name(String),
    Someone {
        relation: String,
        name: Option<String>,
    },
    Residence(String),
    Occupation(String),
    /// What is not understood, for the layer that its words point to.
    Told {
        layer: &'static str,
        clause: String,
    },
}

#[expect(clippy::panic, reason = "patterns of this file; its tests compile each")]
fn pattern(text: &str) -> Regex {
    Regex::new(text).unwrap_or_else(|error| panic!("a pattern of the sandbox is wrong: {error}"))
}

macro_rules! patterns {
    ($($name:ident = $text:literal;)*) => {
        $(fn $name() -> &'static Regex {
            static PATTERN: OnceLock<Regex> = OnceLock::new();
            PATTERN.get_or_init(|| pattern($text))
        })*
    };
}

patterns! {
    separator = r"(?i)[,;.!?\n]+|\s+(?:and|but|ve|ama|und|aber|et|mais|y|pero)\s+";
    kept = r"(?i)^\s*(?:please\s+)?(?:keep|leave|preserve|retain|do not|don't|without|koru|behalte|garde)\b";
    years = r"(?i)\b(\d{1,3})[\s-]*(?:years?[\s-]old|yaş|ans\b|años|jahre)|\b(?:age|aged)\s+(?:of\s+|to\s+)?(\d{1,3})\b";
    by_years = r"(?i)\b(\d{1,2})\s+years?\s+(older|younger)\b";
    older = r"(?i)\b(?:older|aged|yaşlı|älter|plus vieux|plus vieille|mayor)\b";
    younger = r"(?i)\b(?:younger|genç|jünger|plus jeune|más joven)\b";
    renamed = r"(?i)\b(?:rename\s+(?:him|her|them|it|the \w+)?\s*(?:to|as)?|call\s+(?:him|her|them|it)|name\s+(?:him|her|them|it)|(?:change|set)\s+(?:the|his|her|their|its)\s+name\s+to)\s+(.+)$";
    someone = r"(?i)\b(?:add|give (?:him|her|them))\s+(?:an?\s+|the\s+)?((?:(?:younger|older|elder|twin|half|step|best|old|estranged|late|secret)[\s-]+)*(?:brother|sister|friend|rival|mentor|son|daughter|mother|father|husband|wife|partner|neighbou?r|teacher|cousin|uncle|aunt|nephew|niece|boss|colleague|enemy|lover|student|child|pet|dog|cat))\b(?:\s+(?:named|called)\s+(.+))?";
    moves = r"(?i)\b(?:moves?|relocates?|lives?)\s+(?:him\s+|her\s+|them\s+)?(?:to|in)\s+(.+)$";
    becomes = r"(?i)\b(?:becomes?|works? as|(?:job|occupation|profession|trade)\s+(?:to|is))\s+(?:an?\s+)?(.+)$";
}

/// Words of a clause that point to a layer; the first row that has one counts.
const POINTERS: [(&str, &[&str]); 6] = [
    (
        "voice",
        &[
            "humo", "funn", "sarcas", "speak", "speech", "talk", "voice", "tone", "accent", "swear",
            "formal", "casual", "say",
        ],
    ),
    ("history", &["past", "childhood", "backstor", "born", "grew", "history", "happened", "youth"]),
    ("knowledge", &["know", "learn", "skill", "interest", "hobb", "expert", "stud", "play"]),
    ("boundaries", &["refus", "avoid", "boundar", "never talk", "deflect"]),
    ("scenario", &["scene", "scenario", "place", "setting", "meet", "situation"]),
    ("relations", &["relation", "family", "friend", "brother", "sister"]),
];

/// What an instruction asks for. `before` is the persona as it was.
fn edits(instruction: &str, before: &Value) -> Vec<Edit> {
    let said = without_triggers(instruction);
    let clauses = separator().split(&said).map(str::trim).filter(|clause| !clause.is_empty());
    clauses.filter(|clause| !kept().is_match(clause)).map(|clause| edit(clause, before)).collect()
}

fn edit(clause: &str, before: &Value) -> Edit {
    let group = |pattern: &Regex, number| {
        let found =
            pattern.captures(clause)?.get(number)?.as_str().trim().trim_matches(['"', '\'', '“', '”']);
        (!found.is_empty()).then(|| found.chars().take(80).collect::<String>())
    };
    let age = before["identity"]["age"].as_u64().unwrap_or(40);
    if let (Some(years), Some(word)) = (group(by_years(), 1), group(by_years(), 2)) {
        let years: u64 = years.parse().unwrap_or(0);
        let older = word.eq_ignore_ascii_case("older");
        return Edit::Age(if older { (age + years).min(150) } else { age.saturating_sub(years) });
    }
    let told = group(years(), 1).or_else(|| group(years(), 2)).and_then(|years| years.parse().ok());
    if let Some(years) = told.filter(|years| *years <= 150) {
        return Edit::Age(years);
    }
    if let Some(name) = group(renamed(), 1) {
        return Edit::Name(name);
    }
    if let Some(relation) = group(someone(), 1) {
        return Edit::Someone { relation: relation.to_lowercase(), name: group(someone(), 2) };
    }
    if older().is_match(clause) {
        return Edit::Age((age + 10).min(150));
    }
    if younger().is_match(clause) {
        return Edit::Age(age - (age / 4).min(10));
    }
    if let Some(place) = group(moves(), 1) {
        return Edit::Residence(place);
    }
    if let Some(occupation) = group(becomes(), 1) {
        return Edit::Occupation(occupation);
    }
    let folded = clause.to_lowercase();
    let pointed = POINTERS.iter().find(|(_, words)| words.iter().any(|word| folded.contains(word)));
    let layer = pointed.map_or("soul", |(layer, _)| *layer);
    Edit::Told { layer, clause: sentence(clause) }
}

/// A clause as a sentence that fits any text of a layer.
fn sentence(clause: &str) -> String {
    let clause: String = clause.chars().take(110).collect();
    let mut letters = clause.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{first}{}.", letters.as_str().trim_end())
}

/// The layers that an instruction touches, among `allowed`; at least one, so that something happens.
pub(super) fn plan(instruction: &str, before: &Value, allowed: &[&str]) -> Vec<&'static str> {
    let may = |layer: &&str| allowed.is_empty() || allowed.contains(layer);
    let edits = edits(instruction, before);
    let touched: Vec<&str> =
        LAYERS.into_iter().filter(|layer| edits.iter().any(|edit| edit.touches(layer, before))).collect();
    let touched: Vec<&str> = touched.into_iter().filter(may).collect();
    let fallback = || LAYERS.into_iter().filter(may).take(usize::from(!edits.is_empty())).collect();
    if touched.is_empty() { fallback() } else { touched }
}

impl Edit {
    fn touches(&self, layer: &str, before: &Value) -> bool {
        match self {
            Self::Age(age) => layer == "identity" || layer == "history" && ages_change(*age, before),
            Self::Name(_) => layer == "identity" || calls_by_name(&before[layer], before),
            Self::Someone { .. } => layer == "relations",
            Self::Residence(_) | Self::Occupation(_) => layer == "identity",
            Self::Told { layer: told, .. } => layer == *told,
        }
    }
}

/// Whether the history no longer fits another age.
fn ages_change(age: u64, before: &Value) -> bool {
    let old = before["identity"]["age"].to_string();
    let moments = before["history"]["timeline"].as_array().into_iter().flatten();
    let beyond = moments.clone().any(|moment| moment["age"].as_u64().is_some_and(|at| at > age));
    let dated = moments.clone().any(|moment| moment.get("year").is_some());
    beyond || dated || has_word(&before["history"].to_string(), &old)
}

fn calls_by_name(layer: &Value, before: &Value) -> bool {
    let name = before["identity"]["name"].as_str().unwrap_or_default();
    let text = layer.to_string();
    text.contains(name) || name.split_whitespace().next().is_some_and(|first| has_word(&text, first))
}

fn has_word(text: &str, word: &str) -> bool {
    replaced_word(text, word, "") != text
}

/// A text with a whole word replaced wherever it stands.
fn replaced_word(text: &str, word: &str, with: &str) -> String {
    if word.is_empty() {
        return text.to_owned();
    }
    let mut made = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(word) {
        let (head, tail) = rest.split_at(at);
        let after = &tail[word.len()..];
        let part_of_a_word = head.chars().next_back().is_some_and(char::is_alphanumeric)
            || after.chars().next().is_some_and(char::is_alphanumeric);
        made.push_str(head);
        made.push_str(if part_of_a_word { word } else { with });
        rest = after;
    }
    made + rest
}

/// One layer of `persona` written again.
pub(super) fn rewritten(
    person: &Person,
    layer: &str,
    instruction: &str,
    persona: &Value,
    before: &Value,
) -> Value {
    let mut value = persona[layer].clone();
    let edits = edits(instruction, before);
    let mut touched = false;
    for edit in edits.iter().filter(|edit| edit.touches(layer, before)) {
        touched = true;
        apply(edit, layer, &mut value, person, before);
    }
    if let (false, Some(_)) = (touched, edits.first()) {
        let clause = sentence(&without_triggers(instruction));
        add_told(layer, &clause, &mut value);
    }
    value
}

fn apply(edit: &Edit, layer: &str, value: &mut Value, person: &Person, before: &Value) {
    match edit {
        Edit::Age(age) => {
            let old = before["identity"]["age"].as_u64().unwrap_or(*age);
            if layer == "identity" {
                value["age"] = (*age).into();
            } else {
                fit_timeline(value, old, *age);
            }
            in_texts(value, &|text| replaced_word(text, &old.to_string(), &age.to_string()));
        }
        Edit::Name(name) => {
            let old = before["identity"]["name"].as_str().unwrap_or_default();
            let firsts = (old.split_whitespace().next(), name.split_whitespace().next());
            in_texts(value, &|text| {
                let text = text.replace(old, name);
                match firsts {
                    (Some(old), Some(new)) if !name.contains(old) => replaced_word(&text, old, new),
                    _ => text,
                }
            });
            if layer == "identity" {
                value["name"] = name.as_str().into();
            }
        }
        Edit::Someone { relation, name } => add_someone(value, relation, name.as_deref(), person, before),
        Edit::Residence(place) => value["residence"] = place.as_str().into(),
        Edit::Occupation(occupation) => value["occupation"] = occupation.as_str().into(),
        Edit::Told { clause, .. } => add_told(layer, clause, value),
    }
}

/// Moments in the same order and within the new age; a year would tell another birth.
fn fit_timeline(history: &mut Value, old: u64, new: u64) {
    for moment in history["timeline"].as_array_mut().into_iter().flatten() {
        let Some(at) = moment["age"].as_u64() else { continue };
        if new < old {
            moment["age"] = (at * new / old.max(1)).into();
        }
        moment.as_object_mut().and_then(|moment| moment.shift_remove("year"));
    }
}

fn in_texts(value: &mut Value, change: &impl Fn(&str) -> String) {
    match value {
        Value::String(text) => *text = change(text),
        Value::Array(items) => items.iter_mut().for_each(|item| in_texts(item, change)),
        Value::Object(fields) => fields.values_mut().for_each(|field| in_texts(field, change)),
        _ => {}
    }
}

fn add_someone(relations: &mut Value, relation: &str, name: Option<&str>, person: &Person, before: &Value) {
    let known = relations.to_string() + &before["identity"]["name"].to_string();
    let free = person.circle.iter().map(|other| other.name.as_str()).find(|name| !known.contains(name));
    let name = name.or(free).unwrap_or("Robin").to_owned();
    let description = format!("{name}, their {relation}, has come into the story.");
    let other = json!({"name": name, "relation": relation, "feeling": "trust", "description": description});
    push(relations, other, 8);
}

fn add_told(layer: &str, clause: &str, value: &mut Value) {
    let sentence = || Value::from(clause);
    match layer {
        "soul" => push(&mut value["beliefs"], sentence(), 8),
        "voice" => push(&mut value["quirks"], sentence(), 6),
        "knowledge" => push(&mut value["interests"], sentence(), 8),
        "boundaries" => push(&mut value["deflects"], sentence(), 6),
        "history" => append(&mut value["backstory"], clause, 4_000),
        "scenario" => append(&mut value["situation"], clause, 600),
        "identity" => append(&mut value["appearance"], clause, 800),
        _ => {
            if let Some(last) = value.as_array_mut().and_then(|all| all.last_mut()) {
                append(&mut last["description"], clause, 400);
            }
        }
    }
}

fn push(list: &mut Value, item: Value, most: usize) {
    if let Some(items) = list.as_array_mut() {
        items.truncate(most - 1);
        items.push(item);
    }
}

fn append(text: &mut Value, clause: &str, most: usize) {
    let old = text.as_str().unwrap_or_default();
    let room = most.saturating_sub(clause.chars().count() + 1);
    let kept: String = old.chars().take(room).collect();
    *text = format!("{kept} {clause}").into();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::persona::layers_for_tests;

    fn read(instruction: &str) -> Vec<Edit> {
        edits(instruction, &layers_for_tests())
    }

    #[test]
    fn an_instruction_is_read_clause_by_clause_and_what_is_to_stay_is_none() {
        assert_eq!(read("Make her older, keep the humour"), [Edit::Age(71)]);
        assert_eq!(read("make her 5 years younger"), [Edit::Age(56)]);
        assert_eq!(read("She is 70 years old now."), [Edit::Age(70)]);
        assert_eq!(
            read("rename her to Selin Tan and make her younger"),
            [Edit::Name("Selin Tan".into()), Edit::Age(51)]
        );
        assert_eq!(
            read("Add a younger brother named Kaan"),
            [Edit::Someone { relation: "younger brother".into(), name: Some("Kaan".into()) }]
        );
        assert_eq!(read("She moves to Izmir"), [Edit::Residence("Izmir".into())]);
        assert_eq!(read("she becomes a ferry captain"), [Edit::Occupation("ferry captain".into())]);
        assert_eq!(
            read("[[trigger:slow]] Let her speak in riddles"),
            [Edit::Told { layer: "voice", clause: "Let her speak in riddles.".into() }]
        );
    }

    #[test]
    fn the_plan_names_the_layers_that_an_edit_must_touch() {
        let mut before = layers_for_tests();
        assert_eq!(plan("make her older", &before, &[]), ["identity", "history"], "a year tells her birth");
        before["history"]["timeline"][2] = json!({"age": 50, "event": "e", "effect": "f"});
        assert_eq!(plan("make her older", &before, &[]), ["identity"]);
        assert_eq!(plan("make her 40 years old", &before, &[]), ["identity", "history"]);
        before["scenario"]["situation"] = json!("Nermin is waiting.");
        assert_eq!(plan("rename her to Selin Tan", &before, &[]), ["identity", "scenario"]);
        assert_eq!(plan("add a brother", &before, &[]), ["relations"]);
        assert_eq!(plan("add a brother", &before, &["voice", "soul"]), ["soul"]);
        assert!(plan("keep it all", &before, &[]).is_empty());
    }

    #[test]
    fn words_are_replaced_whole() {
        assert_eq!(replaced_word("Ann and Anna, Ann's", "Ann", "Eve"), "Eve and Anna, Eve's");
        assert_eq!(replaced_word("161 or 61", "61", "70"), "161 or 70");
    }
}
