//! Turns again: exactly, from what was exchanged when they were made, or freshly, with the models. A replay is a run of
//! its own. Nobody hears it, and the conversation does not remember it.

use std::{collections::HashMap, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Draft, OPENING_EVENTS, Turn, TurnPurse, asked, last_said, read_alone, tools,
    tools::{Used, own_name},
};
use crate::{
    app::App,
    conversation::{Conversation, DriftPolicy, Message, Summary, memory::Window},
    error::{Code, Error, Result},
    id::{MessageId, RunId},
    key::Caller,
    provider::{
        Answer, Ask, Asked, CompletionRequest, Exchange, Purse, Recording, Role, Router, Source, Speaker,
        ToolCall, Unanswered, config::Kind,
    },
    run::{Overrides, Replay, Run},
    store::runs::{EventLog, RunData},
};

/// How long a replay may take: the call that asks for it waits for it, and an answer that is not streamed must leave
/// within 29 s.
pub(super) const PATIENCE: Duration = Duration::from_secs(24);

/// What a turn's prompt rests on that changes later: kept with the run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Told {
    /// How many messages of the conversation the model heard, and the number of the last of them.
    heard: usize,
    through: u64,
    /// The notes on those before.
    pub(super) summary: Option<Summary>,
    /// Whether it was called back to itself.
    pub(super) anchored: bool,
    /// Whether an answer out of character is tried once more.
    pub(super) regenerates: bool,
}

impl Told {
    pub(super) fn of(conversation: &Conversation, window: &Window, regenerates: bool) -> Self {
        Self {
            heard: window.heard.len(),
            through: window.heard.last().map_or(0, |message| message.number),
            summary: conversation.summary.clone(),
            anchored: conversation.drift_policy == DriftPolicy::Reanchor && conversation.smoothed.above,
            regenerates,
        }
    }
}

/// What of a run's input a replay needs. `request` is that of a completion, which names all that was said.
#[derive(Debug, Deserialize)]
struct Input {
    message: String,
    persona_version: u64,
    told: Told,
    #[serde(default)]
    tools: Vec<String>,
    #[serde(default)]
    notes: Option<String>,
    #[serde(default)]
    request: Option<CompletionRequest>,
}

/// Begins the replay of a turn or a completion: it is written, and [`Turn::speak`] makes it.
///
/// # Errors
/// 409 `run.not_replayable` when the run was made before its input was kept whole, or its conversation is gone.
pub async fn replay(
    app: &App,
    caller: &Caller,
    of: &Run,
    data: RunData,
    replay: Replay,
    overrides: Overrides,
    trace_id: Option<String>,
) -> Result<Turn> {
    let input: Input = serde_json::from_value(data.input.clone()).map_err(|_| not_kept(of))?;
    let (store, tenant) = (app.store().await, *caller.tenant());
    let (character, vectors) = read_alone(store, &tenant, of.persona_id, input.persona_version).await?;
    let seed = overrides.seed.unwrap_or(of.seed);
    let heard = heard(app, caller, of, &input.told).await?;
    let request = match input.request {
        Some(request) => CompletionRequest { seed: Some(seed), ..request },
        None => asked(&heard, &input.message, seed, tools::of_names(&input.tools)),
    };
    let reply = MessageId::new();
    let draft = Draft {
        run: RunId::new(),
        reply,
        kind: of.kind,
        seed,
        budget: overrides.budget_usd,
        conversation: of.conversation_id,
        trace_id,
    };
    let run = Run { replay: Some(replay), ..draft.run(app, caller, &character) };
    let turn = Turn {
        app: app.clone(),
        log: EventLog::new(tenant, run.id, OPENING_EVENTS),
        purse: TurnPurse::new(run.budget()),
        character,
        vectors,
        talk: None,
        before: last_said(&heard),
        message: input.message,
        told: input.told,
        own_tools: data.input["request"].is_null(),
        request,
        notes: input.notes,
        reply_id: reply,
        run,
    };
    let mut kept = data.input;
    kept["seed"] = json!(seed);
    turn.open(store, &kept, None, None).await?;
    Ok(turn)
}

/// The messages that the model heard. They never change, but go with their conversation.
async fn heard(app: &App, caller: &Caller, of: &Run, told: &Told) -> Result<Vec<Message>> {
    let Some(conversation) = of.conversation_id.filter(|_| told.heard > 0) else { return Ok(Vec::new()) };
    let store = app.store().await;
    let heard = store.latest_messages(caller.tenant(), conversation, told.through, told.heard).await?;
    if heard.len() < told.heard {
        let message = "The run's conversation was deleted, and with it what had been said before.";
        return Err(Error::new(Code::RunNotReplayable, message).with_run(of.id));
    }
    Ok(heard)
}

fn not_kept(of: &Run) -> Error {
    let message = "The run does not say what its prompt rested on: it is too old, or its input has aged out. Send the message again instead.";
    Error::new(Code::RunNotReplayable, message).with_run(of.id)
}

/// Whether the replay came to what the run that it repeats had come to.
pub(super) fn compare(run: &mut Run) {
    let exact = run.is_exact_replay();
    if let Some(replay) = run.replay.as_mut().filter(|_| exact) {
        replay.matches = Some(replay.expected_digest == run.output_digest);
    }
}

