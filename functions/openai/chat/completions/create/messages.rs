//! The messages of a completion's body, taken apart: what the application adds, what was said before, what is to be
//! answered, and functions called since.

use persona::{
    conversation::turn::unfit,
    error::Detail,
    provider::{Message, Speaker, ToolCall},
};
use serde::Deserialize;

/// One message, as it is sent.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Said {
    role: Role,
    #[serde(default)]
    content: Option<Content>,
    #[serde(default)]
    tool_calls: Option<Vec<Called>>,
    #[serde(default)]
    tool_call_id: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Role {
    System,
    Developer,
    User,
    Assistant,
    Tool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Debug, Clone, Deserialize)]
struct Part {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct Called {
    id: String,
    function: Function,
}

#[derive(Debug, Clone, Deserialize)]
struct Function {
    name: String,
    arguments: String,
}

/// The messages, taken apart.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// What was said before.
    pub before: Vec<Message>,
    /// What is to be answered: the last that the user says.
    pub message: String,
    /// Functions called since, and their results.
    pub after: Vec<Message>,
    /// What the application says.
    pub notes: Option<String>,
}

/// Takes the messages apart. What is wrong with them joins `problems`.
pub(super) fn heard(messages: &[Said], problems: &mut Vec<Detail>) -> Heard {
    let mut listening = Listening { problems, said: Vec::new(), notes: Vec::new(), open: Vec::new() };
    for (at, message) in messages.iter().enumerate() {
        listening.hear(at, message);
    }
    listening.end(messages.len())
}

struct Listening<'p> {
    problems: &'p mut Vec<Detail>,
    said: Vec<Message>,
    notes: Vec<String>,
    /// Calls whose results have not come yet.
    open: Vec<String>,
}

