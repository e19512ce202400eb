//! What every route shares: telemetry, request id, authentication, rate limit, parsing, encoding, one log line.

mod body;
mod call;
mod ending;
mod metrics;
mod once;
mod open;
mod paging;
mod reply;
pub mod telemetry;

use std::{convert::Infallible, future::Future};

use body::ReplyBody;
pub use call::{Call, Query};
use ending::Ending;
use lambda_http::{Request, RequestExt, service_fn};
use once::Claim;
pub use open::{OpenCall, open};
pub use paging::Paging;
use persona::{
    Error, Result,
    app::App,
    error::Code,
    id::RequestId,
    key::{ApiKey, Caller, WARNING_DAYS},
    store::{
        admission::{Allowance, Denied},
        idempotency::Once,
    },
};
pub use reply::{EventSource, Payload, Reply, as_text};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tracing::{Instrument, Span, field};

use crate::{Route, mcp, openai};

/// Serves one route until the process ends.
pub async fn route<B, H, F>(route: &'static Route, handle: H) -> std::result::Result<(), lambda_http::Error>
where
    B: DeserializeOwned + Send,
    H: Fn(App, Call<B>) -> F + Sync,
    F: Future<Output = Result<Reply>> + Send,
{
    telemetry::install(route.bin);
    let app = App::default();
    let (app, handle) = (&app, &handle);
    let answer = service_fn(move |request: Request| async move {
        Ok::<_, Infallible>(Box::pin(respond(app, route, handle, request)).await)
    });
    if route.streaming {
        lambda_http::run_with_streaming_response(answer).await
    } else {
        let buffered = service_fn(move |request: Request| async move {
            Ok::<_, Infallible>(
                Box::pin(respond(app, route, handle, request)).await.map(ReplyBody::into_buffered),
            )
        });
        lambda_http::run(buffered).await
    }
}

/// What is known of a call before its answer is made; goes into headers.
struct Context {
    request_id: RequestId,
    caller_request_id: Option<String>,
    allowance: Option<Allowance>,
    caller: Option<Caller>,
}

async fn respond<B, H, F>(
    app: &App,
    route: &'static Route,
    handle: &H,
    request: Request,
) -> http::Response<ReplyBody>
where
    B: DeserializeOwned + Send,
    H: Fn(App, Call<B>) -> F + Sync,
    F: Future<Output = Result<Reply>> + Send,
{
    telemetry::invocation_begins();
    let mut context = Context {
        request_id: RequestId::new(),
        caller_request_id: call::caller_request_id(request.headers()),
        allowance: None,
        caller: None,
    };
    // At the level of errors, so that no filter takes the ids from a line.
    let span = tracing::error_span!(
        "call",
        request_id = %context.request_id,
        client_request_id = context.caller_request_id,
        workspace_id = field::Empty,
        run_id = field::Empty,
    );
    let answering = async {
        let mut ending = Ending::begin(route.endpoint());
        let answered = match prepare(app, route, &mut context, request).await {
            Ok((call, once)) => Box::pin(made_once(app, route, handle, &context, call, once)).await,
            Err(error) => Err(error),
        };
        let reply = answered.unwrap_or_else(|error| {
            ending.failed(&error);
            refusal(route.path, &context, &error)
        });
        finish(route.path, &context, ending, reply)
    };
    answering.instrument(span).await
}

/// Makes the call, or answers as its first try was answered.
async fn made_once<B, H, F>(
    app: &App,
    route: &'static Route,
    handle: &H,
    context: &Context,
    mut call: Call<B>,
    once: Option<Once>,
) -> Result<Reply>
where
    B: DeserializeOwned + Send,
    H: Fn(App, Call<B>) -> F + Sync,
    F: Future<Output = Result<Reply>> + Send,
{
    match once::claim(app, route, &mut call, once).await? {
        Claim::None => handle(app.clone(), call).await,
        Claim::Answered(reply) => Ok(reply),
        Claim::Mine(claimed) => {
            let answered = handle(app.clone(), call).await;
            claimed.settle(answered, |error| refusal(route.path, context, error)).await
        }
    }
}

async fn prepare<B: DeserializeOwned>(
    app: &App,
    route: &'static Route,
    context: &mut Context,
    request: Request,
) -> Result<(Call<B>, Option<Once>)> {
    let key = bearer(request.headers())?;
    let admitted = app.store().await.admit(&key, app.clock().now()).await;
    let (caller, allowance) = admitted.map_err(|denied| match denied {
        Denied::Key(error) => error,
        Denied::Empty(allowance, error) => {
            context.allowance = Some(allowance);
            error
        }
    })?;
    context.allowance = Some(allowance);
    context.caller = Some(caller.clone());
    Span::current().record("workspace_id", field::display(caller.workspace()));
    named_workspace(request.headers(), &caller)?;
    caller.require(route.scope)?;
    api_version(request.headers())?;
    call::sized(route, &request)?;
    let call = Call::parse(route, caller, context.request_id, &request)?;
    Ok((call, once::named(route, &request)?))
}

fn bearer(headers: &http::HeaderMap) -> Result<ApiKey> {
    let refused = |message: &str| Error::new(Code::InvalidKey, message);
    let Some(value) = headers.get(http::header::AUTHORIZATION) else {
        return Err(refused("No API key. Send Authorization: Bearer pk_live_… or pk_test_…."));
    };
    let text = value.to_str().map_err(|_| refused("The Authorization header is not ASCII."))?;
    let (scheme, key) = text.split_once(' ').unwrap_or(("", text));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(refused("The Authorization header is not of the form \"Bearer <key>\"."));
    }
    key.trim().parse().map_err(|_| {
        refused("The API key is malformed: its prefix, length or checksum is wrong. Check that it was copied whole.")
    })
}

