//! Anthropic's Messages API.

use std::{borrow::Cow, sync::Arc};

use async_trait::async_trait;
use eventsource_stream::Event;
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use serde_json::{Map, Value, json};

use super::{
    Chunk, Completion, CompletionRequest, CompletionStream, Failure, Finish, Message, ModerationVerdict,
    Provider, ProviderError, Speaker, Tool, ToolCall, ToolChoice, Usage,
    config::{ProviderConfig, StructuredOutput},
    http::{Http, events},
    reading::{Reading, decimal, prompt},
    schema,
};

const OWN_ADDRESS: &str = "https://api.anthropic.com/v1";

/// The newest version of the API's form.
const VERSION: &str = "2023-06-01";

/// Anthropic.
#[derive(Debug)]
pub struct Anthropic {
    http: Arc<Http>,
    path: &'static str,
    structured: Option<StructuredOutput>,
    omit: Vec<String>,
    extra: Map<String, Value>,
}

impl Anthropic {
    /// Anthropic as configured. No connection is made yet.
    pub fn new(config: &ProviderConfig) -> Self {
        let mut headers = vec![("anthropic-version".to_owned(), VERSION.into())];
        headers.extend(config.api_key.iter().map(|key| ("x-api-key".to_owned(), key.clone())));
        let http = Http::new(config, OWN_ADDRESS, headers);
        // Other tools are given the address without `/v1`.
        let path = if http.base().ends_with("/v1") { "/messages" } else { "/v1/messages" };
        Self {
            http: http.into(),
            path,
            structured: config.structured_output,
            omit: config.omit.clone(),
            extra: config.extra_body.clone(),
        }
    }

    fn body(&self, model: &str, request: &CompletionRequest, streamed: bool) -> Value {
        let mut body = Map::new();
        body.insert("model".into(), model.into());
        body.insert("max_tokens".into(), request.max_tokens.into());
        let way = way(self.structured, model);
        let conversation = Conversation::of(request, way);
        body.insert("messages".into(), conversation.messages());
        if !conversation.system.is_empty() {
            body.insert("system".into(), conversation.system.clone().into());
        }
        if takes_temperature(model) {
            body.insert("temperature".into(), decimal(request.temperature.min(1.0)));
        }
        if let Some(top_p) = request.top_p.filter(|_| takes_temperature(model)) {
            body.insert("top_p".into(), decimal(top_p));
        }
        if !request.stop.is_empty() {
            body.insert("stop_sequences".into(), json!(request.stop));
        }
        if !request.tools.is_empty() {
            let tool = |t: &Tool| json!({"name": t.name, "description": t.description, "input_schema": t.parameters});
            body.insert("tools".into(), request.tools.iter().map(tool).collect());
            body.insert("tool_choice".into(), tool_choice(&request.tool_choice));
        }
        if let Some(wanted) = &request.schema {
            match way {
                StructuredOutput::Tool => {
                    let tool =
                        json!({"name": wanted.name, "description": TOOL, "input_schema": wanted.schema});
                    body.insert("tools".into(), json!([tool]));
                    body.insert("tool_choice".into(), json!({"type": "tool", "name": wanted.name}));
                }
                StructuredOutput::JsonSchema => {
                    let schema = schema::for_anthropic(&wanted.schema);
                    let format = json!({"type": "json_schema", "schema": schema});
                    body.insert("output_config".into(), json!({"format": format}));
                }
                StructuredOutput::JsonObject | StructuredOutput::Prompt => {}
            }
        }
        if streamed {
            body.insert("stream".into(), true.into());
        }
        for field in &self.omit {
            body.remove(field);
        }
        merge(&mut body, &self.extra);
        Value::Object(body)
    }
}

fn tool_choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => json!({"type": "auto"}),
        ToolChoice::None => json!({"type": "none"}),
        ToolChoice::Required => json!({"type": "any"}),
        ToolChoice::Named(name) => json!({"type": "tool", "name": name}),
    }
}

/// What the tool that carries an answer is said to be for.
pub(super) const TOOL: &str = "Hand in the answer.";

/// Adds fields; an object joins one that is there, so that `output_config.effort` may stand beside our `format`.
fn merge(body: &mut Map<String, Value>, extra: &Map<String, Value>) {
    for (key, value) in extra {
        match (body.get_mut(key), value) {
            (Some(Value::Object(ours)), Value::Object(theirs)) => merge(ours, theirs),
            _ => {
                body.insert(key.clone(), value.clone());
            }
        }
    }
}