impl Listening<'_> {
    fn hear(&mut self, at: usize, message: &Said) {
        let text = self.text(at, message);
        match message.role {
            Role::System | Role::Developer => {
                self.notes.extend(Some(text.trim().to_owned()).filter(|text| !text.is_empty()));
            }
            Role::User => {
                self.expect_no_results(at);
                self.problems
                    .extend(unfit(&text).map(|why| Detail::new(format!("/messages/{at}/content"), why)));
                self.say(Message::new(Speaker::User, text.trim()));
            }
            Role::Assistant => {
                self.expect_no_results(at);
                self.answered(at, message, text);
            }
            Role::Tool => self.result(at, message, text),
        }
    }

    /// The words of a message; parts are paragraphs.
    fn text(&mut self, at: usize, message: &Said) -> String {
        let parts = match &message.content {
            None => return String::new(),
            Some(Content::Text(text)) => return text.clone(),
            Some(Content::Parts(parts)) => parts,
        };
        let mut texts = Vec::new();
        for (number, part) in parts.iter().enumerate() {
            match (part.kind.as_str(), &part.text, &part.refusal) {
                ("text", Some(text), _) | ("refusal", _, Some(text)) => texts.push(text.as_str()),
                (other, ..) => {
                    let shown: String = other.chars().take(40).collect();
                    let why =
                        format!("A part of type \"{shown}\" is not read here. Send parts of type \"text\".");
                    self.problems.push(Detail::new(format!("/messages/{at}/content/{number}"), why));
                }
            }
        }
        texts.join("\n\n")
    }

    fn answered(&mut self, at: usize, message: &Said, text: String) {
        let calls = message.tool_calls.as_deref().unwrap_or_default();
        if calls.is_empty() && text.trim().is_empty() {
            self.wrong(at, "The assistant's message has neither content nor tool_calls. Leave it out.");
        }
        self.open = calls.iter().map(|call| call.id.clone()).collect();
        let call = |call: &Called| ToolCall {
            id: call.id.clone(),
            name: call.function.name.clone(),
            arguments: call.function.arguments.clone(),
        };
        self.say(Message::calling(text, calls.iter().map(call).collect()));
    }

    fn result(&mut self, at: usize, message: &Said, text: String) {
        let id = message.tool_call_id.as_deref().unwrap_or_default();
        if let Some(found) = self.open.iter().position(|open| open == id) {
            self.open.remove(found);
            self.said.push(Message::result(id, text));
            return;
        }
        let shown: String = id.chars().take(60).collect();
        let why = format!("tool_call_id \"{shown}\" is no call of the assistant's message before it.");
        self.wrong(at, &why);
    }

    fn expect_no_results(&mut self, at: usize) {
        if let Some(id) = self.open.first() {
            let why = format!(
                "The call \"{id}\" has no result. Send a message of role \"tool\" for each call first."
            );
            self.wrong(at, &why);
            self.open.clear();
        }
    }

    fn wrong(&mut self, at: usize, why: &str) {
        self.problems.push(Detail::new(format!("/messages/{at}"), why));
    }

    /// Adds words. Some vendors want the speakers to take turns, so one who says two things says one.
    fn say(&mut self, message: Message) {
        match self.said.last_mut() {
            Some(last)
                if last.role == message.role
                    && last.tool_calls.is_empty()
                    && message.tool_calls.is_empty() =>
            {
                last.content.push_str("\n\n");
                last.content.push_str(&message.content);
            }
            _ => self.said.push(message),
        }
    }

    fn end(mut self, count: usize) -> Heard {
        self.expect_no_results(count.saturating_sub(1));
        let notes = Some(self.notes.join("\n\n")).filter(|notes| !notes.is_empty());
        let Some(at) = self.said.iter().rposition(|message| message.role == Speaker::User) else {
            self.problems.push(Detail::new("/messages", "No message is the user's. Say something."));
            return Heard::default();
        };
        let mut before = self.said;
        let mut after = before.split_off(at);
        let message = after.remove(0).content;
        if after.last().is_some_and(|last| last.role == Speaker::Assistant && last.tool_calls.is_empty()) {
            let why =
                "The last word is the assistant's. End with a message of the user or with a tool's result.";
            self.problems.push(Detail::new(format!("/messages/{}", count - 1), why));
        }
        Heard { before, message, after, notes }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(messages: Value) -> (Heard, Vec<String>) {
        let said: Vec<Said> = serde_json::from_value(messages).unwrap_or_default();
        let mut problems = Vec::new();
        let heard = heard(&said, &mut problems);
        (heard, problems.into_iter().map(|problem| problem.pointer).collect())
    }

    fn calling(id: &str) -> Value {
        let function = json!({"name": "look", "arguments": "{}"});
        json!({"role": "assistant", "content": null, "tool_calls": [{"id": id, "type": "function", "function": function}]})
    }

    #[test]
    fn what_the_application_says_is_apart_from_what_is_said() {
        let (heard, problems) = read(json!([
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "Good day."},
            {"role": "developer", "content": [{"type": "text", "text": "It is evening."}]},
            {"role": "user", "content": [{"type": "text", "text": "How"}, {"type": "text", "text": "are you?"}]},
        ]));
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(heard.notes.as_deref(), Some("Be brief.\n\nIt is evening."));
        assert_eq!(heard.message, "How\n\nare you?");
        assert_eq!(heard.before.len(), 2);
        assert!(heard.after.is_empty());
    }

    #[test]
    fn results_of_functions_come_after_the_message_that_led_to_them() {
        let (heard, problems) = read(json!([
            {"role": "user", "content": "What is there?"},
            calling("call_1"),
            {"role": "tool", "tool_call_id": "call_1", "content": "A lamp."},
        ]));
        assert!(problems.is_empty(), "{problems:?}");
        assert_eq!(heard.message, "What is there?");
        assert_eq!(
            heard.after,
            [
                Message::calling(
                    "",
                    vec![ToolCall { id: "call_1".into(), name: "look".into(), arguments: "{}".into() }]
                ),
                Message::result("call_1", "A lamp."),
            ]
        );
    }

    #[test]
    fn calls_and_results_that_do_not_belong_together_are_told() {
        let stray =
            json!([{"role": "user", "content": "a"}, {"role": "tool", "tool_call_id": "x", "content": "b"}]);
        assert_eq!(read(stray).1, ["/messages/1"]);
        let unanswered =
            json!([{"role": "user", "content": "a"}, calling("x"), {"role": "user", "content": "b"}]);
        assert_eq!(read(unanswered).1, ["/messages/2"]);
        assert_eq!(read(json!([{"role": "user", "content": "a"}, calling("x")])).1, ["/messages/1"]);
    }

    #[test]
    fn pictures_are_refused_by_their_place() {
        let picture = json!({"type": "image_url", "image_url": {"url": "data:"}});
        let parts = json!([{"role": "user", "content": [{"type": "text", "text": "See:"}, picture]}]);
        assert_eq!(read(parts).1, ["/messages/0/content/1"]);
    }

    #[test]
    fn there_is_something_to_answer_or_it_is_told() {
        assert_eq!(read(json!([{"role": "system", "content": "Be brief."}])).1, ["/messages"]);
        assert_eq!(read(json!([{"role": "user", "content": " "}])).1, ["/messages/0/content"]);
        let own = json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]);
        assert_eq!(read(own).1, ["/messages/1"]);
        let (heard, _) = read(json!([{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]));
        assert_eq!(heard.message, "a\n\nb");
    }
}
