//! Asks the vendors: candidates in fallback order, retries with backoff, a circuit breaker for each vendor, one
//! repair of an answer that does not fit, and money reserved before every try.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use backon::{BackoffBuilder, ExponentialBuilder};
use futures_util::StreamExt;

use super::{
    Chunk, Completion, CompletionRequest, CompletionStream, Failure, Finish, ModerationVerdict, Provider,
    ProviderError, Role, Usage,
    anthropic::Anthropic,
    ask::{Answer, Ask, Purse, Sink, Source, Unanswered, repair},
    bedrock::Bedrock,
    breaker::Breaker,
    config::{Candidate, Config, Kind, ProviderConfig},
    openai::Openai,
    recording::{Answered, Asked, Exchange},
    sandbox::Sandbox,
    together::together,
};
use crate::{
    error::{Code, Detail, Error, Result},
    money::Usd,
    search::Search,
};

/// How much trying one candidate is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Calls at most.
    pub tries: usize,
    /// The first wait, before jitter; each next one doubles.
    pub first: Duration,
    /// The longest wait of our own choice.
    pub longest: Duration,
    /// The longest wait that a vendor's `Retry-After` may ask for; beyond it the next candidate is asked at once.
    pub asked: Duration,
    /// No retry begins later than this after the first try.
    pub within: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            tries: 3,
            first: Duration::from_millis(300),
            longest: Duration::from_secs(5),
            asked: Duration::from_secs(15),
            within: Duration::from_mins(1),
        }
    }
}

/// The configured vendors. Keep one for the life of the process: it holds connections and circuits.
pub struct Router {
    vendors: HashMap<String, Vendor>,
    roles: HashMap<Role, Vec<Candidate>>,
    search: Option<Search>,
    patience: Patience,
}

struct Vendor {
    config: ProviderConfig,
    client: OnceLock<Arc<dyn Provider>>,
    breaker: Breaker,
}

impl Vendor {
    fn client(&self) -> Arc<dyn Provider> {
        let made = || -> Arc<dyn Provider> {
            match self.config.kind {
                Kind::Openai => Arc::new(Openai::new(&self.config)),
                Kind::Anthropic => Arc::new(Anthropic::new(&self.config)),
                Kind::Bedrock => Arc::new(Bedrock::new(&self.config)),
                Kind::Sandbox => Arc::new(Sandbox::default()),
            }
        };
        self.client.get_or_init(made).clone()
    }

    /// The sandbox fails on request of one caller, which is no reason to keep it from another.
    fn breaker(&self) -> Option<&Breaker> {
        (self.config.kind != Kind::Sandbox).then_some(&self.breaker)
    }

    /// An answer closes the circuit, and so does a refusal: whoever refuses is there. One who throttles may be.
    fn learn(&self, failure: Option<&Failure>) {
        let Some(breaker) = self.breaker() else { return };
        match failure {
            None | Some(Failure::Refused | Failure::Unsupported) => breaker.close(),
            Some(Failure::Unavailable) => breaker.count(Instant::now()),
            Some(Failure::Throttled(_)) => {}
        }
    }
}

impl Router {
    /// The vendors of a configuration; each one's client is made when it is first asked.
    pub fn from_config(config: Config) -> Self {
        let vendor = |config: ProviderConfig| {
            let name = config.name.clone();
            (name, Vendor { config, client: OnceLock::new(), breaker: Breaker::default() })
        };
        Self {
            vendors: config.providers.into_iter().map(vendor).collect(),
            roles: config.roles,
            search: config.search.map(Search::new),
            patience: Patience::default(),
        }
    }

    /// The sandbox in every role, for workspaces in test mode.
    pub fn sandbox() -> Self {
        Self { search: Some(Search::simulated()), ..Self::from_config(Config::sandbox()) }
    }

    /// The web search, where there is one.
    pub fn search(&self) -> Option<&Search> {
        self.search.as_ref()
    }

    /// The same with another patience.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// The models of a role in fallback order; empty if it is not configured.
    pub fn candidates(&self, role: Role) -> &[Candidate] {
        self.roles.get(&role).map_or(&[], Vec::as_slice)
    }

