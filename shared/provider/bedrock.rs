//! Amazon Bedrock's Converse API. The client is made at the first call; it signs with the function's role, or with
//! the configured bearer token, and honours `AWS_ENDPOINT_URL_BEDROCK_RUNTIME`.

use std::{collections::HashMap, time::Duration};

use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_bedrockruntime::{
    Client, config,
    error::{ProvideErrorMetadata, SdkError},
    primitives::event_stream::EventReceiver,
    types::{
        AnyToolChoice, AutoToolChoice, ContentBlock, ContentBlockDelta, ContentBlockStart, ConversationRole,
        ConverseStreamOutput as Event, InferenceConfiguration, JsonSchemaDefinition, Message, OutputConfig,
        OutputFormat, OutputFormatStructure, OutputFormatType, SpecificToolChoice, StopReason,
        SystemContentBlock, TokenUsage, Tool, ToolChoice, ToolConfiguration, ToolInputSchema,
        ToolResultBlock, ToolResultContentBlock, ToolSpecification, ToolUseBlock,
        error::ConverseStreamOutputError,
    },
};
use aws_smithy_types::{Document, Number};
use futures_util::{StreamExt, stream};
use secrecy::ExposeSecret;
use serde_json::{Map, Value};
use tokio::{sync::OnceCell, time::Instant};

use super::{
    Chunk, Completion, CompletionRequest, CompletionStream, Failure, Finish, ModerationVerdict, OutputSchema,
    Provider, ProviderError, Speaker, ToolCall, Usage,
    anthropic::{Conversation, TOOL, answered, arguments, takes_temperature, way},
    config::{ProviderConfig, StructuredOutput},
    reading::Reading,
    schema,
};

/// Amazon Bedrock.
#[derive(Debug)]
pub struct Bedrock {
    config: ProviderConfig,
    client: OnceCell<Client>,
}

impl Bedrock {
    /// Bedrock as configured. Neither credentials nor a connection are sought yet.
    pub fn new(config: &ProviderConfig) -> Self {
        Self { config: config.clone(), client: OnceCell::new() }
    }

    async fn client(&self) -> &Client {
        self.client.get_or_init(|| client(&self.config)).await
    }
}

/// Retries are the router's, so that each one is reserved and recorded.
async fn client(configured: &ProviderConfig) -> Client {
    let mut loader =
        aws_config::defaults(BehaviorVersion::latest()).retry_config(RetryConfig::disabled()).timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(Duration::from_secs(5))
                .operation_timeout(configured.timeout())
                .build(),
        );
    if let Some(region) = &configured.region {
        loader = loader.region(Region::new(region.clone()));
    }
    let mut builder = config::Builder::from(&loader.load().await);
    if let Some(url) = &configured.base_url {
        builder = builder.endpoint_url(url);
    }
    if let Some(key) = &configured.api_key {
        builder = builder
            .bearer_token(config::Token::new(key.expose_secret(), None))
            .auth_scheme_preference(["httpBearerAuth".into()]);
    }
    Client::from_conf(builder.build())
}

// ---- the request

/// A request in Bedrock's types.
struct Call {
    system: Option<Vec<SystemContentBlock>>,
    messages: Vec<Message>,
    inference: InferenceConfiguration,
    /// Whether the answer comes as the input of our own tool.
    by_tool: bool,
    tools: Option<ToolConfiguration>,
    output: Option<OutputConfig>,
}

