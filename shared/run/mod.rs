//! Runs: every generation is a tracked, replayable run. Types and rules; `store::runs` keeps them, `run::engine` moves them.

mod create;
mod engine;
pub mod events;
mod ledger;
mod refining;
mod step;
mod tail;

pub use create::{
    CreatePersona, Origin, Overrides, RefinePersona, ReplayRequest, Replayed, Started, cancel, create,
    refine, replay, wait_seconds,
};
pub(crate) use create::{Next, SEED_MOST, monthly_cap, next};
pub use engine::{Engine, reap};
pub use tail::Tail;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Where the definitions of the custom fields that its persona will have stand in a run's input; absent where it has none.
const FIELDS: &str = "fields";

use crate::{
    Usd,
    error::StoredError,
    id::{ConversationId, KeyId, MessageId, PersonaId, RunId},
    key::Mode,
    money::micros,
};

/// What a run makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunKind {
    /// A persona from an intent.
    #[serde(rename = "persona.create")]
    PersonaCreate,
    /// An edit of a persona by instruction.
    #[serde(rename = "persona.refine")]
    PersonaRefine,
    /// One turn of a conversation.
    #[serde(rename = "conversation.turn")]
    ConversationTurn,
    /// A completion over the OpenAI-compatible API.
    #[serde(rename = "openai.completion")]
    OpenaiCompletion,
}

impl RunKind {
    /// Whether one function makes it from beginning to end, without queue and pipeline.
    pub fn is_spoken(self) -> bool {
        matches!(self, Self::ConversationTurn | Self::OpenaiCompletion)
    }
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Written; no step has begun.
    Queued,
    /// A step has begun.
    Running,
    /// Ended well.
    Completed,
    /// Ended with `error`.
    Failed,
    /// Ended by its owner.
    Cancelled,
}

impl RunStatus {
    /// Whether nothing more will happen.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

/// Where a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepStatus {
    /// Not begun.
    Pending,
    /// A worker holds it.
    Running,
    /// Done.
    Completed,
    /// Done without work: nothing to repair.
    Skipped,
    /// Its failure ended the run.
    Failed,
}

impl StepStatus {
    /// Whether its dependants may count on it.
    pub const fn is_done(self) -> bool {
        matches!(self, Self::Completed | Self::Skipped)
    }
}

/// One step, small enough to live in the run's header.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StepState {
    /// Where it stands.
    pub status: StepStatus,
    /// How many workers have claimed it.
    pub attempt: u32,
    /// Until when its worker holds it, milliseconds since the epoch.
    pub lease: i64,
    /// How many steps it still waits for.
    pub waiting: i64,
    /// The steps it waits for, finished or not.
    pub needs: Vec<String>,
    /// Who answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Which model answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Prompt tokens.
    pub tokens_in: u64,
    /// Completion tokens.
    pub tokens_out: u64,
    /// What it cost.
    #[serde(with = "micros")]
    pub cost: Usd,
    /// From claim to commit.
    pub latency_ms: u64,
    /// Whether recorded answers served it.
    pub cached: bool,
}

impl StepState {
    /// A step that waits for `needs`.
    pub fn pending(needs: Vec<String>) -> Self {
        Self {
            status: StepStatus::Pending,
            attempt: 0,
            lease: 0,
            waiting: needs.len() as i64,
            needs,
            provider: None,
            model: None,
            tokens_in: 0,
            tokens_out: 0,
            cost: Usd::ZERO,
            latency_ms: 0,
            cached: false,
        }
    }

    fn waits_for(&self, other: &str) -> bool {
        self.needs.iter().any(|need| need == other)
    }
}

/// Which pipeline a run follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineRef {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// SHA-256 over definition, prompts and schemas.
    pub digest: String,
}

/// How a run repeats another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayMode {
    /// From the recorded exchanges; costs nothing.
    Exact,
    /// With the providers, again.
    Fresh,
}

/// What a replay repeats, and how it went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replay {
    /// The run it repeats.
    pub of: RunId,
    /// How.
    pub mode: ReplayMode,
    /// The repeated run's document digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_digest: Option<String>,
    /// Whether this run's document has that digest; known at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matches: Option<bool>,
    /// The first step whose request differs from the recorded one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diverged_step: Option<String>,
}

