//! What a completion answers, whole and in chunks.

use persona::{
    Result,
    conversation::turn::Spoken,
    id::{PersonaId, RunId},
    provider::{Finish, ToolCall, Usage},
};
use serde_json::{Value, json};

/// What is known of an answer before it is made.
#[derive(Debug, Clone)]
pub(super) struct Answering {
    /// The run that makes it.
    pub run: RunId,
    /// The model, in the caller's words.
    pub model: String,
    /// Who answers.
    pub persona: PersonaId,
    /// Seconds since the epoch.
    pub created: i64,
    /// Whether the sandbox answers.
    pub simulated: bool,
    /// Whether a stream ends with the usage.
    pub tells_usage: bool,
    /// Functions called at once, at most.
    pub calls_at_most: usize,
}

/// The end of a stream that went well.
const DONE: &str = "data: [DONE]\n\n";

impl Answering {
    /// The answer in one piece.
    pub(super) fn whole(&self, spoken: &Spoken) -> Value {
        let calls = self.calls(spoken);
        let text = Some(spoken.message.content.as_str()).filter(|text| calls.is_empty() || !text.is_empty());
        let mut message = json!({"role": "assistant", "content": text, "refusal": null});
        if !calls.is_empty() {
            message["tool_calls"] = calls.iter().map(called).collect();
        }
        let reason = reason(spoken.finish);
        json!({
            "id": self.id(), "object": "chat.completion", "created": self.created, "model": self.model,
            "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": reason}],
            "usage": usage(&spoken.usage), "persona": self.about(spoken),
        })
    }

    /// The first chunk: who speaks.
    pub(super) fn begin(&self) -> String {
        text(&self.choice(&json!({"role": "assistant", "content": ""}), None))
    }

    /// More words.
    pub(super) fn piece(&self, piece: &str) -> String {
        text(&self.choice(&json!({"content": piece}), None))
    }

    /// What comes after the last word: calls, the reason of the end, the usage if it was asked for. After a failure
    /// the error alone, which clients raise.
    pub(super) fn end(&self, spoken: Result<Spoken>) -> String {
        let spoken = match spoken {
            Ok(spoken) => spoken,
            Err(error) => return text(&error.openai()),
        };
        let mut chunks = Vec::new();
        let calls = self.calls(&spoken);
        if !calls.is_empty() {
            chunks.push(self.choice(&json!({"tool_calls": indexed(calls)}), None));
        }
        chunks.push(self.choice(&json!({}), Some(reason(spoken.finish))));
        if self.tells_usage {
            let mut last = self.chunk(json!([]));
            last["usage"] = usage(&spoken.usage);
            chunks.push(last);
        }
        if let Some(last) = chunks.last_mut() {
            last["persona"] = self.about(&spoken);
        }
        chunks.iter().map(text).chain([DONE.to_owned()]).collect()
    }

    fn choice(&self, delta: &Value, reason: Option<&str>) -> Value {
        self.chunk(json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": reason}]))
    }

    fn chunk(&self, choices: Value) -> Value {
        let mut chunk = json!({
            "id": self.id(), "object": "chat.completion.chunk", "created": self.created, "model": self.model,
            "choices": choices,
        });
        if self.tells_usage {
            chunk["usage"] = Value::Null;
        }
        chunk
    }

    /// The run's id under the prefix that clients expect.
    fn id(&self) -> String {
        self.run.to_string().replacen("run_", "chatcmpl-", 1)
    }

    fn calls<'s>(&self, spoken: &'s Spoken) -> &'s [ToolCall] {
        &spoken.tool_calls[..spoken.tool_calls.len().min(self.calls_at_most)]
    }

    /// What OpenAI's clients do not know and pass on: the run, its drift, its cost. Where nothing was said, nothing drifted.
    fn about(&self, spoken: &Spoken) -> Value {
        let said = !spoken.message.content.is_empty();
        let mut about = json!({
            "run_id": spoken.run, "conversation_id": spoken.conversation, "persona_id": self.persona,
            "simulated": self.simulated,
        });
        if spoken.conversation.is_some() && spoken.tool_calls.is_empty() {
            about["message_id"] = json!(spoken.message.id);
        }
        if let Some(report) = &spoken.message.report {
            about["persona_version"] = json!(report.persona_version);
            about["drift"] = json!(said.then_some(&report.drift));
            about["coherence"] = json!(said.then_some(report.coherence));
            about["cost_usd"] = json!(report.cost);
        }
        about
    }
}

/// One event of a stream.
fn text(data: &Value) -> String {
    format!("data: {data}\n\n")
}

