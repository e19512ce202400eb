//! What a step spends, and where its text goes: the engine's side of a question to a model.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Instant,
};

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use super::{
    Run, StepStatus,
    engine::Engine,
    events::{BATCH_AT_MOST, EventBody},
};
use crate::{
    Usd,
    error::{Code, Error, Result},
    pipeline::json_stream::{LayerStream, apply_delta},
    provider::{Exchange, Purse, Sink, Unanswered, recording::Asked},
    store::runs::{EventLog, Held, Reserve, StepResult},
};

/// Why a step came to no end of its own.
#[derive(Debug)]
pub(super) enum Halt {
    /// The run fails with this.
    Failed(Error),
    /// The run fails with this, and the step keeps on which grounds.
    Refused(Box<Error>, Value),
    /// An exact replay asked for something that was not recorded.
    Diverged,
    /// The step is another worker's, or the run has ended.
    Lost,
    /// A fault of ours or of AWS: the step is tried again.
    Retry(Error),
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        if error.code == Code::Internal { Self::Retry(error) } else { Self::Failed(error) }
    }
}

/// Set when the step was found to be another worker's while a provider was answering. The asking stops with some
/// error; this says that it was no failure.
#[derive(Debug, Default)]
pub(super) struct LostFlag(Mutex<bool>);

impl LostFlag {
    fn raise(&self) -> Error {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        Error::internal("the step is another worker's, or the run has ended")
    }

    pub(super) fn is_raised(&self) -> bool {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A step's money in micro-dollars, and its exchanges with providers.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    reserved: AtomicI64,
    spent: AtomicI64,
    /// Set aside for a call that has not ended: if the call is dropped, nobody knows what the vendor charged.
    in_flight: AtomicI64,
    exchanges: Vec<Exchange>,
}

impl Ledger {
    /// Keeps what a call exchanged, whether or not it was answered.
    pub(super) fn note(&mut self, exchanges: Vec<Exchange>) {
        self.exchanges.extend(exchanges);
    }

    /// Who was asked last, as `<provider>/<model>`.
    pub(super) fn last_asked(&self) -> String {
        self.exchanges.last().map(|last| format!("{}/{}", last.provider, last.model)).unwrap_or_default()
    }

    /// The result of a step as far as money and recording go.
    pub(super) fn result(
        &self,
        status: StepStatus,
        output: Value,
        begun: Instant,
        cached: bool,
    ) -> StepResult {
        let amount = |counter: &AtomicI64| Usd::from_micros(counter.load(Ordering::Relaxed));
        let is_completion = |exchange: &&Exchange| matches!(exchange.request, Asked::Completion(_));
        let last = self.exchanges.iter().rev().find(is_completion);
        StepResult {
            status,
            output,
            recording: (!self.exchanges.is_empty()).then(|| json!(self.exchanges)),
            provider: last.map(|exchange| exchange.provider.clone()),
            model: last.map(|exchange| exchange.model.clone()),
            tokens_in: self.exchanges.iter().map(|exchange| exchange.usage.input).sum(),
            tokens_out: self.exchanges.iter().map(|exchange| exchange.usage.output).sum(),
            cost: amount(&self.spent),
            release: amount(&self.reserved) - amount(&self.spent) - amount(&self.in_flight),
            latency_ms: begun.elapsed().as_millis() as u64,
            cached,
        }
    }
}

/// Pays out of the run's budget.
pub(super) struct RunPurse<'a> {
    pub(super) engine: &'a Engine<'a>,
    pub(super) run: &'a Run,
    pub(super) held: &'a Held,
    pub(super) ledger: &'a Ledger,
    pub(super) lost: &'a LostFlag,
}

