//! Model providers: one trait, one file per vendor, and a router with fallback, retry and circuit breaker.

pub mod anthropic;
pub mod ask;
pub mod bedrock;
mod breaker;
pub mod config;
mod http;
pub mod openai;
pub mod prices;
mod reading;
pub mod recording;
pub mod router;
pub mod sandbox;
mod schema;
#[cfg(test)]
mod tests;
mod together;

pub use self::{
    ask::{Answer, Ask, OpenPurse, Purse, Sink, Source, Unanswered, Validate, anything},
    config::Config,
    recording::{Asked, Exchange, Recording},
    router::Router,
};

use std::fmt;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a model is asked to be. Configuration maps each role to providers in fallback order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Writes layers.
    Draft,
    /// Reads layers with a second pair of eyes (`strict-audit`).
    Audit,
    /// Speaks as the persona.
    Chat,
    /// Judges contradictions and drift.
    Judge,
    /// Turns texts into vectors.
    Embed,
    /// Classifies harmful content.
    Moderate,
}

/// Who says a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Speaker {
    /// Instructions.
    System,
    /// The caller.
    User,
    /// The model.
    Assistant,
    /// A tool, with its result.
    Tool,
}

/// One message of a prompt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who says it.
    pub role: Speaker,
    /// What is said; a tool's result.
    pub content: String,
    /// What an assistant's message calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// Which call a tool's message answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
}

impl Message {
    /// Words without calls.
    pub fn new(role: Speaker, content: impl Into<String>) -> Self {
        Self { role, content: content.into(), tool_calls: Vec::new(), tool_call_id: None }
    }

    /// What an assistant said, and what it calls.
    pub fn calling(content: impl Into<String>, tool_calls: Vec<ToolCall>) -> Self {
        Self { tool_calls, ..Self::new(Speaker::Assistant, content) }
    }

    /// The result of the call with this id.
    pub fn result(call: impl Into<String>, content: impl Into<String>) -> Self {
        Self { tool_call_id: Some(call.into()), ..Self::new(Speaker::Tool, content) }
    }
}

/// A function that a model may call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tool {
    /// 1 to 64 letters, digits, `_` and `-`.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// JSON Schema of its arguments, an object.
    pub parameters: Value,
}

/// A model's wish to have a function called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// The vendor's id of the call, for its result.
    pub id: String,
    /// Which function.
    pub name: String,
    /// The arguments as JSON text, as the model wrote it: it may not parse.
    pub arguments: String,
}

/// Whether a model may, must, or must not call functions.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolChoice {
    /// As it likes.
    #[default]
    Auto,
    /// It may not.
    None,
    /// It must call one.
    Required,
    /// It must call this one.
    Named(String),
}

impl ToolChoice {
    fn is_auto(&self) -> bool {
        *self == Self::Auto
    }
}

/// The JSON Schema that the answer must match.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutputSchema {
    /// A name that vendors want beside the schema: letters, digits, `_`.
    pub name: String,
    /// JSON Schema 2020-12; an object at the top, `additionalProperties: false`.
    pub schema: Value,
}

/// One call to a model, in no vendor's dialect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CompletionRequest {
    /// What the model is asked to be.
    pub role: Role,
    /// The prompt.
    pub messages: Vec<Message>,
    /// The shape of the answer; `None` for free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<OutputSchema>,
    /// The most tokens the answer may take; with the prompt's it bounds the cost.
    pub max_tokens: u32,
    /// 0 to 2.
    pub temperature: f32,
    /// Nucleus sampling, 0 to 1; `None` leaves it to the vendor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f32>,
    /// The run's seed, for vendors that take one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Texts at which the answer ends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// Functions that the model may call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Tool>,
    /// Whether it may, must, or must not.
    #[serde(default, skip_serializing_if = "ToolChoice::is_auto")]
    pub tool_choice: ToolChoice,
    /// The values the prompt was rendered from (`step`, `intent`, `language`, `facts`, finished layers…).
    /// Never sent to a vendor and not recorded; the in-process sandbox writes from them.
    #[serde(skip)]
    pub inputs: Value,
}

impl CompletionRequest {
    /// A request of free text with the vendor's own sampling.
    pub fn new(role: Role, messages: Vec<Message>, max_tokens: u32) -> Self {
        Self {
            role,
            messages,
            schema: None,
            max_tokens,
            temperature: 1.0,
            top_p: None,
            seed: None,
            stop: Vec::new(),
            tools: Vec::new(),
            tool_choice: ToolChoice::Auto,
            inputs: Value::Null,
        }
    }

