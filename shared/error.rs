//! The only table of errors. HTTP-agnostic in spirit: a status is a number of the public contract, not a type
//! of a framework. The public message is apart from the source, which is logged and never sent.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Where the errors page is published; `doc_url` adds the part of the code after the dot.
pub const ERRORS_PAGE: &str = "https://docs.persona.dev/errors";

/// A result whose failure a caller may be shown.
pub type Result<T, E = Error> = std::result::Result<T, E>;

macro_rules! codes {
    ($($variant:ident = $status:literal $code:literal $kind:literal $retryable:literal $doc:literal;)*) => {
        /// Every way a call can fail. Status, type and meaning come with the code.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code { $(#[doc = $doc] $variant,)* }

        impl Code {
            /// The whole table, in the order of the contract.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The code as callers see it, such as `request.invalid`.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $code,)* }
            }
            /// The HTTP status.
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }
            /// The envelope's `type`.
            pub const fn kind(self) -> &'static str {
                match self { $(Self::$variant => $kind,)* }
            }
            /// Whether the same call may succeed later, unchanged.
            pub const fn retryable(self) -> bool {
                match self { $(Self::$variant => $retryable,)* }
            }
            /// One sentence: when it happens.
            pub const fn when(self) -> &'static str {
                match self { $(Self::$variant => $doc,)* }
            }
        }
    };
}

codes! {
    RequestInvalid = 400 "request.invalid" "invalid_request" false "The body, a query value or a header is malformed, unknown, or does not match its schema.";
    InvalidKey = 401 "auth.invalid_key" "authentication" false "The key is missing, malformed, unknown, revoked or expired, or of the other mode.";
    CostBudgetExceeded = 402 "persona.cost_budget_exceeded" "billing" false "The run hit its hard budget cap.";
    WorkspaceBudgetExceeded = 402 "billing.workspace_budget_exceeded" "billing" false "The workspace's monthly cap is used up.";
    IntentBlocked = 403 "moderation.intent_blocked" "moderation" false "The intent, or a message, is blocked by the moderation policy.";
    InsufficientScope = 403 "auth.insufficient_scope" "authentication" false "The key's scopes do not cover the route.";
    OriginNotAllowed = 403 "request.origin_not_allowed" "invalid_request" false "A web page of another origin, or under another host name, may not call the MCP server.";
    UpgradeRequired = 403 "plan.upgrade_required" "billing" false "The feature belongs to a higher plan.";
    NotFound = 404 "resource.not_found" "invalid_request" false "The resource is unknown, deleted, or another workspace's.";
    MethodNotAllowed = 405 "request.method_not_allowed" "invalid_request" false "The path exists, the method does not.";
    NotAcceptable = 406 "request.not_acceptable" "invalid_request" false "The route has no form that the Accept header allows.";
    SlugTaken = 409 "persona.slug_taken" "conflict" false "Another persona of the workspace has the slug.";
    IdempotencyKeyReused = 409 "idempotency.key_reused" "conflict" false "The Idempotency-Key came before with another body.";
    IdempotencyInProgress = 409 "idempotency.in_progress" "conflict" true "The first request with this Idempotency-Key is still running.";
    RunNotCancellable = 409 "run.not_cancellable" "conflict" false "The run has ended already.";
    RunNotReplayable = 409 "run.not_replayable" "conflict" false "The run has not ended yet, or its recordings have aged out.";
    ConversationBusy = 409 "conversation.busy" "conflict" true "Another turn of the conversation is in flight.";
    FieldInUse = 409 "schema.field_in_use" "conflict" false "Personas still use the custom field.";
    PreconditionFailed = 412 "request.precondition_failed" "conflict" false "If-Match names an older version, or the persona was edited while it was edited or refined.";
    PayloadTooLarge = 413 "request.payload_too_large" "invalid_request" false "The body is over 256 KiB, or the persona would be over 300 KB.";
    UnsupportedMediaType = 415 "request.unsupported_media_type" "invalid_request" false "The body is of a media type that the route does not read.";
    SchemaViolation = 422 "persona.schema_violation" "consistency" false "The cross-layer consistency check failed; each violation stands in details.";
    RateLimitExceeded = 429 "rate_limit.exceeded" "rate_limit" true "Too many requests; Retry-After says when to try again.";
    Internal = 500 "internal.error" "internal" true "A fault of the service; nothing about it is the caller's.";
    ProviderUnavailable = 503 "provider.unavailable" "provider" true "The model provider failed, and so did every fallback.";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::ALL
            .iter()
            .copied()
            .find(|code| code.as_str() == text)
            .ok_or_else(|| serde::de::Error::custom("unknown error code"))
    }
}