#[async_trait]
impl Purse for RunPurse<'_> {
    async fn reserve(&self, worst: Usd) -> Result<()> {
        let ledger = self.ledger;
        let free = ledger.reserved.load(Ordering::Relaxed)
            - ledger.spent.load(Ordering::Relaxed)
            - ledger.in_flight.load(Ordering::Relaxed);
        let more = Usd::from_micros((worst.micros() - free).max(0));
        if more > Usd::ZERO {
            let tenant = self.engine.tenant;
            match self.engine.store.reserve(&tenant, self.held, more, self.run.budget()).await? {
                Reserve::Granted => {}
                Reserve::Lost => return Err(self.lost.raise()),
                Reserve::Exceeds(committed) => {
                    let budget = self.run.budget().unwrap_or_default();
                    let needed = (committed + more).dollars();
                    return Err(Error::new(
                        Code::CostBudgetExceeded,
                        format!("Run aborted: {needed} exceeds budget {}.", budget.dollars()),
                    ));
                }
            }
            ledger.reserved.fetch_add(more.micros(), Ordering::Relaxed);
        }
        ledger.in_flight.fetch_add(worst.micros(), Ordering::Relaxed);
        Ok(())
    }

    async fn settle(&self, worst: Usd, cost: Usd) -> Result<()> {
        self.ledger.in_flight.fetch_sub(worst.micros(), Ordering::Relaxed);
        self.ledger.spent.fetch_add(cost.micros(), Ordering::Relaxed);
        Ok(())
    }
}

/// Hands on each field of an answer as soon as it closes; [`write_events`] sends it.
pub(super) struct FieldSink<'a> {
    /// Fields already sent, applied to `{}`; a second attempt does not repeat what the first has sent.
    pub(super) sent: &'a mut Value,
    pub(super) fields: LayerStream,
    /// The layers or custom fields that were asked for, as paths; what else a model writes is nobody's field.
    pub(super) asked: Vec<String>,
    pub(super) outgoing: UnboundedSender<EventBody>,
    pub(super) lost: &'a LostFlag,
}

impl FieldSink<'_> {
    fn was_asked_for(&self, path: &str) -> bool {
        let is_within = |asked: &String| {
            path.strip_prefix(asked.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        self.asked.iter().any(is_within)
    }
}

#[async_trait]
impl Sink for FieldSink<'_> {
    async fn text(&mut self, piece: &str) -> Result<()> {
        for (path, value) in self.fields.push(piece) {
            if !self.was_asked_for(&path) {
                continue;
            }
            let mut after = self.sent.clone();
            apply_delta(&mut after, &path, value.clone());
            if after != *self.sent {
                *self.sent = after;
                let sent = self.outgoing.send(EventBody::layer_delta(&path, &value));
                sent.map_err(|_| Error::internal("the fields of an answer cannot be written"))?;
            }
        }
        if self.lost.is_raised() { Err(self.lost.raise()) } else { Ok(()) }
    }

    async fn restart(&mut self) -> Result<()> {
        self.fields = LayerStream::new();
        Ok(())
    }
}

/// Writes events while an answer goes on. The answer is not held up by a write: what comes meanwhile gathers, and is
/// written together next. What is left when it has ended comes back, to be written with whatever is written next.
pub(super) async fn write_events(
    engine: &Engine<'_>,
    log: &mut EventLog,
    mut incoming: UnboundedReceiver<EventBody>,
    lost: &LostFlag,
) -> Result<Vec<EventBody>> {
    let mut events = Vec::new();
    while incoming.recv_many(&mut events, BATCH_AT_MOST).await > 0 {
        if incoming.is_closed() {
            // The steps beside this one are ending too, as a rule: each write of its own would meet theirs.
            continue;
        }
        engine.store.append_events(log, &events, engine.clock).await?;
        if log.is_closed() {
            return Err(lost.raise());
        }
        events.clear();
    }
    Ok(events)
}

/// What an unanswered question means for the step.
pub(super) fn halted(unanswered: Unanswered, lost: &LostFlag) -> Halt {
    if lost.is_raised() {
        return Halt::Lost;
    }
    if unanswered.diverged {
        return Halt::Diverged;
    }
    (*unanswered.error).into()
}
