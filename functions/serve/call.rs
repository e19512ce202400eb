//! One call: who calls, and what was sent, parsed and checked.

use std::{collections::BTreeMap, sync::OnceLock};

use http::{HeaderMap, header};
use lambda_http::{Request, RequestExt};
use persona::{
    Error, Result,
    error::{Code, Detail},
    id::{Id, Kind, RequestId},
    key::Caller,
    run::Origin,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::Route;

/// One authenticated call with its body.
#[derive(Debug)]
pub struct Call<B = ()> {
    /// Who calls.
    pub caller: Caller,
    /// The parsed body; `()` where the route reads none.
    pub body: B,
    /// The call's id.
    pub request_id: RequestId,
    /// Where a run that it makes comes from.
    pub origin: Origin,
    /// Query values, known ones only.
    pub query: Query,
    /// Headers as sent.
    pub headers: HeaderMap,
    path: BTreeMap<String, String>,
}

/// Query values of a call.
#[derive(Debug, Default)]
pub struct Query(BTreeMap<String, String>);

impl<B: DeserializeOwned> Call<B> {
    pub(super) fn parse(
        route: &Route,
        caller: Caller,
        request_id: RequestId,
        request: &Request,
    ) -> Result<Self> {
        acceptable(route, request.headers())?;
        let path = path_values(route.path, request.uri().path(), request.raw_http_path());
        Ok(Self {
            caller,
            body: parse_body(route, request)?,
            request_id,
            origin: Origin { trace_id: super::trace_id(request), ..Origin::default() },
            query: Query::parse(route, request)?,
            headers: request.headers().clone(),
            path,
        })
    }
}

impl<B> Call<B> {
    /// The value of a path parameter.
    pub fn path(&self, name: &str) -> &str {
        self.path.get(name).map_or("", String::as_str)
    }

    /// Refuses an `If-Match` that is not the tag of `what` as it is now; `None` where there is no such thing.
    pub fn precondition(&self, what: &str, current: Option<&str>) -> Result<()> {
        let Some(wanted) = self.header("if-match") else { return Ok(()) };
        let matches = |tag: &str| current.is_some_and(|current| tag == "*" || tag == current);
        if wanted.split(',').map(str::trim).any(matches) {
            return Ok(());
        }
        let shown = shortened(wanted);
        let now = current.map_or_else(|| "not there".to_owned(), |current| format!("at {current}"));
        let message = format!(
            "If-Match is {shown}, but the {what} is {now}. Read it again, and send the change on top of that."
        );
        Err(Error::new(Code::PreconditionFailed, message).with_param("If-Match"))
    }

    /// A path parameter as an id; what is no id at all is unknown.
    pub fn id<K: Kind>(&self, name: &str, what: &str) -> Result<Id<K>> {
        self.path(name).parse().map_err(|_| Error::not_found(what, self.path(name)))
    }

    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Whether `Accept` asks for this media type by name.
    pub fn accepts(&self, media: &str) -> bool {
        let accept = self.header("accept").unwrap_or_default();
        accept
            .split(',')
            .any(|part| part.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(media))
    }
}

/// Matches the path against the route's pattern: API Gateway, cargo-lambda and function URLs name parameters
/// differently, the path itself is the same everywhere.
fn path_values(pattern: &str, path: &str, raw: &str) -> BTreeMap<String, String> {
    let path = if raw.is_empty() { path } else { raw };
    let at = path.find("/v1/").unwrap_or(0);
    pattern
        .split('/')
        .zip(path[at..].split('/'))
        .filter_map(|(name, value)| {
            let name = name.strip_prefix('{')?.strip_suffix('}')?;
            Some((name.to_owned(), percent_decoded(value)))
        })
        .collect()
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let hex = tail.get(..2).and_then(|pair| std::str::from_utf8(pair).ok());
        if let Some(byte) = hex.and_then(|pair| u8::from_str_radix(pair, 16).ok()).filter(|_| first == b'%') {
            bytes.push(byte);
            rest = &tail[2..];
        } else {
            bytes.push(first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Query {
    fn parse(route: &Route, request: &Request) -> Result<Self> {
        let mut values = BTreeMap::new();
        let mut problems = Vec::new();
        for (name, value) in request.query_string_parameters().iter() {
            if !route.query.contains(&name) {
                let known = if route.query.is_empty() { "none".to_owned() } else { route.query.join(", ") };
                let shown: String = name.chars().take(60).collect();
                problems.push(Detail::new(
                    format!("/{shown}"),
                    format!("There is no query value \"{shown}\" here; known: {known}."),
                ));
            } else if values.insert(name.to_owned(), value.to_owned()).is_some() {
                problems.push(Detail::new(format!("/{name}"), format!("\"{name}\" is given twice.")));
            }
        }
        match problems.first() {
            None => Ok(Self(values)),
            Some(first) => {
                let param = first.pointer.trim_start_matches('/').to_owned();
                Err(Error::new(Code::RequestInvalid, first.message.clone())
                    .with_param(param)
                    .with_details(problems))
            }
        }
    }

    /// A value's text.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// `true` or `false`; absent is false.
    pub fn flag(&self, name: &str) -> Result<bool> {
        match self.get(name) {
            None | Some("false" | "0") => Ok(false),
            Some("" | "true" | "1") => Ok(true),
            Some(other) => {
                Err(Error::invalid(name, format!("\"{}\" is neither true nor false.", shortened(other))))
            }
        }
    }

    /// 1 to 100, default 20.
    pub fn limit(&self) -> Result<usize> {
        let Some(text) = self.get("limit") else { return Ok(20) };
        text.parse().ok().filter(|limit| (1..=100).contains(limit)).ok_or_else(|| {
            Error::invalid("limit", format!("\"{}\" is not an integer from 1 to 100.", shortened(text)))
        })
    }

    /// A whole number.
    pub fn number(&self, name: &str) -> Result<Option<u64>> {
        self.get(name)
            .map(|text| {
                text.parse().map_err(|_| {
                    Error::invalid(name, format!("\"{}\" is not a whole number.", shortened(text)))
                })
            })
            .transpose()
    }

    /// One of an enumeration, as the type's JSON names it.
    pub fn one_of<T: DeserializeOwned>(&self, name: &str, known: &str) -> Result<Option<T>> {
        self.get(name)
            .map(|text| {
                serde_json::from_value(Value::String(text.to_owned())).map_err(|_| {
                    Error::invalid(name, format!("\"{}\" is not one of {known}.", shortened(text)))
                })
            })
            .transpose()
    }

    /// The filters in a stable form, for cursors.
    pub fn filters(&self) -> String {
        let kept = self.0.iter().filter(|(name, _)| *name != "cursor" && *name != "limit");
        kept.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(60).collect()
}

fn parse_body<B: DeserializeOwned>(route: &Route, request: &Request) -> Result<B> {
    let Some(schema) = route.body else {
        // `null` is what a route without a body is given: `()`.
        return serde_json::from_value(Value::Null).map_err(Error::internal);
    };
    let schema = parsed_schema(schema)?;
    if schema["x-read-as"] == "text" {
        // The protocol that the route speaks has a library of its own, which reads it and says what is wrong with it.
        let text = std::str::from_utf8(request.body())
            .map_err(|_| Error::new(Code::RequestInvalid, "The body is not UTF-8."))?;
        return serde_json::from_value(Value::String(text.to_owned())).map_err(Error::internal);
    }
    let form = BodyForm::of(schema, request.headers())?;
    let bytes: &[u8] = request.body();
    let is_empty = bytes.iter().all(u8::is_ascii_whitespace);
    if is_empty && schema["x-optional"] != true {
        return Err(Error::new(Code::RequestInvalid, "The body is empty. Send an object."));
    }
    let value = if is_empty { Value::Object(Map::new()) } else { form.read(bytes)? };
    if schema["x-checked-with"].is_string() {
        // The route tells these problems together with those that it finds beside what is kept.
        return serde_json::from_value(value).map_err(Error::internal);
    }
    let problems = persona::persona::schema::validate_with(schema, "", &value);
    if let Some(first) = problems.first() {
        let param = first.pointer.trim_start_matches('/').replace('/', ".");
        let mut error = Error::new(Code::RequestInvalid, first.message.clone());
        if !param.is_empty() {
            error = error.with_param(param);
        }
        return Err(error.with_details(problems));
    }
    serde_json::from_value(value)
        .map_err(|error| Error::new(Code::RequestInvalid, format!("The body is not of its shape: {error}.")))
}

/// The route's schema, parsed once: a process serves one route.
fn parsed_schema(text: &str) -> Result<&'static Value> {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    if let Some(schema) = SCHEMA.get() {
        return Ok(schema);
    }
    let schema = serde_json::from_str(text).map_err(Error::internal)?;
    Ok(SCHEMA.get_or_init(|| schema))
}

/// How a body is written. A route whose schema has `x-media-types` reads those; any other reads JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BodyForm {
    Json,
    Yaml,
    /// A picture that carries a character card.
    Picture,
}

impl BodyForm {
    /// JSON under its own name, or as curl's `-d` labels it, and what else the schema names; anything else is 415.
    fn of(schema: &Value, headers: &HeaderMap) -> Result<Self> {
        let more: Vec<&str> =
            schema["x-media-types"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(Self::Json) };
        let text = value.to_str().unwrap_or_default();
        let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let json = ["application/json", "text/plain", "application/x-www-form-urlencoded", ""];
        match essence.as_str() {
            yaml if is_yaml(yaml) && more.contains(&YAML) => Ok(Self::Yaml),
            PICTURE if more.contains(&PICTURE) => Ok(Self::Picture),
            text if json.contains(&text) || text.ends_with("+json") => Ok(Self::Json),
            _ => {
                let known = if more.is_empty() { "application/json".to_owned() } else { more.join(" or ") };
                Err(Error::new(
                    Code::UnsupportedMediaType,
                    format!("\"{}\" is not read here. Send Content-Type: {known}.", shortened(text)),
                ))
            }
        }
    }

    fn read(self, bytes: &[u8]) -> Result<Value> {
        match self {
            Self::Json => serde_json::from_slice(bytes).map_err(|error| {
                let (line, column) = (error.line(), error.column());
                let message =
                    format!("The body is not JSON: line {line}, column {column}. Send a JSON object.");
                Error::new(Code::RequestInvalid, message)
            }),
            Self::Picture => persona::card::png::card(bytes),
            Self::Yaml => {
                let text = std::str::from_utf8(bytes).map_err(|error| {
                    let before = bytes.get(..error.valid_up_to()).unwrap_or_default();
                    let line = before.split(|byte| *byte == b'\n').count();
                    Error::new(Code::RequestInvalid, format!("The body is not UTF-8: line {line}."))
                })?;
                persona::persona::yaml::from_yaml(text)
            }
        }
    }
}

/// Headers of an answer that are told again with it.
pub(super) const KEPT_HEADERS: [&str; 2] = ["location", "etag"];

const YAML: &str = "application/yaml";
const PICTURE: &str = "image/png";
/// Bodies above this are 413.
const BYTES_MOST: usize = 256 * 1024;
/// Pictures above this are; nothing but the card in them is kept, and that is held to the same as any other body.
const PICTURE_BYTES_MOST: usize = 4 * 1024 * 1024;

/// Refuses a body that is larger than the route reads of its kind.
pub(super) fn sized(route: &Route, request: &Request) -> Result<()> {
    let kind =
        request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let reads_pictures = route.body.is_some_and(|schema| schema.contains(PICTURE));
    let is_picture = kind.trim().to_ascii_lowercase().starts_with(PICTURE) && reads_pictures;
    let most = if is_picture { PICTURE_BYTES_MOST } else { BYTES_MOST };
    let bytes = request.body().len();
    if bytes <= most {
        return Ok(());
    }
    Err(Error::new(
        Code::PayloadTooLarge,
        format!("The body has {bytes} bytes; at most {most} are read. Send less."),
    ))
}

/// YAML by its name, or by those that it had before it was registered.
fn is_yaml(essence: &str) -> bool {
    [YAML, "text/yaml", "application/x-yaml", "text/x-yaml"].contains(&essence)
}

/// 406 unless `Accept`, where it is sent, allows a form that the route has. Errors are JSON whatever it says.
fn acceptable(route: &Route, headers: &HeaderMap) -> Result<()> {
    let accept: Vec<&str> =
        headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let accept = accept.join(",");
    let mut ranges = accept.split(',').filter_map(|part| part.split(';').next()).map(str::trim);
    let has = |range: &str| {
        let kind = range.strip_suffix("/*").unwrap_or(range);
        let mut forms = route.answers.iter().map(|(_, form)| form.media());
        range == "*/*"
            || forms.any(|media| media.eq_ignore_ascii_case(range) || media.split('/').next() == Some(kind))
    };
    // An older name of YAML, which registries still list.
    let is_yaml = |range: &str| range.eq_ignore_ascii_case("text/yaml") && has("application/yaml");
    if accept.trim().is_empty() || ranges.any(|range| has(range) || is_yaml(range)) {
        return Ok(());
    }
    let media = route.answers.iter().map(|(_, form)| form.media());
    let mut media: Vec<&str> = media.filter(|media| !media.is_empty()).collect();
    media.dedup();
    Err(Error::new(
        Code::NotAcceptable,
        format!(
            "\"{}\" is none of the forms that this route has. Ask for {}.",
            shortened(&accept),
            media.join(" or ")
        ),
    )
    .with_param("Accept"))
}

/// A caller's own `X-Request-Id`: at most 64 visible ASCII characters, else ignored.
pub(super) fn caller_request_id(headers: &HeaderMap) -> Option<String> {
    let text = headers.get("x-request-id")?.to_str().ok()?;
    let visible = !text.is_empty() && text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_graphic());
    visible.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_allows_what_the_route_has_by_name_by_range_or_by_silence() {
        let accepted = |route: &Route, accept: &'static str| {
            let headers = [(header::ACCEPT, http::HeaderValue::from_static(accept))];
            acceptable(route, &HeaderMap::from_iter(headers)).is_ok()
        };
        let (get, list) = (&crate::personas::get::ROUTE, &crate::personas::list::ROUTE);
        for accept in
            ["", "*/*", "application/*;q=0.5", "text/html, application/JSON", "application/yaml", "text/yaml"]
        {
            assert!(accepted(get, accept), "{accept}");
        }
        for accept in ["image/png", "text/*", "text/event-stream", "text/yaml"] {
            assert!(!accepted(list, accept), "{accept}");
        }
    }

    #[test]
    fn path_values_come_from_the_path_whoever_routes() {
        let values = path_values("/v1/runs/{run}/events", "", "/api/v1/runs/run_1%2F2/events");
        assert_eq!(values.get("run").map(String::as_str), Some("run_1/2"));
    }
}
