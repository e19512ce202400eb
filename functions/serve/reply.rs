//! What a route answers, before it is HTTP.

use futures_util::{StreamExt, stream::BoxStream};
use http::{HeaderName, HeaderValue, StatusCode};
use persona::{
    config,
    run::{Tail, events::Event},
};
use serde_json::Value;

use super::{body::ReplyBody, ending::Ending};

/// An answer.
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) payload: Payload,
    /// What is kept of it for an Idempotency-Key, where that is less than is told.
    pub(super) kept_as: Option<Value>,
}

/// The body of an answer.
pub enum Payload {
    /// JSON.
    Json(Value),
    /// JSON as it was told before, to the byte.
    Kept(String),
    /// Our YAML form.
    Yaml(String),
    /// A page for people.
    Page(String),
    /// Nothing.
    Empty,
    /// Server-sent events of a run.
    Events(Box<EventSource>),
    /// Server-sent events that come from elsewhere, each as text.
    Live(BoxStream<'static, String>),
}

/// A stream of a run's events: some that are known at once, then those of the tail.
pub struct EventSource {
    /// Sent at once.
    pub first: Vec<Event>,
    /// What follows.
    pub tail: Tail,
}

impl EventSource {
    /// The next piece of the stream as text: an event, or a comment after a silence. `None` at the end.
    pub(super) async fn next_piece(&mut self) -> Option<String> {
        if !self.first.is_empty() {
            let text = self.first.drain(..).map(|event| as_text(&event)).collect();
            return Some(text);
        }
        match tokio::time::timeout(config::keep_alive(), self.tail.next()).await {
            Err(_) => Some(KEEP_ALIVE.to_owned()),
            Ok(Ok(Some(event))) => Some(as_text(&event)),
            Ok(Ok(None)) => None,
            Ok(Err(error)) => {
                // A stream must not end in an error: the caller resumes with Last-Event-ID.
                tracing::error!(error.code = %error.code, error.source = error.source_chain(), "a stream of events was cut");
                None
            }
        }
    }
}

/// A stream of texts, with a comment after each silence.
pub(super) async fn next_live(texts: &mut BoxStream<'static, String>) -> Option<String> {
    match tokio::time::timeout(config::keep_alive(), texts.next()).await {
        Ok(text) => text,
        Err(_) => Some(KEEP_ALIVE.to_owned()),
    }
}

const KEEP_ALIVE: &str = ": keep-alive\n\n";

/// `id:`, `event:`, one line of JSON.
pub fn as_text(event: &Event) -> String {
    format!("id: {}\nevent: {}\ndata: {}\n\n", event.seq, event.body.event, event.body.data)
}

impl Reply {
    /// JSON with a status.
    pub fn json(status: u16, value: Value) -> Self {
        Self::new(status, Payload::Json(value))
    }

    /// Any payload with a status.
    pub fn new(status: u16, payload: Payload) -> Self {
        Self { status, headers: Vec::new(), payload, kept_as: None }
    }

    /// A page of a list.
    pub fn list(data: Vec<Value>, next_cursor: Option<String>) -> Self {
        Self::json(
            200,
            serde_json::json!({"object": "list", "data": data, "has_more": next_cursor.is_some(), "next_cursor": next_cursor}),
        )
    }

    /// Adds fields beside those of a JSON object.
    #[must_use]
    pub fn with_fields(mut self, fields: Value) -> Self {
        if let (Payload::Json(Value::Object(object)), Value::Object(fields)) = (&mut self.payload, fields) {
            object.extend(fields);
        }
        self
    }

    /// Says what may be told again of it: secrets are told once.
    #[must_use]
    pub fn kept_as(mut self, value: Value) -> Self {
        self.kept_as = Some(value);
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Adds a header where the answer has none of that name.
    #[must_use]
    pub(super) fn with_default(self, name: &'static str, value: &str) -> Self {
        if self.headers.iter().any(|(known, _)| *known == name) {
            self
        } else {
            self.with_header(name, value)
        }
    }

    /// The body, where it is JSON; else null.
    #[cfg(test)]
    pub(super) fn json_body(&self) -> Value {
        if let Payload::Json(value) = &self.payload { value.clone() } else { Value::Null }
    }

    /// The body, where it is a page; else nothing.
    #[cfg(test)]
    pub(crate) fn page(&self) -> &str {
        if let Payload::Page(text) = &self.payload { text } else { "" }
    }

    pub(super) fn into_response(self, ending: Ending) -> http::Response<ReplyBody> {
        let (kind, body) = match self.payload {
            Payload::Json(value) => (Some("application/json"), ReplyBody::whole(value.to_string())),
            Payload::Kept(text) => (Some("application/json"), ReplyBody::whole(text)),
            Payload::Yaml(text) => (Some("application/yaml"), ReplyBody::whole(text)),
            Payload::Page(text) => (Some("text/html; charset=utf-8"), ReplyBody::whole(text)),
            Payload::Empty => (None, ReplyBody::whole(String::new())),
            Payload::Events(source) => (Some("text/event-stream"), ReplyBody::events(source, ending)),
            Payload::Live(texts) => (Some("text/event-stream"), ReplyBody::live(texts, ending)),
        };
        let mut response = http::Response::new(body);
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        if let Some(kind) = kind {
            headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static(kind));
            headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        response
    }
}
