//! Beginning, cancelling and repeating runs.

use std::{borrow::Cow, time::Duration};

use rand::RngExt;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    FIELDS, PipelineRef, Replay, ReplayMode, Run, RunKind, RunStatus, StepState, engine::step_order,
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
    persona::{
        Field, Layer,
        field::{self, Use},
        settings,
    },
    pipeline::{self, Pipeline},
    provider::sandbox,
    queue::StepMessage,
    store::{
        Store,
        personas::{PersonaEntry, Visibility},
        runs::{Begun, Ending, EventLog, Heeding, Opening, Written},
        usage::month_of,
    },
    tenant::Tenant,
};

/// The largest seed: integers up to here are exact in every JSON implementation.
pub(crate) const SEED_MOST: u64 = (1 << 53) - 1;
/// Longest intent, in Unicode scalar values after trimming.
const INTENT_MOST: usize = 4_000;
/// A creation under which the workspace's custom fields change this often gives up.
const TRIES: u32 = 8;

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

/// Where a run comes from. An earlier try of the same call may have begun it already: then it is that one.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// The run that the call makes, if it makes one.
    pub run: RunId,
    /// X-Ray trace of the call.
    pub trace_id: Option<String>,
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
    /// Every problem of the body at once; `fields` are the workspace's.
    fn problems(&self, fields: &[Field]) -> Vec<Detail> {
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
        problems.extend(field::value_problems(fields, &self.custom_fields));
        problems.extend(field::missing(fields, &self.custom_fields));
        problems.extend(self.slug.as_deref().and_then(settings::slug_problem));
        problems.extend(settings::metadata_problems(&self.metadata, false));
        problems.extend(unfit_seed(self.seed, "/seed"));
        problems.extend(unfit_budget(self.budget_usd, "/budget_usd"));
        problems
    }

    fn check(&self, fields: &[Field]) -> Result<()> {
        Error::invalid_all(self.problems(fields))
    }

    /// The workspace's custom fields where the body has some. Where it has none they are not asked for: should there be
    /// some that a creation must heed all the same, the transaction that begins the run says so.
    async fn fields(&self, app: &App, caller: &Caller) -> Result<Vec<Field>> {
        if self.custom_fields.is_empty() {
            return Ok(Vec::new());
        }
        app.store().await.fields(caller.tenant()).await
    }
}

/// Begins a run that makes a persona: written and sent before this returns.
pub async fn create(app: &App, caller: &Caller, body: CreatePersona, origin: Origin) -> Result<Started> {
    let fields = body.fields(app, caller).await?;
    body.check(&fields)?;
    if body.pipeline.is_some() {
        caller.require_plan(Plan::Team, "pipeline")?;
    }
    let name = match &body.pipeline {
        Some(name) => name.clone(),
        None => caller.pipeline.clone(),
    };
    let pipeline = pipeline::resolve(app, caller.tenant(), &name, false).await?;
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
        slug: body.slug.clone(),
        replay: None,
        origin,
    };
    make(app, caller, &pipeline, &body, input, &draft, fields).await
}

/// Begins a run that makes a persona, on what the workspace's custom fields are when it is written. Their definitions
/// stand in its input, so that it and its replays go by them whatever becomes of them.
async fn make(
    app: &App,
    caller: &Caller,
    pipeline: &Pipeline,
    body: &CreatePersona,
    mut input: Value,
    draft: &Draft,
    mut fields: Vec<Field>,
) -> Result<Started> {
    for _ in 0..TRIES {
        body.check(&fields)?;
        if let Some(input) = input.as_object_mut() {
            input.shift_remove(FIELDS);
        }
        let given = |field: &&Field| body.custom_fields.contains_key(&field.name);
        let had: Vec<&Field> = fields.iter().filter(|field| field.generate || given(field)).collect();
        if !had.is_empty() {
            input[FIELDS] = json!(had);
        }
        let filled: Vec<Field> =
            fields.iter().filter(|field| field.generate && !given(field)).cloned().collect();
        let filling = (!filled.is_empty()).then(|| pipeline.with_fields(&filled));
        let pipeline = filling.as_ref().unwrap_or(pipeline);
        let uses = Use::of(had);
        let heeding = Heeding { known: &fields, uses: &uses };
        if let Some(started) = begin(app, caller, pipeline, &input, draft, Some(heeding)).await? {
            return Ok(started);
        }
        fields = app.store().await.fields(caller.tenant()).await?;
    }
    Err(Error::internal("the custom fields of a workspace changed under a creation again and again"))
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
    origin: Origin,
) -> Result<Started> {
    body.check()?;
    if body.pipeline.is_some() {
        caller.require_plan(Plan::Team, "pipeline")?;
    }
    let name = body.pipeline.as_deref().unwrap_or(pipeline::REFINE);
    let pipeline = pipeline::resolve(app, caller.tenant(), name, true).await?;
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
        origin,
    };
    begun(begin(app, caller, &pipeline, &input, &draft, None).await?)
}

