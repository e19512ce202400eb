//! Serving without a key: the routes by which people get one. What comes in is bounded and read as a query or a form;
//! what goes out is never kept, framed, or read by other origins.

use std::{collections::BTreeMap, convert::Infallible, future::Future};

use http::{HeaderMap, header};
use lambda_http::{Request, RequestExt, service_fn};
use persona::{
    app::App,
    auth::{Reason, Refusal, Result},
    id::RequestId,
};
use serde_json::json;
use tracing::{Instrument, field};
use url::form_urlencoded;

use super::{Reply, body::ReplyBody, call, ending::Ending, telemetry};
use crate::{OpenRoute, Speaks, auth::page};

/// Forms above this are refused.
const BYTES_MOST: usize = 16 * 1024;

/// A call of nobody yet.
#[derive(Debug)]
pub struct OpenCall {
    fields: BTreeMap<String, String>,
    headers: HeaderMap,
}

impl OpenCall {
    /// A value of the query (GET) or of the form (POST); what is sent empty is not there.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The same, where the call makes no sense without it.
    pub fn require(&self, name: &str) -> Result<&str> {
        self.get(name).ok_or_else(|| Refusal::new(Reason::InvalidRequest, format!("{name} is missing.")))
    }

    /// A cookie of this name.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        let sent = self.headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = sent.flat_map(|sent| sent.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(known, _)| *known == name).map(|(_, value)| value)
    }
}

/// Serves one open route until the process ends.
pub async fn open<H, F>(route: &'static OpenRoute, handle: H) -> std::result::Result<(), lambda_http::Error>
where
    H: Fn(App, OpenCall) -> F + Sync,
    F: Future<Output = Result<Reply>> + Send,
{
    telemetry::install(route.bin);
    let app = App::default();
    let (app, handle) = (&app, &handle);
    lambda_http::run(service_fn(move |request: Request| async move {
        Ok::<_, Infallible>(
            Box::pin(respond(app, route, handle, request)).await.map(ReplyBody::into_buffered),
        )
    }))
    .await
}

async fn respond<H, F>(
    app: &App,
    route: &'static OpenRoute,
    handle: &H,
    request: Request,
) -> http::Response<ReplyBody>
where
    H: Fn(App, OpenCall) -> F + Sync,
    F: Future<Output = Result<Reply>> + Send,
{
    telemetry::invocation_begins();
    let request_id = RequestId::new();
    let caller_request_id = call::caller_request_id(request.headers());
    let span = tracing::error_span!("call", %request_id, client_request_id = caller_request_id, workspace_id = field::Empty);
    let answering = async {
        let mut ending = Ending::begin(route.endpoint());
        let answered = match read(route, &request) {
            Ok(call) => Box::pin(handle(app.clone(), call)).await,
            Err(refusal) => Err(refusal),
        };
        let reply = answered.unwrap_or_else(|refusal| {
            let told = told(route, &refusal);
            ending.failed_as(refusal.reason.as_str(), refusal.source.clone(), refusal.is_fault());
            told
        });
        ending.answered(reply.status);
        guarded(reply, &request_id.to_string(), caller_request_id).into_response(ending)
    };
    answering.instrument(span).await
}

fn read(route: &OpenRoute, request: &Request) -> Result<OpenCall> {
    let refused = |message: String| Refusal::new(Reason::InvalidRequest, message);
    let mut fields = BTreeMap::new();
    let mut put = |name: &str, value: &str| {
        let known = route.fields.iter().any(|(field, _)| *field == name);
        // OAuth ignores what it does not know, and refuses what is said twice.
        if known && fields.insert(name.to_owned(), value.to_owned()).is_some() {
            return Err(refused(format!("{name} is given twice.")));
        }
        Ok(())
    };
    if route.method == "POST" {
        for (name, value) in form_urlencoded::parse(form(request)?) {
            put(&name, &value)?;
        }
    } else {
        for (name, value) in request.query_string_parameters().iter() {
            put(name, value)?;
        }
    }
    Ok(OpenCall { fields, headers: request.headers().clone() })
}

fn form(request: &Request) -> Result<&[u8]> {
    let refused = |message: String| Refusal::new(Reason::InvalidRequest, message);
    let bytes: &[u8] = request.body();
    if bytes.len() > BYTES_MOST {
        return Err(refused(format!("The form has {} bytes; at most {BYTES_MOST} are read.", bytes.len())));
    }
    let kind =
        request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Ok(bytes);
    }
    Err(refused("Send Content-Type: application/x-www-form-urlencoded.".to_owned()))
}

fn told(route: &OpenRoute, refusal: &Refusal) -> Reply {
    match route.speaks {
        Speaks::Pages => page::refusal(refusal),
        Speaks::OAuth => Reply::json(
            refusal.reason.status(),
            json!({"error": refusal.reason.as_str(), "error_description": refusal.message}),
        ),
    }
}

/// What every open answer carries. Nothing of it may be kept, framed, or sent on as a referrer.
fn guarded(reply: Reply, request_id: &str, caller_request_id: Option<String>) -> Reply {
    let reply = reply
        .with_header("persona-request-id", request_id)
        .with_header("referrer-policy", "no-referrer")
        .with_header("x-content-type-options", "nosniff")
        .with_header("x-frame-options", "DENY")
        .with_header("pragma", "no-cache")
        .with_default("cache-control", "no-store")
        .with_default("content-security-policy", &page::policy(""));
    match caller_request_id {
        Some(echo) => reply.with_header("x-request-id", echo),
        None => reply,
    }
}
