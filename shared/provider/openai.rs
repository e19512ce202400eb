//! The chat completions API, which OpenAI, Azure, Groq, OpenRouter, vLLM, Ollama, llama.cpp and others speak.

use std::sync::Arc;

use async_trait::async_trait;
use eventsource_stream::Event;
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value, json};

use super::{
    Chunk, Completion, CompletionRequest, CompletionStream, Failure, Finish, Message, ModerationVerdict,
    Provider, ProviderError, Speaker, Tool, ToolCall, ToolChoice, Usage,
    config::{MaxTokensField, ProviderConfig, StructuredOutput},
    http::{Http, events},
    reading::{Reading, decimal, prompt},
    schema,
};

const OWN_ADDRESS: &str = "https://api.openai.com/v1";

/// An OpenAI-compatible server.
#[derive(Debug)]
pub struct Openai {
    http: Arc<Http>,
    structured: StructuredOutput,
    max_tokens: MaxTokensField,
    omit: Vec<String>,
    extra: Map<String, Value>,
}

impl Openai {
    /// The server as configured. No connection is made yet.
    pub fn new(config: &ProviderConfig) -> Self {
        let key = config.api_key.iter().map(|key| ("authorization".to_owned(), bearer(key)));
        let limit = if config.base_url.is_none() {
            MaxTokensField::MaxCompletionTokens
        } else {
            MaxTokensField::MaxTokens
        };
        Self {
            http: Http::new(config, OWN_ADDRESS, key.collect()).into(),
            structured: config.structured_output.unwrap_or(StructuredOutput::JsonSchema),
            max_tokens: config.max_tokens_field.unwrap_or(limit),
            omit: config.omit.clone(),
            extra: config.extra_body.clone(),
        }
    }

    fn body(&self, model: &str, request: &CompletionRequest, streamed: bool) -> Value {
        let mut body = Map::new();
        body.insert("model".into(), model.into());
        body.insert("messages".into(), self.messages(request));
        let limit = match self.max_tokens {
            MaxTokensField::MaxTokens => "max_tokens",
            MaxTokensField::MaxCompletionTokens => "max_completion_tokens",
        };
        body.insert(limit.into(), request.max_tokens.into());
        if takes_temperature(model) {
            body.insert("temperature".into(), decimal(request.temperature));
        }
        if let Some(top_p) = request.top_p {
            body.insert("top_p".into(), decimal(top_p));
        }
        if let Some(seed) = request.seed {
            body.insert("seed".into(), seed.into());
        }
        if !request.stop.is_empty() {
            body.insert("stop".into(), json!(request.stop));
        }
        if let Some(format) = self.response_format(request) {
            body.insert("response_format".into(), format);
        }
        if !request.tools.is_empty() {
            body.insert("tools".into(), request.tools.iter().map(tool).collect());
            body.insert("tool_choice".into(), tool_choice(&request.tool_choice));
        }
        if streamed {
            body.insert("stream".into(), true.into());
            body.insert("stream_options".into(), json!({"include_usage": true}));
        }
        for field in &self.omit {
            body.remove(field);
        }
        body.extend(self.extra.clone());
        Value::Object(body)
    }

    fn messages(&self, request: &CompletionRequest) -> Value {
        let said = request.messages.iter().map(message);
        let in_prompt = matches!(self.structured, StructuredOutput::JsonObject | StructuredOutput::Prompt);
        let shape = request.schema.as_ref().filter(|_| in_prompt);
        let shape =
            shape.map(|wanted| json!({"role": "system", "content": schema::as_prompt(&wanted.schema)}));
        shape.into_iter().chain(said).collect()
    }

    fn response_format(&self, request: &CompletionRequest) -> Option<Value> {
        let wanted = request.schema.as_ref()?;
        match self.structured {
            StructuredOutput::JsonSchema => {
                let schema = schema::for_openai(&wanted.schema);
                let strict = schema::is_strict(&schema);
                Some(json!({
                    "type": "json_schema",
                    "json_schema": {"name": wanted.name, "strict": strict, "schema": schema}
                }))
            }
            StructuredOutput::JsonObject => Some(json!({"type": "json_object"})),
            StructuredOutput::Prompt | StructuredOutput::Tool => None,
        }
    }
}

fn message(message: &Message) -> Value {
    let role = match message.role {
        Speaker::System => "system",
        Speaker::User => "user",
        Speaker::Assistant => "assistant",
        Speaker::Tool => "tool",
    };
    let mut said = json!({"role": role, "content": message.content});
    if !message.tool_calls.is_empty() {
        let call = |call: &ToolCall| {
            let function = json!({"name": call.name, "arguments": call.arguments});
            json!({"id": call.id, "type": "function", "function": function})
        };
        said["tool_calls"] = message.tool_calls.iter().map(call).collect();
        if message.content.is_empty() {
            said["content"] = Value::Null;
        }
    }
    if let Some(id) = &message.tool_call_id {
        said["tool_call_id"] = id.as_str().into();
    }
    said
}