/// A run that heeds no custom fields begins whatever they are.
fn begun(started: Option<Started>) -> Result<Started> {
    started.ok_or_else(|| Error::internal("a run without custom fields met some"))
}

/// The documented trigger of the sandbox exceeds a budget of one dollar when the caller sets none.
fn simulated_budget(mode: Mode, intent: &str) -> Option<Usd> {
    let triggered = mode == Mode::Test && sandbox::trigger(intent) == Some(sandbox::Trigger::BudgetExceeded);
    triggered.then(|| Usd::from_micros(1_000_000))
}

#[derive(Debug, Clone)]
struct Draft {
    kind: RunKind,
    /// The persona that it edits; one that it makes gets its id with the run.
    persona: Option<PersonaId>,
    seed: u64,
    budget: Option<Usd>,
    slug: Option<String>,
    replay: Option<Replay>,
    origin: Origin,
}

/// What a run that names no budget sets aside in a workspace with a monthly cap.
const SET_ASIDE: Usd = Usd::from_micros(2_000_000);

/// Writes the run and sends its first steps; `None`, and nothing written, where custom fields are not as they were read.
async fn begin(
    app: &App,
    caller: &Caller,
    pipeline: &Pipeline,
    input: &Value,
    draft: &Draft,
    fields: Option<Heeding<'_>>,
) -> Result<Option<Started>> {
    let now = app.clock().timestamp();
    let cap = monthly_cap(caller, draft.replay.as_ref());
    let run = Run {
        id: draft.origin.run,
        kind: draft.kind,
        status: RunStatus::Queued,
        mode: caller.mode,
        pipeline: PipelineRef {
            name: pipeline.name.clone(),
            version: pipeline.version,
            digest: pipeline.digest.clone(),
        },
        seed: draft.seed,
        budget_micros: draft.budget.or(cap.map(|_| SET_ASIDE)).map(Usd::micros),
        month: cap.map(|_| month_of(&now).to_owned()),
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
        slug: draft.slug.clone(),
        fields: fields.iter().flat_map(|heeding| heeding.uses).map(|used| used.name.clone()).collect(),
        output_digest: None,
        output_version: None,
        error: None,
        replay: draft.replay.clone(),
        trace_id: draft.origin.trace_id.clone(),
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
    let (store, mut run) = (app.store().await, run);
    loop {
        let events = std::slice::from_ref(&first);
        let opening = Opening { run: &run, input, events, due_millis: due, cap };
        let begun = store.create_run(tenant, &opening, pipeline, fields).await?;
        match next(&mut run, cap, draft.budget, begun)? {
            Next::Begun => break,
            Next::Already => return again(store, tenant, &run).await.map(Some),
            Next::FieldsChanged => return Ok(None),
            Next::Again => {}
        }
    }
    tracing::Span::current().record("run_id", tracing::field::display(run.id));
    let messages: Vec<_> = ready.iter().map(|step| StepMessage::new(tenant, run.id, step)).collect();
    if let Err(error) = app.queue().await.send(&messages).await {
        // The run is written; the reaper will send what could not be sent now.
        tracing::error!(error.code = %error.code, error.source = error.source_chain(), "first steps not sent");
    }
    Ok(Some(Started { run, first }))
}

/// A run that an earlier try of the same call has begun.
async fn again(store: &Store, tenant: &Tenant, run: &Run) -> Result<Started> {
    let found = store.run(tenant, run.id).await?;
    let run = found.ok_or_else(|| Error::internal("a run that was there is gone"))?;
    let first = store.events_page(tenant, run.id, 0, 1).await?.into_iter().next();
    let first = first.ok_or_else(|| Error::internal("a run without a first event"))?.body;
    Ok(Started { run, first })
}

/// The cap that a new run of this caller is held to. What costs nothing is held to none.
pub(crate) fn monthly_cap(caller: &Caller, replay: Option<&Replay>) -> Option<Usd> {
    let free = caller.mode == Mode::Test || replay.is_some_and(|replay| replay.mode == ReplayMode::Exact);
    caller.monthly_budget.filter(|_| !free)
}

/// What follows when a new run was to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// It is written.
    Begun,
    /// There is a run of its id already.
    Already,
    /// The custom fields that it goes by are to be read again.
    FieldsChanged,
    /// It is to be written again, with the budget that it has now.
    Again,
}