    /// One call, streamed; neither retried nor reserved.
    pub async fn stream(
        &self,
        candidate: &Candidate,
        request: &CompletionRequest,
    ) -> Result<CompletionStream, ProviderError> {
        self.vendor(candidate)?.client().stream(&candidate.model, request).await
    }

    /// One call; neither retried nor reserved.
    pub async fn complete(
        &self,
        candidate: &Candidate,
        request: &CompletionRequest,
    ) -> Result<Completion, ProviderError> {
        self.vendor(candidate)?.client().complete(&candidate.model, request).await
    }

    /// One vector for each text, of this model and no other: vectors of two models cannot be compared.
    pub async fn embed_by(
        &self,
        model: &str,
        texts: &[String],
        purse: &dyn Purse,
    ) -> Result<Answer<Vec<Vec<f32>>>, Unanswered> {
        let asked = Asked::Embedding(texts.to_vec());
        Asking::new(self, purse, None).only(&asked, |candidate| candidate.model == model, vectors).await
    }

    fn vendor(&self, candidate: &Candidate) -> Result<&Vendor, ProviderError> {
        self.vendors.get(&candidate.provider).ok_or_else(|| {
            ProviderError::new(Failure::Unsupported, format!("no provider {}", candidate.provider))
        })
    }
}

#[async_trait]
impl Source for Router {
    fn offers(&self, role: Role) -> bool {
        !self.candidates(role).is_empty()
    }

    async fn answer(&self, ask: Ask<'_>) -> Result<Answer, Unanswered> {
        let Ask { request, validate, purse, sink } = ask;
        let mut asking = Asking::new(self, purse, sink);
        for candidate in self.candidates(request.role) {
            let asked = request.clone();
            match asking.fitting(candidate, asked, validate).await {
                Ok(Some(completion)) => return Ok(asking.told(candidate, completion)),
                Ok(None) => {}
                Err(error) => return Err(asking.stopped(error)),
            }
        }
        Err(asking.exhausted(request.role))
    }

    async fn embed(&self, texts: &[String], purse: &dyn Purse) -> Result<Answer<Vec<Vec<f32>>>, Unanswered> {
        let asked = Asked::Embedding(texts.to_vec());
        Asking::new(self, purse, None).only(&asked, |_| true, vectors).await
    }

    async fn moderate(&self, text: &str, purse: &dyn Purse) -> Result<Answer<ModerationVerdict>, Unanswered> {
        let asked = Asked::Moderation(text.to_owned());
        let verdict = |answer| match answer {
            Answered::Moderation(verdict) => Some(verdict),
            _ => None,
        };
        Asking::new(self, purse, None).only(&asked, |_| true, verdict).await
    }
}

fn vectors(answer: Answered) -> Option<Vec<Vec<f32>>> {
    match answer {
        Answered::Embedding(vectors) => Some(vectors),
        _ => None,
    }
}

/// `provider.unavailable`; what went wrong is for the log alone.
pub(super) fn unavailable(why: String, retry_after: Option<u32>) -> Error {
    let error = Error::new(
        Code::ProviderUnavailable,
        "The model provider failed, and so did every fallback. Try again in a few moments.",
    );
    let error = error.with_source(why);
    match retry_after {
        Some(seconds) => error.with_retry_after(seconds.max(1)),
        None => error,
    }
}

// ---- one asking

/// A question on its way through the candidates.
struct Asking<'r, 'a> {
    router: &'r Router,
    purse: &'a dyn Purse,
    sink: Option<&'a mut dyn Sink>,
    /// Whether the sink holds text of a try that may fail.
    heard: bool,
    exchanges: Vec<Exchange>,
    cost: Usd,
    /// Why each candidate was given up.
    reasons: Vec<String>,
    /// The shortest time after which a candidate said to come back.
    retry_after: Option<u32>,
}

/// How one call ended.
enum Called {
    Answered(Answered, Usage),
    Failed(ProviderError),
    /// The listener stopped it; the vendor may have charged this much.
    Stopped(Error, Usage),
}