fn called(call: &ToolCall) -> Value {
    json!({"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}})
}

/// Calls of a stream say which they are, though each comes in one piece.
fn indexed(calls: &[ToolCall]) -> Vec<Value> {
    let indexed = calls.iter().enumerate().map(|(index, call)| {
        let mut call = called(call);
        call["index"] = index.into();
        call
    });
    indexed.collect()
}

fn reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
        Finish::ContentFilter => "content_filter",
        Finish::ToolCalls => "tool_calls",
    }
}

fn usage(usage: &Usage) -> Value {
    json!({
        "prompt_tokens": usage.input, "completion_tokens": usage.output, "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    })
}

#[cfg(test)]
mod tests {
    use persona::{
        Error, Usd,
        conversation::{Author, Message, Report},
        drift::{Drift, Method},
        error::Code,
        id::MessageId,
    };

    use super::*;

    fn answering(tells_usage: bool, calls_at_most: usize) -> Answering {
        Answering {
            run: RunId::new(),
            model: "ada".to_owned(),
            persona: PersonaId::new(),
            created: 1,
            simulated: true,
            tells_usage,
            calls_at_most,
        }
    }

    fn spoken(content: &str, calls: usize) -> Spoken {
        let call =
            |at: usize| ToolCall { id: format!("call_{at}"), name: "look".into(), arguments: "{}".into() };
        let report = Report {
            persona_version: 3,
            drift: Drift::new(0.1, 0.2, Method::Local),
            coherence: 4.5,
            tools_used: Vec::new(),
            tokens_in: 50,
            tokens_out: 9,
            cost: Usd::from_micros(1_400),
            average: 0.2,
            crossed: false,
            regenerated: false,
        };
        let message = Message {
            id: MessageId::new(),
            number: 0,
            role: Author::Assistant,
            content: content.to_owned(),
            run_id: RunId::new(),
            report: Some(report),
            created_at: String::new(),
        };
        Spoken {
            run: message.run_id,
            conversation: None,
            message,
            tool_calls: (0..calls).map(call).collect(),
            finish: if calls > 0 { Finish::ToolCalls } else { Finish::Stop },
            usage: Usage { input: 40, output: 9, ..Usage::default() },
        }
    }

    fn events(text: &str) -> Vec<Value> {
        let data = text.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
        data.map(|data| serde_json::from_str(data).unwrap_or(Value::Null)).collect()
    }

    #[test]
    fn a_stream_ends_with_the_reason_then_the_usage_then_done() {
        let told = answering(true, 9);
        let text = told.begin() + &told.piece("Tea") + &told.end(Ok(spoken("Tea", 0)));
        let events = events(&text);
        assert_eq!(events[0]["choices"][0]["delta"]["role"], "assistant");
        assert_eq!(events[1]["choices"][0]["delta"]["content"], "Tea");
        assert!(events[..2].iter().all(|chunk| chunk["choices"][0]["finish_reason"].is_null()));
        assert_eq!(events[2]["choices"][0]["finish_reason"], "stop");
        assert_eq!((&events[3]["choices"], &events[3]["usage"]["total_tokens"]), (&json!([]), &json!(49)));
        assert_eq!(events[3]["persona"]["cost_usd"], json!(0.0014));
        assert!(text.ends_with(DONE) && events.len() == 5);
    }

    #[test]
    fn without_usage_the_last_chunk_is_the_one_with_the_reason() {
        let chunks = events(&answering(false, 9).end(Ok(spoken("Tea", 0))));
        assert_eq!(chunks[0]["persona"]["drift"]["verdict"], "in-character");
        assert!(chunks[0].get("usage").is_none());
    }

    #[test]
    fn calls_are_numbered_in_a_stream_and_no_words_are_no_drift() {
        let chunks = events(&answering(false, 9).end(Ok(spoken("", 2))));
        let calls = &chunks[0]["choices"][0]["delta"]["tool_calls"];
        assert_eq!((&calls[0]["index"], &calls[1]["index"]), (&json!(0), &json!(1)));
        assert_eq!(chunks[1]["choices"][0]["finish_reason"], "tool_calls");
        assert!(chunks[1]["persona"]["drift"].is_null());
    }

    #[test]
    fn a_caller_who_wants_one_call_at_a_time_gets_one() {
        let message = answering(false, 1).whole(&spoken("", 2))["choices"][0]["message"].clone();
        assert_eq!(message["tool_calls"].as_array().map(Vec::len), Some(1));
        assert!(message["content"].is_null());
    }

    #[test]
    fn a_failure_in_the_middle_is_the_last_event() {
        let error = Error::new(Code::ProviderUnavailable, "It broke off.");
        assert_eq!(
            answering(true, 9).end(Err(error)),
            "data: {\"error\":{\"message\":\"It broke off.\",\"type\":\"server_error\",\"param\":null,\"code\":\"provider.unavailable\"}}\n\n"
        );
    }
}
