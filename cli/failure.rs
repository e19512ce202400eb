//! What can go wrong: its class, which is the exit code; one message; and the next step.

use std::{fmt, io, path::Path, time::Duration};

use reqwest::{StatusCode, header::HeaderMap};
use serde_json::{Value, json};

/// Classes of failures. The number is the process's exit code; docs/CLI.md lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// A bug, here or in the service.
    Internal = 1,
    /// The command line, or a file that it names.
    Usage = 2,
    /// What was asked is malformed, or not there.
    InvalidRequest = 3,
    /// No key, or one that does not do.
    Authentication = 4,
    /// A budget or a plan.
    Billing = 5,
    /// The moderation policy.
    Moderation = 6,
    /// What is there is not what was expected.
    Conflict = 7,
    /// Layers that contradict each other.
    Consistency = 8,
    /// Too many requests.
    RateLimit = 9,
    /// Every model provider failed.
    Provider = 10,
    /// The service was not reached, or the connection broke.
    Network = 11,
    /// The run was cancelled.
    Cancelled = 12,
    /// Ctrl-C.
    Interrupted = 130,
}

impl Class {
    fn named(kind: &str) -> Self {
        match kind {
            "invalid_request" => Self::InvalidRequest,
            "authentication" => Self::Authentication,
            "billing" => Self::Billing,
            "moderation" => Self::Moderation,
            "conflict" => Self::Conflict,
            "consistency" => Self::Consistency,
            "rate_limit" => Self::RateLimit,
            "provider" => Self::Provider,
            _ => Self::Internal,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Internal => "internal",
            Self::Usage => "usage",
            Self::InvalidRequest => "invalid_request",
            Self::Authentication => "authentication",
            Self::Billing => "billing",
            Self::Moderation => "moderation",
            Self::Conflict => "conflict",
            Self::Consistency => "consistency",
            Self::RateLimit => "rate_limit",
            Self::Provider => "provider",
            Self::Network => "network",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
        }
    }
}

/// Whether the same call may succeed when it is sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    /// It would fail the same way.
    No,
    /// The service did nothing yet: sending again is safe, after this pause where one is named.
    Safe(Option<Duration>),
    /// Nobody knows what the service did: only a call that may happen twice can be sent again.
    Unknown,
}

/// Why a command ends without having done what it was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Its class.
    pub class: Class,
    /// What happened, with the value that caused it.
    pub message: String,
    /// More lines that belong to it, such as a diff.
    pub details: Vec<String>,
    /// The next step, if there is one.
    pub hints: Vec<String>,
    /// Whether to send the call again.
    pub again: Again,
    /// The API's code, such as `request.precondition_failed`.
    pub code: Option<String>,
    /// The whole envelope, where the service sent one.
    envelope: Option<Value>,
    /// Where all has been said, the exit code.
    silent: Option<u8>,
}

impl Failure {
    /// A failure of this class.
    pub(crate) fn new(class: Class, message: impl Into<String>) -> Self {
        Self {
            class,
            message: message.into(),
            details: Vec::new(),
            hints: Vec::new(),
            again: Again::No,
            code: None,
            envelope: None,
            silent: None,
        }
    }