impl<'r, 'a> Asking<'r, 'a> {
    fn new(router: &'r Router, purse: &'a dyn Purse, sink: Option<&'a mut dyn Sink>) -> Self {
        Self {
            router,
            purse,
            sink,
            heard: false,
            exchanges: Vec::new(),
            cost: Usd::ZERO,
            reasons: Vec::new(),
            retry_after: None,
        }
    }

    /// An answer of one candidate that fits, if need be after a repair; `None` to ask the next one.
    async fn fitting(
        &mut self,
        candidate: &Candidate,
        request: CompletionRequest,
        validate: &super::Validate<'_>,
    ) -> Result<Option<Completion>> {
        let mut asked = Asked::Completion(request.clone());
        for repaired in [false, true] {
            let Some(Answered::Completion { text, tool_calls, finish }) =
                self.persist(candidate, &asked).await?
            else {
                return Ok(None);
            };
            if finish == Finish::ContentFilter {
                self.give_up(candidate, "its filter cut the answer");
                self.restart().await?;
                return Ok(None);
            }
            let Err(mut problems) = validate(&text) else {
                let usage = self.exchanges.last().map(|exchange| exchange.usage).unwrap_or_default();
                return Ok(Some(Completion { text, tool_calls, usage, finish }));
            };
            self.log_misfit(candidate, request.role, repaired, &problems);
            self.restart().await?;
            if finish == Finish::Length {
                let limit = request.max_tokens;
                problems.insert(0, Detail::new("", format!("it was cut off at {limit} tokens; write less")));
            }
            asked = Asked::Completion(repair(&request, &text, &problems));
        }
        self.give_up(candidate, "its answers do not fit");
        Ok(None)
    }

    /// An answer that needs no validation, from whoever of those meant gives one.
    async fn only<T>(
        mut self,
        asked: &Asked,
        meant: impl Fn(&Candidate) -> bool,
        wanted: impl Fn(Answered) -> Option<T>,
    ) -> Result<Answer<T>, Unanswered> {
        for candidate in self.router.candidates(asked.role()).iter().filter(|candidate| meant(candidate)) {
            match self.persist(candidate, asked).await {
                Ok(answer) => {
                    if let Some(content) = answer.and_then(&wanted) {
                        return Ok(self.told(candidate, content));
                    }
                }
                Err(error) => return Err(self.stopped(error)),
            }
        }
        Err(self.exhausted(asked.role()))
    }