/// A run's header: everything but input, outputs, events and recordings.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Run {
    /// Identifier.
    pub id: RunId,
    /// What it makes.
    pub kind: RunKind,
    /// Where it stands.
    pub status: RunStatus,
    /// Whether providers or the sandbox answer.
    pub mode: Mode,
    /// Which pipeline it follows.
    pub pipeline: PipelineRef,
    /// Reproducibility seed.
    pub seed: u64,
    /// Hard cap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_micros: Option<i64>,
    /// The month (`2026-11`) in which its budget is set aside, where the workspace has a monthly cap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub month: Option<String>,
    /// Spent or reserved; never above the cap.
    #[serde(with = "micros")]
    pub committed: Usd,
    /// Spent.
    #[serde(with = "micros")]
    pub cost: Usd,
    /// Prompt tokens of all steps.
    pub tokens_in: u64,
    /// Completion tokens of all steps.
    pub tokens_out: u64,
    /// By name.
    pub steps: BTreeMap<String, StepState>,
    /// The persona it makes; named from the start so that every write can be repeated.
    pub persona_id: PersonaId,
    /// The conversation that it is a turn of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<ConversationId>,
    /// The message that a turn or a completion makes; named from the start, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<MessageId>,
    /// The slug its creator asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slug: Option<String>,
    /// The custom fields that its persona will have, held for it from the start as the slug is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// Digest of the finished document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_digest: Option<String>,
    /// Which version the finished document is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_version: Option<u64>,
    /// Why it failed, as JSON text (kept out of DynamoDB's type system).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What it repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<Replay>,
    /// X-Ray trace of the call that made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// Whose call made it.
    pub created_by: KeyId,
    /// Number of the last event that a commit wrote; a hint, deltas come between.
    pub last_seq: u64,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub updated_at: String,
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<String>,
}

impl Run {
    /// Hard cap.
    pub fn budget(&self) -> Option<Usd> {
        self.budget_micros.map(Usd::from_micros)
    }

    /// Why it failed.
    pub fn stored_error(&self) -> Option<StoredError> {
        self.error.as_deref().and_then(|text| serde_json::from_str(text).ok())
    }

    /// Whether recorded answers serve it.
    pub fn is_exact_replay(&self) -> bool {
        self.replay.as_ref().is_some_and(|replay| replay.mode == ReplayMode::Exact)
    }