    /// Something wrong with the command line or what it names.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Class::Usage, message)
    }

    /// A bug.
    pub(crate) fn internal(cause: impl fmt::Display) -> Self {
        Self::new(Class::Internal, format!("This should not have happened: {cause}."))
    }

    /// Ctrl-C; `unfinished` says what goes on without us.
    pub(crate) fn interrupted(unfinished: Option<String>) -> Self {
        let mut failure = Self::new(Class::Interrupted, "Interrupted.");
        if let Some(run) = unfinished {
            failure.message = format!("Interrupted; {run} goes on without this terminal.");
            failure.hints.push(format!("follow it: persona runs tail {run}"));
            failure.hints.push(format!("stop it: persona runs cancel {run}"));
        }
        failure
    }

    /// A file that cannot be read or written.
    pub(crate) fn file(path: &Path, what: &str, error: &io::Error) -> Self {
        Self::usage(format!("{} cannot be {what}: {}.", path.display(), plain(error)))
    }

    /// What is printed cannot be: quietly so where the reader has left.
    pub(crate) fn output(error: &io::Error) -> Self {
        let silent = (error.kind() == io::ErrorKind::BrokenPipe).then_some(0);
        Self { silent, ..Self::new(Class::Internal, format!("Output cannot be written: {}.", plain(error))) }
    }

    /// The service was not reached, or the connection broke.
    pub(crate) fn network(error: &reqwest::Error, base: &str) -> Self {
        let why = innermost(error);
        let (message, again) = if error.is_connect() {
            (format!("{base} cannot be reached: {why}."), Again::Safe(None))
        } else if error.is_timeout() {
            (format!("{base} did not answer in time."), Again::Unknown)
        } else if error.is_builder() {
            return Self::internal(why);
        } else {
            (format!("The connection to {base} broke: {why}."), Again::Unknown)
        };
        Self { again, ..Self::new(Class::Network, message) }
            .hint("check the network, or name another address with --base-url")
    }

    /// The service took the call, and says nothing.
    pub(crate) fn silent_service(base: &str) -> Self {
        Self { again: Again::Unknown, ..Self::new(Class::Network, format!("{base} did not answer in time.")) }
    }

    /// What the service answered, where that is a refusal.
    pub(crate) fn answered(status: StatusCode, headers: &HeaderMap, body: &str) -> Self {
        let pause = headers.get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        let envelope: Option<Value> =
            serde_json::from_str(body).ok().filter(|body: &Value| body["error"].is_object());
        let Some(envelope) = envelope else {
            let again = if status.is_server_error() { Again::Unknown } else { Again::No };
            let class = if status.is_server_error() { Class::Network } else { Class::Internal };
            let message = format!("The answer is {status}, and not the API's. Is the base URL right?");
            return Self { again, ..Self::new(class, message) };
        };
        let mut failure = Self::of_envelope(envelope);
        failure.again = match (status.as_u16(), failure.code.as_deref()) {
            (429, _) | (409, Some("idempotency.in_progress")) => {
                Again::Safe(Some(Duration::from_secs(pause.unwrap_or(1))))
            }
            (500, _) => Again::Unknown,
            _ => Again::No,
        };
        failure
    }

    /// The failure that an envelope tells of, as an answer or as the end of a stream.
    pub(crate) fn of_envelope(envelope: Value) -> Self {
        let error = &envelope["error"];
        let text = |key: &str| error[key].as_str().unwrap_or_default();
        let code = text("code").to_owned();
        let mut failure = Self::new(Class::named(text("type")), text("message"));
        let details = error["details"].as_array().into_iter().flatten();
        failure.details = details
            .map(|detail| {
                let text = |key: &str| detail[key].as_str().unwrap_or_default();
                format!("  {}  {}", text("pointer"), text("message"))
            })
            // A single problem is the message itself.
            .filter(|line| !line.ends_with(&failure.message))
            .collect();
        if let Some(hint) = hint_of(&code) {
            failure.hints.push(hint.to_owned());
        }
        if let Some(run) = error["run_id"].as_str() {
            failure.hints.push(format!("the run: persona runs get {run}"));
        }
        if failure.class == Class::Internal {
            failure.hints.push(format!("quote {} when you report it", text("request_id")));
        }
        failure.code = Some(code);
        failure.envelope = Some(envelope);
        failure
    }

    /// Nobody knows whether what was asked has happened.
    pub(crate) fn maybe_done(self) -> Self {
        Self { again: Again::Unknown, ..self }
    }

    /// With one more next step.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// With lines that belong to it.
    pub(crate) fn with_details(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.details.extend(lines);
        self
    }

    /// Something differs, as its output says.
    pub(crate) fn differs() -> Self {
        Self { silent: Some(1), ..Self::new(Class::Internal, "Something differs.") }
    }

    /// The exit code of an end without a word: whoever read the output had enough of it, or knows all.
    pub(crate) fn silent(&self) -> Option<u8> {
        self.silent
    }

    /// The same failure in other words.
    pub(crate) fn retold(mut self, message: String) -> Self {
        if let Some(envelope) = &mut self.envelope {
            envelope["error"]["message"] = json!(message);
        }
        Self { message, details: Vec::new(), hints: Vec::new(), ..self }
    }

    /// The envelope, as the API would have sent it.
    pub(crate) fn to_json(&self) -> Value {
        let mut envelope = self.envelope.clone().unwrap_or_else(|| {
            json!({"error": {"code": format!("cli.{}", self.class.name()), "message": self.message, "type": self.class.name()}})
        });
        envelope["error"]["hints"] = json!(self.hints);
        envelope
    }
}

/// What to type next, by the API's code.
fn hint_of(code: &str) -> Option<&'static str> {
    Some(match code {
        "auth.invalid_key" => {
            "sign in again: persona auth login (persona auth status shows what is used now)"
        }
        "auth.insufficient_scope" => {
            "sign in with more: persona auth login --scope admin, or use another --profile"
        }
        "plan.upgrade_required" => "persona workspace shows the plan",
        "billing.workspace_budget_exceeded" => "persona usage shows what was spent",
        "persona.cost_budget_exceeded" => "raise it with --budget-usd, or choose --pipeline fast",
        "persona.slug_taken" => "choose another one with --slug",
        "resource.not_found" => "persona auth status shows which workspace is asked",
        "schema.field_in_use" => "remove the field's values from the personas first",
        _ => return None,
    })
}

/// The cause that says most: errors of connections wrap one another.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.downcast_ref::<io::Error>().map_or_else(|| cause.to_string(), plain)
}

/// An error of the system without its number.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_of_error_has_its_class() {
        let kinds = crate::published("Error")["error"]["properties"]["type"]["enum"].clone();
        let kinds: Vec<&str> = kinds.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        assert!(kinds.len() > 5 && kinds.iter().all(|kind| Class::named(kind).name() == *kind), "{kinds:?}");
    }
}
