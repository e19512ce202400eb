//! How the sandbox speaks as a persona: it answers from the finished voice, in the persona's language.

use serde_json::Value;

use super::{person::Person, phrases, vector::likeness};

/// A reply to `message`, made of the persona's own lines; it quotes what functions have told.
pub(super) fn reply(person: &Person, persona: &Value, message: &str, heard: &[String]) -> String {
    let mut dice = person.dice(&format!("chat/{message}"));
    let bank = &person.phrases.chat;
    let lower = message.to_lowercase();
    if steps_out(&lower) {
        let refusal = persona.pointer("/boundaries/refusal_line").and_then(Value::as_str);
        return refusal
            .map_or_else(|| person.one(&person.phrases.boundaries.refusal_line, &mut dice), str::to_owned);
    }
    let greets = bank.greetings.iter().any(|greeting| lower.starts_with(greeting.as_str()));
    let opening = match topic(message) {
        _ if greets => person.one(&bank.hello, &mut dice),
        Some(topic) => {
            dice.pick(&bank.about).map(|t| person.fill_with(t, &[("topic", &topic)])).unwrap_or_default()
        }
        None => person.one(&bank.plain, &mut dice),
    };
    let line = nearest_sample(persona, message).unwrap_or_else(|| {
        let lines: Vec<String> =
            person.phrases.voice.samples.iter().filter(|o| !o.cause).flat_map(|o| o.lines.clone()).collect();
        person.one(&lines, &mut dice)
    });
    let ask = person.one(&bank.ask, &mut dice);
    let told = heard.iter().map(|text| format!("“{text}”"));
    let parts: Vec<String> = [opening].into_iter().chain(told).chain([line, ask]).collect();
    parts.join(&person.phrases.between)
}

/// The sample whose occasion and line are nearest to what was said.
fn nearest_sample(persona: &Value, message: &str) -> Option<String> {
    let samples = persona.pointer("/voice/samples")?.as_array()?;
    let pair = |sample: &Value| {
        let text = |key: &str| sample.get(key).and_then(Value::as_str).map(str::to_owned);
        Some((text("context").unwrap_or_default(), text("line")?))
    };
    let lines = samples.iter().filter_map(pair);
    lines.max_by_key(|(context, line)| likeness(message, &format!("{context} {line}"))).map(|(_, line)| line)
}

/// Whether a message asks the persona to leave its role.
fn steps_out(message: &str) -> bool {
    let marks =
        ["ignore previous", "ignore all", "system prompt", "language model", "are you an ai", "yapay zek"];
    marks.iter().any(|mark| message.contains(mark))
}

/// The longest word of a message, as what it is about; none in scripts without spaces.
fn topic(message: &str) -> Option<String> {
    let words = message.split(|c: char| !c.is_alphanumeric()).filter(|w| w.chars().count() >= 5);
    let longest = words.fold(None, |best: Option<&str>, word| match best {
        Some(known) if known.chars().count() >= word.chars().count() => Some(known),
        _ => Some(word),
    })?;
    let length = longest.chars().count();
    (length <= 24 && longest.chars().all(|c| (c as u32) < 0x2e80)).then(|| phrases::small(longest))
}