// ---- what differs between generations of Claude, here and on Bedrock

/// The generation in a model's name: `claude-sonnet-4-5-20250929` is (4, 5), `claude-3-haiku-20240307` is (3, 0).
fn generation(model: &str) -> Option<(u32, u32)> {
    let (_, name) = model.split_once("claude-")?;
    let mut numbers = name
        .split(['-', '@', ':'])
        .skip_while(|part| !part.bytes().all(|b| b.is_ascii_digit()))
        .map_while(|part| if part.len() <= 2 { part.parse().ok() } else { None });
    let major = numbers.next()?;
    Some((major, numbers.next().unwrap_or(0)))
}

/// How JSON is asked for: as configured, else by schema where a Claude knows that (from 4.5 on; the newest refuse a
/// forced tool), else through a tool.
pub(super) fn way(configured: Option<StructuredOutput>, model: &str) -> StructuredOutput {
    configured.unwrap_or(match generation(model) {
        Some(generation) if generation >= (4, 5) => StructuredOutput::JsonSchema,
        _ => StructuredOutput::Tool,
    })
}

/// From 4.7 on, Claude refuses sampling parameters.
pub(super) fn takes_temperature(model: &str) -> bool {
    generation(model).is_none_or(|generation| generation < (4, 7))
}

/// Messages as vendors want them that keep instructions apart from a conversation that the user begins.
pub(super) struct Conversation<'a> {
    /// The instructions, joined.
    pub(super) system: String,
    /// Who says what; never empty, and the first is the user's.
    pub(super) turns: Vec<Cow<'a, Message>>,
}

impl<'a> Conversation<'a> {
    pub(super) fn of(request: &'a CompletionRequest, way: StructuredOutput) -> Self {
        let (system, turns): (Vec<_>, Vec<_>) =
            request.messages.iter().partition(|message| message.role == Speaker::System);
        let mut system: Vec<String> = system.into_iter().map(|message| message.content.clone()).collect();
        if let (Some(wanted), StructuredOutput::Prompt) = (&request.schema, way) {
            system.push(schema::as_prompt(&wanted.schema));
        }
        let mut turns: Vec<_> = turns.into_iter().map(Cow::Borrowed).collect();
        if turns.first().is_none_or(|first| first.role != Speaker::User) {
            turns.insert(0, Cow::Owned(Message::new(Speaker::User, "Begin.")));
        }
        Self { system: system.join("\n\n"), turns }
    }

    /// Results of one answer's calls belong into one message.
    fn messages(&self) -> Value {
        let mut said: Vec<Value> = Vec::new();
        for turn in &self.turns {
            let role = if turn.role == Speaker::Assistant { "assistant" } else { "user" };
            let results = said.last_mut().filter(|last| last["content"][0]["type"] == "tool_result");
            match (turn.role, results.and_then(|last| last["content"].as_array_mut())) {
                (Speaker::Tool, Some(blocks)) => blocks.push(result(turn)),
                (Speaker::Tool, None) => said.push(json!({"role": role, "content": [result(turn)]})),
                _ if turn.tool_calls.is_empty() => said.push(json!({"role": role, "content": turn.content})),
                _ => said.push(json!({"role": role, "content": calling(turn)})),
            }
        }
        said.into()
    }
}

fn result(message: &Message) -> Value {
    json!({"type": "tool_result", "tool_use_id": message.tool_call_id, "content": message.content})
}

fn calling(message: &Message) -> Value {
    let said = (!message.content.is_empty()).then(|| json!({"type": "text", "text": message.content}));
    let calls = message.tool_calls.iter().map(|call| {
        json!({"type": "tool_use", "id": call.id, "name": call.name, "input": arguments(&call.arguments)})
    });
    said.into_iter().chain(calls).collect()
}

/// A call's arguments as an object; what a model wrote that is none is left out.
pub(super) fn arguments(text: &str) -> Value {
    serde_json::from_str(text).ok().filter(Value::is_object).unwrap_or_else(|| json!({}))
}

// ---- answers

