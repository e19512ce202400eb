//! An answer while it comes in. All vendors end one in the same ways, whatever the dialect.

use serde_json::Value;

use super::{Completion, CompletionRequest, Failure, Finish, ProviderError, ToolCall, Usage};

/// What is known of an answer so far.
pub(super) struct Reading {
    /// What was written.
    pub(super) text: String,
    /// The functions it wants called, in order; arguments grow as they come.
    pub(super) calls: Vec<ToolCall>,
    /// What the vendor reported, so far.
    pub(super) usage: Option<Usage>,
    /// Why it ended, once it has.
    pub(super) finish: Option<Finish>,
    prompt_tokens: u64,
    max_tokens: u32,
}

impl Reading {
    pub(super) fn new(request: &CompletionRequest) -> Self {
        Self {
            text: String::new(),
            calls: Vec::new(),
            usage: None,
            finish: None,
            prompt_tokens: request.prompt_tokens_at_most(),
            max_tokens: request.max_tokens,
        }
    }

    /// The finished answer. One without an end, or with nothing in it, is a failure.
    pub(super) fn completion(&mut self) -> Result<Completion, ProviderError> {
        let Some(finish) = self.finish else {
            let half = ProviderError::new(Failure::Unavailable, "the answer ended without a reason to end");
            return Err(self.broken(half));
        };
        if self.text.trim().is_empty() && self.calls.is_empty() && finish != Finish::ContentFilter {
            // Asked again, a model that thinks until its limit does so again.
            let failure = if finish == Finish::Length { Failure::Refused } else { Failure::Unavailable };
            return Err(ProviderError::new(failure, "the answer is empty").with_usage(self.usage));
        }
        let usage = self.usage.unwrap_or_else(|| self.at_most());
        // Some servers end a call of functions as they end a text.
        let calls = !self.calls.is_empty() && finish == Finish::Stop;
        let finish = if calls { Finish::ToolCalls } else { finish };
        let tool_calls = std::mem::take(&mut self.calls);
        Ok(Completion { text: std::mem::take(&mut self.text), tool_calls, usage, finish })
    }

    /// A failure in the middle: what the vendor reported, or else what it wrote, may be charged.
    pub(super) fn broken(&self, error: ProviderError) -> ProviderError {
        let written = (!self.text.is_empty() || !self.calls.is_empty()).then(|| self.at_most());
        error.with_usage(self.usage.or(written))
    }

    fn at_most(&self) -> Usage {
        let calls: usize = self.calls.iter().map(|call| call.name.len() + call.arguments.len() + 32).sum();
        Usage::at_most(self.prompt_tokens, self.text.len() + calls, self.max_tokens)
    }
}

/// The texts of a prompt, which no log may quote.
pub(super) fn prompt(request: &CompletionRequest) -> Vec<&str> {
    request.messages.iter().map(|message| message.content.as_str()).collect()
}

/// A temperature as people write it: 0.7, not 0.699999988079071.
pub(super) fn decimal(value: f32) -> Value {
    value.to_string().parse::<f64>().map_or(Value::Null, Value::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temperature_is_sent_as_it_was_written() {
        assert_eq!(decimal(0.7).to_string(), "0.7");
        assert_eq!(decimal(1.0).to_string(), "1.0");
    }
}
