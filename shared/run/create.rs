//! Beginning, cancelling and repeating runs.

use std::time::Duration;

use rand::RngExt;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    PipelineRef, Replay, ReplayMode, Run, RunKind, RunStatus, StepState,
    engine::{is_language, step_order},
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
    persona::slug,
    pipeline::{self, Pipeline},
    provider::sandbox,
    queue::StepMessage,
    store::{
        personas::Visibility,
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
        if !is_language(&self.language) {
            let shown: String = self.language.chars().take(20).collect();
            add(
                "/language",
                format!(
                    "\"{shown}\" is not an ISO-639-1 code. Use two lower-case letters, such as \"en\" or \"tr\"."
                ),
            );
        }
        for name in self.custom_fields.keys() {
            let shown: String = name.chars().take(60).collect();
            add(
                &format!("/custom_fields/{}", name.replace('~', "~0").replace('/', "~1")),
                format!(
                    "The custom field \"{shown}\" is not registered. Register it through POST /v1/schema/fields, or leave it out."
                ),
            );
        }
        if let Some(slug) = &self.slug
            && !slug::is_valid(slug)
        {
            let shown: String = slug.chars().take(80).collect();
            add(
                "/slug",
                format!(
                    "\"{shown}\" is not a slug. Use 1 to 64 lower-case letters, digits and inner hyphens."
                ),
            );
        }
        if self.metadata.len() > 50 {
            add("/metadata", format!("metadata has {} pairs; at most 50 are allowed.", self.metadata.len()));
        }
        for (name, value) in &self.metadata {
            if value.as_str().is_none_or(|text| text.len() > 2_000) || name.len() > 100 {
                let shown: String = name.chars().take(60).collect();
                add(
                    &format!("/metadata/{}", name.replace('~', "~0").replace('/', "~1")),
                    format!("\"{shown}\" is not a pair of strings (name up to 100 bytes, value up to 2000)."),
                );
            }
        }
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
    let pipeline = named(&name)?;
    let seed = body.seed.unwrap_or_else(|| rand::rng().random_range(0..=SEED_MOST));
    let budget = body.budget_usd.or_else(|| simulated_budget(caller.mode, &body.intent));
    let input = json!({
        "intent": body.intent.trim(), "language": body.language, "visibility": body.visibility,
        "pipeline": pipeline.name, "seed": seed, "budget_usd": budget, "custom_fields": body.custom_fields,
        "slug": body.slug, "metadata": body.metadata,
    });
    let draft = Draft { seed, budget, slug: body.slug, replay: None, trace_id };
    begin(app, caller, pipeline, &input, draft).await
}

fn named(name: &str) -> Result<&'static Pipeline> {
    Pipeline::built_in(name).ok_or_else(|| {
        let known: Vec<_> = Pipeline::all_built_in().iter().map(|p| p.name.as_str()).collect();
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
        kind: RunKind::PersonaCreate,
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
        persona_id: PersonaId::new(),
        conversation_id: None,
        message_id: None,
        slug: draft.slug,
        output_digest: None,
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
        let pipeline = named(&of.pipeline.name)?;
        let draft = Draft { seed: of.seed, budget: None, slug: None, replay: Some(replay), trace_id };
        begin(app, caller, pipeline, &data.input, draft).await?
    } else {
        let changed = overridden(&data.input, of, overrides)?;
        changed.check()?;
        let name = changed.pipeline.clone().unwrap_or_default();
        if name != of.pipeline.name {
            caller.require_plan(Plan::Team, "pipeline")?;
        }
        let pipeline = named(&name)?;
        let (seed, budget) = (changed.seed.unwrap_or(of.seed), changed.budget_usd);
        let input = serde_json::to_value(&changed).map_err(Error::internal)?;
        let draft = Draft { seed, budget, slug: None, replay: Some(replay), trace_id };
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
