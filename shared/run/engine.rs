//! The engine: takes one step of one run from claim to commit, and sends what became ready.
//!
//! Safe to kill at any line and to call twice: see the conditions in `store::runs`.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tracing::Instrument;

use super::{
    Run, RunKind, RunStatus, StepState, StepStatus,
    events::EventBody,
    ledger::{Halt, Ledger},
    refining,
    step::{Outcome, Work},
};
use crate::{
    app::App,
    clock::Clock,
    config,
    error::{Code, Error, Result},
    id::RunId,
    pipeline::{Kind, Pipeline, json_stream::apply_delta},
    provider::{Exchange, Recording, Source},
    queue::{Queue, StepMessage},
    store::{
        Store,
        runs::{ACTIVE_SHARDS, ActiveRun, Claim, Ending, EventLog, Held, RunData, StepResult, Written},
    },
    tenant::Tenant,
    webhook,
};

/// A step whose worker was lost this often ends its run.
const ATTEMPTS: u32 = 6;

/// One tenant's engine in one worker.
pub struct Engine<'a> {
    pub(super) app: &'a App,
    pub(super) store: &'a Store,
    pub(super) queue: &'a Queue,
    pub(super) clock: &'a dyn Clock,
    pub(super) tenant: Tenant,
}

impl<'a> Engine<'a> {
    /// An engine in the name of `tenant`.
    pub async fn new(app: &'a App, tenant: Tenant) -> Self {
        Self { app, store: app.store().await, queue: app.queue().await, clock: app.clock(), tenant }
    }

    /// Takes a step as far as it goes. An error means: deliver the message again.
    pub async fn work(&self, message: &StepMessage) -> Result<()> {
        let mut next = Some(message.step.clone());
        while let Some(step) = next.take() {
            // A step that follows at once was not queued.
            let queued_ms = (step != message.step).then_some(0_u64);
            let lease = config::lease().as_millis() as i64;
            match self.store.claim_step(&self.tenant, message.run, &step, self.clock, lease).await? {
                Claim::Won(run, attempt) => {
                    let held = Held { run: message.run, step, attempt };
                    let span = tracing::error_span!(
                        "step",
                        step = held.step,
                        step.attempt = attempt,
                        pipeline = run.pipeline.name,
                        step.queue_ms = queued_ms
                    );
                    if self.take(&run, &held).instrument(span).await? {
                        next = self.follow_up(&run, &held.step).await?;
                    }
                }
                Claim::Done(run) => self.send(run.id, run.ready_after(&step)).await?,
                Claim::NotNow => {}
                Claim::Unknown => {
                    tracing::warn!("a message names no step that exists");
                }
            }
        }
        Ok(())
    }

    /// Sends the steps that became ready, but keeps one that calls no model: it is quicker done than sent.
    async fn follow_up(&self, run: &Run, done: &str) -> Result<Option<String>> {
        let mut ready = match run.freed_by(done) {
            Some(freed) => freed,
            None => match self.store.run(&self.tenant, run.id).await? {
                Some(now) if !now.status.is_final() => now.ready_after(done),
                _ => return Ok(None),
            },
        };
        let pipeline = Pipeline::built_in(&run.pipeline.name);
        let local = |name: &String| {
            pipeline
                .and_then(|p| p.step(name))
                .is_some_and(|s| matches!(s.kind, Kind::Repair | Kind::Finalize | Kind::Revise))
        };
        let kept = ready.iter().position(local).map(|position| ready.remove(position));
        self.send(run.id, ready).await?;
        Ok(kept)
    }

    async fn send(&self, run: RunId, steps: Vec<String>) -> Result<()> {
        let messages: Vec<_> =
            steps.into_iter().map(|step| StepMessage::new(&self.tenant, run, step)).collect();
        self.queue.send(&messages).await
    }