fn tool(tool: &Tool) -> Value {
    let function = json!({"name": tool.name, "description": tool.description, "parameters": tool.parameters});
    json!({"type": "function", "function": function})
}

fn tool_choice(choice: &ToolChoice) -> Value {
    match choice {
        ToolChoice::Auto => "auto".into(),
        ToolChoice::None => "none".into(),
        ToolChoice::Required => "required".into(),
        ToolChoice::Named(name) => json!({"type": "function", "function": {"name": name}}),
    }
}

fn bearer(key: &SecretString) -> SecretString {
    format!("Bearer {}", key.expose_secret()).into()
}

/// OpenAI's reasoning models refuse any temperature but their own.
fn takes_temperature(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    let reasons = ["o1", "o3", "o4", "gpt-5", "gpt-6"].iter().any(|family| name.starts_with(family));
    !reasons || name.contains("chat")
}

#[async_trait]
impl Provider for Openai {
    async fn complete(&self, model: &str, request: &CompletionRequest) -> Result<Completion, ProviderError> {
        let body = self.body(model, request, false);
        let answer = self.http.json("/chat/completions", &body, &prompt(request)).await?;
        let choice = &answer["choices"][0];
        let message = &choice["message"];
        let mut reading = Reading::new(request);
        reading.usage = usage(&answer["usage"]);
        reading.finish = choice["finish_reason"].as_str().map(finish);
        if message["refusal"].is_string() {
            reading.finish = Some(Finish::ContentFilter);
        }
        reading.text = message["content"].as_str().unwrap_or_default().to_owned();
        hear_calls(&mut reading.calls, &message["tool_calls"]);
        reading.completion()
    }

    async fn stream(
        &self,
        model: &str,
        request: &CompletionRequest,
    ) -> Result<CompletionStream, ProviderError> {
        let body = self.body(model, request, true);
        let response = self.http.post("/chat/completions", &body, &prompt(request)).await?;
        let streaming = Streaming {
            events: events(response),
            reading: Reading::new(request),
            http: self.http.clone(),
            prompt: request.messages.iter().map(|message| message.content.clone()).collect(),
            refused: false,
            ended: false,
        };
        Ok(stream::unfold(streaming, Streaming::next).boxed())
    }

    async fn embed(&self, model: &str, texts: &[String]) -> Result<(Vec<Vec<f32>>, Usage), ProviderError> {
        let mut body = json!({"model": model, "input": texts, "encoding_format": "float"});
        for field in &self.omit {
            if let Some(body) = body.as_object_mut() {
                body.remove(field);
            }
        }
        let prompt: Vec<&str> = texts.iter().map(String::as_str).collect();
        let answer = self.http.json("/embeddings", &body, &prompt).await?;
        let vectors = vectors(&answer["data"], texts.len())
            .ok_or_else(|| ProviderError::new(Failure::Unavailable, "not one vector for each text"))?;
        let bound = texts.iter().map(|text| text.len() as u64 + 16).sum();
        let input = answer["usage"]["prompt_tokens"].as_u64().unwrap_or(bound);
        Ok((vectors, Usage { input, ..Usage::default() }))
    }

    async fn moderate(&self, model: &str, text: &str) -> Result<ModerationVerdict, ProviderError> {
        let answer = self.http.json("/moderations", &json!({"model": model, "input": text}), &[text]).await?;
        let Some(results) = answer["results"].as_array().filter(|results| !results.is_empty()) else {
            return Err(ProviderError::new(Failure::Unavailable, "no verdict in the answer"));
        };
        let categories = results.iter().filter_map(|result| result["categories"].as_object()).flatten();
        let mut flagged: Vec<String> = categories
            .filter(|(_, flagged)| flagged.as_bool() == Some(true))
            .map(|(category, _)| category.clone())
            .collect();
        if flagged.is_empty() && results.iter().any(|result| result["flagged"] == true) {
            flagged.push("unnamed".to_owned());
        }
        Ok(ModerationVerdict { flagged })
    }
}

fn vectors(data: &Value, wanted: usize) -> Option<Vec<Vec<f32>>> {
    let mut rows: Vec<(u64, Vec<f32>)> = data
        .as_array()?
        .iter()
        .enumerate()
        .map(|(place, row)| {
            let numbers = row["embedding"].as_array()?.iter().map(|n| n.as_f64().map(|n| n as f32));
            Some((row["index"].as_u64().unwrap_or(place as u64), numbers.collect::<Option<_>>()?))
        })
        .collect::<Option<_>>()?;
    rows.sort_by_key(|(index, _)| *index);
    let vectors: Vec<Vec<f32>> = rows.into_iter().map(|(_, vector)| vector).collect();
    (vectors.len() == wanted && vectors.iter().all(|vector| !vector.is_empty())).then_some(vectors)
}