#[async_trait]
impl Provider for Anthropic {
    async fn complete(&self, model: &str, request: &CompletionRequest) -> Result<Completion, ProviderError> {
        let body = self.body(model, request, false);
        let answer = self.http.json(self.path, &body, &prompt(request)).await?;
        let mut reading = Reading::new(request);
        reading.usage = usage(None, &answer["usage"]);
        let as_tool = by_tool(request, &body);
        let ended = answer["stop_reason"].as_str().map(finish);
        reading.finish = if as_tool { ended.map(answered) } else { ended };
        let blocks = answer["content"].as_array().into_iter().flatten();
        for block in blocks {
            match block["type"].as_str() {
                Some("tool_use") if !as_tool => reading.calls.push(call(block, block["input"].to_string())),
                Some("tool_use") if as_tool => reading.text.push_str(&block["input"].to_string()),
                Some("text") if !as_tool => {
                    reading.text.push_str(block["text"].as_str().unwrap_or_default());
                }
                _ => {}
            }
        }
        reading.completion()
    }

    async fn stream(
        &self,
        model: &str,
        request: &CompletionRequest,
    ) -> Result<CompletionStream, ProviderError> {
        let body = self.body(model, request, true);
        let response = self.http.post(self.path, &body, &prompt(request)).await?;
        let streaming = Streaming {
            events: events(response),
            reading: Reading::new(request),
            http: self.http.clone(),
            prompt: request.messages.iter().map(|message| message.content.clone()).collect(),
            as_tool: by_tool(request, &body),
            ended: false,
        };
        Ok(stream::unfold(streaming, Streaming::next).boxed())
    }

    async fn embed(&self, _: &str, _: &[String]) -> Result<(Vec<Vec<f32>>, Usage), ProviderError> {
        Err(ProviderError::new(Failure::Unsupported, "Anthropic has no embeddings"))
    }

    async fn moderate(&self, _: &str, _: &str) -> Result<ModerationVerdict, ProviderError> {
        Err(ProviderError::new(Failure::Unsupported, "Anthropic has no moderation endpoint"))
    }
}

/// Whether the answer comes as the input of our own tool.
fn by_tool(request: &CompletionRequest, body: &Value) -> bool {
    request.schema.is_some() && request.tools.is_empty() && body.get("tool_choice").is_some()
}

fn call(block: &Value, arguments: String) -> ToolCall {
    let text = |key: &str| block[key].as_str().unwrap_or_default().to_owned();
    ToolCall { id: text("id"), name: text("name"), arguments }
}

/// Anthropic counts cached prompt tokens beside `input_tokens`, not within. What a later event leaves out stands
/// as before.
fn usage(before: Option<Usage>, said: &Value) -> Option<Usage> {
    let mut usage = before.unwrap_or_default();
    let uncached = said["input_tokens"].as_u64();
    let output = said["output_tokens"].as_u64();
    if uncached.is_none() && output.is_none() {
        return before;
    }
    let was_uncached = usage.input - usage.cache_read - usage.cache_write;
    usage.cache_read = said["cache_read_input_tokens"].as_u64().unwrap_or(usage.cache_read);
    usage.cache_write = said["cache_creation_input_tokens"].as_u64().unwrap_or(usage.cache_write);
    usage.input = uncached.unwrap_or(was_uncached) + usage.cache_read + usage.cache_write;
    usage.output = output.unwrap_or(usage.output);
    usage.reasoning = said["output_tokens_details"]["thinking_tokens"].as_u64().unwrap_or(usage.reasoning);
    Some(usage)
}

fn finish(reason: &str) -> Finish {
    match reason {
        "max_tokens" | "model_context_window_exceeded" => Finish::Length,
        "refusal" => Finish::ContentFilter,
        "tool_use" => Finish::ToolCalls,
        _ => Finish::Stop,
    }
}

/// A call of the tool that carries the answer is the answer's end.
pub(super) fn answered(finish: Finish) -> Finish {
    if finish == Finish::ToolCalls { Finish::Stop } else { finish }
}

struct Streaming {
    events: BoxStream<'static, Result<Event, ProviderError>>,
    reading: Reading,
    http: Arc<Http>,
    prompt: Vec<String>,
    as_tool: bool,
    ended: bool,
}

impl Streaming {
    /// Reads on to the next text, the end, or a failure.
    async fn next(mut self) -> Option<(Result<Chunk, ProviderError>, Self)> {
        while !self.ended {
            let chunk = match self.events.next().await {
                Some(Ok(event)) => self.read(&event.data),
                Some(Err(error)) => Some(self.fail(error)),
                None => Some(self.end()),
            };
            if let Some(chunk) = chunk {
                return Some((chunk, self));
            }
        }
        None
    }