    /// From claim to commit. Whether the step is done and the run goes on.
    async fn take(&self, run: &Run, held: &Held) -> Result<bool> {
        let mut log = EventLog::new(self.tenant, run.id, run.last_seq);
        if let Some(lost) = lost_for_good(run, held) {
            self.fail(&mut log, run, held, &lost, &StepResult::empty(), None).await?;
            return Ok(false);
        }
        let begun = Instant::now();
        let mut ledger = Ledger::default();
        let halt = loop {
            let worked = tokio::select! {
                worked = self.perform(run, held, &mut log, &mut ledger) => worked,
                lost = self.keep_lease(held) => Err(lost),
            };
            match worked {
                Ok(outcome) => match self.commit(run, held, &mut log, &ledger, outcome, begun).await {
                    Ok(Committed::Yes { goes_on }) => return Ok(goes_on),
                    // What the end is made of was read before the newest event: read again.
                    Ok(Committed::Overtaken) => {}
                    Err(error) => break Halt::Retry(error),
                },
                Err(halt) => break halt,
            }
        };
        let failed = |output| ledger.result(StepStatus::Failed, output, begun, run.is_exact_replay());
        match halt {
            Halt::Lost => self.settle_late(run, held, &failed(Value::Null)).await?,
            Halt::Failed(error) => {
                self.fail(&mut log, run, held, &error, &failed(Value::Null), None).await?;
            }
            Halt::Refused(error, grounds) => {
                self.fail(&mut log, run, held, &error, &failed(grounds), None).await?;
            }
            Halt::Diverged => {
                let of = run.replay.as_ref().map(|replay| replay.of.to_string()).unwrap_or_default();
                let error = Error::new(
                    Code::RunNotReplayable,
                    format!(
                        "The replay diverged from {of} at step \"{}\": the request differs from the recorded one, so the pipeline has changed since. Use {{\"mode\":\"fresh\"}}.",
                        held.step
                    ),
                );
                self.fail(&mut log, run, held, &error, &failed(Value::Null), Some(&held.step)).await?;
            }
            Halt::Retry(error) => self.again(held, &failed(Value::Null), error).await?,
        }
        Ok(false)
    }

    /// After a fault that may pass: gives the step back and sends it anew, after a pause that grows with each
    /// attempt. The queue's own redelivery would take hours, and the reaper a minute.
    async fn again(&self, held: &Held, result: &StepResult, error: Error) -> Result<()> {
        let pause = Duration::from_secs(1 << held.attempt.min(6));
        tracing::warn!(
            error.code = %error.code, error.source = error.source_chain(), step.attempt = held.attempt,
            step.pause_ms = pause.as_millis() as u64, "a step is tried again"
        );
        let given_back = async {
            self.store.give_back(&self.tenant, held, result).await?;
            let message = StepMessage::new(&self.tenant, held.run, &held.step);
            self.queue.send_later(&[message], pause).await
        };
        // Where even that fails, the message comes again by itself, and the reaper finds the step.
        given_back.await.map_err(|_| error)
    }

    async fn perform(
        &self,
        run: &Run,
        held: &Held,
        log: &mut EventLog,
        ledger: &mut Ledger,
    ) -> Result<Outcome, Halt> {
        let (data, source, sent) = tokio::join!(
            self.store.run_data(&self.tenant, run.id),
            self.recorded(run, held),
            self.begin(held, log),
        );
        let data: RunData = data?;
        let mut sent = sent?;
        let pipeline = data.pipeline.as_ref().or_else(|| Pipeline::built_in(&run.pipeline.name));
        let pipeline =
            pipeline.ok_or_else(|| Error::internal(format!("pipeline {} is gone", run.pipeline.name)))?;
        let step = pipeline
            .step(&held.step)
            .ok_or_else(|| Error::internal(format!("step {} is gone", held.step)))?;
        if run.kind == RunKind::PersonaRefine {
            // What the persona has already is as good as sent: a delta is a field that changes.
            sent = refining::overlaid(refining::base(&data.input), &sent);
        }
        let recording = source?;
        let source: &dyn Source = match &recording {
            Some(recording) => recording,
            None => self.app.models(run.mode).await?,
        };
        let mut work = Work {
            engine: self,
            run,
            held,
            pipeline,
            step,
            data: &data,
            log,
            ledger,
            sent,
            unwritten: Vec::new(),
            source,
        };
        work.perform().await
    }

    /// Announces the step, once; what earlier attempts have sent of its fields comes back.
    async fn begin(&self, held: &Held, log: &mut EventLog) -> Result<Value, Halt> {
        let started = EventBody::step_started(&held.step);
        let mut sent = json!({});
        if held.attempt > 1 {
            let events = self.store.events_after(&self.tenant, held.run, 0).await?;
            for event in &events {
                collect_delta(&mut sent, &event.body);
            }
            if events.iter().any(|event| event.body == started) {
                return Ok(sent);
            }
        }
        self.store.append_events(log, &[started], self.clock).await?;
        if log.is_closed() { Err(Halt::Lost) } else { Ok(sent) }
    }

