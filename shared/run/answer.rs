//! Getting an answer from a model: reserve, call, stream, validate, retry, repair, fall back. Or, in an exact replay,
//! from the recorded exchanges.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use futures_util::StreamExt;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    Usd,
    error::{Code, Detail, Error},
    key::hex,
    provider::{Candidate, Chunk, Completion, CompletionRequest, Failure, Message, ProviderError, Speaker},
};

/// Tries at one candidate before the next one's turn.
const TRIES: u32 = 3;
/// The longest a `Retry-After` of a vendor is waited for.
const PATIENCE: Duration = Duration::from_secs(20);

/// One call and its answer, as recorded. The request is kept whole: recordings hold every prompt.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Exchange {
    pub(super) provider: String,
    pub(super) model: String,
    /// SHA-256 of the request's JSON; what exact replay compares.
    pub(super) digest: String,
    pub(super) request: CompletionRequest,
    /// `None` when the call failed; then `failure` says how.
    pub(super) completion: Option<Completion>,
    pub(super) failure: Option<String>,
    pub(super) latency_ms: u64,
}

/// A valid answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) text: String,
    pub(super) provider: String,
    pub(super) model: String,
}

/// Why a step got no answer.
#[derive(Debug)]
pub(super) enum Halt {
    /// The run fails with this.
    Failed(Error),
    /// An exact replay asked for something that was not recorded.
    Diverged,
    /// The step is another worker's, or the run has ended.
    Lost,
    /// A fault of ours or of AWS: the message comes again.
    Retry(Error),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        if error.code == Code::Internal { Self::Retry(error) } else { Self::Failed(error) }
    }
}

/// What the caller of a model does with text as it comes, and with money before it goes.
pub(super) trait Desk {
    /// Reserves the worst case of a call.
    async fn reserve(&mut self, worst: Usd) -> Result<(), Halt>;
    /// Notes what a call used.
    fn spent(&mut self, completion: &Completion, cost: Usd);
    /// More text of the current answer.
    async fn text(&mut self, piece: &str) -> Result<(), Halt>;
    /// The current answer is void; another one begins.
    fn restart(&mut self);
}

/// Where answers come from.
pub(super) enum Source {
    /// Candidates in fallback order.
    Live(Vec<Candidate>),
    /// The exchanges of the run that is repeated.
    Recorded(VecDeque<Exchange>),
}

/// SHA-256 of what a vendor is asked.
pub(super) fn digest(request: &CompletionRequest) -> String {
    hex(&Sha256::digest(serde_json::to_vec(request).unwrap_or_default()))
}

/// A valid answer to `request`, or why there is none. Every call made is added to `exchanges`.
pub(super) async fn answer(
    source: &mut Source,
    request: &CompletionRequest,
    desk: &mut impl Desk,
    exchanges: &mut Vec<Exchange>,
    validate: &(dyn Fn(&str) -> Vec<Detail> + Send + Sync),
) -> Result<Answer, Halt> {
    match source {
        Source::Recorded(recorded) => replayed(recorded, request, desk, exchanges, validate).await,
        Source::Live(candidates) => {
            let mut last = String::from("no model is configured for this role");
            for candidate in candidates.iter() {
                match ask(candidate, request, desk, exchanges, validate).await? {
                    Ok(answer) => return Ok(answer),
                    Err(reason) => last = reason,
                }
                desk.restart();
            }
            Err(Halt::Failed(
                Error::new(
                    Code::ProviderUnavailable,
                    "The model provider failed, and so did every fallback. Retry later, or replay the run with {\"mode\":\"fresh\"}.",
                )
                .with_source(last),
            ))
        }
    }
}