    fn read(&mut self, data: &str) -> Option<Result<Chunk, ProviderError>> {
        let Ok(event) = serde_json::from_str::<Value>(data) else {
            return Some(self.fail(ProviderError::new(Failure::Unavailable, "an event is not JSON")));
        };
        match event["type"].as_str() {
            Some("message_start") => {
                self.reading.usage = usage(self.reading.usage, &event["message"]["usage"]);
                None
            }
            Some("content_block_start") if !self.as_tool => {
                let block = &event["content_block"];
                if block["type"] == "tool_use" {
                    self.reading.calls.push(call(block, String::new()));
                }
                None
            }
            Some("content_block_delta") => self.text(&event["delta"]),
            Some("message_delta") => {
                self.reading.usage = usage(self.reading.usage, &event["usage"]);
                self.reading.finish = event["delta"]["stop_reason"].as_str().map(finish);
                if self.as_tool {
                    self.reading.finish = self.reading.finish.map(answered);
                }
                None
            }
            Some("message_stop") => Some(self.end()),
            Some("error") => {
                let prompt: Vec<&str> = self.prompt.iter().map(String::as_str).collect();
                let error = self.http.error_in_body(&event, &prompt);
                Some(self.fail(error))
            }
            // Pings, starts and ends of blocks, and whatever is yet to come.
            _ => None,
        }
    }

    /// Thoughts, and what is said beside the tool that carries the answer, are not the answer.
    fn text(&mut self, delta: &Value) -> Option<Result<Chunk, ProviderError>> {
        if let (false, Some(piece)) = (self.as_tool, delta["partial_json"].as_str())
            && let Some(call) = self.reading.calls.last_mut()
        {
            call.arguments.push_str(piece);
        }
        let text = match delta["type"].as_str() {
            Some("input_json_delta") if self.as_tool => delta["partial_json"].as_str(),
            Some("text_delta") if !self.as_tool => delta["text"].as_str(),
            _ => None,
        };
        let text = text.filter(|text| !text.is_empty())?;
        self.reading.text.push_str(text);
        Some(Ok(Chunk::Text(text.to_owned())))
    }

    fn end(&mut self) -> Result<Chunk, ProviderError> {
        self.ended = true;
        self.reading.completion().map(Chunk::Done)
    }

    fn fail(&mut self, error: ProviderError) -> Result<Chunk, ProviderError> {
        self.ended = true;
        Err(self.reading.broken(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_models_generation_is_read_from_its_name() {
        for (model, wanted) in [
            ("claude-sonnet-4-5-20250929", Some((4, 5))),
            ("claude-opus-4-20250514", Some((4, 0))),
            ("claude-3-5-sonnet-20241022", Some((3, 5))),
            ("claude-3-haiku-20240307", Some((3, 0))),
            ("claude-sonnet-5", Some((5, 0))),
            ("global.anthropic.claude-haiku-4-5-20251001-v1:0", Some((4, 5))),
            ("eu.anthropic.claude-sonnet-5-v1:0", Some((5, 0))),
            ("amazon.nova-lite-v1:0", None),
        ] {
            assert_eq!(generation(model), wanted, "{model}");
        }
    }

    #[test]
    fn old_models_answer_through_a_tool_and_new_ones_by_schema_without_a_temperature() {
        assert_eq!(way(None, "claude-3-5-haiku-latest"), StructuredOutput::Tool);
        assert_eq!(way(None, "claude-sonnet-4-5"), StructuredOutput::JsonSchema);
        assert_eq!(way(Some(StructuredOutput::Tool), "claude-sonnet-4-5"), StructuredOutput::Tool);
        assert!(takes_temperature("claude-sonnet-4-6") && takes_temperature("amazon.nova-lite-v1:0"));
        assert!(!takes_temperature("claude-opus-4-7") && !takes_temperature("claude-haiku-5-5"));
    }

    #[test]
    fn cached_tokens_are_part_of_the_input() {
        let start = json!({"input_tokens": 10, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20, "output_tokens": 1});
        let usage = usage(usage(None, &start), &json!({"output_tokens": 40}));
        assert_eq!(
            usage,
            Some(Usage { input: 130, output: 40, cache_read: 100, cache_write: 20, reasoning: 0 })
        );
    }

    #[test]
    fn extra_fields_join_ours() {
        let mut body = Map::new();
        body.insert("output_config".into(), json!({"format": 1}));
        let extra = json!({"output_config": {"effort": "low"}, "top_k": 5});
        merge(&mut body, extra.as_object().unwrap_or(&Map::new()));
        assert_eq!(Value::Object(body), json!({"output_config": {"format": 1, "effort": "low"}, "top_k": 5}));
    }
}
