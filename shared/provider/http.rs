//! What the HTTP vendors share: one lazily built client, the reading of failures, and server-sent events.

use std::{
    error::Error as _,
    pin::pin,
    sync::OnceLock,
    time::{Duration, SystemTime},
};

use eventsource_stream::{Event, Eventsource};
use futures_util::{
    Stream, StreamExt,
    stream::{self, BoxStream},
};
use reqwest::{
    Client, Response,
    header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER},
    redirect,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc2822};
use tokio::{
    sync::mpsc::{self, error::TryRecvError},
    time::Instant,
};

use super::{Failure, ProviderError, config::ProviderConfig};

const CONNECT: Duration = Duration::from_secs(5);

/// How long a piece of a stream may wait for the next: thirty times a second is as good as at once to who reads along.
const PACE: Duration = Duration::from_millis(33);

/// How much of a vendor's own words goes to the log.
const QUOTED: usize = 240;

/// How long a run of letters shared with the prompt makes a vendor's words a quotation of it.
const QUOTATION: usize = 24;

/// One vendor over HTTP.
#[derive(Debug)]
pub(super) struct Http {
    base: String,
    /// After the address' `?`, as Azure wants it.
    query: String,
    headers: Vec<(String, SecretString)>,
    timeout: Duration,
    client: OnceLock<Client>,
}

impl Http {
    /// A vendor at its configured address, or at its own.
    pub(super) fn new(
        config: &ProviderConfig,
        own_address: &str,
        headers: Vec<(String, SecretString)>,
    ) -> Self {
        let address = config.base_url.as_deref().unwrap_or(own_address);
        let (base, query) = address.split_once('?').unwrap_or((address, ""));
        let configured = config.headers.iter().map(|(name, value)| (name.clone(), value.clone()));
        Self {
            base: base.trim_end_matches('/').to_owned(),
            query: if query.is_empty() { String::new() } else { format!("?{query}") },
            headers: headers.into_iter().chain(configured).collect(),
            timeout: config.timeout(),
            client: OnceLock::new(),
        }
    }

    /// The address without a trailing slash.
    pub(super) fn base(&self) -> &str {
        &self.base
    }

    /// Sends JSON and hands back a response of success. `prompt` is what a failure's text must not quote.
    pub(super) async fn post(
        &self,
        path: &str,
        body: &Value,
        prompt: &[&str],
    ) -> Result<Response, ProviderError> {
        let url = format!("{}{path}{}", self.base, self.query);
        let response = self.client()?.post(url).json(body).send().await.map_err(unreachable)?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let wait = retry_after(response.headers());
        let said = response.bytes().await.unwrap_or_default();
        let said: Value = serde_json::from_slice(&said).unwrap_or_default();
        Err(self.failed(status.as_u16(), wait, &said, prompt))
    }

    /// Sends JSON and reads JSON. A 200 with an error in it is a failure as well.
    pub(super) async fn json(
        &self,
        path: &str,
        body: &Value,
        prompt: &[&str],
    ) -> Result<Value, ProviderError> {
        let response = self.post(path, body, prompt).await?;
        let bytes = response.bytes().await.map_err(unreachable)?;
        let value: Value = serde_json::from_slice(&bytes)
            .map_err(|_| ProviderError::new(Failure::Unavailable, "the answer is not JSON"))?;
        match value.get("error").filter(|error| !error.is_null()) {
            Some(_) => Err(self.error_in_body(&value, prompt)),
            None => Ok(value),
        }
    }

    /// A failure that came with status 200, or within a stream: the body alone says how bad it is.
    pub(super) fn error_in_body(&self, body: &Value, prompt: &[&str]) -> ProviderError {
        let error = &body["error"];
        let numbered = error["code"].as_u64().or_else(|| error["status"].as_u64());
        let status = match (numbered, error["type"].as_str().or_else(|| error["code"].as_str())) {
            (Some(status), _) if (400..600).contains(&status) => status as u16,
            (_, Some("overloaded_error" | "rate_limit_error" | "rate_limit_exceeded")) => 429,
            (_, Some("invalid_request_error" | "authentication_error" | "permission_error")) => 400,
            _ => 500,
        };
        self.failed(status, None, body, prompt)
    }

