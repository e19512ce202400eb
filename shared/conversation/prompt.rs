//! The prompts of a conversation. What callers say is talk within them, never a part of the instructions.

use std::sync::OnceLock;

use minijinja::{AutoEscape, Environment, UndefinedBehavior, syntax::SyntaxConfig};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Author, Character, Message, Summary, memory::Window};
use crate::{
    drift::{self, Heard, Line},
    error::{Error, Result},
    persona::{Layers, language},
    provider::{self, CompletionRequest, OutputSchema, Role, Speaker},
};

const TEMPLATES: &[(&str, &str)] = &[
    ("character", include_str!("../prompts/chat/character.j2")),
    ("reminder", include_str!("../prompts/chat/reminder.j2")),
    ("anchor", include_str!("../prompts/chat/anchor.j2")),
    ("retold", include_str!("../prompts/chat/retold.j2")),
    ("application", include_str!("../prompts/chat/application.j2")),
    ("summary", include_str!("../prompts/chat/summary.j2")),
    ("drift_judge", include_str!("../prompts/chat/drift_judge.j2")),
];

/// What the notes on a conversation may take.
const SUMMARY_TOKENS: u32 = 260;
/// What a judge's opinion may take.
const JUDGE_TOKENS: u32 = 400;

#[expect(clippy::panic, reason = "files of this crate; a test renders each of them")]
fn environment() -> &'static Environment<'static> {
    static ENVIRONMENT: OnceLock<Environment<'static>> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| {
        let mut environment = Environment::new();
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment
            .set_syntax(syntax.unwrap_or_else(|error| panic!("the template syntax is wrong: {error}")));
        environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_formatter(crate::pipeline::write_as_data);
        for (name, text) in TEMPLATES {
            environment
                .add_template(name, text)
                .unwrap_or_else(|error| panic!("the prompt {name} is wrong: {error:#}"));
        }
        environment
    })
}

/// SHA-256 over the prompts: what a turn's run names as its pipeline's digest.
pub(super) fn digest() -> String {
    static DIGEST: OnceLock<String> = OnceLock::new();
    let computed = || crate::persona::digest::of_value(&json!(TEMPLATES));
    DIGEST.get_or_init(computed).clone()
}

fn rendered(name: &str, values: &Value) -> Result<String> {
    let template = environment().get_template(name).map_err(Error::internal)?;
    let values = minijinja::Value::deserialize(values).map_err(Error::internal)?;
    let text = template.render(values).map_err(Error::internal)?;
    Ok(text.trim().to_owned())
}

fn language_name(code: &str) -> &str {
    language::name(code).unwrap_or("English")
}

/// The prompt that makes a model be this persona.
pub(super) fn character(layers: &Layers, language: &str) -> Result<String> {
    let mut values = layers.to_value();
    values["language_name"] = language_name(language).into();
    rendered("character", &values)
}

/// What a turn's prompt is made of, besides the character.
#[derive(Debug, Default)]
pub(super) struct Scene<'a> {
    /// What the calling application says as `system` or `developer`.
    pub notes: Option<&'a str>,
    /// Notes on what has left the window.
    pub summary: Option<&'a Summary>,
    /// Whether the conversation has drifted and is called back.
    pub anchored: bool,
    /// Whether an answer to the newest message has given the role up, so that it is told of instead of said.
    pub retold: bool,
}

/// The messages of a turn: who the model is, what was said, and what is said now, with a last reminder.
pub(super) fn messages(
    character: &Character,
    scene: &Scene<'_>,
    said: Vec<provider::Message>,
) -> Result<Vec<provider::Message>> {
    let mut head = character.prompt.clone();
    if let Some(summary) = scene.summary {
        head.push_str("\n\nEarlier in this conversation\n");
        head.push_str(&summary.text);
    }
    if let Some(notes) = scene.notes {
        head.push_str("\n\n");
        head.push_str(&rendered("application", &json!({"notes": notes}))?);
    }
    if scene.anchored {
        head.push_str("\n\n");
        head.push_str(&rendered("anchor", &character.layers.to_value())?);
    }
    let mut messages = vec![provider::Message::new(Speaker::System, head)];
    messages.extend(said);
    if let Some(last) = messages.iter_mut().rev().find(|message| message.role == Speaker::User) {
        last.content = newest(character, scene, &last.content)?;
    }
    Ok(messages)
}