/// One problem, where it is and what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detail {
    /// JSON Pointer (RFC 6901) into the body or the document; `""` is the whole.
    pub pointer: String,
    /// What is wrong there, quoting the value.
    pub message: String,
}

impl Detail {
    /// A problem at `pointer`.
    pub fn new(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), message: message.into() }
    }
}

/// A failure with what the caller may read and, apart from it, what only the log may.
#[derive(Debug)]
pub struct Error {
    /// Which row of the table.
    pub code: Code,
    /// What happened, the value that caused it, and what to do.
    pub message: String,
    /// The field, query value or header at fault.
    pub param: Option<String>,
    /// Every problem, where there may be several.
    pub details: Vec<Detail>,
    /// The run that failed, whenever one exists. Text, because errors are stored and replayed.
    pub run_id: Option<String>,
    /// Whole seconds until a retry makes sense.
    pub retry_after: Option<u32>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The stored form: what a run remembers of its failure. Nothing internal is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredError {
    /// Which row of the table.
    pub code: Code,
    /// The public message.
    pub message: String,
    /// The field at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub param: Option<String>,
    /// Every problem.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<Detail>,
}

impl Error {
    /// A failure with a public message.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            param: None,
            details: Vec::new(),
            run_id: None,
            retry_after: None,
            source: None,
        }
    }

    /// `request.invalid` about one parameter.
    pub fn invalid(param: impl Into<String>, message: impl Into<String>) -> Self {
        let (param, message) = (param.into(), message.into());
        let pointer = format!("/{}", param.replace('.', "/"));
        Self::new(Code::RequestInvalid, message.clone())
            .with_param(param)
            .with_details(vec![Detail::new(pointer, message)])
    }

    /// `request.invalid` with every problem at once; nothing wrong when there is none.
    pub fn invalid_all(problems: Vec<Detail>) -> Result<()> {
        let Some(first) = problems.first() else { return Ok(()) };
        let param = first.pointer.trim_start_matches('/').replace('/', ".");
        Err(Self::new(Code::RequestInvalid, first.message.clone()).with_param(param).with_details(problems))
    }

    /// `resource.not_found`; the same text whether unknown, deleted, or another workspace's.
    pub fn not_found(what: &str, id: &str) -> Self {
        let shown: String = id.chars().take(80).collect();
        Self::new(
            Code::NotFound,
            format!(
                "No {what} \"{shown}\" in this workspace. Check the id, and that the key belongs to the right workspace."
            ),
        )
    }

    /// `internal.error`; the source is logged, never sent.
    pub fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::new(
            Code::Internal,
            "Something failed on our side. Retry; if it persists, write to support with the request id.",
        )
        .with_source(source)
    }

    /// Adds what only the log may show.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Names the field, query value or header at fault.
    #[must_use]
    pub fn with_param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// Adds every problem found.
    #[must_use]
    pub fn with_details(mut self, details: Vec<Detail>) -> Self {
        self.details = details;
        self
    }

    /// Names the run that failed.
    #[must_use]
    pub fn with_run(mut self, run_id: impl fmt::Display) -> Self {
        self.run_id = Some(run_id.to_string());
        self
    }

    /// Says when a retry makes sense, in whole seconds.
    #[must_use]
    pub fn with_retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }

    /// What only the log may show, outermost cause first.
    pub fn source_chain(&self) -> Option<String> {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = self.source.as_deref().map(|s| s as _);
        let mut text = String::new();
        while let Some(error) = cause {
            if !text.is_empty() {
                text.push_str(": ");
            }
            match error.downcast_ref::<serde_json::Error>() {
                Some(misread) => text.push_str(&without_quotation(&misread.to_string())),
                None => text.push_str(&error.to_string()),
            }
            cause = error.source();
        }
        (!text.is_empty()).then_some(text)
    }

    /// The envelope of section 3 of the contract.
    pub fn envelope(&self, request_id: Option<&str>) -> Value {
        let (_, tail) = self.code.as_str().split_once('.').unwrap_or_default();
        let mut error = json!({
            "code": self.code.as_str(),
            "message": self.message,
            "type": self.code.kind(),
            "doc_url": format!("{ERRORS_PAGE}#{tail}"),
        });
        if let Some(request_id) = request_id {
            error["request_id"] = request_id.into();
        }
        if let Some(run_id) = &self.run_id {
            error["run_id"] = run_id.as_str().into();
        }
        if let Some(param) = &self.param {
            error["param"] = param.as_str().into();
        }
        if !self.details.is_empty() {
            error["details"] = json!(self.details);
        }
        json!({ "error": error })
    }

    /// The same in the shape that OpenAI's clients read, for `/v1/openai`. Two codes have names of their own there,
    /// because clients look for them.
    pub fn openai(&self) -> Value {
        let code = match self.code {
            Code::InvalidKey => "invalid_api_key",
            Code::NotFound if self.param.as_deref() == Some("model") => "model_not_found",
            other => other.as_str(),
        };
        let kind = match self.code.status() {
            402 => "insufficient_quota",
            429 => "rate_limit_error",
            500.. => "server_error",
            _ => "invalid_request_error",
        };
        json!({"error": {"message": self.message, "type": kind, "param": self.param, "code": code}})
    }

    /// What a run remembers.
    pub fn to_stored(&self) -> StoredError {
        StoredError {
            code: self.code,
            message: self.message.clone(),
            param: self.param.clone(),
            details: self.details.clone(),
        }
    }
}