    fn failed(&self, status: u16, wait: Option<u32>, body: &Value, prompt: &[&str]) -> ProviderError {
        let error = if body["error"].is_object() { &body["error"] } else { body };
        let name = |key: &str| error[key].as_str().filter(|name| name.len() <= 64);
        let failure = match (status, name("code").or_else(|| name("type"))) {
            // Out of credit: waiting does not help, another vendor does.
            (429, Some("insufficient_quota")) => Failure::Refused,
            (429 | 529, _) => Failure::Throttled(wait),
            (503, _) if wait.is_some() => Failure::Throttled(wait),
            (408 | 409 | 425 | 500.., _) => Failure::Unavailable,
            _ => Failure::Refused,
        };
        let names: Vec<&str> = ["type", "code", "param"].into_iter().filter_map(name).collect();
        let said = error["message"].as_str().or_else(|| body["error"].as_str()).unwrap_or_default();
        let said = self.quotable(said, prompt);
        ProviderError::new(failure, format!("status {status} {} {said}", names.join(" ")).trim())
    }

    /// A vendor's words for the log: short, without keys, and nothing at all if they quote the prompt.
    fn quotable(&self, said: &str, prompt: &[&str]) -> String {
        let said: String = said.chars().filter(|c| !c.is_control()).take(QUOTED).collect();
        let letters: Vec<char> = said.chars().collect();
        let quotes = letters.windows(QUOTATION).any(|run| {
            let run: String = run.iter().collect();
            prompt.iter().any(|text| text.contains(&run))
        });
        if quotes {
            return "(its words quote the prompt)".to_owned();
        }
        let is_key = |word: &str| {
            let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
            word.starts_with("sk-")
                || word.contains("***")
                || self.headers.iter().any(|(_, value)| {
                    let value = value.expose_secret();
                    !word.is_empty() && ((word.len() >= 8 && value.contains(word)) || word.contains(value))
                })
        };
        let words: Vec<&str> =
            said.split_whitespace().map(|word| if is_key(word) { "(a key)" } else { word }).collect();
        words.join(" ")
    }

    /// No proxy of the system's, and no redirect: both would carry the key to where nobody sent it.
    fn client(&self) -> Result<&Client, ProviderError> {
        if let Some(client) = self.client.get() {
            return Ok(client);
        }
        let client = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .connect_timeout(CONNECT)
            .timeout(self.timeout)
            .default_headers(self.header_map()?)
            .build()
            .map_err(|e| ProviderError::new(Failure::Unavailable, format!("no HTTP client: {e}")))?;
        Ok(self.client.get_or_init(|| client))
    }

    fn header_map(&self) -> Result<HeaderMap, ProviderError> {
        let mut map = HeaderMap::new();
        for (name, value) in &self.headers {
            let broken = || ProviderError::new(Failure::Refused, format!("the header {name} cannot be sent"));
            let key: HeaderName = name.parse().map_err(|_| broken())?;
            let mut value: HeaderValue = value.expose_secret().parse().map_err(|_| broken())?;
            value.set_sensitive(true);
            map.insert(key, value);
        }
        Ok(map)
    }
}

/// The connection failed or took too long. The address stays out: it may hold a key.
fn unreachable(error: reqwest::Error) -> ProviderError {
    let error = error.without_url();
    let cause = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    let failed = ProviderError::new(Failure::Unavailable, format!("{error}{cause}"));
    if error.is_connect() || error.is_builder() { failed } else { failed.unanswered() }
}

/// Whole seconds, rounded up, from either form of the header, or from `retry-after-ms`.
fn retry_after(headers: &HeaderMap) -> Option<u32> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    if let Some(millis) = text("retry-after-ms").and_then(|ms| ms.parse::<f64>().ok()) {
        return Some((millis / 1000.0).ceil().max(0.0) as u32);
    }
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        return Some(seconds.ceil().max(0.0) as u32);
    }
    let date = OffsetDateTime::parse(&value.replace("GMT", "+0000"), &Rfc2822).ok()?;
    let wait = date - OffsetDateTime::from(SystemTime::now());
    Some(wait.whole_seconds().max(0) as u32)
}

/// The events of a streamed response.
pub(super) fn events(response: Response) -> BoxStream<'static, Result<Event, ProviderError>> {
    let events = paced(response.bytes_stream()).eventsource().map(|event| {
        event.map_err(|error| match error {
            eventsource_stream::EventStreamError::Transport(error) => unreachable(error),
            _ => ProviderError::new(Failure::Unavailable, "the stream is not server-sent events"),
        })
    });
    events.boxed()
}

