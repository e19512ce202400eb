//! What the sandbox writes: each layer of a persona, and what `intent_parse` reads from the brief.

use serde_json::{Map, Value, json};

use super::{
    person::Person,
    phrases::{Moment, capital},
    random::Dice,
};

/// Kept out of every bank and longer than any word a brief can put into a sample: what is never said when
/// a brief manages to use up the bank's own phrases.
const NEVER_SAID: &str = "at the end of the day it is what it is, to be quite honest";

/// One layer, or `None` if `name` is no layer.
pub(super) fn layer(person: &Person, name: &str, step: &str) -> Option<Value> {
    let mut dice = person.dice(&format!("{step}/{name}"));
    Some(match name {
        "soul" => soul(person, &mut dice),
        "identity" => identity(person, &mut dice),
        "voice" => voice(person, &mut dice),
        "history" => history(person, &mut dice),
        "relations" => relations(person, &mut dice),
        "knowledge" => knowledge(person, &mut dice),
        "boundaries" => boundaries(person, &mut dice),
        "scenario" => scenario(person, &mut dice),
        _ => return None,
    })
}

/// The facts that the brief fixes; what it leaves open is null.
pub(super) fn facts(person: &Person) -> Value {
    let brief = &person.brief;
    json!({
        "name": brief.name.as_ref().map(|_| &person.name),
        "age": brief.age.map(|_| person.age),
        "pronouns": brief.pronouns,
        "occupation": brief.occupation.as_ref().map(|_| &person.occupation),
        "residence": brief.residence.as_ref().map(|_| &person.residence),
        "culture": person.heritage(),
    })
}

fn soul(person: &Person, dice: &mut Dice) -> Value {
    let bank = &person.phrases.soul;
    let mut beliefs = person.few(&bank.beliefs, 3, dice);
    if person.cause.is_some() && !bank.cause.beliefs.is_empty() {
        beliefs.insert(0, person.one(&bank.cause.beliefs, dice));
    }
    json!({
        "core_desire": person.one(&bank.core_desire, dice),
        "core_fear": person.one(&bank.core_fear, dice),
        "wound": person.one(&bank.wound, dice),
        "values": values(person, dice),
        "beliefs": beliefs,
        "contradictions": person.few(&bank.contradictions, 2, dice),
        "traits": traits(person, dice),
        "moral_lines": person.few(&bank.moral_lines, 3, dice),
    })
}

/// Values, the weightiest first.
fn values(person: &Person, dice: &mut Dice) -> Vec<Value> {
    let bank = &person.phrases.soul;
    let mut values: Vec<(String, String)> = dice
        .some(&bank.values, 4)
        .iter()
        .map(|worth| (worth.name.clone(), person.one(&worth.why, dice)))
        .collect();
    if let Some(cause) = person.cause.as_ref().filter(|_| !bank.cause.whys.is_empty()) {
        values.insert(0, (cause.clone(), person.one(&bank.cause.whys, dice)));
    }
    let mut weight = 98;
    let mut weighed = Vec::new();
    for (name, why) in values {
        weight -= dice.between(2, 12);
        weighed.push(json!({"name": name, "weight": f64::from(weight as u32) / 100.0, "why": why}));
    }
    weighed
}

fn traits(person: &Person, dice: &mut Dice) -> Value {
    // Outgoing work draws outgoing people; the rest is drawn.
    let outgoing = ["stage", "school", "sport", "trade"]
        .iter()
        .any(|field| std::ptr::eq(person.phrases.field(field), person.field));
    json!({
        "openness": dice.hundredths(45, 95),
        "conscientiousness": dice.hundredths(35, 95),
        "extraversion": if outgoing { dice.hundredths(55, 92) } else { dice.hundredths(15, 75) },
        "agreeableness": dice.hundredths(25, 90),
        "neuroticism": dice.hundredths(15, 75),
    })
}

fn identity(person: &Person, dice: &mut Dice) -> Value {
    json!({
        "name": person.name,
        "age": person.age,
        "pronouns": person.pronouns,
        "occupation": person.occupation,
        "residence": person.residence,
        "culture": person.culture,
        "appearance": appearance(person, dice),
        "summary": summary(person, dice),
    })
}

fn appearance(person: &Person, dice: &mut Dice) -> String {
    let bank = &person.phrases.identity;
    let (build, hair) = (person.one(&bank.build, dice), person.one(&bank.hair, dice));
    let (detail, clothes) = (person.one(&bank.detail, dice), person.one(&bank.clothes, dice));
    let own = [("build", &*build), ("hair", &*hair), ("detail", &*detail), ("clothes", &*clothes)];
    dice.pick(&bank.appearance).map(|template| person.fill_with(template, &own)).unwrap_or_default()
}