impl From<StoredError> for Error {
    fn from(stored: StoredError) -> Self {
        let mut error = Self::new(stored.code, stored.message).with_details(stored.details);
        error.param = stored.param;
        error
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|s| s as _)
    }
}

/// What the reader of JSON complains of, without the text that it read: that may be a prompt or a completion.
fn without_quotation(complaint: &str) -> String {
    match (complaint.find('"'), complaint.rfind('"')) {
        (Some(first), Some(last)) if first < last => {
            format!("{}\"…\"{}", &complaint[..first], &complaint[last + 1..])
        }
        _ => complaint.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_of_misread_json_quotes_nothing_of_it() {
        let misread =
            serde_json::from_value::<u32>(json!("She longs \"to be seen\".")).map_err(Error::internal);
        let source = misread.err().and_then(|error| error.source_chain());
        assert_eq!(source.as_deref(), Some("invalid type: string \"…\", expected u32"));
    }

    #[test]
    fn the_envelope_reads_as_on_the_users_page() {
        let error = Error::new(Code::CostBudgetExceeded, "Run aborted: $1.20 exceeds budget $1.00.")
            .with_run("run_a8K2zB");
        assert_eq!(
            error.envelope(Some("req_8f3c2e1a9b")),
            json!({"error": {
                "code": "persona.cost_budget_exceeded",
                "message": "Run aborted: $1.20 exceeds budget $1.00.",
                "type": "billing",
                "doc_url": "https://docs.persona.dev/errors#cost_budget_exceeded",
                "request_id": "req_8f3c2e1a9b",
                "run_id": "run_a8K2zB"
            }})
        );
    }

    #[test]
    fn openai_clients_are_told_in_their_own_shape() {
        let unknown = Error::not_found("persona", "ada").with_param("model");
        let told = unknown.openai();
        assert_eq!(
            (&told["error"]["code"], &told["error"]["param"]),
            (&"model_not_found".into(), &"model".into())
        );
        assert_eq!(told["error"]["type"], "invalid_request_error");
        let key = Error::new(Code::InvalidKey, "No API key.").openai();
        assert_eq!(
            key["error"],
            json!({
                "message": "No API key.", "type": "invalid_request_error", "param": null, "code": "invalid_api_key",
            })
        );
        assert_eq!(
            Error::not_found("conversation", "conv_x").openai()["error"]["code"],
            "resource.not_found"
        );
        assert_eq!(Error::new(Code::RateLimitExceeded, "").openai()["error"]["type"], "rate_limit_error");
    }

    #[test]
    fn every_code_has_its_entry_on_the_errors_page() {
        let page = include_str!("../docs/errors.md");
        for code in Code::ALL {
            let (_, tail) = code.as_str().split_once('.').unwrap_or_default();
            assert!(page.contains(&format!("<a id=\"{tail}\"></a>")), "no entry for {code}");
            assert!(page.contains(&format!("{} `{code}`", code.status())), "no status for {code}");
        }
    }
}