/// The first piece at once; after that those that came within [`PACE`] together. A vendor that writes letter by letter
/// would otherwise cost a turn of everything that listens for each. A task of its own takes the pieces in as they come, so
/// that none waits for the one before it.
fn paced<T: Send + 'static>(pieces: impl Stream<Item = T> + Send + 'static) -> BoxStream<'static, T> {
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let (mut pieces, mut gone) = (pin!(pieces), pin!(sender.closed()));
        loop {
            let piece = tokio::select! {
                piece = pieces.next() => piece,
                () = &mut gone => None,
            };
            let Some(piece) = piece else { return };
            if sender.send(piece).is_err() {
                return;
            }
        }
    });
    let begun = (receiver, None::<Instant>);
    let paced = stream::unfold(begun, |(mut receiver, mut woken)| async move {
        match receiver.try_recv() {
            Ok(piece) => return Some((piece, (receiver, woken))),
            Err(TryRecvError::Disconnected) => return None,
            Err(TryRecvError::Empty) => {}
        }
        if let Some(woken) = woken {
            tokio::time::sleep_until(woken + PACE).await;
        }
        let piece = receiver.recv().await?;
        woken = Some(Instant::now());
        Some((piece, (receiver, woken)))
    });
    paced.boxed()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn http() -> Http {
        Http::new(
            &ProviderConfig::sandbox(),
            "http://127.0.0.1/v1/",
            vec![("authorization".to_owned(), "Bearer abcdefgh12345678".into())],
        )
    }

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        value
            .parse()
            .map(|value| HeaderMap::from_iter([(HeaderName::from_static(name), value)]))
            .unwrap_or_default()
    }

    #[tokio::test]
    async fn a_stream_is_read_thirty_times_a_second_at_most_and_begins_at_once() {
        let each = Duration::from_millis(1);
        let source = stream::unfold(0, move |number| async move {
            tokio::time::sleep(each).await;
            (number < 100).then_some((number, number + 1))
        });
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        tokio::spawn(source.for_each(move |number| {
            // The reader stays until the end.
            let _ = sender.send(number);
            std::future::ready(())
        }));
        let begun = Instant::now();
        let pieces = stream::poll_fn(move |context| receiver.poll_recv(context));
        let heard: Vec<(i32, u128)> =
            paced(pieces).map(|number| (number, begun.elapsed().as_millis())).collect().await;
        assert!(heard.iter().map(|(number, _)| *number).eq(0..100), "{heard:?}");
        // Those that are heard together are heard within a millisecond or two, and the next after the pace.
        let rests = heard.windows(2).filter(|pair| pair[1].1 - pair[0].1 >= 5).count() as u128;
        let most = begun.elapsed().as_millis() / PACE.as_millis() + 1;
        assert!(rests >= 2 && rests <= most, "{rests} of {most}: {heard:?}");
        // They are not held up: the last of a hundred, one a millisecond, comes soon after it was sent.
        assert!(heard[0].1 <= 20 && heard[99].1 < 300, "{heard:?}");
        assert!(heard[0].1 < heard[50].1 && heard.iter().filter(|(_, at)| *at == heard[50].1).count() > 1);
    }

    #[test]
    fn retry_after_is_read_in_every_form() {
        assert_eq!(retry_after(&headers("retry-after", "2")), Some(2));
        assert_eq!(retry_after(&headers("retry-after", "1.2")), Some(2));
        assert_eq!(retry_after(&headers("retry-after-ms", "1500")), Some(2));
        assert_eq!(retry_after(&headers("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT")), Some(0));
        assert_eq!(retry_after(&headers("retry-after", "soon")), None);
        assert_eq!(retry_after(&HeaderMap::new()), None);
    }

    #[test]
    fn a_failure_is_read_from_status_and_body() {
        let failure = |status, wait, body: Value| http().failed(status, wait, &body, &[]).failure;
        assert_eq!(failure(429, Some(7), json!({})), Failure::Throttled(Some(7)));
        assert_eq!(failure(529, None, json!({})), Failure::Throttled(None));
        assert_eq!(failure(503, Some(3), json!({})), Failure::Throttled(Some(3)));
        assert_eq!(failure(503, None, json!({})), Failure::Unavailable);
        assert_eq!(failure(400, None, json!({})), Failure::Refused);
        assert_eq!(failure(429, Some(1), json!({"error": {"code": "insufficient_quota"}})), Failure::Refused);
    }

    #[test]
    fn the_log_gets_the_vendors_reason_and_neither_key_nor_prompt() {
        let said = |message: &str| {
            http()
                .failed(
                    400,
                    None,
                    &json!({"error": {"type": "t", "message": message}}),
                    &["Mira keeps a secret bookshop under the tram depot"],
                )
                .detail
        };
        assert_eq!(said("'seed' is not supported"), "status 400 t 'seed' is not supported");
        assert!(!said("bad input: keeps a secret bookshop under").contains("bookshop"));
        assert!(!said("wrong key: abcdefgh12345678.").contains("abcdefgh"));
        assert!(!said("wrong key: sk-live-1234").contains("1234"));
    }
}