/// The brief in its own words where they are in the persona's language, else a line from the bank.
fn summary(person: &Person, dice: &mut Dice) -> String {
    let from_bank = person.one(&person.phrases.identity.summary, dice);
    let own_words = person.brief.line.as_ref().filter(|line| {
        person.brief.language == person.writes && person.brief.name.is_none() && !line.contains(&person.name)
    });
    let short = person.name.chars().count() <= 60;
    match own_words.filter(|_| short) {
        Some(line) => {
            let article = ["A ", "An ", "Ein", "Un ", "Une ", "Una ", "Um ", "Uma "];
            let line = match article.iter().find(|a| line.starts_with(**a)) {
                Some(_) => super::phrases::small(line),
                None => line.clone(),
            };
            format!("{}: {line}.", person.name)
        }
        None => from_bank,
    }
}

fn voice(person: &Person, dice: &mut Dice) -> Value {
    let bank = &person.phrases.voice;
    let tone = dice.pick(&bank.tones);
    let mut vocabulary = person.few(&bank.vocabulary, 4, dice);
    for word in dice.some(&person.field.words, 4) {
        if !vocabulary.contains(&word) {
            vocabulary.push(word);
        }
    }
    let greeting = person.one(&bank.greeting, dice);
    let catchphrases = person.few(&bank.catchphrases, 2, dice);
    let samples = samples(person, &catchphrases, dice);
    let said: Vec<&str> = samples
        .iter()
        .map(|(_, line)| line.as_str())
        .chain([&*greeting])
        .chain(catchphrases.iter().map(|c| &**c))
        .collect();
    json!({
        "tone": tone.map_or("", |t| &t.tone),
        "register": tone.map_or("neutral", |t| &t.register),
        "sentence_style": person.one(&bank.sentence_style, dice),
        "vocabulary": vocabulary,
        "quirks": person.few(&bank.quirks, 2, dice),
        "never_says": never_says(person, &said, dice),
        "catchphrases": catchphrases,
        "greeting": greeting,
        "samples": samples.iter().map(|(context, line)| json!({"context": context, "line": line})).collect::<Vec<_>>(),
    })
}

/// Seven occasions with a line each, the causes's first where there is one; one ends in a catchphrase.
fn samples(person: &Person, catchphrases: &[String], dice: &mut Dice) -> Vec<(String, String)> {
    let bank = &person.phrases.voice.samples;
    let (cause, plain): (Vec<_>, Vec<_>) = bank.iter().cloned().partition(|occasion| occasion.cause);
    let mut occasions = dice.some(&plain, 7);
    if person.cause.is_some() {
        occasions.splice(0..0, cause);
    }
    let closing = dice.below(occasions.len() as u64) as usize;
    let mut lines = Vec::new();
    for (index, occasion) in occasions.iter().enumerate() {
        let mut line = person.one(&occasion.lines, dice);
        if let Some(phrase) = catchphrases.first().filter(|_| index == closing) {
            line.push_str(&person.phrases.between);
            line.push_str(phrase);
        }
        lines.push((occasion.context.clone(), sentence_case(person, &line)));
    }
    lines
}

/// A line that begins with a slot's word still begins with a capital.
fn sentence_case(person: &Person, line: &str) -> String {
    capital(line, person.writes)
}

/// Phrases that occur in nothing this persona says.
fn never_says(person: &Person, said: &[&str], dice: &mut Dice) -> Vec<String> {
    let said: Vec<String> = said.iter().map(|line| line.to_lowercase()).collect();
    let unsaid = |phrase: &String| !said.iter().any(|line| line.contains(&phrase.to_lowercase()));
    let bank = &person.phrases.voice.never_says;
    let free: Vec<String> = bank.iter().filter(|phrase| unsaid(phrase)).cloned().collect();
    if free.is_empty() {
        return vec![NEVER_SAID.to_owned()];
    }
    dice.some(&free, 4)
}

fn history(person: &Person, dice: &mut Dice) -> Value {
    let bank = &person.phrases.history;
    let mut story =
        vec![person.one(&bank.origin, dice), person.one(&bank.youth, dice), person.one(&bank.turn, dice)];
    let clause = person.brief.clause.as_ref().filter(|_| person.brief.language == person.writes);
    if let (Some(clause), Some(template)) = (clause, dice.pick(&bank.clause)) {
        story.push(person.fill_with(template, &[("clause", clause)]));
    }
    story.push(person.one(&bank.now, dice));
    let story: Vec<String> = story.iter().map(|sentence| sentence_case(person, sentence)).collect();
    json!({"backstory": story.join(&person.phrases.between), "timeline": timeline(person, dice)})
}