    /// An upper bound of the prompt's tokens: a byte-level tokenizer makes at most one token of a byte,
    /// and each message costs a few more for its frame. The schema counts, since vendors put it into the prompt.
    pub fn prompt_tokens_at_most(&self) -> u64 {
        let calls = |m: &Message| -> usize {
            m.tool_calls.iter().map(|call| call.id.len() + call.name.len() + call.arguments.len() + 32).sum()
        };
        let text: usize = self.messages.iter().map(|m| m.content.len() + calls(m) + 16).sum();
        let schema = self.schema.as_ref().map_or(0, |s| s.schema.to_string().len() + s.name.len());
        let tool = |t: &Tool| t.name.len() + t.description.len() + t.parameters.to_string().len() + 64;
        let tools: usize = self.tools.iter().map(tool).sum();
        (text + schema + tools + 64) as u64
    }
}

/// Tokens a call used. Cache reads and writes and reasoning are priced apart where a vendor does so;
/// they are parts of `input` and `output`, not additions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Prompt tokens, cached ones included.
    pub input: u64,
    /// Completion tokens, reasoning included.
    pub output: u64,
    /// Of `input`: read from the vendor's cache.
    #[serde(default)]
    pub cache_read: u64,
    /// Of `input`: written to the vendor's cache.
    #[serde(default)]
    pub cache_write: u64,
    /// Of `output`: reasoning.
    #[serde(default)]
    pub reasoning: u64,
}

impl Usage {
    /// An upper bound for a vendor that does not say: a token is at least one of the `written` bytes, and there
    /// are no more than were asked for.
    pub fn at_most(prompt_tokens: u64, written: usize, max_tokens: u32) -> Self {
        let output = (written as u64).min(u64::from(max_tokens));
        Self { input: prompt_tokens, output, ..Self::default() }
    }
}

/// Why a model stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// It was done, or met a stop text.
    #[default]
    Stop,
    /// It met `max_tokens`.
    Length,
    /// The vendor's own filter cut it.
    ContentFilter,
    /// It wants functions called.
    ToolCalls,
}

/// A finished answer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Completion {
    /// The whole text; may be empty when functions are called.
    pub text: String,
    /// The functions it wants called.
    pub tool_calls: Vec<ToolCall>,
    /// What it used; estimated (upper bound) where a vendor does not say.
    pub usage: Usage,
    /// Why it ended.
    pub finish: Finish,
}

/// A piece of a streamed answer. The last one is `Done`; its text is the whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chunk {
    /// More text.
    Text(String),
    /// The end.
    Done(Completion),
}

/// A streamed answer.
pub type CompletionStream = BoxStream<'static, Result<Chunk, ProviderError>>;

/// What a moderation endpoint said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModerationVerdict {
    /// Categories that the vendor flagged, in the vendor's words.
    pub flagged: Vec<String>,
}

/// How a call to a vendor failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// 429 or "overloaded"; with the vendor's `Retry-After` in seconds.
    Throttled(Option<u32>),
    /// No connection, 5xx, timeout, half a stream, an empty answer: may pass.
    Unavailable,
    /// The vendor refuses this request (4xx): the next vendor may not.
    Refused,
    /// The vendor cannot do this at all (embeddings, moderation).
    Unsupported,
}

impl Failure {
    /// As logs name it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Throttled(_) => "throttled",
            Self::Unavailable => "unavailable",
            Self::Refused => "refused",
            Self::Unsupported => "unsupported",
        }
    }
}

/// A vendor's failure. `detail` is for the log alone: it may quote the vendor, never a key or a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderError {
    /// How it failed.
    pub failure: Failure,
    /// For the log.
    pub detail: String,
    /// Tokens the vendor may have charged before failing, such as half a stream's.
    pub usage: Option<Usage>,
    /// The request went out and nothing came back: what the vendor charged, nobody knows.
    pub unanswered: bool,
}

impl ProviderError {
    /// A failure with a text for the log.
    pub fn new(failure: Failure, detail: impl Into<String>) -> Self {
        Self { failure, detail: detail.into(), usage: None, unanswered: false }
    }

    /// After the request went out.
    #[must_use]
    pub fn unanswered(self) -> Self {
        Self { unanswered: true, ..self }
    }

    /// With what the vendor may have charged all the same.
    #[must_use]
    pub fn with_usage(self, usage: Option<Usage>) -> Self {
        Self { usage, ..self }
    }
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.failure, self.detail)
    }
}

impl std::error::Error for ProviderError {}

/// A vendor of models.
#[async_trait]
pub trait Provider: Send + Sync {
    /// A whole answer.
    async fn complete(&self, model: &str, request: &CompletionRequest) -> Result<Completion, ProviderError>;

    /// An answer as it is written.
    async fn stream(
        &self,
        model: &str,
        request: &CompletionRequest,
    ) -> Result<CompletionStream, ProviderError>;

    /// One vector for each text.
    async fn embed(&self, model: &str, texts: &[String]) -> Result<(Vec<Vec<f32>>, Usage), ProviderError>;

    /// What is harmful in a text.
    async fn moderate(&self, model: &str, text: &str) -> Result<ModerationVerdict, ProviderError>;
}
