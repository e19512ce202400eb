//! The bridge: each line of standard input is posted, each message of the answers is a line of standard output. It
//! relays and models nothing, so that a newer revision of the protocol needs no newer bridge.

use std::{
    cell::RefCell,
    collections::HashMap,
    pin::Pin,
    time::{Duration, Instant},
};

use backon::{BackoffBuilder, ExponentialBuilder};
use eventsource_stream::Eventsource;
use futures_util::{
    StreamExt,
    future::{AbortHandle, Abortable},
    stream::FuturesUnordered,
};
use reqwest::{Response, header};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::message::{Message, answer};
use crate::{
    Result,
    api::Api,
    arguments::Session,
    failure::{Again, Class, Failure},
    screen::Screen,
    settings,
};

/// From this revision on, headers repeat what a message is about.
const HEADERS_SINCE: &str = "2026-07-28";
/// So long the service may be out of reach before a request is answered with that: hosts wait a minute.
const GIVES_UP_AFTER: Duration = Duration::from_secs(45);
/// JSON-RPC's code for errors of the server.
const SERVER_ERROR: i64 = -32000;

type Work<'a> = Abortable<Pin<Box<dyn Future<Output = (Option<String>, Result<()>)> + 'a>>>;

/// Serves until standard input ends, and what was asked until then is answered.
pub(super) async fn serve(session: &Session<'_>) -> Result<()> {
    let api = session.api()?;
    session.screen.note(format_args!("persona mcp: bridging to {}", settings::told(api.base())));
    let bridge = &Bridge { api, screen: session.screen, version: RefCell::default() };
    let mut lines = BufReader::new(tokio::io::stdin()).split(b'\n');
    let mut working = FuturesUnordered::<Work<'_>>::new();
    let mut waiting = HashMap::<String, AbortHandle>::new();
    let mut is_open = true;
    while is_open || !working.is_empty() {
        tokio::select! {
            line = lines.next_segment(), if is_open => match line.map_err(Failure::internal)? {
                None => is_open = false,
                Some(line) if line.trim_ascii().is_empty() => {}
                // What is no UTF-8 is no JSON, and is answered as that.
                Some(line) => match Message::read(String::from_utf8_lossy(&line).into_owned()) {
                    Err(error) => bridge.say(&error.to_string())?,
                    // What follows needs the revision that this settles.
                    Ok(message) if message.begins() => bridge.carry(&message).await?,
                    Ok(message) => {
                        if let Some(cancelled) = message.cancels().and_then(|id| waiting.remove(&id.to_string())) {
                            cancelled.abort();
                        }
                        let (handle, registration) = AbortHandle::new_pair();
                        let id = message.id.as_ref().map(ToString::to_string);
                        if let Some(id) = &id {
                            waiting.insert(id.clone(), handle);
                        }
                        let carried = Box::pin(async move { let done = bridge.carry(&message).await; (id, done) });
                        working.push(Abortable::new(carried, registration));
                    }
                },
            },
            Some(done) = working.next(), if !working.is_empty() => {
                // One that was cancelled is forgotten already.
                if let Ok((id, done)) = done {
                    id.and_then(|id| waiting.remove(&id));
                    done?;
                }
            }
        }
    }
    Ok(())
}

struct Bridge<'a> {
    api: Api,
    screen: &'a Screen,
    /// The revision that `initialize` has settled.
    version: RefCell<Option<String>>,
}