/// Moments in the order of their ages, none beyond the persona's own.
fn timeline(person: &Person, dice: &mut Dice) -> Vec<Value> {
    let bank = &person.phrases.history;
    let age = person.age;
    let mut plan: Vec<(&[Moment], u64, u64, usize)> =
        vec![(&bank.child, 5, 12, if age < 13 { 3 } else { 1 })];
    if age >= 13 {
        plan.push((&bank.youth_events, 13, 19, if age < 21 { 2 } else { 1 }));
    }
    if age >= 21 {
        plan.push((&bank.adult, 20, 34, if age >= 30 { 2 } else { 1 }));
    }
    if age >= 37 {
        plan.push((&bank.middle, 35, 54, 1));
    }
    if age >= 57 {
        plan.push((&bank.late, 55, age.min(78), 1));
    }
    let mut timeline = Vec::new();
    let mut next = 0;
    for (moments, from, to, count) in plan {
        let moments = in_order(moments, count, dice);
        let ages = ages(from.min(age), to.min(age), next.min(age), moments.len(), dice);
        next = ages.last().map_or(next, |last| last + 1);
        for (moment, at) in moments.iter().zip(ages) {
            let event = sentence_case(person, &person.fill(&moment.event));
            timeline.push(json!({"age": at, "event": event, "effect": person.fill(&moment.effect)}));
        }
    }
    timeline
}

/// `count` moments in the order of the bank, which is the order in which they can happen.
fn in_order<'b>(moments: &'b [Moment], count: usize, dice: &mut Dice) -> Vec<&'b Moment> {
    let places: Vec<usize> = (0..moments.len()).collect();
    let mut drawn = dice.some(&places, count);
    drawn.sort_unstable();
    drawn.into_iter().filter_map(|place| moments.get(place)).collect()
}

/// `count` ages in a range, ascending. Where it has too few of them, it begins at `earliest`, and at last they repeat.
fn ages(from: u64, to: u64, earliest: u64, count: usize, dice: &mut Dice) -> Vec<u64> {
    let years: Vec<u64> = (if to - from + 1 >= count as u64 { from } else { earliest }..=to).collect();
    let mut ages = dice.some(&years, count);
    while ages.len() < count {
        ages.push(to);
    }
    ages.sort_unstable();
    ages
}

fn relations(person: &Person, dice: &mut Dice) -> Value {
    let bonds = person.circle.iter().map(|other| {
        let description = dice.pick(&other.bond.description).map(String::as_str).unwrap_or_default();
        json!({
            "name": other.name,
            "relation": other.bond.relation,
            "feeling": other.bond.feeling,
            "description": sentence_case(person, &person.fill_with(description, &[("other", &other.name)])),
        })
    });
    Value::Array(bonds.collect())
}

fn knowledge(person: &Person, dice: &mut Dice) -> Value {
    let bank = &person.phrases.knowledge;
    let mut interests: Vec<String> = person.interests.iter().take(4).cloned().collect();
    if person.writes == "en" {
        interests.extend(
            person
                .brief
                .causes
                .iter()
                .filter(|cause| !interests.contains(cause))
                .cloned()
                .collect::<Vec<_>>(),
        );
    }
    let known = |topic: &&String| !interests.iter().any(|interest| topic.contains(interest.as_str()));
    let ignorance: Vec<String> = bank.ignorance.iter().filter(known).cloned().collect();
    json!({
        "expertise": dice.some(&person.field.expertise, 3),
        "interests": interests,
        "ignorance": dice.some(&ignorance, 2),
        "languages": languages(person, dice),
    })
}

/// The declared language first, then the culture's own, then perhaps English.
fn languages(person: &Person, dice: &mut Dice) -> Vec<String> {
    let code = |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_lowercase());
    let declared = if code(&person.language) { person.language.as_str() } else { person.writes };
    let culture = super::phrases::common().cultures.get(&person.culture_key);
    let mut languages = vec![declared.to_owned()];
    let further = [culture.map(|c| c.language.as_str()), (dice.below(2) == 0).then_some("en")];
    for language in further.into_iter().flatten() {
        if !languages.iter().any(|known| known == language) {
            languages.push(language.to_owned());
        }
    }
    languages
}

fn boundaries(person: &Person, dice: &mut Dice) -> Value {
    let bank = &person.phrases.boundaries;
    json!({
        "refuses": person.few(&bank.refuses, 3, dice),
        "deflects": person.few(&bank.deflects, 2, dice),
        "refusal_line": person.one(&bank.refusal_line, dice),
    })
}

fn scenario(person: &Person, dice: &mut Dice) -> Value {
    let bank = &person.phrases.scenario;
    json!({
        "setting": sentence_case(person, &person.one(&bank.setting, dice)),
        "situation": sentence_case(person, &person.one(&bank.situation, dice)),
    })
}

/// Gives a history an event beyond the persona's age, first in the list: what `schema_violation` asks for.
pub(super) fn contradict(layers: &mut Map<String, Value>, age: u64) {
    let timeline =
        layers.get_mut("history").and_then(|h| h.get_mut("timeline")).and_then(Value::as_array_mut);
    let Some(timeline) = timeline else { return };
    let Some(mut last) = timeline.pop() else { return };
    last["age"] = json!((age + 7).min(150));
    timeline.insert(0, last);
}