/// Names the step that asked what the recorded run did not ask.
pub(super) fn diverge(run: &mut Run, error: &Error) {
    if let Some(replay) = run.replay.as_mut().filter(|_| error.code == Code::RunNotReplayable) {
        replay.matches = Some(false);
        replay.diverged_step = Some("reply".to_owned());
    }
}

/// Who answers a turn: the models, or what they answered then.
pub(super) enum Answers<'a> {
    Models(&'a Router),
    Recorded(Box<Recorded>),
}

/// What was exchanged in a turn.
pub(super) struct Recorded {
    reply: Recording,
    drift: Recording,
    judged: bool,
    model_of_vectors: Option<String>,
    knew_the_yardstick: bool,
    results: HashMap<String, String>,
}

impl<'a> Answers<'a> {
    pub(super) async fn of(turn: &'a Turn) -> Result<Self> {
        match turn.run.replay.as_ref().filter(|_| turn.run.is_exact_replay()) {
            None => Ok(Self::Models(turn.app.models(turn.run.mode).await?)),
            Some(replay) => Ok(Self::Recorded(Box::new(Recorded::read(turn, replay.of).await?))),
        }
    }

    pub(super) async fn answer(&self, ask: Ask<'_>) -> Result<Answer, Unanswered> {
        match self {
            Self::Models(models) => models.answer(ask).await,
            Self::Recorded(recorded) if ask.request.role == Role::Judge => recorded.drift.answer(ask).await,
            Self::Recorded(recorded) => recorded.reply.answer(ask).await,
        }
    }

    pub(super) async fn embed(
        &self,
        texts: &[String],
        purse: &dyn Purse,
    ) -> Result<Answer<Vec<Vec<f32>>>, Unanswered> {
        match self {
            Self::Models(models) => models.embed(texts, purse).await,
            Self::Recorded(recorded) => recorded.drift.embed(texts, purse).await,
        }
    }

    /// One call of a tool. A replay searches nothing: it hands on what was found.
    pub(super) async fn call(&self, call: &ToolCall) -> Used {
        match self {
            Self::Models(models) => tools::call(models.search(), call).await,
            Self::Recorded(recorded) => {
                let result = recorded.results.get(&call.id).cloned().unwrap_or_default();
                Used { name: own_name(&call.name), results: 0, result }
            }
        }
    }

    /// The model whose vectors measure. The sandbox's are of spelling: they mean nothing to what was fitted to meaning.
    pub(super) fn model_of_vectors(&self) -> Option<&str> {
        match self {
            Self::Models(models) => {
                let first = models.candidates(Role::Embed).first();
                first
                    .filter(|candidate| candidate.kind != Kind::Sandbox)
                    .map(|candidate| candidate.model.as_str())
            }
            Self::Recorded(recorded) => recorded.model_of_vectors.as_deref(),
        }
    }

    /// Whether the process that made the recorded turn had the persona's vectors already; unknown of a new turn.
    pub(super) fn knew_the_yardstick(&self) -> Option<bool> {
        match self {
            Self::Models(_) => None,
            Self::Recorded(recorded) => Some(recorded.knew_the_yardstick),
        }
    }

    /// The sandbox is no judge.
    pub(super) fn has_judge(&self) -> bool {
        match self {
            Self::Models(models) => {
                models.candidates(Role::Judge).first().is_some_and(|judge| judge.kind != Kind::Sandbox)
            }
            Self::Recorded(recorded) => recorded.judged,
        }
    }
}

impl Recorded {
    async fn read(turn: &Turn, of: RunId) -> Result<Self> {
        let (store, tenant) = (turn.app.store().await, turn.log.tenant());
        let (reply, drift) =
            tokio::try_join!(store.recording(&tenant, of, "reply"), store.recording(&tenant, of, "drift"))?;
        let Some(reply) = reply else { return Err(not_kept(&turn.run)) };
        Ok(Self::new(exchanges(reply)?, exchanges(drift.unwrap_or(Value::Array(Vec::new())))?))
    }

    fn new(reply: Vec<Exchange>, drift: Vec<Exchange>) -> Self {
        let first = drift.iter().find_map(|exchange| match &exchange.request {
            Asked::Embedding(texts) => Some((exchange.model.clone(), texts.len())),
            _ => None,
        });
        Self {
            judged: drift.iter().any(|exchange| exchange.request.role() == Role::Judge),
            // The message alone was sent where the persona's vectors were known.
            knew_the_yardstick: first.as_ref().is_some_and(|(_, texts)| *texts == 1),
            model_of_vectors: first.map(|(model, _)| model),
            results: reply.iter().flat_map(results).collect(),
            reply: Recording::new(reply),
            drift: Recording::new(drift),
        }
    }
}

fn exchanges(recording: Value) -> Result<Vec<Exchange>> {
    serde_json::from_value(recording).map_err(Error::internal)
}

/// What tools had found, as the next question of the model's says.
fn results(exchange: &Exchange) -> Vec<(String, String)> {
    let Asked::Completion(request) = &exchange.request else { return Vec::new() };
    let told = request.messages.iter().filter(|message| message.role == Speaker::Tool);
    told.filter_map(|message| Some((message.tool_call_id.clone()?, message.content.clone()))).collect()
}
