//! Beginning, cancelling and repeating runs.

use std::time::Duration;

use rand::RngExt;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    PipelineRef, Replay, ReplayMode, Run, RunKind, RunStatus, StepState, engine::step_order,
    events::EventBody,
};
use crate::{
    Usd,
    app::App,
    config,
    conversation::turn::{self, Turn},
    error::{Code, Detail, Error, Result},
    id::{PersonaId, RunId},
    key::{Caller, Mode, Plan},
    persona::{Layer, settings},
    pipeline::{self, Pipeline},
    provider::sandbox,
    queue::StepMessage,
    store::{
        personas::{PersonaEntry, Visibility},
        runs::{Ending, EventLog, Written},
    },
};

/// The largest seed: integers up to here are exact in every JSON implementation.
pub(crate) const SEED_MOST: u64 = (1 << 53) - 1;
/// Longest intent, in Unicode scalar values after trimming.
const INTENT_MOST: usize = 4_000;

/// Body of `POST /v1/personas`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreatePersona {
    /// Free-form character brief, 1 to 4000 characters.
    pub intent: String,
    /// The persona's primary speaking language, ISO-639-1.
    #[serde(default = "english")]
    pub language: String,
    /// Who may see it.
    #[serde(default)]
    pub visibility: Visibility,
    /// Overrides the active pipeline; Team plan and above.
    #[serde(default)]
    pub pipeline: Option<String>,
    /// Reproducibility seed, 0 to 2^53 - 1; drawn when absent.
    #[serde(default)]
    pub seed: Option<u64>,
    /// Hard cost cap.
    #[serde(default)]
    pub budget_usd: Option<Usd>,
    /// Workspace-defined fields.
    #[serde(default)]
    pub custom_fields: Map<String, Value>,
    /// Address of the persona within the workspace.
    #[serde(default)]
    pub slug: Option<String>,
    /// At most 50 pairs of strings.
    #[serde(default)]
    pub metadata: Map<String, Value>,
}

fn english() -> String {
    "en".to_owned()
}

/// A run that has begun, with its first event.
#[derive(Debug)]
pub struct Started {
    /// Its header.
    pub run: Run,
    /// Event number 1.
    pub first: EventBody,
}

impl Run {
    /// Steps in the order of the pipeline.
    pub fn step_order(&self) -> Vec<String> {
        step_order(self)
    }
}

impl CreatePersona {
    /// Every problem of the body at once.
    fn problems(&self) -> Vec<Detail> {
        let mut problems = Vec::new();
        let mut add = |pointer: &str, message: String| problems.push(Detail::new(pointer, message));
        let length = self.intent.trim().chars().count();
        if length == 0 {
            add("/intent", "The intent is empty. Describe the character in 1 to 4000 characters.".into());
        } else if length > INTENT_MOST {
            add(
                "/intent",
                format!("The intent has {length} characters; at most {INTENT_MOST} are allowed. Shorten it."),
            );
        }
        problems.extend(settings::language_problem(&self.language));
        problems.extend(settings::custom_field_problems(&self.custom_fields));
        problems.extend(self.slug.as_deref().and_then(settings::slug_problem));
        problems.extend(settings::metadata_problems(&self.metadata, false));
        problems.extend(unfit_seed(self.seed, "/seed"));
        problems.extend(unfit_budget(self.budget_usd, "/budget_usd"));
        problems
    }

    fn check(&self) -> Result<()> {
        Error::invalid_all(self.problems())
    }
}

/// Begins a run that makes a persona: written and sent before this returns.
pub async fn create(
    app: &App,
    caller: &Caller,
    body: CreatePersona,
    trace_id: Option<String>,
) -> Result<Started> {
    body.check()?;
    if body.pipeline.is_some() {
        caller.require_plan(Plan::Team, "pipeline")?;
    }
    let name = match &body.pipeline {
        Some(name) => name.clone(),
        None if caller.plan >= Plan::Team => app.store().await.workspace(caller.tenant()).await?.pipeline,
        None => pipeline::DEFAULT.to_owned(),
    };
    let pipeline = named(&name, false)?;
    let seed = body.seed.unwrap_or_else(|| rand::rng().random_range(0..=SEED_MOST));
    let budget = body.budget_usd.or_else(|| simulated_budget(caller.mode, &body.intent));
    let input = json!({
        "intent": body.intent.trim(), "language": body.language, "visibility": body.visibility,
        "pipeline": pipeline.name, "seed": seed, "budget_usd": budget, "custom_fields": body.custom_fields,
        "slug": body.slug, "metadata": body.metadata,
    });
    let draft = Draft {
        kind: RunKind::PersonaCreate,
        persona: None,
        seed,
        budget,
        slug: body.slug,
        replay: None,
        trace_id,
    };
    begin(app, caller, pipeline, &input, draft).await
}

