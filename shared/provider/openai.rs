//! Any OpenAI-compatible HTTP API: OpenAI, Azure, Groq, OpenRouter, vLLM, Ollama, llama.cpp.

use std::time::Duration;

use async_trait::async_trait;
use eventsource_stream::Eventsource;
use futures_util::{StreamExt, stream};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Chunk, Completion, CompletionRequest, CompletionStream, Failure, Finish, ModerationVerdict, Provider,
    ProviderError, Usage,
};

/// How a vendor is asked for JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StructuredOutput {
    /// `response_format: json_schema`: the answer is constrained to the schema.
    #[default]
    JsonSchema,
    /// `response_format: json_object`: any JSON; the prompt describes the shape.
    JsonObject,
    /// Nothing but the prompt.
    Prompt,
}

/// One such API.
#[derive(Debug)]
pub struct OpenAi {
    client: reqwest::Client,
    base_url: String,
    api_key: Option<SecretString>,
    structured_output: StructuredOutput,
    max_tokens_field: String,
}

impl OpenAi {
    /// A client of the API at `base_url` (which ends in `/v1` or its like). A call may take `timeout` in all.
    pub fn new(
        base_url: &str,
        api_key: Option<SecretString>,
        timeout: Duration,
        structured_output: StructuredOutput,
        max_tokens_field: &str,
    ) -> Result<Self, ProviderError> {
        let client = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .timeout(timeout)
            .build()
            .map_err(|_| ProviderError::new(Failure::Unavailable, "no HTTP client could be made"))?;
        Ok(Self {
            client,
            base_url: base_url.trim_end_matches('/').to_owned(),
            api_key,
            structured_output,
            max_tokens_field: max_tokens_field.to_owned(),
        })
    }

