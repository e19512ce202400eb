//! `Idempotency-Key`: a call that is sent twice is made once, and answered twice.
//!
//! The claim is written before anything else is. A call whose process died is taken over when its lease ends; the run
//! that it was to make is named in the claim, so that it is not made a second time.

use futures_util::{StreamExt, stream, stream::BoxStream};
use http::HeaderMap;
use lambda_http::RequestExt;
use persona::{
    Error, Result,
    app::App,
    error::Code,
    id::RunId,
    run::Tail,
    store::idempotency::{KEPT_SECONDS, Kept, KeptForm, Once, OnceClaim},
    tenant::Tenant,
};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc::unbounded_channel;

use super::{Call, EventSource, Payload, Reply, call};
use crate::Route;

const HEADER: &str = "idempotency-key";
const REPLAYED: &str = "idempotent-replayed";
/// A call that is answered whole has ended by then, or its process has: the gateway waits no longer.
const WHOLE_MILLIS: i64 = 35_000;
/// The same of a call that may stream: a little more than its function's timeout.
const STREAM_MILLIS: i64 = 910_000;
/// Seconds after which a call may ask whether the first one has ended.
const RETRY_SECONDS: u32 = 1;

/// A claimed key, to be settled with the answer.
pub(super) struct Claimed {
    app: App,
    tenant: Tenant,
    once: Once,
    run: RunId,
}

/// What a key says of a call.
pub(super) enum Claim {
    /// It came without one.
    None,
    /// It is to be made, and settled.
    Mine(Claimed),
    /// It was made before: this is its answer.
    Answered(Reply),
}

/// Reads the key, claims it, and tells the call which run it makes.
pub(super) async fn claim<B>(
    app: &App,
    route: &Route,
    call: &mut Call<B>,
    once: Option<Once>,
) -> Result<Claim> {
    let Some(once) = once else { return Ok(Claim::None) };
    let tenant = *call.caller.tenant();
    let now = app.clock().epoch_millis();
    let lease = now + if route.streaming { STREAM_MILLIS } else { WHOLE_MILLIS };
    match app.store().await.claim_once(&tenant, &once, now, lease).await? {
        OnceClaim::Won(run) => {
            call.origin.run = run;
            Ok(Claim::Mine(Claimed { app: app.clone(), tenant, once, run }))
        }
        OnceClaim::Answered(run, kept) => Ok(Claim::Answered(told_again(app, tenant, run, *kept))),
        OnceClaim::InProgress(_) => Err(Error::new(
            Code::IdempotencyInProgress,
            "The first request with this Idempotency-Key is still being answered. Send it again in a moment.",
        )
        .with_retry_after(RETRY_SECONDS)),
        OnceClaim::Other => Err(Error::new(
            Code::IdempotencyKeyReused,
            "This Idempotency-Key came within the last 24 hours with another request. Use a new key for a new request.",
        )
        .with_param("Idempotency-Key")),
    }
}

/// The key of a call, and what tells its request from another under the same key; only calls that have one are digested.
pub(super) fn named(route: &Route, request: &lambda_http::Request) -> Result<Option<Once>> {
    if route.method != "POST" {
        return Ok(None);
    }
    let named = key(request.headers())?;
    Ok(named.map(|key| Once { key, fingerprint: fingerprint(route, request), kept_seconds: KEPT_SECONDS }))
}

