//! When the sandbox calls functions: where the message asks for one with `[[call:name]]`, arguments after the name
//! where they matter, or where the caller insists. `docs/sandbox.md` lists this beside the triggers.

use serde_json::{Deserializer, Value};
use sha2::{Digest, Sha256};

use super::{conform::conform, person::Person};
use crate::provider::{CompletionRequest, Message, Speaker, Tool, ToolCall, ToolChoice};

const OPEN: &str = "[[call:";
const CLOSE: &str = "]]";
/// How much of a function's result a reply quotes.
const QUOTED: usize = 200;

/// A function that a message asks for.
#[derive(Debug, PartialEq)]
struct Wish<'m> {
    name: &'m str,
    arguments: Option<Value>,
}

/// The calls that the sandbox makes instead of speaking; none once it has heard results.
pub(super) fn calls(request: &CompletionRequest, message: &str, person: &Person) -> Vec<ToolCall> {
    if results(request).next().is_some() {
        return Vec::new();
    }
    let wished = wishes(message).0;
    let offered = |name: &str| request.tools.iter().find(|tool| tool.name == name.replace('.', "_"));
    let mut wanted: Vec<(&Tool, Option<Value>)> =
        wished.into_iter().filter_map(|wish| Some((offered(wish.name)?, wish.arguments))).collect();
    let insisted = match &request.tool_choice {
        ToolChoice::None => return Vec::new(),
        ToolChoice::Auto => None,
        ToolChoice::Required => request.tools.first(),
        ToolChoice::Named(name) => {
            wanted.retain(|(tool, _)| tool.name == *name);
            offered(name)
        }
    };
    if wanted.is_empty() {
        wanted.extend(insisted.map(|tool| (tool, None)));
    }
    let call = |(at, (tool, arguments)): (usize, (&Tool, Option<Value>))| {
        let arguments = arguments.unwrap_or_else(|| invented(tool, person)).to_string();
        ToolCall { id: id(&[&person.seed, message, &at.to_string()]), name: tool.name.clone(), arguments }
    };
    wanted.into_iter().enumerate().map(call).collect()
}

/// What functions have answered since the user spoke, as much as a reply quotes.
pub(super) fn heard(request: &CompletionRequest) -> Vec<String> {
    let quoted = |message: &Message| -> String {
        let lines = message.content.lines().map(str::trim);
        let told = lines.filter(|line| !line.is_empty() && !line.starts_with('<'));
        told.take(1).flat_map(str::chars).take(QUOTED).collect()
    };
    results(request).map(quoted).filter(|text| !text.is_empty()).collect()
}

/// The message without the markers.
pub(super) fn without_calls(message: &str) -> String {
    wishes(message).1.trim().to_owned()
}

fn results(request: &CompletionRequest) -> impl Iterator<Item = &Message> {
    let spoken = request.messages.iter().rposition(|message| message.role == Speaker::User);
    let since = request.messages.iter().skip(spoken.map_or(0, |at| at + 1));
    since.filter(|message| message.role == Speaker::Tool)
}

/// The functions that a message asks for, and the rest of it. What is no marker is plain text.
fn wishes(message: &str) -> (Vec<Wish<'_>>, String) {
    let (mut found, mut rest, mut from) = (Vec::new(), String::new(), message);
    while let Some((before, after)) = from.split_once(OPEN) {
        rest.push_str(before);
        if let Some((wish, behind)) = wish(after) {
            found.push(wish);
            from = behind;
        } else {
            rest.push_str(OPEN);
            from = after;
        }
    }
    rest.push_str(from);
    (found, rest)
}

/// A name, perhaps a JSON object, and the end of the marker.
fn wish(text: &str) -> Option<(Wish<'_>, &str)> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && !"_.-".contains(c))?;
    let (name, rest) = text.split_at(end);
    let mut rest = rest.trim_start();
    let mut arguments = None;
    if rest.starts_with('{') {
        let mut values = Deserializer::from_str(rest).into_iter::<Value>();
        arguments = Some(values.next()?.ok()?);
        rest = rest.get(values.byte_offset()..)?.trim_start();
    }
    Some((Wish { name, arguments }, rest.strip_prefix(CLOSE)?)).filter(|_| !name.is_empty())
}

/// Arguments by the function's schema.
fn invented(tool: &Tool, person: &Person) -> Value {
    let made = conform(Some(serde_json::json!({})), &tool.parameters, person, &mut person.dice(&tool.name));
    if made.is_object() { made } else { serde_json::json!({}) }
}

fn id(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let digits = crate::key::hex(&hash.finalize()[..12]);
    format!("call_{digits}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_marker_names_a_function_and_perhaps_its_arguments() {
        let (found, rest) =
            wishes(r#"Look [[call:get_weather {"cities": [["Izmir"]]}]] and [[call:web.search]] now"#);
        let asked = json!({"cities": [["Izmir"]]});
        assert_eq!(
            found,
            [
                Wish { name: "get_weather", arguments: Some(asked) },
                Wish { name: "web.search", arguments: None },
            ]
        );
        assert_eq!(rest, "Look  and  now");
    }

    #[test]
    fn what_is_no_marker_is_plain_text() {
        for text in ["[[call:]]", "[[call:a {]]", "[[call:a", "[[call:a {\"b\": 1} c]]", "call:a"] {
            assert_eq!(wishes(text), (Vec::new(), text.to_owned()));
        }
    }
}
