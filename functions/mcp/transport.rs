//! Streamable HTTP: `rmcp` reads a message with its headers and answers it; here its answers become those of `serve`.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, stream, stream::BoxStream};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::{BodyExt, Full};
use persona::{
    Error, Result,
    app::App,
    config,
    error::{Code, Detail},
};
use rmcp::{
    ErrorData,
    model::{ErrorCode, ProtocolVersion, RequestId},
    transport::{
        StreamableHttpServerConfig, StreamableHttpService,
        streamable_http_server::session::never::NeverSessionManager,
    },
};
use serde::Deserialize;
use serde_json::Value;
use tokio::task::JoinError;

use super::{
    failure,
    server::{REVISIONS, Server},
};
use crate::serve::{Call, Payload, Reply};

/// What is not answered by then becomes a stream: its first byte comes within a second, and comments keep it alive.
const SILENCE: Duration = Duration::from_millis(700);

/// Says that the answer is on its way. A comment, which clients skip.
const BEGUN: &str = ": begun\n\n";

type Response = http::Response<http_body_util::combinators::BoxBody<Bytes, std::convert::Infallible>>;

/// Answers a message: at once as JSON, or as a stream of messages where the answer takes time or tells its progress. It is
/// made in a task of its own, which goes on when the caller leaves.
pub(super) async fn answer(app: App, call: Call<String>) -> Result<Reply> {
    let request_id = call.request_id.to_string();
    if let Some(refusal) = unsupported(&call, &request_id) {
        return Ok(Reply::json(StatusCode::BAD_REQUEST.as_u16(), refusal));
    }
    let configuration = configuration(&call.headers);
    let request = request(&call);
    let asked = Asked { body: call.body.clone(), headers: call.headers.clone(), request_id };
    let server = Server::new(app, call);
    let service = StreamableHttpService::new(
        move || Ok(server.clone()),
        Arc::new(NeverSessionManager::default()),
        configuration,
    );
    let mut answering =
        tokio::spawn(async move { Answered::of(service.handle(request).await, &asked).await });
    if let Ok(answered) = tokio::time::timeout(SILENCE, &mut answering).await {
        return Ok(answered.map_err(Error::internal)?.into_reply());
    }
    let late = stream::once(async move { answering.await.map_or_else(cut, Answered::into_texts) });
    let texts = stream::iter([BEGUN.to_owned()]).chain(late.flatten());
    Ok(Reply::new(200, Payload::Live(texts.boxed())))
}

/// The caller sees the stream end without an answer, and asks again.
fn cut(error: JoinError) -> BoxStream<'static, String> {
    tracing::error!(error.code = %Code::Internal, error.source = %error, "a stream of messages was cut");
    stream::empty().boxed()
}

/// Whose pages may call, and by which names of this server. A key is asked for in any case; this keeps a page that was led
/// to a server on its visitor's machine from using one that the machine knows.
fn configuration(headers: &HeaderMap) -> StreamableHttpServerConfig {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let own = ["https", "http"].map(|scheme| format!("{scheme}://{host}"));
    let machine = ["localhost", "127.0.0.1", "[::1]"].map(|name| format!("http://{name}:*"));
    StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_sse_keep_alive(None)
        .with_allowed_hosts(config::hosts())
        .with_allowed_origins(own.into_iter().chain(machine).chain(config::origins()))
        .enforce_origin_validation()
}

fn request(call: &Call<String>) -> http::Request<Full<Bytes>> {
    let mut request = http::Request::new(Full::new(Bytes::from(call.body.clone())));
    *request.method_mut() = http::Method::POST;
    *request.headers_mut() = call.headers.clone();
    // A gateway names itself in the event; `rmcp` asks for a name in any case.
    request.headers_mut().entry(header::HOST).or_insert(HeaderValue::from_static("localhost"));
    request
}

/// What a message says of itself, as far as it can be read.
#[derive(Debug, Default, Deserialize)]
struct Head {
    #[serde(default)]
    id: Option<RequestId>,
    #[serde(default)]
    method: String,
}

impl Head {
    fn of(body: &str) -> Self {
        serde_json::from_str(body).unwrap_or_default()
    }
}

/// The refusal of a message whose header names a revision that is not spoken here. `initialize` is left to the
/// negotiation, and a message without the header counts as one of the oldest revisions.
fn unsupported(call: &Call<String>, request_id: &str) -> Option<Value> {
    let named = call.headers.get("mcp-protocol-version")?.to_str().unwrap_or_default();
    if REVISIONS.iter().any(|revision| revision.as_str() == named) {
        return None;
    }
    let head = Head::of(&call.body);
    if head.method == "initialize" {
        return None;
    }
    let requested = serde_json::from_value::<ProtocolVersion>(named.into()).ok()?;
    let error = ErrorData::unsupported_protocol_version(requested, REVISIONS);
    let mut message = failure::message(head.id, error);
    failure::enveloped(&mut message, request_id);
    Some(message)
}

