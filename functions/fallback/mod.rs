//! What no route answers: CORS preflights, wrong methods (405) and unknown paths (404), without authentication.

use std::convert::Infallible;

use lambda_http::{Body, Request, RequestExt, Response, service_fn};
use persona::{Error, error::Code, id::RequestId};

use crate::{
    OPEN_ROUTES, Worker, endpoints,
    serve::{telemetry, told},
};

/// The function.
pub const WORKER: Worker =
    Worker { bin: "fallback", summary: "Answers what no route does: preflights, 404, 405.", settings: &[] };

/// Serves until the process ends.
pub async fn run() -> Result<(), lambda_http::Error> {
    telemetry::install(WORKER.bin);
    lambda_http::run(service_fn(|request: Request| async move { Ok::<_, Infallible>(answer(&request)) }))
        .await
}

fn answer(request: &Request) -> Response<Body> {
    telemetry::invocation_begins();
    let raw = request.raw_http_path();
    let path = if raw.is_empty() { request.uri().path() } else { raw };
    let at = path.find("/v1").unwrap_or(0);
    let methods: Vec<&str> =
        endpoints().filter(|route| is_of(route.path, &path[at..])).map(|route| route.method).collect();
    let request_id = RequestId::new().to_string();
    let mut response = Response::builder().header("persona-request-id", &request_id);
    // Where people sign in, no other origin has anything to ask.
    let is_shared = !OPEN_ROUTES.iter().any(|route| is_of(route.path, &path[at..]));
    if is_shared {
        response = response.header("access-control-allow-origin", "*");
    }
    if request.method() == http::Method::OPTIONS && is_shared && !methods.is_empty() {
        response = response
            .status(204)
            .header("access-control-allow-methods", methods.join(", "))
            .header("access-control-allow-headers", "Authorization, Content-Type, Accept, Prefer, Idempotency-Key, If-Match, Last-Event-ID, Persona-Version, Persona-Workspace, X-Request-Id, X-Persona-Conversation-Id, *")
            .header("access-control-max-age", "86400");
        tracing::info!(request_id, http.method = "OPTIONS", http.status = 204, "a preflight was answered");
        return response.body(Body::Empty).unwrap_or_default();
    }
    let error = if methods.is_empty() {
        let shown: String = path.chars().take(120).collect();
        Error::new(Code::NotFound, format!("There is no route {shown}. See https://docs.persona.dev."))
    } else {
        response = response.header("allow", methods.join(", "));
        Error::new(
            Code::MethodNotAllowed,
            format!("{} is not answered here. Use {}.", request.method(), methods.join(" or ")),
        )
    };
    let status = error.code.status();
    tracing::info!(request_id, http.status = status, error.code = %error.code, "no route answers");
    response
        .status(status)
        .header("content-type", "application/json")
        .body(Body::Text(told(&path[at..], &error, &request_id).to_string()))
        .unwrap_or_default()
}

fn is_of(pattern: &str, path: &str) -> bool {
    let path = path.trim_end_matches('/');
    pattern.split('/').count() == path.split('/').count()
        && pattern
            .split('/')
            .zip(path.split('/'))
            .all(|(wanted, found)| wanted.starts_with('{') || wanted == found)
}