/// Body of `POST /v1/personas/{persona}/refine`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefinePersona {
    /// What is to change, 1 to 4000 characters.
    pub instruction: String,
    /// The only layers that may change; all of them when absent.
    #[serde(default)]
    pub layers: Option<Vec<Layer>>,
    /// Overrides the pipeline `refine`; Team plan and above.
    #[serde(default)]
    pub pipeline: Option<String>,
    /// Reproducibility seed, 0 to 2^53 - 1; drawn when absent.
    #[serde(default)]
    pub seed: Option<u64>,
    /// Hard cost cap.
    #[serde(default)]
    pub budget_usd: Option<Usd>,
}

impl RefinePersona {
    fn check(&self) -> Result<()> {
        let mut problems = Vec::new();
        let length = self.instruction.trim().chars().count();
        if length == 0 {
            let message = "The instruction is empty. Say what is to change, in 1 to 4000 characters.";
            problems.push(Detail::new("/instruction", message));
        } else if length > INTENT_MOST {
            let message = format!(
                "The instruction has {length} characters; at most {INTENT_MOST} are allowed. Shorten it."
            );
            problems.push(Detail::new("/instruction", message));
        }
        problems.extend(unfit_seed(self.seed, "/seed"));
        problems.extend(unfit_budget(self.budget_usd, "/budget_usd"));
        Error::invalid_all(problems)
    }
}

/// Begins a run that edits a persona by instruction: written and sent before this returns.
pub async fn refine(
    app: &App,
    caller: &Caller,
    persona: &PersonaEntry,
    body: RefinePersona,
    trace_id: Option<String>,
) -> Result<Started> {
    body.check()?;
    if body.pipeline.is_some() {
        caller.require_plan(Plan::Team, "pipeline")?;
    }
    let pipeline = named(body.pipeline.as_deref().unwrap_or(pipeline::REFINE), true)?;
    let document = persona.document()?;
    let kept = |layer: Layer| (layer.to_string(), document[layer.as_str()].clone());
    let layers: Map<String, Value> = Layer::ALL.into_iter().map(kept).collect();
    let seed = body.seed.unwrap_or_else(|| rand::rng().random_range(0..=SEED_MOST));
    let budget = body.budget_usd.or_else(|| simulated_budget(caller.mode, &body.instruction));
    let input = json!({
        "instruction": body.instruction.trim(), "layers": body.layers, "language": persona.language,
        "pipeline": pipeline.name, "seed": seed, "budget_usd": budget, "persona_version": persona.version,
        "digest": document["lineage"]["digest"], "persona": layers,
    });
    let draft = Draft {
        kind: RunKind::PersonaRefine,
        persona: Some(persona.id),
        seed,
        budget,
        slug: None,
        replay: None,
        trace_id,
    };
    begin(app, caller, pipeline, &input, draft).await
}

/// The pipeline of a name, among those that edit personas or those that make them.
fn named(name: &str, refines: bool) -> Result<&'static Pipeline> {
    let fitting = |pipeline: &&Pipeline| pipeline.refines() == refines;
    Pipeline::built_in(name).filter(fitting).ok_or_else(|| {
        let known = Pipeline::all_built_in().iter().filter(fitting);
        let known: Vec<_> = known.map(|p| p.name.as_str()).collect();
        let shown: String = name.chars().take(60).collect();
        Error::invalid(
            "pipeline",
            format!("There is no pipeline \"{shown}\". Use one of {}.", known.join(", ")),
        )
    })
}

/// The documented trigger of the sandbox exceeds a budget of one dollar when the caller sets none.
fn simulated_budget(mode: Mode, intent: &str) -> Option<Usd> {
    let triggered = mode == Mode::Test && sandbox::trigger(intent) == Some(sandbox::Trigger::BudgetExceeded);
    triggered.then(|| Usd::from_micros(1_000_000))
}

struct Draft {
    kind: RunKind,
    /// The persona that it edits; one that it makes gets its id with the run.
    persona: Option<PersonaId>,
    seed: u64,
    budget: Option<Usd>,
    slug: Option<String>,
    replay: Option<Replay>,
    trace_id: Option<String>,
}