    async fn post(&self, path: &str, body: &Value) -> Result<reqwest::Response, ProviderError> {
        let mut call = self.client.post(format!("{}{path}", self.base_url)).json(body);
        if let Some(key) = &self.api_key {
            call = call.bearer_auth(key.expose_secret());
        }
        let response = call.send().await.map_err(|error| transport(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let after = response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        let failure = match status.as_u16() {
            429 => Failure::Throttled(after),
            408 | 409 | 500..=599 => Failure::Unavailable,
            _ => Failure::Refused,
        };
        Err(ProviderError::new(failure, format!("HTTP {}", status.as_u16())))
    }

    fn body(&self, model: &str, request: &CompletionRequest) -> Value {
        let mut body = json!({
            "model": model, "messages": request.messages, "temperature": request.temperature,
            "stream": true, "stream_options": {"include_usage": true},
        });
        body[&self.max_tokens_field] = request.max_tokens.into();
        if let Some(seed) = request.seed {
            // Servers read seeds as 32-bit integers.
            body["seed"] = (seed & 0x7fff_ffff).into();
        }
        if !request.stop.is_empty() {
            body["stop"] = json!(request.stop);
        }
        if let Some(schema) = &request.schema {
            match self.structured_output {
                StructuredOutput::JsonSchema => {
                    body["response_format"] = json!({"type": "json_schema", "json_schema": {"name": schema.name, "schema": schema.schema}});
                }
                StructuredOutput::JsonObject => body["response_format"] = json!({"type": "json_object"}),
                StructuredOutput::Prompt => {}
            }
        }
        body
    }
}

/// What went wrong on the way; the URL may hold a key and is left out.
fn transport(error: &reqwest::Error) -> ProviderError {
    let what = if error.is_timeout() {
        "timeout"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection broke"
    };
    ProviderError::new(Failure::Unavailable, what)
}

#[derive(Debug, Default, Deserialize)]
struct Part {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<VendorUsage>,
    error: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct Choice {
    #[serde(default)]
    delta: Delta,
    finish_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Delta {
    content: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct VendorUsage {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
}

#[derive(Debug, Default, Deserialize)]
struct PromptDetails {
    #[serde(default)]
    cached_tokens: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
struct CompletionDetails {
    #[serde(default)]
    reasoning_tokens: Option<u64>,
}

impl From<VendorUsage> for Usage {
    fn from(usage: VendorUsage) -> Self {
        Self {
            input: usage.prompt_tokens,
            output: usage.completion_tokens,
            cache_read: usage.prompt_tokens_details.and_then(|details| details.cached_tokens).unwrap_or(0),
            cache_write: 0,
            reasoning: usage
                .completion_tokens_details
                .and_then(|details| details.reasoning_tokens)
                .unwrap_or(0),
        }
    }
}

/// What a stream has come to so far.
struct Reading {
    text: String,
    usage: Option<Usage>,
    finish: Option<Finish>,
    prompt_at_most: u64,
    over: bool,
}

impl Reading {
    /// Takes one event's data; some text, or nothing.
    fn take(&mut self, data: &str) -> Result<Option<String>, ProviderError> {
        let part: Part = serde_json::from_str(data)
            .map_err(|_| self.failed("an event of the stream is not of its shape"))?;
        if part.error.is_some() {
            return Err(self.failed("the vendor reported an error within the stream"));
        }
        if let Some(usage) = part.usage {
            self.usage = Some(usage.into());
        }
        let Some(choice) = part.choices.into_iter().next() else { return Ok(None) };
        if let Some(reason) = choice.finish_reason {
            self.finish = Some(match reason.as_str() {
                "length" => Finish::Length,
                "content_filter" => Finish::ContentFilter,
                _ => Finish::Stop,
            });
        }
        let text = choice.delta.content.filter(|text| !text.is_empty());
        if let Some(text) = &text {
            self.text.push_str(text);
        }
        Ok(text)
    }

    /// A failure that carries what the vendor may charge.
    fn failed(&self, what: &str) -> ProviderError {
        let mut error = ProviderError::new(Failure::Unavailable, what);
        error.usage = (!self.text.is_empty()).then(|| self.estimate());
        error
    }

    /// An upper bound where the vendor does not say: a token has at least one byte.
    fn estimate(&self) -> Usage {
        self.usage.unwrap_or(Usage {
            input: self.prompt_at_most,
            output: self.text.len() as u64,
            ..Usage::default()
        })
    }

    fn end(&mut self) -> Result<Chunk, ProviderError> {
        match self.finish {
            Some(finish) if !self.text.is_empty() => Ok(Chunk::Done(Completion {
                text: std::mem::take(&mut self.text),
                usage: self.estimate(),
                finish,
            })),
            Some(_) => Err(self.failed("the answer is empty")),
            None => Err(self.failed("the stream ended before the answer did")),
        }
    }
}

#[async_trait]
impl Provider for OpenAi {
    async fn complete(&self, model: &str, request: &CompletionRequest) -> Result<Completion, ProviderError> {
        let mut stream = self.stream(model, request).await?;
        while let Some(chunk) = stream.next().await {
            if let Chunk::Done(completion) = chunk? {
                return Ok(completion);
            }
        }
        Err(ProviderError::new(Failure::Unavailable, "the stream ended before the answer did"))
    }

    async fn stream(
        &self,
        model: &str,
        request: &CompletionRequest,
    ) -> Result<CompletionStream, ProviderError> {
        let response = self.post("/chat/completions", &self.body(model, request)).await?;
        let reading = Reading {
            text: String::new(),
            usage: None,
            finish: None,
            prompt_at_most: request.prompt_tokens_at_most(),
            over: false,
        };
        let events = response.bytes_stream().eventsource();
        let chunks = stream::unfold((Box::pin(events), reading), |(mut events, mut reading)| async move {
            while !reading.over {
                match events.next().await {
                    Some(Ok(event)) if event.data == "[DONE]" => reading.over = true,
                    Some(Ok(event)) => match reading.take(&event.data) {
                        Ok(Some(text)) => return Some((Ok(Chunk::Text(text)), (events, reading))),
                        Ok(None) => {}
                        Err(error) => {
                            reading.over = true;
                            return Some((Err(error), (events, finished(reading))));
                        }
                    },
                    Some(Err(_)) | None => reading.over = true,
                }
            }
            if reading.text.is_empty() && reading.finish.is_none() && reading.prompt_at_most == 0 {
                return None;
            }
            let end = reading.end();
            Some((end, (events, finished(reading))))
        });
        Ok(chunks.boxed())
    }

    async fn embed(&self, model: &str, texts: &[String]) -> Result<(Vec<Vec<f32>>, Usage), ProviderError> {
        #[derive(Deserialize)]
        struct Answer {
            data: Vec<Vector>,
            #[serde(default)]
            usage: VendorUsage,
        }
        #[derive(Deserialize)]
        struct Vector {
            embedding: Vec<f32>,
        }
        let response = self.post("/embeddings", &json!({"model": model, "input": texts})).await?;
        let answer: Answer = response
            .json()
            .await
            .map_err(|_| ProviderError::new(Failure::Unavailable, "the answer is not of its shape"))?;
        Ok((answer.data.into_iter().map(|vector| vector.embedding).collect(), answer.usage.into()))
    }

    async fn moderate(&self, model: &str, text: &str) -> Result<ModerationVerdict, ProviderError> {
        let response = self.post("/moderations", &json!({"model": model, "input": text})).await?;
        let answer: Value = response
            .json()
            .await
            .map_err(|_| ProviderError::new(Failure::Unavailable, "the answer is not of its shape"))?;
        let categories = answer["results"][0]["categories"].as_object().cloned().unwrap_or_default();
        let flagged =
            categories.into_iter().filter(|(_, flag)| flag == &Value::Bool(true)).map(|(name, _)| name);
        Ok(ModerationVerdict { flagged: flagged.collect() })
    }
}

/// A reading after its last chunk: the stream yields nothing more.
fn finished(mut reading: Reading) -> Reading {
    reading.over = true;
    reading.text.clear();
    reading.finish = None;
    reading.prompt_at_most = 0;
    reading
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use super::*;
    use crate::provider::{Message, Role, Speaker};

    /// A server that gives one recorded answer, then closes.
    async fn recorded(answer: &'static str) -> OpenAi {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 65_536];
            let _ = socket.read(&mut request).await.unwrap();
            socket.write_all(answer.as_bytes()).await.unwrap();
        });
        OpenAi::new(
            &format!("http://127.0.0.1:{port}/v1"),
            None,
            Duration::from_secs(5),
            StructuredOutput::default(),
            "max_tokens",
        )
        .unwrap()
    }

    fn request() -> CompletionRequest {
        CompletionRequest {
            role: Role::Draft,
            messages: vec![Message { role: Speaker::User, content: "Say hello.".into() }],
            schema: None,
            max_tokens: 10,
            temperature: 0.0,
            seed: Some(7),
            stop: vec![],
            inputs: Value::Null,
        }
    }

    const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";

    #[tokio::test]
    async fn a_stream_is_read_to_its_end_with_its_usage() {
        let answer = Box::leak(format!("{HEAD}data: {{\"choices\":[{{\"delta\":{{\"content\":\"Hel\"}},\"finish_reason\":null}}]}}\n\ndata: {{\"choices\":[{{\"delta\":{{\"content\":\"lo\"}},\"finish_reason\":\"stop\"}}]}}\n\ndata: {{\"choices\":[],\"usage\":{{\"prompt_tokens\":5,\"completion_tokens\":2}}}}\n\ndata: [DONE]\n\n").into_boxed_str());
        let completion = recorded(answer).await.complete("m", &request()).await.unwrap();
        assert_eq!(completion.text, "Hello");
        assert_eq!(completion.usage, Usage { input: 5, output: 2, ..Usage::default() });
    }

    #[tokio::test]
    async fn half_a_stream_is_a_failure_that_says_what_it_may_cost() {
        let answer = Box::leak(format!("{HEAD}data: {{\"choices\":[{{\"delta\":{{\"content\":\"Hel\"}},\"finish_reason\":null}}]}}\n\n").into_boxed_str());
        let error = recorded(answer).await.complete("m", &request()).await.unwrap_err();
        assert_eq!(error.failure, Failure::Unavailable);
        assert_eq!(error.usage.map(|usage| usage.output), Some(3));
    }

    #[tokio::test]
    async fn an_empty_answer_is_a_failure_that_costs_nothing() {
        let answer = Box::leak(format!("{HEAD}data: {{\"choices\":[{{\"delta\":{{}},\"finish_reason\":\"stop\"}}]}}\n\ndata: [DONE]\n\n").into_boxed_str());
        let error = recorded(answer).await.complete("m", &request()).await.unwrap_err();
        assert_eq!(error.usage, None);
    }

    #[tokio::test]
    async fn a_throttled_call_says_when_to_come_again() {
        let error = recorded("HTTP/1.1 429 Too Many Requests\r\nretry-after: 3\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            .await
            .complete("m", &request())
            .await
            .unwrap_err();
        assert_eq!(error.failure, Failure::Throttled(Some(3)));
    }
}