    /// All fields sent so far, applied to `{}`, and the number of the last event that was read.
    pub(super) async fn sent_so_far(&self, run: RunId) -> Result<(Value, u64)> {
        let (mut sent, mut last) = (json!({}), 0);
        for event in self.store.events_after(&self.tenant, run, 0).await? {
            collect_delta(&mut sent, &event.body);
            last = event.seq;
        }
        Ok((sent, last))
    }

    /// For an exact replay: what was exchanged in this step when the repeated run was made.
    async fn recorded(&self, run: &Run, held: &Held) -> Result<Option<Recording>, Halt> {
        let Some(replay) = run.replay.as_ref().filter(|_| run.is_exact_replay()) else { return Ok(None) };
        let recording = self.store.recording(&self.tenant, replay.of, &held.step).await?;
        let exchanges: Vec<Exchange> =
            recording.map(serde_json::from_value).transpose().map_err(Error::internal)?.unwrap_or_default();
        Ok(Some(Recording::new(exchanges)))
    }

    /// Renews the lease until the step is lost; ends only then.
    async fn keep_lease(&self, held: &Held) -> Halt {
        let lease = config::lease();
        let pause = (lease / 4).min(Duration::from_secs(5));
        loop {
            tokio::time::sleep(pause).await;
            let until = self.clock.epoch_millis() + lease.as_millis() as i64;
            match self.store.renew_lease(&self.tenant, held, until).await {
                Ok(Written::Lost) => return Halt::Lost,
                Ok(_) => {}
                // The next renewal may succeed; the commit decides in the end.
                Err(error) => {
                    tracing::warn!(error.source = error.source_chain(), "a lease was not renewed");
                }
            }
        }
    }

    async fn commit(
        &self,
        run: &Run,
        held: &Held,
        log: &mut EventLog,
        ledger: &Ledger,
        outcome: Outcome,
        begun: Instant,
    ) -> Result<Committed> {
        let result = ledger.result(outcome.status, outcome.output, begun, run.is_exact_replay());
        let mut events = outcome.events;
        events.push(EventBody::step_completed(&held.step, result.tokens_in + result.tokens_out, result.cost));
        let ends = outcome.ending.is_some();
        let (mut ending, mut told) = (None, Vec::new());
        if let Some((mut run_result, event)) = outcome.ending {
            events.push(event);
            let (cost, at) = (run.cost + result.cost, self.clock.timestamp());
            run_result.told.push(webhook::Event::run_ended(run, RunStatus::Completed, cost, None, &at));
            told.clone_from(&run_result.told);
            ending = Some(run_result);
        }
        let written = self.store.commit_step(log, held, run, &result, &events, ending, self.clock).await?;
        match written {
            Written::Yes => {}
            Written::Overtaken => return Ok(Committed::Overtaken),
            Written::Lost => {
                self.settle_late(run, held, &result).await?;
                return Ok(Committed::Yes { goes_on: false });
            }
        }
        log_step(&result);
        webhook::announce(self.app, &self.tenant, &told).await;
        if ends {
            tracing::info!(run.status = "completed", "run ended");
        }
        Ok(Committed::Yes { goes_on: !ends })
    }

    async fn settle_late(&self, run: &Run, held: &Held, result: &StepResult) -> Result<()> {
        self.store.settle_late(&self.tenant, run, held, result, self.clock).await
    }

    async fn fail(
        &self,
        log: &mut EventLog,
        run: &Run,
        held: &Held,
        error: &Error,
        result: &StepResult,
        diverged: Option<&str>,
    ) -> Result<()> {
        let stored = error.to_stored();
        let how = Ending::Failed { error: &stored, step: Some((held, result)), diverged };
        let (cost, at) = (run.cost + result.cost, self.clock.timestamp());
        let told = [webhook::Event::run_ended(run, RunStatus::Failed, cost, Some(error), &at)];
        if self.store.end_run(log, run, how, &told, self.clock).await? == Written::Lost {
            return self.settle_late(run, held, result).await;
        }
        webhook::announce(self.app, &self.tenant, &told).await;
        log_step(result);
        let source = error.source_chain();
        if error.code == Code::Internal {
            tracing::error!(run.status = "failed", error.code = %error.code, error.source = source, "run ended");
        } else {
            tracing::warn!(run.status = "failed", error.code = %error.code, error.source = source, "run ended");
        }
        Ok(())
    }