/// The newest message as the model reads it.
fn newest(character: &Character, scene: &Scene<'_>, message: &str) -> Result<String> {
    let layers = &character.layers;
    let mut values =
        json!({"name": layers.identity.name, "language_name": language_name(&character.language)});
    if scene.retold {
        values["lines"] = message.lines().collect();
        values["refusal_line"] = layers.boundaries.refusal_line.as_str().into();
        return rendered("retold", &values);
    }
    Ok(format!("{message}\n\n{}", rendered("reminder", &values)?))
}

/// Messages of the transcript as the model hears them.
pub(super) fn transcript(messages: &[Message]) -> Vec<provider::Message> {
    let mut said: Vec<provider::Message> = Vec::new();
    for message in messages {
        let role = match message.role {
            Author::User => Speaker::User,
            Author::Assistant => Speaker::Assistant,
        };
        match said.last_mut() {
            // A turn that failed leaves a message without an answer; some vendors want them to alternate.
            Some(last) if last.role == role => {
                last.content.push_str("\n\n");
                last.content.push_str(&message.content);
            }
            _ => said.push(provider::Message::new(role, message.content.clone())),
        }
    }
    said
}

/// Asks for notes on the messages that leave the window.
pub(super) fn summary(
    character: &Character,
    before: Option<&Summary>,
    window: &Window,
) -> Result<CompletionRequest> {
    let name = character.layers.identity.name.as_str();
    let who = |author| if author == Author::User { "Visitor" } else { name };
    let lines: Vec<Value> = window
        .leaving
        .iter()
        .map(|message| json!({"who": who(message.role), "content": message.content}))
        .collect();
    let values = json!({
        "name": name, "language_name": language_name(&character.language), "messages": lines,
        "before": before.map(|summary| summary.text.as_str()),
    });
    let messages = blocks("summary", &values)?;
    Ok(CompletionRequest { temperature: 0.2, ..CompletionRequest::new(Role::Chat, messages, SUMMARY_TOKENS) })
}

/// Asks a judge about a reply.
pub(super) fn judge(character: &Character, lines: &[Line], heard: &Heard<'_>) -> Result<CompletionRequest> {
    let lines: Vec<Value> =
        lines.iter().map(|line| json!({"pointer": line.pointer, "text": line.text})).collect();
    let values = json!({
        "name": character.layers.identity.name, "lines": lines, "before": heard.before,
        "message": heard.message, "reply": heard.reply,
    });
    let schema = OutputSchema { name: "opinion".to_owned(), schema: drift::SCHEMA.clone() };
    let request = CompletionRequest::new(Role::Judge, blocks("drift_judge", &values)?, JUDGE_TOKENS);
    Ok(CompletionRequest { temperature: 0.0, schema: Some(schema), ..request })
}

/// A template's two blocks, as messages.
fn blocks(name: &str, values: &Value) -> Result<Vec<provider::Message>> {
    let template = environment().get_template(name).map_err(Error::internal)?;
    let values = minijinja::Value::deserialize(values).map_err(Error::internal)?;
    let mut captured = template.render_captured(values).map_err(Error::internal)?;
    let mut block = |name| captured.with_state_mut(|state| state.render_block(name)).map_err(Error::internal);
    Ok(vec![
        provider::Message::new(Speaker::System, block("system")?.trim()),
        provider::Message::new(Speaker::User, block("user")?.trim()),
    ])
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

    use super::*;
    use crate::persona::layers_for_tests;

    #[test]
    fn the_character_prompt_names_the_language_and_every_sample() {
        let layers = Layers::from_value(&layers_for_tests()).unwrap();
        let prompt = character(&layers, "tr").unwrap();
        assert!(prompt.contains("You speak Turkish"));
        assert!(layers.voice.samples.iter().all(|sample| prompt.contains(&sample.line)));
        assert!(layers.boundaries.refuses.iter().all(|refusal| prompt.contains(refusal)));
        assert!(!prompt.contains("{{") && !prompt.contains("{%"));
    }
}