/// Reads how writing a new run went. One that named no budget makes do with what the month's cap leaves.
///
/// # Errors
/// 402 when the cap leaves less than its budget; 409 when its slug is taken.
pub(crate) fn next(run: &mut Run, cap: Option<Usd>, named: Option<Usd>, begun: Begun) -> Result<Next> {
    match begun {
        Begun::Yes => Ok(Next::Begun),
        Begun::Already => Ok(Next::Already),
        Begun::SlugTaken => Err(slug_taken(run)),
        Begun::FieldsChanged => Ok(Next::FieldsChanged),
        Begun::MonthUsedUp(committed) => {
            let cap = cap.unwrap_or_default();
            let left = cap - committed;
            if named.is_some() || left <= Usd::ZERO {
                return Err(month_used_up(run, cap, committed));
            }
            run.budget_micros = Some(left.micros());
            Ok(Next::Again)
        }
    }
}

fn slug_taken(run: &Run) -> Error {
    let slug = run.slug.clone().unwrap_or_default();
    Error::new(
        Code::SlugTaken,
        format!("Another persona of this workspace has the slug \"{slug}\". Choose another one, or leave slug out."),
    )
    .with_param("slug")
}

fn month_used_up(run: &Run, cap: Usd, committed: Usd) -> Error {
    let month = run.month.clone().unwrap_or_default();
    let needed = run.budget().unwrap_or_default();
    Error::new(
        Code::WorkspaceBudgetExceeded,
        format!(
            "The workspace has spent or set aside {} of its {} for {month} (UTC); this run may need {}. Raise monthly_budget_usd, send a smaller budget_usd, or wait for the next month.",
            committed.dollars(),
            cap.dollars(),
            needed.dollars()
        ),
    )
}

/// Ends a run by its owner's wish.
pub async fn cancel(app: &App, caller: &Caller, run: &Run) -> Result<Run> {
    let store = app.store().await;
    let mut log = EventLog::new(*caller.tenant(), run.id, run.last_seq);
    let written = store.end_run(&mut log, run, Ending::Cancelled, &[], app.clock()).await?;
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
    origin: Origin,
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
        let turn = turn::replay(app, caller, of, data, replay, overrides, origin).await?;
        return Ok(Replayed::Turn(Box::new(turn)));
    }
    let started = if request.mode == ReplayMode::Exact {
        // The recordings of a replay are those of the run it repeated.
        let pipeline = match &data.pipeline {
            Some(kept) => kept,
            None => pipeline::named(&of.pipeline.name, refines)?,
        };
        let draft = Draft {
            kind: of.kind,
            persona: refines.then_some(of.persona_id),
            seed: of.seed,
            budget: None,
            slug: None,
            replay: Some(replay),
            origin,
        };
        begun(begin(app, caller, pipeline, &data.input, &draft, None).await?)?
    } else {
        let changed = overridden(&data.input, of, overrides)?;
        let fields = changed.fields(app, caller).await?;
        changed.check(&fields)?;
        let name = changed.pipeline.clone().unwrap_or_default();
        if name != of.pipeline.name {
            caller.require_plan(Plan::Team, "pipeline")?;
        }
        let pipeline = match &data.pipeline {
            // The same again means the one that the run has followed, whatever the workspace has made of it since.
            Some(kept) if name == of.pipeline.name && Pipeline::built_in(&name).is_none() => {
                Cow::Owned(kept.without_fields())
            }
            _ => pipeline::resolve(app, caller.tenant(), &name, false).await?,
        };
        let (seed, budget) = (changed.seed.unwrap_or(of.seed), changed.budget_usd);
        let input = serde_json::to_value(&changed).map_err(Error::internal)?;
        let draft =
            Draft { kind: of.kind, persona: None, seed, budget, slug: None, replay: Some(replay), origin };
        make(app, caller, &pipeline, &changed, input, &draft, fields).await?
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
    let mut input = input.clone();
    if let Some(input) = input.as_object_mut() {
        // It goes by the fields of today: it makes a persona today.
        input.shift_remove(FIELDS);
    }
    let mut body: CreatePersona = serde_json::from_value(input).map_err(Error::internal)?;
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