impl Bridge<'_> {
    /// Posts a message until it is answered. Fails only where standard output does.
    async fn carry(&self, message: &Message) -> Result<()> {
        let mut pauses = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(100))
            .with_max_delay(Duration::from_secs(3))
            .with_jitter()
            .without_max_times()
            .build();
        let begun = Instant::now();
        loop {
            let failure = match self.post(message).await {
                Ok(()) => return Ok(()),
                Err(failure) if failure.silent().is_some() => return Err(failure),
                Err(failure) => failure,
            };
            // Sent again it costs nothing twice: the service makes a call that costs once, whoever repeats it.
            if failure.again == Again::No || begun.elapsed() > GIVES_UP_AFTER {
                return self.failed(message, &failure);
            }
            let pause = match failure.again {
                Again::Safe(Some(asked)) => Some(asked),
                _ => pauses.next(),
            };
            tokio::time::sleep(pause.unwrap_or(Duration::from_secs(3))).await;
        }
    }

    async fn post(&self, message: &Message) -> Result<()> {
        let response = self.request(message).send().await.map_err(|error| self.api.broken(&error))?;
        let kind = response
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok())
            .unwrap_or_default();
        let is_stream = kind.starts_with("text/event-stream");
        match (response.status().is_success(), is_stream) {
            (true, true) => self.relay_events(message, response).await,
            (true, false) => self.relay(message, &self.body(response).await?),
            (false, _) => self.refused(message, response).await,
        }
    }

    fn request(&self, message: &Message) -> reqwest::RequestBuilder {
        let mut request = self
            .api
            .bare_post(&["mcp"])
            .header(header::ACCEPT, "application/json, text/event-stream")
            .header(header::CONTENT_TYPE, "application/json")
            .body(message.text.clone());
        let settled = self.version.borrow();
        let Some(version) = message.version().or(settled.as_deref()) else { return request };
        request = request.header("MCP-Protocol-Version", version);
        if version >= HEADERS_SINCE {
            for (name, value) in [("Mcp-Method", message.method.as_deref()), ("Mcp-Name", message.name())] {
                if let Some(value) = value {
                    request = request.header(name, worded(value));
                }
            }
        }
        request
    }

    async fn body(&self, response: Response) -> Result<String> {
        response.text().await.map_err(|error| self.api.broken(&error))
    }

    /// A stream's messages, one after the other. The last one answers.
    async fn relay_events(&self, message: &Message, response: Response) -> Result<()> {
        let mut events = Box::pin(response.bytes_stream().eventsource());
        let mut is_answered = message.id.is_none();
        while let Some(Ok(event)) = events.next().await {
            if event.data.is_empty() {
                continue;
            }
            is_answered |= self.said(message, &event.data);
            self.say(&event.data)?;
        }
        if is_answered { Ok(()) } else { Err(self.cut_off()) }
    }

    fn cut_off(&self) -> Failure {
        let base = settings::told(self.api.base());
        let message = format!(
            "The connection to {base} broke before the answer came; what was asked may have happened."
        );
        Failure::new(Class::Network, message).maybe_done().hint("persona runs list shows it")
    }

    /// A whole answer.
    fn relay(&self, message: &Message, body: &str) -> Result<()> {
        if body.trim().is_empty() {
            return if message.id.is_none() { Ok(()) } else { Err(Failure::internal("an empty answer")) };
        }
        self.said(message, body);
        self.say(body)
    }

    /// Whether this answers the message. What `initialize` settles is remembered.
    fn said(&self, message: &Message, text: &str) -> bool {
        let Ok(value) = serde_json::from_str::<Value>(text) else { return false };
        if message.begins()
            && let Some(version) = value["result"]["protocolVersion"].as_str()
        {
            self.version.replace(Some(version.to_owned()));
        }
        value.get("method").is_none() && value.get("id") == message.id.as_ref()
    }

    /// A refusal: as the service words it where that is JSON-RPC, else as an error that carries the API's envelope.
    async fn refused(&self, message: &Message, response: Response) -> Result<()> {
        let (status, headers) = (response.status(), response.headers().clone());
        let body = self.body(response).await?;
        let Some(mut told) =
            serde_json::from_str::<Value>(&body).ok().filter(|told| told["jsonrpc"] == "2.0")
        else {
            return Err(Failure::answered(status, &headers, &body));
        };
        let Some(id) = &message.id else {
            self.screen.note(format_args!("persona mcp: {status} {told}"));
            return Ok(());
        };
        if told["id"].is_null() {
            told["id"] = id.clone();
        }
        self.say(&told.to_string())
    }

    /// What cannot be carried is an error for whoever asked, and a line of the log.
    fn failed(&self, message: &Message, failure: &Failure) -> Result<()> {
        let method = message.method.as_deref().unwrap_or("an answer");
        self.screen.note(format_args!("persona mcp: {method}: {}", failure.message));
        let Some(id) = &message.id else { return Ok(()) };
        let told =
            failure.hints.iter().fold(failure.message.clone(), |told, hint| format!("{told} ({hint})"));
        self.say(&answer(id, SERVER_ERROR, &told, Some(failure.to_json())).to_string())
    }

    /// A line of the protocol. Line breaks within JSON are blanks between its words, never part of a text.
    fn say(&self, json: &str) -> Result<()> {
        let mut line = json.trim().replace(['\n', '\r'], " ");
        line.push('\n');
        self.screen.bytes(line.as_bytes())
    }
}

/// A value as a header may carry it (SEP-2243): in Base64 where it is more than visible ASCII.
fn worded(value: &str) -> String {
    let is_plain = value.bytes().all(|byte| (0x20..=0x7e).contains(&byte)) && value.trim() == value;
    if is_plain && !value.starts_with("=?base64?") {
        return value.to_owned();
    }
    format!("=?base64?{}?=", base64::Engine::encode(&base64::engine::general_purpose::STANDARD, value))
}