impl Call {
    fn of(
        configured: Option<StructuredOutput>,
        model: &str,
        request: &CompletionRequest,
    ) -> Result<Self, ProviderError> {
        let way = way(configured, model);
        let conversation = Conversation::of(request, way);
        let system = (!conversation.system.is_empty())
            .then(|| vec![SystemContentBlock::Text(conversation.system.clone())]);
        let schema = request.schema.as_ref();
        let carried = schema.filter(|_| way == StructuredOutput::Tool && request.tools.is_empty());
        Ok(Self {
            system,
            messages: messages(&conversation).map_err(|error| unbuilt(&error))?,
            inference: inference(model, request),
            by_tool: carried.is_some(),
            tools: match carried {
                Some(wanted) => Some(carrier(wanted).map_err(|error| unbuilt(&error))?),
                None => tools(request).map_err(|error| unbuilt(&error))?,
            },
            output: match schema.filter(|_| way == StructuredOutput::JsonSchema) {
                Some(wanted) => Some(format(wanted).map_err(|error| unbuilt(&error))?),
                None => None,
            },
        })
    }
}

type Built<T> = Result<T, aws_sdk_bedrockruntime::error::BuildError>;

fn unbuilt(error: &aws_sdk_bedrockruntime::error::BuildError) -> ProviderError {
    ProviderError::new(Failure::Refused, error.to_string())
}

/// Results of one answer's calls belong into one message.
fn messages(conversation: &Conversation<'_>) -> Built<Vec<Message>> {
    let mut said: Vec<(ConversationRole, Vec<ContentBlock>)> = Vec::new();
    for turn in &conversation.turns {
        let by_model = turn.role == Speaker::Assistant;
        let role = if by_model { ConversationRole::Assistant } else { ConversationRole::User };
        match said.last_mut() {
            Some((_, blocks))
                if turn.role == Speaker::Tool
                    && matches!(blocks.first(), Some(ContentBlock::ToolResult(_))) =>
            {
                blocks.extend(blocks_of(turn)?);
            }
            _ => said.push((role, blocks_of(turn)?)),
        }
    }
    said.into_iter()
        .map(|(role, blocks)| Message::builder().role(role).set_content(Some(blocks)).build())
        .collect()
}

fn blocks_of(turn: &super::Message) -> Built<Vec<ContentBlock>> {
    if let Some(id) = &turn.tool_call_id {
        let result = ToolResultBlock::builder()
            .tool_use_id(id)
            .content(ToolResultContentBlock::Text(turn.content.clone()))
            .build()?;
        return Ok(vec![ContentBlock::ToolResult(result)]);
    }
    let mut blocks = Vec::new();
    if !turn.content.is_empty() || turn.tool_calls.is_empty() {
        blocks.push(ContentBlock::Text(turn.content.clone()));
    }
    for call in &turn.tool_calls {
        let input = document(&arguments(&call.arguments));
        let call = ToolUseBlock::builder().tool_use_id(&call.id).name(&call.name).input(input).build()?;
        blocks.push(ContentBlock::ToolUse(call));
    }
    Ok(blocks)
}

/// The functions that the model may call. Bedrock has no way to forbid them but to leave them out.
fn tools(request: &CompletionRequest) -> Built<Option<ToolConfiguration>> {
    if request.tools.is_empty() || request.tool_choice == super::ToolChoice::None {
        return Ok(None);
    }
    let mut configuration = ToolConfiguration::builder();
    for tool in &request.tools {
        let specification = ToolSpecification::builder()
            .name(&tool.name)
            .description(&tool.description)
            .input_schema(ToolInputSchema::Json(document(&tool.parameters)))
            .build()?;
        configuration = configuration.tools(Tool::ToolSpec(specification));
    }
    let choice = match &request.tool_choice {
        super::ToolChoice::Required => ToolChoice::Any(AnyToolChoice::builder().build()),
        super::ToolChoice::Named(name) => ToolChoice::Tool(SpecificToolChoice::builder().name(name).build()?),
        super::ToolChoice::Auto | super::ToolChoice::None => {
            ToolChoice::Auto(AutoToolChoice::builder().build())
        }
    };
    configuration.tool_choice(choice).build().map(Some)
}