/// `Persona-Workspace` names the workspace explicitly; another one than the key's is 401.
fn named_workspace(headers: &http::HeaderMap, caller: &Caller) -> Result<()> {
    match headers.get("persona-workspace").map(|value| value.to_str().unwrap_or_default()) {
        None => Ok(()),
        Some(named) if named == caller.workspace().to_string() => Ok(()),
        Some(_) => Err(Error::new(
            Code::InvalidKey,
            "The key does not belong to the workspace that Persona-Workspace names. Use a key of that workspace; live keys cannot be used against test workspaces, and vice versa.",
        )),
    }
}

fn api_version(headers: &http::HeaderMap) -> Result<()> {
    match headers.get("persona-version").map(|value| value.to_str().unwrap_or_default()) {
        None | Some(persona::API_VERSION) => Ok(()),
        Some(other) => Err(Error::invalid(
            "Persona-Version",
            format!(
                "There is no API version \"{}\". Use {}, or leave the header out.",
                other.chars().take(40).collect::<String>(),
                persona::API_VERSION
            ),
        )),
    }
}

/// The body of a failure, in the form of those who call this path.
pub(crate) fn told(path: &str, error: &Error, request_id: &str) -> Value {
    match path {
        _ if openai::has(path) => error.openai(),
        _ if mcp::has(path) => mcp::refusal(error, request_id),
        _ => error.envelope(Some(request_id)),
    }
}

/// The answer of a failure.
fn refusal(path: &str, context: &Context, error: &Error) -> Reply {
    let mut reply = Reply::json(error.code.status(), told(path, error, &context.request_id.to_string()));
    if let Some(seconds) = error.retry_after {
        reply = reply.with_header("retry-after", seconds.to_string());
    }
    reply
}

fn finish(path: &str, context: &Context, mut ending: Ending, mut reply: Reply) -> http::Response<ReplyBody> {
    let request_id = context.request_id.to_string();
    reply = reply.with_header("persona-request-id", request_id.clone());
    // Clients of OpenAI look for the request's id where others find their own again.
    if let Some(echo) = context.caller_request_id.clone().or(openai::has(path).then_some(request_id)) {
        reply = reply.with_header("x-request-id", echo);
    }
    if let Some(allowance) = context.allowance {
        reply = reply
            .with_header("ratelimit-limit", allowance.limit.to_string())
            .with_header("ratelimit-remaining", allowance.remaining.to_string())
            .with_header("ratelimit-reset", allowance.reset_seconds.to_string());
    }
    if let Some(expires) = context.caller.as_ref().and_then(expiring) {
        reply = reply.with_header("persona-key-expires", expires);
    }
    reply = reply.with_header("access-control-allow-origin", "*").with_header(
        "access-control-expose-headers",
        "Persona-Request-Id, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, Retry-After, ETag, Location, Idempotent-Replayed",
    );
    ending.answered(reply.status);
    let requests = ending.store_requests();
    reply.with_header("server-timing", format!("store;desc=\"{requests} requests\"")).into_response(ending)
}

/// When the key ends, from 14 days before.
fn expiring(caller: &Caller) -> Option<String> {
    use persona::clock::{Clock, SystemClock, days, timestamp};
    let left = caller.expires_at_millis - SystemClock.epoch_millis();
    let soon = left < days(WARNING_DAYS).as_millis() as i64;
    soon.then(|| timestamp(SystemClock.now() + std::time::Duration::from_millis(left.max(0) as u64)))
}

/// The trace of this invocation, as X-Ray names it.
pub(crate) fn trace_id(request: &Request) -> Option<String> {
    let context = request.lambda_context_ref()?;
    let header = context.xray_trace_id.as_deref()?;
    header.split(';').find_map(|part| part.trim().strip_prefix("Root=")).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> Context {
        Context { request_id: RequestId::new(), caller_request_id: None, allowance: None, caller: None }
    }

    #[test]
    fn clients_of_openai_are_told_in_openais_form() {
        let error = Error::new(Code::InvalidKey, "No API key.");
        let body = refusal("/v1/openai/models", &context(), &error).json_body();
        assert_eq!(body["error"]["code"], "invalid_api_key");
        assert!(body["error"].get("doc_url").is_none(), "{body}");
    }

    #[test]
    fn a_fault_of_ours_tells_the_caller_its_request_id_and_nothing_of_its_cause() {
        let context = context();
        let reply = refusal("/v1/runs", &context, &Error::internal("the table persona-runs is gone"));
        let body = reply.json_body();
        assert_eq!((reply.status, &body["error"]["code"]), (500, &"internal.error".into()));
        assert_eq!(body["error"]["request_id"], context.request_id.to_string());
        assert!(!body.to_string().contains("table"), "{body}");
    }
}