    /// Steps that may begin now.
    pub fn ready_steps(&self) -> Vec<String> {
        self.steps
            .iter()
            .filter(|(_, step)| step.status == StepStatus::Pending && step.waiting <= 0)
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Of the steps that wait for `done`, those that may begin now. Others may be ready too, but whoever made them so
    /// has sent them.
    pub fn ready_after(&self, done: &str) -> Vec<String> {
        let ready = self.ready_steps().into_iter();
        ready.filter(|name| self.steps.get(name).is_some_and(|step| step.waits_for(done))).collect()
    }

    /// Steps that may begin once `done` has ended; `None` if one of them waits for others too, whose state this copy
    /// of the header does not know.
    pub fn freed_by(&self, done: &str) -> Option<Vec<String>> {
        let after = self.steps.iter().filter(|(_, step)| step.waits_for(done));
        after.map(|(name, step)| (step.needs.len() == 1).then(|| name.clone())).collect()
    }

    /// Steps whose worker has shown no sign of life since before `now` (milliseconds), and those that never began.
    pub fn stalled_steps(&self, now: i64) -> Vec<String> {
        let lapsed = self
            .steps
            .iter()
            .filter(|(_, step)| step.status == StepStatus::Running && step.lease < now)
            .map(|(name, _)| name.clone());
        self.ready_steps().into_iter().chain(lapsed).collect()
    }

    /// The object of section 5 of the contract; `input` where the caller reads a single run.
    pub fn to_object(&self, order: &[String], input: Option<&Value>) -> Value {
        let known = order.iter().filter(|name| self.steps.contains_key(*name));
        let rest = self.steps.keys().filter(|name| !order.contains(name));
        let steps: Vec<Value> = known
            .chain(rest)
            .filter_map(|name| self.steps.get(name).map(|step| step_object(name, step)))
            .collect();
        let mut object = json!({
            "id": self.id,
            "object": "run",
            "kind": self.kind,
            "status": self.status,
            "pipeline": self.pipeline,
            "seed": self.seed,
            "budget_usd": self.budget(),
            "cost_usd": self.cost,
            "tokens": {"in": self.tokens_in, "out": self.tokens_out},
            "steps": steps,
            "output_ref": self.output_ref(),
            "conversation_id": self.conversation_id,
            "error": self.stored_error().map(|stored| {
                crate::Error::from(stored).with_run(self.id).envelope(None)["error"].clone()
            }),
            "replay_of": self.replay.as_ref().map(|replay| replay.of),
            "replay": self.replay.as_ref().map(|replay| json!({
                "mode": replay.mode,
                "expected_digest": replay.expected_digest,
                "matches": replay.matches,
                "diverged_step": replay.diverged_step,
            })),
            "mode": self.mode,
            "trace_id": self.trace_id,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
            "started_at": self.started_at,
            "completed_at": self.completed_at,
        });
        if let Some(input) = input {
            object["input"] = input.clone();
        }
        object
    }

    /// What it made: the persona or the message. An exact replay, and every replay of a turn, keeps nothing but the digest.
    fn output_ref(&self) -> Value {
        if self.status != RunStatus::Completed {
            return Value::Null;
        }
        if self.is_exact_replay() || (self.replay.is_some() && self.kind.is_spoken()) {
            return json!({"object": "digest", "digest": self.output_digest});
        }
        if let Some(message) = self.message_id {
            return json!({"object": "message", "id": message, "digest": self.output_digest});
        }
        let version = self.output_version.unwrap_or(1);
        json!({"object": "persona", "id": self.persona_id, "version": version, "digest": self.output_digest})
    }
}

fn step_object(name: &str, step: &StepState) -> Value {
    json!({
        "name": name,
        "status": step.status,
        "attempt": step.attempt,
        "provider": step.provider,
        "model": step.model,
        "tokens": {"in": step.tokens_in, "out": step.tokens_out},
        "cost_usd": step.cost,
        "latency_ms": step.latency_ms,
        "depends_on": step.needs,
        "cached": step.cached,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `draft` is done; `voice` waits for it alone, `check` for `voice` and `history`.
    fn run() -> Run {
        let step = |needs: &[&str]| StepState::pending(needs.iter().map(ToString::to_string).collect());
        let steps = [
            ("draft", step(&[])),
            ("voice", step(&["draft"])),
            ("history", step(&["draft"])),
            ("check", step(&["voice", "history"])),
        ];
        Run {
            id: RunId::new(),
            kind: RunKind::PersonaCreate,
            status: RunStatus::Running,
            mode: Mode::Test,
            pipeline: PipelineRef { name: "default".into(), version: 1, digest: String::new() },
            seed: 0,
            budget_micros: None,
            month: None,
            committed: Usd::ZERO,
            cost: Usd::ZERO,
            tokens_in: 0,
            tokens_out: 0,
            steps: steps.map(|(name, step)| (name.to_owned(), step)).into(),
            persona_id: PersonaId::new(),
            conversation_id: None,
            message_id: None,
            slug: None,
            fields: Vec::new(),
            output_digest: None,
            output_version: None,
            error: None,
            replay: None,
            trace_id: None,
            created_by: KeyId::new(),
            last_seq: 1,
            created_at: String::new(),
            updated_at: String::new(),
            started_at: None,
            completed_at: None,
        }
    }

    #[test]
    fn a_step_that_others_wait_for_alone_says_which_it_frees() {
        let run = run();
        assert_eq!(run.freed_by("draft"), Some(vec!["history".to_owned(), "voice".to_owned()]));
        assert_eq!(run.freed_by("voice"), None, "check waits for history too");
        assert_eq!(run.freed_by("check"), Some(Vec::new()));
    }

    #[test]
    fn a_step_sends_those_it_made_ready_and_no_sibling() {
        let mut run = run();
        for (name, step) in &mut run.steps {
            (step.status, step.waiting) = match name.as_str() {
                "draft" | "voice" => (StepStatus::Completed, 0),
                "history" => (StepStatus::Pending, 0),
                _ => (StepStatus::Pending, 1),
            };
        }
        assert_eq!(run.ready_steps(), ["history"]);
        assert_eq!(run.ready_after("voice"), Vec::<String>::new());
        assert_eq!(run.ready_after("draft"), ["history"]);
    }
}
