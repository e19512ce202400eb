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
    let within = behind_stage(path);
    let methods: Vec<&str> =
        endpoints().filter(|route| is_of(route.path, within)).map(|route| route.method).collect();
    let request_id = RequestId::new().to_string();
    let mut response = Response::builder().header("persona-request-id", &request_id);
    // Where people sign in, no other origin has anything to ask.
    let is_shared = !OPEN_ROUTES.iter().any(|route| is_of(route.path, within));
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
        .body(Body::Text(told(within, &error, &request_id).to_string()))
        .unwrap_or_default()
}

/// The path behind the name of a stage, which some gateways put before it.
fn behind_stage(path: &str) -> &str {
    let rest = path.get(1..).and_then(|rest| rest.find('/')).map_or(path, |at| &path[at + 1..]);
    if !path.starts_with("/v1/") && rest.starts_with("/v1/") { rest } else { path }
}

fn is_of(pattern: &str, path: &str) -> bool {
    let path = path.trim_end_matches('/');
    pattern.split('/').count() == path.split('/').count()
        && pattern
            .split('/')
            .zip(path.split('/'))
            .all(|(wanted, found)| wanted.starts_with('{') || wanted == found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_is_one_part_before_the_path_and_no_more() {
        assert_eq!(behind_stage("/v1/mcp"), "/v1/mcp");
        assert_eq!(behind_stage("/api/v1/mcp"), "/v1/mcp");
        for path in ["/.well-known/oauth-protected-resource/v1/mcp", "/v1/v1/mcp", "/api", "/", ""] {
            assert_eq!(behind_stage(path), path);
        }
    }
}
