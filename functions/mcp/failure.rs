//! Failures as messages: a JSON-RPC error with the envelope of every other route under `data`; and, where a tool was called
//! and its caller can do something about it, a result that says so.

use persona::{Error, error::Code};
use rmcp::{
    ErrorData,
    model::{CallToolResult, ContentBlock, ErrorCode, JsonRpcError, RequestId},
};
use serde_json::{Value, json};

/// JSON-RPC leaves these to servers: what is none of the protocol's own failures.
const REFUSED: ErrorCode = ErrorCode(-32_000);

/// What `serve` refuses before a message is read. What concerns the key or the service keeps the envelope, as on any route;
/// what concerns the message is told as a message.
pub(crate) fn refusal(error: &Error, request_id: &str) -> Value {
    match error.code.status() {
        400 | 406 | 413 | 415 => message(None, with_code(ErrorCode::INVALID_REQUEST, error, request_id)),
        _ => error.envelope(Some(request_id)),
    }
}

/// The error of a method that could not be answered. A fault of ours is logged here, once.
pub(super) fn told(error: &Error, request_id: &str) -> ErrorData {
    if error.code == Code::Internal {
        tracing::error!(error.code = %error.code, error.source = error.source_chain(), "a message was not answered");
    }
    let code = match error.code {
        Code::RequestInvalid | Code::NotFound => ErrorCode::INVALID_PARAMS,
        Code::Internal => ErrorCode::INTERNAL_ERROR,
        _ => REFUSED,
    };
    with_code(code, error, request_id)
}

/// The same with a code of one's own.
pub(super) fn with_code(code: ErrorCode, error: &Error, request_id: &str) -> ErrorData {
    ErrorData::new(code, error.message.clone(), Some(error.envelope(Some(request_id))))
}

/// The result of a tool that was called in vain, for the model to read: what is wrong and what to do, with the envelope.
pub(super) fn of_tool(error: &Error, request_id: &str) -> CallToolResult {
    let others = error.details.iter().filter(|detail| detail.message != error.message);
    let lines = [format!("{}: {}", error.code, error.message)]
        .into_iter()
        .chain(others.map(|detail| format!("{}: {}", detail.pointer, detail.message)))
        .chain(error.retry_after.map(|seconds| format!("Try again in {seconds} s.")));
    let mut result = CallToolResult::structured_error(error.envelope(Some(request_id)));
    result.content = vec![ContentBlock::text(lines.collect::<Vec<_>>().join("\n"))];
    result
}

/// A whole message.
pub(super) fn message(id: Option<RequestId>, error: ErrorData) -> Value {
    json!(JsonRpcError::new(id, error))
}

/// Puts the envelope into an error that `rmcp` made by itself.
pub(super) fn enveloped(message: &mut Value, request_id: &str) {
    let Some(error) = message.get_mut("error").filter(|error| error["data"]["error"].is_null()) else {
        return;
    };
    let told = error["message"].as_str().unwrap_or_default().to_owned();
    let ours = error["code"] == ErrorCode::INTERNAL_ERROR.0;
    let failure = if ours { Error::internal(told) } else { Error::new(Code::RequestInvalid, told) };
    tracing::info!(error.code = %failure.code, error.source = failure.source_chain(), "a message was refused");
    error["message"] = failure.message.as_str().into();
    let envelope = failure.envelope(Some(request_id));
    match error["data"].as_object_mut() {
        // What the protocol itself says there, such as the revisions that are supported.
        Some(data) => data.extend(envelope.as_object().cloned().unwrap_or_default()),
        None => error["data"] = envelope,
    }
}