fn inference(model: &str, request: &CompletionRequest) -> InferenceConfiguration {
    let temperature = takes_temperature(model).then(|| request.temperature.min(1.0));
    InferenceConfiguration::builder()
        .max_tokens(i32::try_from(request.max_tokens).unwrap_or(i32::MAX))
        .set_temperature(temperature)
        .set_top_p(request.top_p.filter(|_| takes_temperature(model)))
        .set_stop_sequences((!request.stop.is_empty()).then(|| request.stop.clone()))
        .build()
}

/// A tool that must be called and whose input is the answer.
fn carrier(wanted: &OutputSchema) -> Built<ToolConfiguration> {
    let specification = ToolSpecification::builder()
        .name(&wanted.name)
        .description(TOOL)
        .input_schema(ToolInputSchema::Json(document(&wanted.schema)))
        .build()?;
    let choice = SpecificToolChoice::builder().name(&wanted.name).build()?;
    ToolConfiguration::builder()
        .tools(Tool::ToolSpec(specification))
        .tool_choice(ToolChoice::Tool(choice))
        .build()
}

fn format(wanted: &OutputSchema) -> Built<OutputConfig> {
    let schema = schema::for_anthropic(&wanted.schema).to_string();
    let definition = JsonSchemaDefinition::builder().name(&wanted.name).schema(schema).build()?;
    let format = OutputFormat::builder()
        .r#type(OutputFormatType::JsonSchema)
        .structure(OutputFormatStructure::JsonSchema(definition))
        .build()?;
    Ok(OutputConfig::builder().text_format(format).build())
}

fn document(value: &Value) -> Document {
    match value {
        Value::Null => Document::Null,
        Value::Bool(truth) => Document::Bool(*truth),
        Value::String(text) => Document::String(text.clone()),
        Value::Array(items) => Document::Array(items.iter().map(document).collect()),
        Value::Object(fields) => Document::Object(
            fields.iter().map(|(key, value)| (key.clone(), document(value))).collect::<HashMap<_, _>>(),
        ),
        Value::Number(number) => Document::Number(match (number.as_u64(), number.as_i64()) {
            (Some(whole), _) => Number::PosInt(whole),
            (None, Some(below)) => Number::NegInt(below),
            (None, None) => Number::Float(number.as_f64().unwrap_or_default()),
        }),
    }
}

/// A document's fields come in no order; sorted, the same answer is the same text.
fn json(document: &Document) -> Value {
    match document {
        Document::Null => Value::Null,
        Document::Bool(truth) => Value::Bool(*truth),
        Document::String(text) => Value::String(text.clone()),
        Document::Array(items) => items.iter().map(json).collect(),
        Document::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(key, _)| *key);
            Value::Object(
                fields.into_iter().map(|(key, value)| (key.clone(), json(value))).collect::<Map<_, _>>(),
            )
        }
        Document::Number(Number::PosInt(whole)) => (*whole).into(),
        Document::Number(Number::NegInt(below)) => (*below).into(),
        Document::Number(Number::Float(float)) => (*float).into(),
    }
}

// ---- the answer

