//! Carries one event to one address: a POST that follows no redirect, goes to checked addresses alone, and reads little
//! of the answer.

use std::{
    error::Error as _,
    time::{Duration, Instant, SystemTime},
};

use reqwest::{
    Client, Response,
    header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER, USER_AGENT},
    redirect,
};
use time::{OffsetDateTime, format_description::well_known::Rfc2822};

use super::{
    address::{Guarded, Loopback, SystemLookup, checked},
    delivery::KEPT,
};
use crate::error::{Error, Result};

/// An attempt takes this long at most, the answer included.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// The client. It keeps no connection: a process that sleeps between two calls would find it dead.
#[derive(Debug)]
pub struct Courier {
    client: Client,
    loopback: Loopback,
}

/// What is sent.
pub(super) struct Parcel<'a> {
    pub(super) url: &'a str,
    pub(super) headers: [(&'static str, String); 4],
    pub(super) body: String,
}

/// What came back.
#[derive(Debug, Default)]
pub(super) struct Reception {
    pub(super) status: Option<u16>,
    pub(super) response: Option<String>,
    pub(super) error: Option<String>,
    pub(super) retry_after: Option<Duration>,
    pub(super) took: Duration,
}

impl Courier {
    /// A courier that asks the system's DNS.
    pub fn new() -> Result<Self> {
        let loopback = Loopback::from_environment();
        let client = Client::builder()
            .no_proxy()
            .redirect(redirect::Policy::none())
            .referer(false)
            .pool_max_idle_per_host(0)
            .dns_resolver(Guarded::new(SystemLookup, loopback))
            .build()
            .map_err(Error::internal)?;
        Ok(Self { client, loopback })
    }

    /// Sends, and waits for the answer as long as patience lasts.
    pub(super) async fn carry(&self, parcel: Parcel<'_>) -> Reception {
        let begun = Instant::now();
        // An address that is written as a number is never resolved: it is judged here.
        let mut reception = match checked(parcel.url, self.loopback) {
            Ok(url) => {
                let mut request = self.client.post(url).header(CONTENT_TYPE, "application/json");
                request = request.header(USER_AGENT, "Persona-Webhooks/1.0");
                for (name, value) in parcel.headers {
                    request = request.header(name, value);
                }
                match tokio::time::timeout(PATIENCE, request.body(parcel.body).send()).await {
                    Ok(Ok(response)) => received(response, begun).await,
                    Ok(Err(error)) => Reception::without_answer(told(error)),
                    Err(_) => Reception::without_answer(silent()),
                }
            }
            Err(forbidden) => Reception::without_answer(forbidden.to_string()),
        };
        reception.took = begun.elapsed();
        reception
    }
}

impl Reception {
    fn without_answer(error: String) -> Self {
        Self { error: Some(error), ..Self::default() }
    }
}

fn silent() -> String {
    format!("No answer within {} s.", PATIENCE.as_secs())
}

/// The status counts; of the body as much is read as is kept, if it comes in time.
async fn received(mut response: Response, begun: Instant) -> Reception {
    let status = response.status().as_u16();
    let retry_after = retry_after(response.headers());
    let mut kept: Vec<u8> = Vec::new();
    let reading = async {
        while kept.len() < KEPT {
            match response.chunk().await {
                Ok(Some(piece)) => kept.extend(piece.iter().take(KEPT - kept.len())),
                Ok(None) | Err(_) => break,
            }
        }
    };
    // A body that never ends takes nothing from the status that came before it.
    let _ = tokio::time::timeout(PATIENCE.saturating_sub(begun.elapsed()), reading).await;
    let text: String = String::from_utf8_lossy(&kept).chars().filter(|c| *c != '\0').collect();
    Reception {
        status: Some(status),
        response: (!text.is_empty()).then_some(text),
        retry_after,
        ..Reception::default()
    }
}

/// Why there was no answer, for the owner of the address to read.
fn told(error: reqwest::Error) -> String {
    // The address stays out: its owner knows it, and it may hold a key.
    let error = error.without_url();
    let mut innermost: Option<&dyn std::error::Error> = error.source();
    while let Some(source) = innermost.and_then(std::error::Error::source) {
        innermost = Some(source);
    }
    let cause = innermost.map_or_else(|| error.to_string(), ToString::to_string);
    let shown: String = cause.chars().take(200).collect();
    if error.is_connect() { format!("No connection: {shown}") } else { format!("No answer: {shown}") }
}

/// Whole seconds, or a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = OffsetDateTime::parse(&value.replace("GMT", "+0000"), &Rfc2822).ok()?;
    (date - OffsetDateTime::from(SystemTime::now())).try_into().ok()
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;
    use time::format_description::well_known::Rfc2822;

    use super::*;

    fn headers(value: &str) -> HeaderMap {
        HeaderValue::from_str(value)
            .map(|value| HeaderMap::from_iter([(RETRY_AFTER, value)]))
            .unwrap_or_default()
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        assert_eq!(retry_after(&headers("120")), Some(Duration::from_mins(2)));
        let date = (OffsetDateTime::now_utc() + Duration::from_secs(90)).format(&Rfc2822).unwrap_or_default();
        let wait = retry_after(&headers(&date.replace("+0000", "GMT"))).unwrap_or_default().as_secs();
        assert!((88..=90).contains(&wait), "{wait}");
        for value in ["soon", "-1", "Wed, 21 Oct 2015 07:28:00 GMT", ""] {
            assert_eq!(retry_after(&headers(value)), None, "{value}");
        }
    }

    #[tokio::test]
    async fn an_address_of_numbers_is_judged_at_each_attempt() {
        let client = Client::builder().no_proxy().build();
        let Ok(client) = client else { return assert!(client.is_ok()) };
        let courier = Courier { client, loopback: Loopback::Closed };
        for url in
            ["https://127.0.0.1/", "https://[::ffff:10.0.0.1]/", "https://2852039166/", "http://example.com/"]
        {
            let headers = ["a", "b", "c", "d"].map(|name| (name, String::new()));
            let reception = courier.carry(Parcel { url, headers, body: String::new() }).await;
            assert_eq!(reception.status, None, "{url}");
            assert!(reception.error.is_some_and(|error| error.contains("Use ")), "{url}");
        }
    }
}