/// A message as it came.
struct Asked {
    body: String,
    headers: HeaderMap,
    request_id: String,
}

/// What `rmcp` answered.
enum Answered {
    /// One message, with the status of its answer.
    Message(u16, Value),
    /// Taken, and nothing to say.
    Accepted,
    /// Messages as they come, as server-sent events.
    Messages(BoxStream<'static, String>),
}

impl Answered {
    async fn of(response: Response, asked: &Asked) -> Self {
        let (parts, body) = response.into_parts();
        let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if kind.is_some_and(|kind| kind.starts_with("text/event-stream")) {
            let pieces = body.into_data_stream();
            let texts = pieces.filter_map(|piece| async move {
                piece.ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            });
            return Self::Messages(texts.boxed());
        }
        if parts.status == StatusCode::ACCEPTED {
            return Self::Accepted;
        }
        let Ok(body) = body.collect().await;
        let body = body.to_bytes();
        if let Ok(mut message) = serde_json::from_slice::<Value>(&body) {
            failure::enveloped(&mut message, &asked.request_id);
            return Self::Message(parts.status.as_u16(), message);
        }
        let (code, error) = asked.refused(parts.status, &String::from_utf8_lossy(&body));
        let told = if error.code == Code::Internal {
            failure::told(&error, &asked.request_id)
        } else {
            tracing::info!(error.code = %error.code, "a message was refused");
            failure::with_code(code, &error, &asked.request_id)
        };
        Self::Message(error.code.status(), failure::message(Head::of(&asked.body).id, told))
    }

    fn into_reply(self) -> Reply {
        match self {
            Self::Message(status, message) => Reply::json(status, message),
            Self::Accepted => Reply::new(StatusCode::ACCEPTED.as_u16(), Payload::Empty),
            Self::Messages(texts) => Reply::new(StatusCode::OK.as_u16(), Payload::Live(texts)),
        }
    }

    fn into_texts(self) -> BoxStream<'static, String> {
        match self {
            Self::Message(_, message) => {
                stream::iter([format!("event: message\ndata: {message}\n\n")]).boxed()
            }
            Self::Accepted => stream::empty().boxed(),
            Self::Messages(texts) => texts,
        }
    }
}

impl Asked {
    /// What `rmcp` says in plain words, as one of the table's errors that names the wrong value.
    fn refused(&self, status: StatusCode, words: &str) -> (ErrorCode, Error) {
        let shown = |name: header::HeaderName| {
            let text = self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
            text.chars().take(80).collect::<String>()
        };
        let error = match status {
            StatusCode::FORBIDDEN => Error::new(
                Code::OriginNotAllowed,
                format!(
                    "A page of \"{}\" may not call \"{}\". Call from a program, or from a page of the same origin.",
                    shown(header::ORIGIN),
                    shown(header::HOST)
                ),
            )
            .with_param("Origin"),
            StatusCode::NOT_ACCEPTABLE => Error::new(
                Code::NotAcceptable,
                format!(
                    "\"{}\" does not name both application/json and text/event-stream. Send Accept: application/json, text/event-stream.",
                    shown(header::ACCEPT)
                ),
            )
            .with_param("Accept"),
            StatusCode::UNSUPPORTED_MEDIA_TYPE if words.starts_with("Unsupported Media Type") => Error::new(
                Code::UnsupportedMediaType,
                format!("\"{}\" is not read here. Send Content-Type: application/json.", shown(header::CONTENT_TYPE)),
            ),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => return self.unreadable(),
            StatusCode::BAD_REQUEST => {
                Error::new(Code::RequestInvalid, words.trim_start_matches("Bad Request: ").to_owned())
            }
            _ => Error::internal(words.to_owned()),
        };
        (ErrorCode::INVALID_REQUEST, error)
    }

    /// Why the body is no message.
    fn unreadable(&self) -> (ErrorCode, Error) {
        let (code, why) = match serde_json::from_str::<Value>(&self.body) {
            Err(error) => (
                ErrorCode::PARSE_ERROR,
                format!("The body is not JSON: line {}, column {}. Send one JSON-RPC message.", error.line(), error.column()),
            ),
            Ok(Value::Array(_)) => (
                ErrorCode::INVALID_REQUEST,
                "Batches are in no revision that is spoken here. Send each message by itself.".to_owned(),
            ),
            Ok(_) => (
                ErrorCode::INVALID_REQUEST,
                "The body is no JSON-RPC message. Send an object with \"jsonrpc\": \"2.0\", a method, and an id that is a text or a whole number.".to_owned(),
            ),
        };
        (code, Error::new(Code::RequestInvalid, why.clone()).with_details(vec![Detail::new("", why)]))
    }
}