/// SHA-256 of method, path, query and body.
fn fingerprint(route: &Route, request: &lambda_http::Request) -> String {
    let mut hash = Sha256::new();
    let path = request.raw_http_path();
    let path = if path.is_empty() { request.uri().path() } else { path };
    let query = request.uri().query().unwrap_or_default();
    for part in [route.method.as_bytes(), path.as_bytes(), query.as_bytes(), request.body().as_ref()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    persona::key::hex(&hash.finalize())
}

/// 1 to 255 visible ASCII characters.
fn key(headers: &HeaderMap) -> Result<Option<String>> {
    let Some(value) = headers.get(HEADER) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let fits = (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
    if fits {
        return Ok(Some(text.to_owned()));
    }
    let message = format!(
        "The Idempotency-Key has {} bytes, or others than visible ASCII. Use 1 to 255 visible ASCII characters.",
        value.len()
    );
    Err(Error::invalid("Idempotency-Key", message))
}

fn told_again(app: &App, tenant: Tenant, run: RunId, kept: Kept) -> Reply {
    let payload = match kept.form {
        KeptForm::Json => Payload::Kept(kept.body),
        KeptForm::Yaml => Payload::Yaml(kept.body),
        KeptForm::Empty => Payload::Empty,
        KeptForm::Events => {
            let tail = Tail::new(app.clone(), tenant, run, 0);
            Payload::Events(Box::new(EventSource { first: Vec::new(), tail }))
        }
        KeptForm::Stream => Payload::Live(stream::once(async move { kept.body }).boxed()),
    };
    let mut reply = Reply::new(kept.status, payload).with_header(REPLAYED, "true");
    for (name, value) in kept.headers {
        if let Some(name) = call::KEPT_HEADERS.iter().find(|known| **known == name) {
            reply = reply.with_header(name, value);
        }
    }
    reply
}

impl Claimed {
    /// Keeps a final answer, and lets the next call try again after one that is not.
    pub(super) async fn settle(
        self,
        answered: Result<Reply>,
        refusal: impl Fn(&Error) -> Reply,
    ) -> Result<Reply> {
        match answered {
            Ok(reply) => Ok(self.keep(reply).await),
            Err(error) if is_final(&error) => {
                let _ = self.keep(refusal(&error)).await;
                Err(error)
            }
            Err(error) => {
                // A run that failed for want of a provider is over; any other may go on, and is the next try's, too.
                let anew = error.code == Code::ProviderUnavailable;
                let store = self.app.store().await;
                note(store.release_once(&self.tenant, &self.once, self.run, anew).await);
                Err(error)
            }
        }
    }

    async fn keep(self, reply: Reply) -> Reply {
        let kept = |form, body| {
            let headers = reply.headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
            Kept { status: reply.status, headers: headers.collect(), form, body }
        };
        let kept = match &reply.payload {
            Payload::Json(value) => kept(KeptForm::Json, reply.kept_as.as_ref().unwrap_or(value).to_string()),
            Payload::Kept(text) => kept(KeptForm::Json, text.clone()),
            Payload::Yaml(text) => kept(KeptForm::Yaml, text.clone()),
            Payload::Empty => kept(KeptForm::Empty, String::new()),
            // Open routes' alone, which have no key.
            Payload::Page(_) => return reply,
            Payload::Events(_) => kept(KeptForm::Events, String::new()),
            Payload::Live(_) => {
                let empty = kept(KeptForm::Stream, String::new());
                return self.keep_stream(reply, empty);
            }
        };
        self.write(&kept).await;
        reply
    }

    /// Listens along, whether the caller stays or not, and keeps what was said when it is whole.
    fn keep_stream(self, reply: Reply, mut kept: Kept) -> Reply {
        let Reply { status, headers, payload: Payload::Live(mut texts), kept_as } = reply else {
            return reply;
        };
        let (sender, mut receiver) = unbounded_channel();
        tokio::spawn(async move {
            while let Some(text) = texts.next().await {
                kept.body.push_str(&text);
                // The caller may have gone.
                let _ = sender.send(text);
            }
            // Before the caller sees the end: then it is kept for certain.
            self.write(&kept).await;
        });
        let texts: BoxStream<'static, String> =
            stream::poll_fn(move |context| receiver.poll_recv(context)).boxed();
        Reply { status, headers, payload: Payload::Live(texts), kept_as }
    }

    async fn write(&self, kept: &Kept) {
        note(self.app.store().await.keep_once(&self.tenant, &self.once, self.run, kept).await);
    }
}

/// Whether the same request will be answered in the same way again.
fn is_final(error: &Error) -> bool {
    error.code.status() < 500 && !error.code.retryable()
}

/// The answer is worth more than its copy: a copy that could not be kept is logged, and the claim lapses.
fn note(written: Result<()>) {
    if let Err(error) = written {
        tracing::error!(error.code = %error.code, error.source = error.source_chain(), "an answer was not kept for its Idempotency-Key");
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn read(value: &str) -> Result<Option<String>> {
        key(&HeaderMap::from_iter([(http::HeaderName::from_static(HEADER), value.parse().unwrap())]))
    }

    #[test]
    fn a_key_has_1_to_255_visible_characters() {
        assert_eq!(key(&HeaderMap::new()).unwrap(), None);
        assert_eq!(read("a-1").unwrap().as_deref(), Some("a-1"));
        assert!(read(&"x".repeat(255)).is_ok());
        for bad in ["", "two words", &"x".repeat(256), "caf\u{e9}"] {
            assert_eq!(read(bad).unwrap_err().code, Code::RequestInvalid, "{bad}");
        }
    }

    #[test]
    fn refusals_are_final_and_failures_are_not() {
        for (code, is) in [
            (Code::RequestInvalid, true),
            (Code::SlugTaken, true),
            (Code::CostBudgetExceeded, true),
            (Code::RateLimitExceeded, false),
            (Code::ConversationBusy, false),
            (Code::ProviderUnavailable, false),
            (Code::Internal, false),
        ] {
            assert_eq!(is_final(&Error::new(code, "")), is, "{code}");
        }
    }
}