    /// The year the run was made in; a replay judges by the same year.
    pub(super) fn year_of(&self, run: &Run) -> i32 {
        run.created_at.get(..4).and_then(|year| year.parse().ok()).unwrap_or(2026)
    }

    /// A run whose steps the reaper found stalled: sends them again.
    async fn revive(&self, run: &Run) -> Result<usize> {
        let stalled = run.stalled_steps(self.clock.epoch_millis());
        let count = stalled.len();
        if count > 0 {
            tracing::warn!(workspace_id = %self.tenant.workspace(), run_id = %run.id, steps = ?stalled, "stalled steps are sent again");
        }
        self.send(run.id, stalled).await?;
        Ok(count)
    }
}

/// Why a step is not taken once more.
fn lost_for_good(run: &Run, held: &Held) -> Option<Error> {
    if run.kind.is_spoken() {
        // Its answer was made inside the function that was called, and died with it.
        let message = "The answer was lost while it was made. Send the message again.";
        return Some(Error::new(Code::ProviderUnavailable, message));
    }
    let lost = || Error::internal(format!("step {} was lost {ATTEMPTS} times", held.step));
    (held.attempt > ATTEMPTS).then(lost)
}

/// The one line of a step; the worker's spans name it.
fn log_step(result: &StepResult) {
    tracing::info!(
        target: crate::METRICS,
        {
            step.latency_ms = result.latency_ms,
            step.errors = u64::from(result.status == StepStatus::Failed),
            "tokens.in" = result.tokens_in,
            "tokens.out" = result.tokens_out,
            cost_micro_usd = result.cost.micros(),
        },
        "step ended"
    );
}

/// What came of committing a step.
enum Committed {
    /// It is settled: written, or another worker's.
    Yes {
        /// Whether the run goes on from here.
        goes_on: bool,
    },
    /// Nothing is written, because the log has grown since the end was made.
    Overtaken,
}

fn collect_delta(sent: &mut Value, body: &EventBody) {
    if body.event == "layer.delta"
        && let Some(path) = body.data["path"].as_str()
    {
        apply_delta(sent, path, body.data["value"].clone());
    }
}

impl StepResult {
    fn empty() -> Self {
        Ledger::default().result(StepStatus::Failed, Value::Null, Instant::now(), false)
    }
}

async fn look_at(app: &App, active: &ActiveRun) -> Result<usize> {
    let engine = Engine::new(app, active.tenant).await;
    match engine.store.run(&active.tenant, active.run).await? {
        Some(run) if !run.status.is_final() => engine.revive(&run).await,
        _ => Ok(0),
    }
}

/// Looks at every active run that is due, sends stalled steps again. Returns how many steps were sent.
pub async fn reap(app: &App) -> Result<usize> {
    let store = app.store().await;
    let mut sent = 0;
    for shard in 0..ACTIVE_SHARDS {
        let now = app.clock().epoch_millis();
        for active in store.due_runs(shard, now).await? {
            // One run that cannot be looked at must not keep the reaper from those behind it.
            match look_at(app, &active).await {
                Ok(count) => sent += count,
                Err(error) => tracing::error!(
                    run_id = %active.run, error.code = %error.code, error.source = error.source_chain(),
                    "an active run could not be looked at"
                ),
            }
            store.postpone(&active, now + config::lease().as_millis() as i64).await?;
        }
    }
    Ok(sent)
}

/// The steps of a run in the order of its pipeline; where that is kept with the run and not at hand, each after those it
/// waits for.
pub(super) fn step_order(run: &Run) -> Vec<String> {
    let built_in = Pipeline::built_in(&run.pipeline.name);
    if let Some(pipeline) = built_in.filter(|pipeline| pipeline.digest == run.pipeline.digest) {
        return pipeline.steps.iter().map(|step| step.name.clone()).collect();
    }
    let mut order: Vec<String> = Vec::new();
    while order.len() < run.steps.len() {
        let is_next = |(name, step): &(&String, &StepState)| {
            !order.contains(name) && step.needs.iter().all(|need| order.contains(need))
        };
        let next: Vec<String> = run.steps.iter().filter(is_next).map(|(name, _)| name.clone()).collect();
        if next.is_empty() {
            break;
        }
        order.extend(next);
    }
    order
}