async fn begin(
    app: &App,
    caller: &Caller,
    pipeline: &Pipeline,
    input: &Value,
    draft: Draft,
) -> Result<Started> {
    let now = app.clock().timestamp();
    let run = Run {
        id: RunId::new(),
        kind: draft.kind,
        status: RunStatus::Queued,
        mode: caller.mode,
        pipeline: PipelineRef {
            name: pipeline.name.clone(),
            version: pipeline.version,
            digest: pipeline.digest.clone(),
        },
        seed: draft.seed,
        budget_micros: draft.budget.map(Usd::micros),
        committed: Usd::ZERO,
        cost: Usd::ZERO,
        tokens_in: 0,
        tokens_out: 0,
        steps: pipeline
            .steps
            .iter()
            .map(|step| (step.name.clone(), StepState::pending(step.needs.clone())))
            .collect(),
        persona_id: draft.persona.unwrap_or_default(),
        conversation_id: None,
        message_id: None,
        slug: draft.slug,
        output_digest: None,
        output_version: None,
        error: None,
        replay: draft.replay,
        trace_id: draft.trace_id,
        created_by: caller.key_id,
        last_seq: 1,
        created_at: now.clone(),
        updated_at: now,
        started_at: None,
        completed_at: None,
    };
    let ready = run.ready_steps();
    let first = EventBody::run_started(run.id, ready.first().map_or("", String::as_str));
    let due = app.clock().epoch_millis() + config::lease().as_millis() as i64;
    let tenant = caller.tenant();
    if !app.store().await.create_run(tenant, &run, input, first.clone(), due).await? {
        let slug = run.slug.unwrap_or_default();
        return Err(Error::new(
            Code::SlugTaken,
            format!("Another persona of this workspace has the slug \"{slug}\". Choose another one, or leave slug out."),
        )
        .with_param("slug"));
    }
    tracing::Span::current().record("run_id", tracing::field::display(run.id));
    let messages: Vec<_> = ready.iter().map(|step| StepMessage::new(tenant, run.id, step)).collect();
    if let Err(error) = app.queue().await.send(&messages).await {
        // The run is written; the reaper will send what could not be sent now.
        tracing::error!(error.code = %error.code, error.source = error.source_chain(), "first steps not sent");
    }
    Ok(Started { run, first })
}

/// Ends a run by its owner's wish.
pub async fn cancel(app: &App, caller: &Caller, run: &Run) -> Result<Run> {
    let store = app.store().await;
    let mut log = EventLog::new(*caller.tenant(), run.id, run.last_seq);
    let written = store.end_run(&mut log, run, Ending::Cancelled, app.clock()).await?;
    let after = store
        .run(caller.tenant(), run.id)
        .await?
        .ok_or_else(|| Error::not_found("run", &run.id.to_string()))?;
    if written == Written::Lost && after.status != RunStatus::Cancelled {
        let status = serde_json::to_value(after.status).unwrap_or_default();
        return Err(Error::new(
            Code::RunNotCancellable,
            format!(
                "The run has ended already: it is {}. Read it with GET /v1/runs/{}.",
                status.as_str().unwrap_or_default(),
                run.id
            ),
        )
        .with_run(run.id));
    }
    if written != Written::Lost {
        tracing::info!(run.status = "cancelled", "run ended");
    }
    Ok(after)
}

/// Body of `POST /v1/runs/{run}/replay`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplayRequest {
    /// From recordings, or with the providers again.
    pub mode: ReplayMode,
    /// For `fresh`: what differs from the repeated run.
    #[serde(default)]
    pub overrides: Option<Overrides>,
}

/// What a fresh replay may change.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Overrides {
    /// Another brief.
    pub intent: Option<String>,
    /// Another language.
    pub language: Option<String>,
    /// Another visibility.
    pub visibility: Option<Visibility>,
    /// Another pipeline.
    pub pipeline: Option<String>,
    /// Another seed.
    pub seed: Option<u64>,
    /// Another cap.
    pub budget_usd: Option<Usd>,
}

/// A replay that has begun.
pub enum Replayed {
    /// Workers make it.
    Started(Box<Started>),
    /// The caller of this makes it: a turn has no queue.
    Turn(Box<Turn>),
}