fn usage(usage: &Value) -> Option<Usage> {
    let prompt = &usage["prompt_tokens_details"];
    Some(Usage {
        input: usage["prompt_tokens"].as_u64()?,
        output: usage["completion_tokens"].as_u64().unwrap_or(0),
        cache_read: prompt["cached_tokens"].as_u64().unwrap_or(0),
        cache_write: prompt["cache_write_tokens"].as_u64().unwrap_or(0),
        reasoning: usage["completion_tokens_details"]["reasoning_tokens"].as_u64().unwrap_or(0),
    })
}

/// Adds calls, or pieces of them: each piece names its call by `index`; id and name come with the first.
fn hear_calls(calls: &mut Vec<ToolCall>, said: &Value) {
    for (place, piece) in said.as_array().into_iter().flatten().enumerate() {
        let at = piece["index"].as_u64().map_or(place, |index| index as usize);
        if at > calls.len() {
            continue;
        }
        if at == calls.len() {
            calls.push(ToolCall { id: String::new(), name: String::new(), arguments: String::new() });
        }
        let Some(call) = calls.get_mut(at) else { continue };
        for (whole, piece) in [
            (&mut call.id, &piece["id"]),
            (&mut call.name, &piece["function"]["name"]),
            (&mut call.arguments, &piece["function"]["arguments"]),
        ] {
            whole.push_str(piece.as_str().unwrap_or_default());
        }
    }
}

fn finish(reason: &str) -> Finish {
    match reason {
        "length" | "max_tokens" => Finish::Length,
        "content_filter" => Finish::ContentFilter,
        "tool_calls" | "function_call" => Finish::ToolCalls,
        _ => Finish::Stop,
    }
}

// ---- a streamed answer

struct Streaming {
    events: BoxStream<'static, Result<Event, ProviderError>>,
    reading: Reading,
    http: Arc<Http>,
    prompt: Vec<String>,
    refused: bool,
    ended: bool,
}

impl Streaming {
    /// Reads on to the next text, the end, or a failure.
    async fn next(mut self) -> Option<(Result<Chunk, ProviderError>, Self)> {
        while !self.ended {
            let chunk = match self.events.next().await {
                Some(Ok(event)) if event.data == "[DONE]" => Some(self.end()),
                Some(Ok(event)) => self.read(&event.data),
                // Once the reason to end is known nothing but usage can be lost.
                Some(Err(_)) if self.reading.finish.is_some() => Some(self.end()),
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
        if event.get("error").is_some_and(|error| !error.is_null()) {
            let prompt: Vec<&str> = self.prompt.iter().map(String::as_str).collect();
            let error = self.http.error_in_body(&event, &prompt);
            return Some(self.fail(error));
        }
        if let Some(usage) = usage(&event["usage"]) {
            self.reading.usage = Some(usage);
        }
        let choice = &event["choices"][0];
        if let Some(reason) = choice["finish_reason"].as_str() {
            self.reading.finish = Some(if self.refused { Finish::ContentFilter } else { finish(reason) });
        }
        // The model declines in a field of its own.
        self.refused |= choice["delta"]["refusal"].as_str().is_some_and(|text| !text.is_empty());
        hear_calls(&mut self.reading.calls, &choice["delta"]["tool_calls"]);
        let text = choice["delta"]["content"].as_str().filter(|text| !text.is_empty())?;
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
    fn reasoning_models_are_sent_no_temperature() {
        for model in ["gpt-5-mini", "o3", "o4-mini", "openai/gpt-5.4", "gpt-6-luna"] {
            assert!(!takes_temperature(model), "{model}");
        }
        for model in ["gpt-4.1-mini", "gpt-5-chat-latest", "qwen2.5", "openai/gpt-oss-20b", "llama-3.3"] {
            assert!(takes_temperature(model), "{model}");
        }
    }

    #[test]
    fn vectors_come_in_the_order_of_the_texts_and_one_for_each() {
        let data = json!([{"index": 1, "embedding": [3.0]}, {"index": 0, "embedding": [1.0, 2.0]}]);
        assert_eq!(vectors(&data, 2), Some(vec![vec![1.0, 2.0], vec![3.0]]));
        assert_eq!(vectors(&data, 3), None);
        assert_eq!(vectors(&json!([{"embedding": ["a"]}]), 1), None);
    }
}