#[async_trait]
impl Provider for Bedrock {
    async fn complete(&self, model: &str, request: &CompletionRequest) -> Result<Completion, ProviderError> {
        let call = Call::of(self.config.structured_output, model, request)?;
        let by_tool = call.by_tool;
        let answer = self
            .client()
            .await
            .converse()
            .model_id(model)
            .set_system(call.system)
            .set_messages(Some(call.messages))
            .inference_config(call.inference)
            .set_tool_config(call.tools)
            .set_output_config(call.output)
            .send()
            .await
            .map_err(|error| failed(&error))?;
        let mut reading = Reading::new(request);
        reading.usage = answer.usage().map(usage);
        let ended = finish(answer.stop_reason());
        reading.finish = Some(if by_tool { answered(ended) } else { ended });
        let said = answer.output().and_then(|output| output.as_message().ok());
        for block in said.map(Message::content).unwrap_or_default() {
            match block {
                ContentBlock::ToolUse(call) if by_tool => {
                    reading.text.push_str(&json(call.input()).to_string());
                }
                ContentBlock::ToolUse(call) => reading.calls.push(ToolCall {
                    id: call.tool_use_id().to_owned(),
                    name: call.name().to_owned(),
                    arguments: json(call.input()).to_string(),
                }),
                ContentBlock::Text(text) if !by_tool => reading.text.push_str(text),
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
        let call = Call::of(self.config.structured_output, model, request)?;
        let deadline = Instant::now() + self.config.timeout();
        let by_tool = call.by_tool;
        let answer = self
            .client()
            .await
            .converse_stream()
            .model_id(model)
            .set_system(call.system)
            .set_messages(Some(call.messages))
            .inference_config(call.inference)
            .set_tool_config(call.tools)
            .set_output_config(call.output)
            .send()
            .await
            .map_err(|error| failed(&error))?;
        let streaming = Streaming {
            events: answer.stream,
            reading: Reading::new(request),
            by_tool,
            deadline,
            ended: false,
        };
        Ok(stream::unfold(streaming, Streaming::next).boxed())
    }

    async fn embed(&self, _: &str, _: &[String]) -> Result<(Vec<Vec<f32>>, Usage), ProviderError> {
        Err(ProviderError::new(Failure::Unsupported, "embeddings are not asked of Bedrock"))
    }

    async fn moderate(&self, _: &str, _: &str) -> Result<ModerationVerdict, ProviderError> {
        Err(ProviderError::new(Failure::Unsupported, "Bedrock has no moderation endpoint"))
    }
}

/// Converse counts cached prompt tokens beside `inputTokens`, not within.
fn usage(said: &TokenUsage) -> Usage {
    let tokens = |count: i32| u64::try_from(count).unwrap_or(0);
    let cache_read = said.cache_read_input_tokens().map_or(0, tokens);
    let cache_write = said.cache_write_input_tokens().map_or(0, tokens);
    Usage {
        input: tokens(said.input_tokens()) + cache_read + cache_write,
        output: tokens(said.output_tokens()),
        cache_read,
        cache_write,
        reasoning: 0,
    }
}

fn finish(reason: &StopReason) -> Finish {
    match reason {
        StopReason::MaxTokens | StopReason::ModelContextWindowExceeded => Finish::Length,
        StopReason::ContentFiltered | StopReason::GuardrailIntervened => Finish::ContentFilter,
        StopReason::ToolUse => Finish::ToolCalls,
        _ => Finish::Stop,
    }
}

/// The vendor's message may quote the prompt, so the log gets its code alone.
fn failed<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> ProviderError {
    let (failure, detail) = match error {
        SdkError::ServiceError(service) => {
            let code = service.err().code().unwrap_or("an error without a code");
            (of_code(code), code.to_owned())
        }
        SdkError::TimeoutError(_) => (Failure::Unavailable, "timed out".to_owned()),
        SdkError::DispatchFailure(dispatch) if dispatch.is_user() || dispatch.is_other() => (
            Failure::Unavailable,
            "the call could not be made: are there credentials and a region?".to_owned(),
        ),
        SdkError::DispatchFailure(_) => (Failure::Unavailable, "no connection".to_owned()),
        SdkError::ConstructionFailure(_) => {
            (Failure::Refused, "the call could not be built: is there a region?".to_owned())
        }
        _ => (Failure::Unavailable, "the answer cannot be read".to_owned()),
    };
    let failed = ProviderError::new(failure, detail);
    let unanswered = matches!(error, SdkError::TimeoutError(_) | SdkError::ResponseError(_));
    if unanswered { failed.unanswered() } else { failed }
}

/// A failure that came as an event has its code in its type alone.
fn failed_within<R>(error: &SdkError<ConverseStreamOutputError, R>) -> ProviderError {
    use ConverseStreamOutputError as Event;
    let code = match error.as_service_error() {
        Some(Event::ThrottlingException(_)) => "ThrottlingException",
        Some(Event::ValidationException(_)) => "ValidationException",
        Some(Event::ModelStreamErrorException(_)) => "ModelStreamErrorException",
        Some(Event::InternalServerException(_)) => "InternalServerException",
        Some(Event::ServiceUnavailableException(_)) => "ServiceUnavailableException",
        _ => return failed(error),
    };
    ProviderError::new(of_code(code), code)
}

fn of_code(code: &str) -> Failure {
    match code {
        "ThrottlingException" | "TooManyRequestsException" | "ServiceQuotaExceededException" => {
            Failure::Throttled(None)
        }
        "ValidationException"
        | "AccessDeniedException"
        | "ResourceNotFoundException"
        | "UnrecognizedClientException"
        | "InvalidSignatureException"
        | "ExpiredTokenException" => Failure::Refused,
        _ => Failure::Unavailable,
    }
}

struct Streaming {
    events: EventReceiver<Event, ConverseStreamOutputError>,
    reading: Reading,
    by_tool: bool,
    deadline: Instant,
    ended: bool,
}

impl Streaming {
    /// Reads on to the next text, the end, or a failure. Usage comes after the reason to end.
    async fn next(mut self) -> Option<(Result<Chunk, ProviderError>, Self)> {
        while !self.ended {
            let chunk = match tokio::time::timeout_at(self.deadline, self.events.recv()).await {
                Ok(Ok(Some(event))) => self.read(&event),
                Ok(Ok(None)) => Some(self.end()),
                Ok(Err(_)) if self.reading.finish.is_some() => Some(self.end()),
                Ok(Err(error)) => Some(self.fail(failed_within(&error))),
                Err(_) => Some(self.fail(ProviderError::new(Failure::Unavailable, "timed out"))),
            };
            if let Some(chunk) = chunk {
                return Some((chunk, self));
            }
        }
        None
    }

    fn read(&mut self, event: &Event) -> Option<Result<Chunk, ProviderError>> {
        let text = match event {
            Event::ContentBlockStart(start) if !self.by_tool => {
                if let Some(ContentBlockStart::ToolUse(call)) = start.start() {
                    self.reading.calls.push(ToolCall {
                        id: call.tool_use_id().to_owned(),
                        name: call.name().to_owned(),
                        arguments: String::new(),
                    });
                }
                return None;
            }
            Event::ContentBlockDelta(delta) => match delta.delta() {
                Some(ContentBlockDelta::ToolUse(call)) if self.by_tool => call.input(),
                Some(ContentBlockDelta::ToolUse(piece)) => {
                    if let Some(call) = self.reading.calls.last_mut() {
                        call.arguments.push_str(piece.input());
                    }
                    return None;
                }
                Some(ContentBlockDelta::Text(text)) if !self.by_tool => text.as_str(),
                _ => return None,
            },
            Event::MessageStop(stop) => {
                let ended = finish(stop.stop_reason());
                self.reading.finish = Some(if self.by_tool { answered(ended) } else { ended });
                return None;
            }
            Event::Metadata(metadata) => {
                self.reading.usage = metadata.usage().map(usage);
                return None;
            }
            _ => return None,
        };
        if text.is_empty() {
            return None;
        }
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
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_failure_is_read_from_its_code() {
        assert_eq!(of_code("ThrottlingException"), Failure::Throttled(None));
        assert_eq!(of_code("ValidationException"), Failure::Refused);
        assert_eq!(of_code("ModelNotReadyException"), Failure::Unavailable);
    }

    proptest! {
        #[test]
        fn a_document_is_the_json_it_was_made_from(number in any::<i64>(), float in -1e9f64..1e9, text in ".*") {
            let value = json!({"a": [number, null, true], "b": {"c": float, "d": text}});
            prop_assert_eq!(super::json(&document(&value)), value);
        }
    }
}