/// Begins a run that repeats another.
pub async fn replay(
    app: &App,
    caller: &Caller,
    of: &Run,
    request: ReplayRequest,
    trace_id: Option<String>,
) -> Result<Replayed> {
    if !of.status.is_final() {
        return Err(Error::new(
            Code::RunNotReplayable,
            "The run has not ended yet. Wait for it, or cancel it first.",
        )
        .with_run(of.id));
    }
    let refines = of.kind == RunKind::PersonaRefine;
    if refines && request.mode == ReplayMode::Fresh {
        let message = "A refinement is replayed exactly or not at all. Use {\"mode\":\"exact\"}, or send its instruction again.";
        return Err(Error::new(Code::RunNotReplayable, message).with_run(of.id));
    }
    let data = app.store().await.run_data(caller.tenant(), of.id).await?;
    if data.input.is_null() {
        return Err(Error::new(Code::RunNotReplayable, "The run's recordings have aged out.").with_run(of.id));
    }
    let replay = Replay {
        of: of.id,
        mode: request.mode,
        expected_digest: of.output_digest.clone(),
        matches: None,
        diverged_step: None,
    };
    if request.mode == ReplayMode::Exact {
        exactly(of, request.overrides.as_ref())?;
    }
    let overrides = request.overrides.unwrap_or_default();
    if of.kind.is_spoken() {
        overrides.check_of_turn()?;
        let turn = turn::replay(app, caller, of, data, replay, overrides, trace_id).await?;
        return Ok(Replayed::Turn(Box::new(turn)));
    }
    let started = if request.mode == ReplayMode::Exact {
        // The recordings of a replay are those of the run it repeated.
        let pipeline = named(&of.pipeline.name, refines)?;
        let draft = Draft {
            kind: of.kind,
            persona: refines.then_some(of.persona_id),
            seed: of.seed,
            budget: None,
            slug: None,
            replay: Some(replay),
            trace_id,
        };
        begin(app, caller, pipeline, &data.input, draft).await?
    } else {
        let changed = overridden(&data.input, of, overrides)?;
        changed.check()?;
        let name = changed.pipeline.clone().unwrap_or_default();
        if name != of.pipeline.name {
            caller.require_plan(Plan::Team, "pipeline")?;
        }
        let pipeline = named(&name, false)?;
        let (seed, budget) = (changed.seed.unwrap_or(of.seed), changed.budget_usd);
        let input = serde_json::to_value(&changed).map_err(Error::internal)?;
        let draft =
            Draft { kind: of.kind, persona: None, seed, budget, slug: None, replay: Some(replay), trace_id };
        begin(app, caller, pipeline, &input, draft).await?
    };
    Ok(Replayed::Started(Box::new(started)))
}

/// What is repeated exactly has ended well, and nothing of it is changed.
fn exactly(of: &Run, overrides: Option<&Overrides>) -> Result<()> {
    if overrides.is_some() {
        return Err(Error::invalid(
            "overrides",
            "An exact replay takes no overrides. Use {\"mode\":\"fresh\"} to change something.",
        ));
    }
    if of.status != RunStatus::Completed {
        return Err(Error::new(
            Code::RunNotReplayable,
            "Only a completed run can be replayed exactly. Use {\"mode\":\"fresh\"}.",
        )
        .with_run(of.id));
    }
    Ok(())
}

impl Overrides {
    /// A turn has a message and no brief.
    fn check_of_turn(&self) -> Result<()> {
        let given = [
            ("intent", self.intent.is_some()),
            ("language", self.language.is_some()),
            ("visibility", self.visibility.is_some()),
            ("pipeline", self.pipeline.is_some()),
        ];
        let mut problems: Vec<Detail> = given
            .into_iter()
            .filter(|(_, given)| *given)
            .map(|(name, _)| {
                let message =
                    format!("A turn has no {name} to change. Only seed and budget_usd can be overridden.");
                Detail::new(format!("/overrides/{name}"), message)
            })
            .collect();
        problems.extend(unfit_seed(self.seed, "/overrides/seed"));
        problems.extend(unfit_budget(self.budget_usd, "/overrides/budget_usd"));
        Error::invalid_all(problems)
    }
}

fn unfit_seed(seed: Option<u64>, pointer: &str) -> Option<Detail> {
    let seed = seed.filter(|seed| *seed > SEED_MOST)?;
    let message = format!("{seed} is above 2^53 - 1. Use an integer from 0 to {SEED_MOST}.");
    Some(Detail::new(pointer, message))
}

fn unfit_budget(budget: Option<Usd>, pointer: &str) -> Option<Detail> {
    let budget = budget.filter(|budget| *budget <= Usd::ZERO)?;
    Some(Detail::new(pointer, format!("{budget} is not above 0. Leave budget_usd out for no cap.")))
}

fn overridden(input: &Value, of: &Run, overrides: Overrides) -> Result<CreatePersona> {
    let mut body: CreatePersona = serde_json::from_value(input.clone()).map_err(Error::internal)?;
    body.slug = None;
    body.intent = overrides.intent.unwrap_or(body.intent);
    body.language = overrides.language.unwrap_or(body.language);
    body.visibility = overrides.visibility.unwrap_or(body.visibility);
    body.pipeline = Some(overrides.pipeline.unwrap_or_else(|| of.pipeline.name.clone()));
    body.seed = overrides.seed.or(Some(of.seed));
    body.budget_usd = overrides.budget_usd.or(of.budget());
    Ok(body)
}

/// How long a call waits for its run: `Prefer: wait=N` (at most 60), `respond-async` is 0, default 25.
pub fn wait_seconds(prefer: Option<&str>) -> Duration {
    let mut wait = Duration::from_secs(25);
    for preference in prefer.unwrap_or_default().split(',').map(str::trim) {
        if preference.eq_ignore_ascii_case("respond-async") {
            wait = Duration::ZERO;
        } else if let Some(seconds) =
            preference.strip_prefix("wait=").and_then(|n| n.trim().parse::<u64>().ok())
        {
            wait = Duration::from_secs(seconds.min(60));
        }
    }
    wait
}