/// One candidate: tries with backoff, then one repair of an answer of the wrong shape. The inner error is for the log.
async fn ask(
    candidate: &Candidate,
    request: &CompletionRequest,
    desk: &mut impl Desk,
    exchanges: &mut Vec<Exchange>,
    validate: &(dyn Fn(&str) -> Vec<Detail> + Send + Sync),
) -> Result<Result<Answer, String>, Halt> {
    let mut asked = request.clone();
    for repair in [false, true] {
        let completion = match persist(candidate, &asked, desk, exchanges).await? {
            Ok(completion) => completion,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let problems = validate(&completion.text);
        if problems.is_empty() {
            let (provider, model) = (candidate.provider_name.clone(), candidate.model.clone());
            return Ok(Ok(Answer { text: completion.text, provider, model }));
        }
        if repair {
            break;
        }
        desk.restart();
        asked = repair_request(request, &completion.text, &problems);
    }
    Ok(Err("the answer did not match its schema, nor did its repair".to_owned()))
}

/// The same question with the answer's faults pointed out.
fn repair_request(request: &CompletionRequest, text: &str, problems: &[Detail]) -> CompletionRequest {
    let mut asked = request.clone();
    let listed: String =
        problems.iter().take(12).map(|p| format!("- {}: {}\n", p.pointer, p.message)).collect();
    asked.messages.push(Message { role: Speaker::Assistant, content: text.to_owned() });
    asked.messages.push(Message {
        role: Speaker::User,
        content: format!(
            "That answer has these problems:\n{listed}Write the whole JSON object again without them."
        ),
    });
    asked
}

async fn persist(
    candidate: &Candidate,
    request: &CompletionRequest,
    desk: &mut impl Desk,
    exchanges: &mut Vec<Exchange>,
) -> Result<Result<Completion, ProviderError>, Halt> {
    let mut tries = 0;
    loop {
        tries += 1;
        desk.reserve(candidate.worst_case(request)).await?;
        let begun = Instant::now();
        let outcome = call(candidate, request, desk).await?;
        exchanges.push(Exchange {
            provider: candidate.provider_name.clone(),
            model: candidate.model.clone(),
            digest: digest(request),
            request: request.clone(),
            completion: outcome.as_ref().ok().cloned(),
            failure: outcome.as_ref().err().map(|error| format!("{:?}", error.failure)),
            latency_ms: begun.elapsed().as_millis() as u64,
        });
        let error = match outcome {
            Ok(completion) => {
                desk.spent(&completion, candidate.cost(request, &completion.usage));
                return Ok(Ok(completion));
            }
            Err(error) => error,
        };
        if let Some(usage) = error.usage {
            let wasted = Completion { text: String::new(), usage, finish: crate::provider::Finish::Stop };
            desk.spent(&wasted, candidate.cost(request, &usage));
        }
        desk.restart();
        let wait = match error.failure {
            Failure::Throttled(after) => after.map(|seconds| Duration::from_secs(seconds.into())),
            Failure::Unavailable => None,
            Failure::Refused | Failure::Unsupported => return Ok(Err(error)),
        };
        let backoff = Duration::from_millis(rand::rng().random_range(100..300) << tries);
        let wait = wait.unwrap_or(backoff);
        if tries == TRIES || wait > PATIENCE {
            return Ok(Err(error));
        }
        tracing::warn!(provider.name = %candidate.provider_name, provider.failure = ?error.failure, provider.tries = tries, "a provider call failed");
        tokio::time::sleep(wait).await;
    }
}

async fn call(
    candidate: &Candidate,
    request: &CompletionRequest,
    desk: &mut impl Desk,
) -> Result<Result<Completion, ProviderError>, Halt> {
    let mut stream = match candidate.provider.stream(&candidate.model, request).await {
        Ok(stream) => stream,
        Err(error) => return Ok(Err(error)),
    };
    while let Some(chunk) = stream.next().await {
        match chunk {
            Ok(Chunk::Text(piece)) => desk.text(&piece).await?,
            Ok(Chunk::Done(completion)) => return Ok(Ok(completion)),
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Err(ProviderError::new(Failure::Unavailable, "the stream ended without its end")))
}

async fn replayed(
    recorded: &mut VecDeque<Exchange>,
    request: &CompletionRequest,
    desk: &mut impl Desk,
    exchanges: &mut Vec<Exchange>,
    validate: &(dyn Fn(&str) -> Vec<Detail> + Send + Sync),
) -> Result<Answer, Halt> {
    let mut asked = request.clone();
    loop {
        let Some(exchange) = recorded.pop_front() else { return Err(Halt::Diverged) };
        // A fallback asks the first question again, after a repair that did not help.
        let plain = exchange.digest == digest(request);
        if exchange.digest != digest(&asked) && !plain {
            return Err(Halt::Diverged);
        }
        if plain {
            asked = request.clone();
        }
        exchanges.push(exchange.clone());
        let Some(completion) = exchange.completion else { continue };
        let problems = validate(&completion.text);
        if problems.is_empty() {
            desk.text(&completion.text).await?;
            desk.spent(&completion, Usd::ZERO);
            return Ok(Answer { text: completion.text, provider: exchange.provider, model: exchange.model });
        }
        asked = repair_request(request, &completion.text, &problems);
    }
}