    /// Tries one candidate until it answers or is not worth another try.
    async fn persist(&mut self, candidate: &Candidate, asked: &Asked) -> Result<Option<Answered>> {
        let Ok(vendor) = self.router.vendor(candidate) else { return Ok(None) };
        let patience = self.router.patience;
        let mut waits = ExponentialBuilder::new()
            .with_min_delay(patience.first)
            .with_max_delay(patience.longest)
            .with_max_times(patience.tries.saturating_sub(1))
            .with_jitter()
            .build();
        let began = Instant::now();
        loop {
            if let Some(Err(rest)) = vendor.breaker().map(|breaker| breaker.admit(Instant::now())) {
                self.come_back_in(rest.as_secs_f64().ceil() as u32);
                self.give_up(candidate, "its circuit is open");
                return Ok(None);
            }
            let failure = match self.try_once(vendor, candidate, asked).await? {
                Ok(answer) => return Ok(Some(answer)),
                Err(failure) => failure,
            };
            let Some(wait) = self.wait(&failure, waits.next()) else {
                self.give_up(candidate, &format!("{failure:?}"));
                return Ok(None);
            };
            if began.elapsed() + wait > patience.within {
                self.give_up(candidate, "it took too long");
                return Ok(None);
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// How long to wait before the next try; `None` if there is to be none.
    fn wait(&mut self, failure: &Failure, planned: Option<Duration>) -> Option<Duration> {
        match failure {
            Failure::Throttled(Some(seconds)) => {
                self.come_back_in(*seconds);
                let wanted = Duration::from_secs(u64::from(*seconds));
                planned.filter(|_| wanted <= self.router.patience.asked).map(|planned| planned.max(wanted))
            }
            Failure::Throttled(None) | Failure::Unavailable => planned,
            Failure::Refused | Failure::Unsupported => None,
        }
    }

    /// One call: reserved, made, settled, recorded.
    async fn try_once(
        &mut self,
        vendor: &Vendor,
        candidate: &Candidate,
        asked: &Asked,
    ) -> Result<Result<Answered, Failure>> {
        let worst = worst_case(candidate, asked);
        self.purse.reserve(worst).await?;
        let began = Instant::now();
        let called = self.call(&*vendor.client(), candidate, asked).await;
        let latency_ms = began.elapsed().as_millis() as u64;
        let attempt = self.exchanges.len() + 1;
        let mut known = true;
        let (answer, usage, stopped) = match called {
            Called::Answered(answer, usage) => {
                vendor.learn(None);
                log_answer(candidate, asked, &usage, attempt, latency_ms);
                (answer, Some(usage), None)
            }
            Called::Failed(error) => {
                vendor.learn(Some(&error.failure));
                log_failure(candidate, asked.role(), &error, attempt, latency_ms);
                known = error.usage.is_some() || !error.unanswered;
                (Answered::Failed(error.failure), error.usage, None)
            }
            Called::Stopped(error, usage) => {
                (Answered::Failed(Failure::Unavailable), Some(usage), Some(error))
            }
        };
        let cost = usage.map_or(Usd::ZERO, |usage| cost(candidate, asked, &usage));
        if cost > worst {
            tracing::error!(
                provider.name = candidate.provider,
                provider.model = candidate.model,
                cost_micro_usd = cost.micros(),
                worst_micro_usd = worst.micros(),
                "a call cost more than its worst case"
            );
        }
        self.cost += cost;
        self.exchanges.push(Exchange {
            digest: asked.digest(),
            provider: candidate.provider.clone(),
            model: candidate.model.clone(),
            request: asked.clone(),
            answer: answer.clone(),
            usage: usage.unwrap_or_default(),
            cost,
            latency_ms,
        });
        // What a vendor charged that never answered, nobody knows: the money stays set aside.
        if known {
            self.purse.settle(worst, cost).await?;
        }
        if let Some(error) = stopped {
            return Err(error);
        }
        match answer {
            Answered::Failed(failure) => {
                self.restart().await?;
                Ok(Err(failure))
            }
            answer => Ok(Ok(answer)),
        }
    }

    async fn call(&mut self, client: &dyn Provider, candidate: &Candidate, asked: &Asked) -> Called {
        let model = &candidate.model;
        let answer = match asked {
            Asked::Completion(request) if self.sink.is_some() => {
                return self.listen(client, candidate, request).await;
            }
            Asked::Completion(request) => client.complete(model, request).await.map(answered),
            Asked::Embedding(texts) => {
                client.embed(model, texts).await.map(|(vectors, usage)| (Answered::Embedding(vectors), usage))
            }
            Asked::Moderation(text) => client
                .moderate(model, text)
                .await
                .map(|verdict| (Answered::Moderation(verdict), Usage::default())),
        };
        match answer {
            Ok((answer, usage)) => Called::Answered(answer, usage),
            Err(error) => Called::Failed(error),
        }
    }

    /// A streamed call, what has come passed on at once.
    async fn listen(
        &mut self,
        client: &dyn Provider,
        candidate: &Candidate,
        request: &CompletionRequest,
    ) -> Called {
        let mut stream = match client.stream(&candidate.model, request).await {
            Ok(stream) => together(stream),
            Err(error) => return Called::Failed(error),
        };
        let mut written = 0;
        while let Some(chunk) = stream.next().await {
            match chunk {
                Ok(Chunk::Text(piece)) => {
                    written += piece.len();
                    if let Err(error) = self.pass_on(&piece).await {
                        let prompt = candidate.prompt_tokens_at_most(request);
                        return Called::Stopped(error, Usage::at_most(prompt, written, request.max_tokens));
                    }
                }
                Ok(Chunk::Done(completion)) => {
                    let (answer, usage) = answered(completion);
                    return Called::Answered(answer, usage);
                }
                Err(error) => return Called::Failed(error),
            }
        }
        Called::Failed(ProviderError::new(Failure::Unavailable, "the stream has no end"))
    }

    async fn pass_on(&mut self, piece: &str) -> Result<()> {
        if let Some(sink) = &mut self.sink {
            self.heard = true;
            sink.text(piece).await?;
        }
        Ok(())
    }

    /// Voids what the sink has heard, if anything.
    async fn restart(&mut self) -> Result<()> {
        if let (true, Some(sink)) = (std::mem::take(&mut self.heard), &mut self.sink) {
            sink.restart().await?;
        }
        Ok(())
    }

    fn come_back_in(&mut self, seconds: u32) {
        self.retry_after = Some(self.retry_after.map_or(seconds, |before| before.min(seconds)));
    }

    fn give_up(&mut self, candidate: &Candidate, why: &str) {
        self.reasons.push(format!("{} {}: {why}", candidate.provider, candidate.model));
    }

    /// Pointers alone: what stands there is the model's, and may be the caller's.
    fn log_misfit(&self, candidate: &Candidate, role: Role, repaired: bool, problems: &[Detail]) {
        let pointers: Vec<&str> = problems.iter().map(|problem| problem.pointer.as_str()).take(8).collect();
        tracing::warn!(
            provider.name = candidate.provider,
            provider.model = candidate.model,
            provider.role = ?role,
            answer.repaired = repaired,
            answer.problems = problems.len(),
            answer.pointers = ?pointers,
            "a model's answer does not fit"
        );
    }

    fn told<T>(self, candidate: &Candidate, content: T) -> Answer<T> {
        Answer {
            content,
            provider: candidate.provider.clone(),
            model: candidate.model.clone(),
            cost: self.cost,
            exchanges: self.exchanges,
        }
    }

    fn stopped(self, error: Error) -> Unanswered {
        Unanswered { error: Box::new(error), diverged: false, cost: self.cost, exchanges: self.exchanges }
    }

    fn exhausted(self, role: Role) -> Unanswered {
        let why = if self.reasons.is_empty() {
            format!("no model is configured for the role {role:?}")
        } else {
            self.reasons.join("; ")
        };
        let error = unavailable(why, self.retry_after);
        self.stopped(error)
    }
}

fn answered(completion: Completion) -> (Answered, Usage) {
    let Completion { text, tool_calls, usage, finish } = completion;
    (Answered::Completion { text, tool_calls, finish }, usage)
}

fn worst_case(candidate: &Candidate, asked: &Asked) -> Usd {
    let bound = |text: &String| text.len() as u64 + 64;
    match asked {
        Asked::Completion(request) => candidate.worst_case(request),
        Asked::Embedding(texts) => candidate.price.worst_case(texts.iter().map(bound).sum(), 0),
        Asked::Moderation(text) => candidate.price.worst_case(bound(text), 0),
    }
}

fn cost(candidate: &Candidate, asked: &Asked, usage: &Usage) -> Usd {
    match asked {
        Asked::Completion(request) => candidate.cost(request, usage),
        Asked::Embedding(_) | Asked::Moderation(_) => candidate.price.cost(usage),
    }
}

/// The line of a call that was answered.
fn log_answer(candidate: &Candidate, asked: &Asked, usage: &Usage, attempt: usize, latency_ms: u64) {
    tracing::info!(
        target: crate::METRICS,
        {
            provider.name = candidate.provider,
            provider.model = candidate.model,
            provider.role = ?asked.role(),
            provider.attempt = attempt,
            provider.latency_ms = latency_ms,
            provider.errors = 0,
            "tokens.in" = usage.input,
            "tokens.out" = usage.output,
            cost_micro_usd = cost(candidate, asked, usage).micros(),
        },
        "a model answered"
    );
}

/// The line of a call that failed.
fn log_failure(candidate: &Candidate, role: Role, error: &ProviderError, attempt: usize, latency_ms: u64) {
    tracing::warn!(
        target: crate::METRICS,
        {
            provider.name = candidate.provider,
            provider.model = candidate.model,
            provider.role = ?role,
            provider.attempt = attempt,
            provider.latency_ms = latency_ms,
            provider.errors = 1,
            provider.failure = error.failure.as_str(),
            error.source = error.detail,
        },
        "a call to a model failed"
    );
}
