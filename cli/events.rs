//! A run's events, each once and in order, over as many connections as it takes.

use std::{
    pin::Pin,
    time::{Duration, Instant},
};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use eventsource_stream::{Event, EventStreamError, Eventsource};
use futures_util::{Stream, StreamExt, stream};
use reqwest::Response;
use serde_json::{Value, json};

use crate::{
    Result,
    api::{Api, Call, SILENCE},
    failure::{Again, Class, Failure},
};

/// So long the service may be out of reach before following it ends.
const GIVES_UP_AFTER: Duration = Duration::from_mins(5);

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RunEvent {
    /// Its number within the run, from 1 without gaps.
    pub id: u64,
    /// Its name.
    pub event: String,
    /// Its data.
    pub data: Value,
}

impl RunEvent {
    fn read(event: &Event) -> Option<Self> {
        let data = serde_json::from_str(&event.data).ok()?;
        Some(Self { id: event.id.parse().ok()?, event: event.event.clone(), data })
    }

    /// A text of its data.
    pub(crate) fn text(&self, key: &str) -> &str {
        self.data[key].as_str().unwrap_or_default()
    }

    /// As an object.
    pub(crate) fn to_json(&self) -> Value {
        json!({"id": self.id, "event": self.event, "data": self.data})
    }

    fn is_terminal(&self) -> bool {
        matches!(self.event.as_str(), "run.completed" | "run.failed" | "run.cancelled")
    }

    /// What the run came to, if this is its end.
    pub(crate) fn verdict(&self, run: &str) -> Result<()> {
        match self.event.as_str() {
            "run.failed" => {
                let failure = Failure::of_envelope(self.data.clone());
                let told = failure.hints.iter().any(|hint| hint.contains(run));
                Err(if told { failure } else { failure.hint(format!("the run: persona runs get {run}")) })
            }
            "run.cancelled" => Err(Failure::new(Class::Cancelled, format!("{run} was cancelled."))),
            _ => Ok(()),
        }
    }
}

type Source = Pin<Box<dyn Stream<Item = std::result::Result<Event, EventStreamError<reqwest::Error>>>>>;

/// A run that is followed.
pub(crate) struct Following<'a> {
    api: &'a Api,
    run: String,
    last: u64,
    source: Option<Source>,
    pauses: ExponentialBackoff,
    heard_at: Instant,
    ended: bool,
}

impl<'a> Following<'a> {
    /// A run from the event after `after` on.
    pub(crate) fn of(api: &'a Api, run: &str, after: u64) -> Self {
        let run = run.to_owned();
        Self { api, run, last: after, source: None, pauses: pauses(), heard_at: Instant::now(), ended: false }
    }

    /// The run that a call begins, whose answer is its events. Where they break off, it goes on at the run itself.
    pub(crate) async fn begun_by(api: &'a Api, call: Call<'a>) -> Result<Self> {
        let response = call.header("Accept", "text/event-stream").send(SILENCE).await?;
        let location =
            response.headers().get("location").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let run = location.rsplit('/').next().filter(|run| run.starts_with("run_"));
        let run = run.ok_or_else(|| Failure::internal("the answer names no run"))?.to_owned();
        Ok(Self { source: Some(source(response)), ..Self::of(api, &run, 0) })
    }

    /// The run's id.
    pub(crate) fn run(&self) -> &str {
        &self.run
    }

    /// The next event, or nothing behind the last one.
    pub(crate) async fn next(&mut self) -> Result<Option<RunEvent>> {
        while !self.ended {
            let Some(source) = &mut self.source else {
                self.connect().await?;
                continue;
            };
            let event = source.next().await.and_then(std::result::Result::ok);
            match event.as_ref().and_then(RunEvent::read) {
                Some(event) if event.id <= self.last => {}
                Some(event) if event.id == self.last + 1 => {
                    self.last = event.id;
                    self.ended = event.is_terminal();
                    self.heard_at = Instant::now();
                    self.pauses = pauses();
                    return Ok(Some(event));
                }
                // Cut off, silent, or not what comes next: asked for anew.
                _ => self.source = None,
            }
        }
        Ok(None)
    }

    async fn connect(&mut self) -> Result<()> {
        let call = self.api.get(&["runs", &self.run, "events"]).header("Accept", "text/event-stream");
        let answered = call.header("Last-Event-ID", &self.last.to_string()).send(SILENCE).await;
        let failure = match answered {
            Ok(response) => {
                self.source = Some(source(response));
                None
            }
            Err(failure) if failure.again == Again::No => return Err(failure),
            Err(failure) => Some(failure),
        };
        // Also behind a connection that was made: one that breaks at once must not be made in a circle.
        let pause = self.pauses.next().unwrap_or(Duration::from_secs(5));
        if let Some(failure) = failure {
            if self.heard_at.elapsed() > GIVES_UP_AFTER {
                let (run, last) = (&self.run, self.last);
                return Err(failure.hint(format!("the run goes on: persona runs tail {run} --after {last}")));
            }
            tokio::time::sleep(pause).await;
        } else if pause > Duration::from_secs(1) {
            tokio::time::sleep(pause).await;
        }
        Ok(())
    }
}

fn pauses() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(5))
        .with_jitter()
        .without_max_times()
        .build()
}

/// The answer's events. A silence longer than that between two signs of life is an end.
fn source(response: Response) -> Source {
    let bytes = Box::pin(response.bytes_stream());
    let pieces = stream::unfold(bytes, |mut bytes| async move {
        let piece = tokio::time::timeout(SILENCE, bytes.next()).await.ok().flatten()?;
        Some((piece, bytes))
    });
    Box::pin(pieces.eventsource())
}
