//! A turn: one message and its answer, as a run. It is begun (claimed, read, written), then spoken: the model is asked
//! inside the function itself, no queue lies on the way, and one transaction ends it.
//!
//! Whoever listens may go: the answer is made and kept all the same.

mod completion;
mod measure;
mod replay;

use std::{
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use rand::RngExt;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedSender;

pub use completion::{Complete, Whom, begin_completion};
use measure::Prepared;
pub use replay::replay;
use replay::{Answers, Told};

use super::{
    Author, Character, Conversation, DriftPolicy, Message, Report, Summary,
    memory::{READ, Window},
    prompt::{self, Scene},
    tools,
};
use crate::{
    Usd,
    app::App,
    drift::{OUT_OF_CHARACTER, Scored, Smoothed, Verdict},
    error::{Code, Detail, Error, Result},
    id::{ConversationId, MessageId, PersonaId, RunId},
    key::Caller,
    moderation,
    persona::digest,
    provider::{
        self, Ask, Completion, CompletionRequest, Exchange, Purse, Role, Sink, Tool, ToolChoice, Unanswered,
        anything,
    },
    run::{
        self, Next, Origin, PipelineRef, Replay, Run, RunKind, RunStatus, StepState, StepStatus,
        events::{Event, EventBody},
        monthly_cap,
    },
    store::{
        Store,
        conversations::{Expected, Speaker, TurnBegun, TurnClaim, TurnEnd},
        personas::{SampleVectors, ToSpeak},
        runs::{EventLog, Opening},
        usage::month_of,
    },
    tenant::Tenant,
    webhook,
};

/// How long a turn may take; a conversation is not held longer by one that was lost.
pub const PATIENCE: Duration = Duration::from_mins(4);
/// After this a turn that shows no sign of life has died: a little more than the function's own timeout.
const LOST_AFTER: Duration = Duration::from_secs(310);
/// How long the end of a turn waits for notes that are still being written, besides the answer itself.
const NOTES_PATIENCE: Duration = Duration::from_secs(2);
/// Tokens of an answer, at most.
const ANSWER_TOKENS: u32 = 700;
/// The longest message, in characters.
const MESSAGE_MOST: usize = 8_000;
const TEMPERATURE: f32 = 0.8;

/// Body of `POST /v1/chat/conversations/{conversation}/messages`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Say {
    /// Whom it is said to; may be left out, and may not be another than the conversation's.
    #[serde(default)]
    pub persona_id: Option<String>,
    /// What is said.
    pub message: String,
    /// Tools that the persona may use.
    #[serde(default)]
    pub tools: Vec<String>,
    /// Whether the answer comes as events.
    #[serde(default)]
    pub stream: bool,
    /// Hard cost cap of the turn.
    #[serde(default)]
    pub budget_usd: Option<Usd>,
    /// Reproducibility seed.
    #[serde(default)]
    pub seed: Option<u64>,
}

impl Say {
    fn check(&self) -> Result<()> {
        let mut problems = Vec::new();
        problems.extend(unfit(&self.message).map(|message| Detail::new("/message", message)));
        if self.budget_usd.is_some_and(|budget| budget <= Usd::ZERO) {
            problems.push(Detail::new("/budget_usd", "budget_usd is not above 0. Leave it out for no cap."));
        }
        Error::invalid_all(problems)
    }
}

/// Why a message cannot be answered, if so.
pub fn unfit(message: &str) -> Option<String> {
    match message.trim().chars().count() {
        0 => Some("The message is empty. Say something.".to_owned()),
        length if length > MESSAGE_MOST => Some(format!(
            "The message has {length} characters; at most {MESSAGE_MOST} are allowed. Shorten it."
        )),
        _ => None,
    }
}

/// Refuses a message that no turn is made of: empty, too long, or blocked. Nothing is read or written for that.
pub fn check(message: &str) -> Result<()> {
    Error::invalid_all(unfit(message).map(|why| Detail::new("/message", why)).into_iter().collect())?;
    moderate(message)
}

/// A turn that has begun: it is written, and the model is not asked yet.
pub struct Turn {
    app: App,
    run: Run,
    cap: Cap,
    log: EventLog,
    character: Arc<Character>,
    vectors: Option<SampleVectors>,
    /// The conversation and the window on it; none for a completion of its own.
    talk: Option<Talk>,
    message: String,
    /// What was said before it, by the persona.
    before: Option<String>,
    /// What the prompt rests on, besides the character and the request: kept with the run, so that it can be replayed.
    told: Told,
    request: CompletionRequest,
    notes: Option<String>,
    /// Whether calls of functions are answered here (the persona's tools) or by the caller.
    own_tools: bool,
    reply_id: MessageId,
    purse: TurnPurse,
}

struct Talk {
    conversation: Conversation,
    window: Window,
}

/// What a turn came to.
#[derive(Debug, Clone)]
pub struct Spoken {
    /// The run.
    pub run: RunId,
    /// The conversation, where there is one.
    pub conversation: Option<ConversationId>,
    /// The persona's message.
    pub message: Message,
    /// Functions that the caller is to call.
    pub tool_calls: Vec<provider::ToolCall>,
    /// Why the answer ended.
    pub finish: provider::Finish,
    /// What the call that gave the answer used, short of drift and notes.
    pub usage: provider::Usage,
}

impl Spoken {
    /// The answer of section 7 of the contract.
    pub fn to_object(&self) -> Value {
        let mut object = json!({
            "message_id": self.message.id, "object": "message", "role": "assistant",
            "content": self.message.content,
        });
        if let (Some(report), Some(fields)) = (&self.message.report, object.as_object_mut()) {
            fields.extend(report.fields());
        }
        object["run_id"] = json!(self.run);
        object["conversation_id"] = json!(self.conversation);
        object["created_at"] = json!(self.message.created_at);
        if !self.tool_calls.is_empty() {
            object["tool_calls"] = json!(self.tool_calls);
        }
        object
    }
}

/// Begins a turn of a conversation. Everything that can be wrong with the call is said here.
pub async fn begin(app: &App, caller: &Caller, id: ConversationId, say: Say, origin: Origin) -> Result<Turn> {
    say.check()?;
    let tools = tools::chosen(app, caller.mode, &say.tools).await?;
    moderate(&say.message)?;
    let run = origin.run;
    let conversation = claim(app, caller, id, run, say.persona_id.as_deref()).await?;
    let claimed = Claimed { app, caller, conversation: &conversation, origin };
    match claimed.begin(&say, tools).await {
        Ok(turn) => Ok(turn),
        Err(error) => {
            app.store().await.release_turn(caller.tenant(), id, run).await?;
            Err(error)
        }
    }
}

/// The policy's own rules: no call is made, so a blocked message costs nothing.
fn moderate(message: &str) -> Result<()> {
    let decision = moderation::gate(message, &moderation::Opinions::default());
    moderation::blocked(&decision, "message").map_or(Ok(()), Err)
}

async fn claim(
    app: &App,
    caller: &Caller,
    id: ConversationId,
    run: RunId,
    persona: Option<&str>,
) -> Result<Conversation> {
    let store = app.store().await;
    let tenant = caller.tenant();
    let named = match persona {
        None => None,
        Some(name) if PersonaId::has_prefix(name) => Some(name.parse().map_err(|_| no_persona(name))?),
        // A slug is compared when the persona is read, which takes no request of its own.
        Some(_) => None,
    };
    let expected = Expected { persona: named, viewer: (!caller.is_admin()).then_some(caller.key_id) };
    let now = app.clock().epoch_millis();
    let until = now + LOST_AFTER.as_millis() as i64;
    match store.claim_turn(tenant, id, run, expected, now, until).await? {
        TurnClaim::Won(conversation) => Ok(*conversation),
        TurnClaim::Busy(until) => {
            let seconds = ((until - now) / 1000).clamp(1, 5) as u32;
            let message =
                "Another turn of this conversation is in flight. Send the message again when it has ended.";
            Err(Error::new(Code::ConversationBusy, message).with_retry_after(seconds))
        }
        TurnClaim::Other(conversation) => {
            Err(with_another(conversation.persona_id, persona.unwrap_or_default()))
        }
        TurnClaim::Unknown => Err(Error::not_found("conversation", &id.to_string())),
    }
}

fn no_persona(name: &str) -> Error {
    Error::invalid("persona_id", format!("There is no persona \"{}\".", shown(name)))
}

fn with_another(with: PersonaId, named: &str) -> Error {
    let message = format!(
        "The conversation is with {with}, not with \"{}\". Leave persona_id out, or begin another conversation.",
        shown(named)
    );
    Error::invalid("persona_id", message)
}

fn shown(text: &str) -> String {
    text.chars().take(60).collect()
}

/// A claimed conversation on its way to a turn.
struct Claimed<'a> {
    app: &'a App,
    caller: &'a Caller,
    conversation: &'a Conversation,
    origin: Origin,
}

impl Claimed<'_> {
    async fn begin(&self, say: &Say, tools: Vec<Tool>) -> Result<Turn> {
        let (app, conversation) = (self.app, self.conversation);
        let store = app.store().await;
        let tenant = *self.caller.tenant();
        let number = conversation.last_message;
        let ((character, vectors), earlier) = read_talk(store, &tenant, conversation).await?;
        let window = Window::of(earlier, conversation.summary.as_ref());
        let seed = say.seed.unwrap_or_else(|| rand::rng().random_range(0..=crate::run::SEED_MOST));
        let request = asked(&window.heard, say.message.trim(), seed, tools);
        let regenerates = conversation.drift_policy == DriftPolicy::Regenerate && !say.stream;
        let told = Told::of(conversation, &window, regenerates);
        let reply = MessageId::new();
        let draft = Draft {
            origin: self.origin.clone(),
            reply,
            kind: RunKind::ConversationTurn,
            seed,
            budget: say.budget_usd,
            conversation: Some(conversation.id),
            replay: None,
        };
        let (run, cap) = draft.run(app, self.caller, &character);
        let input = json!({
            "message": say.message.trim(), "tools": say.tools, "stream": say.stream, "seed": seed,
            "budget_usd": say.budget_usd, "persona_version": character.version, "told": told,
        });
        let message = Message {
            id: MessageId::new(),
            number,
            role: Author::User,
            content: say.message.trim().to_owned(),
            run_id: run.id,
            report: None,
            created_at: run.created_at.clone(),
        };
        let mut turn = Turn {
            app: app.clone(),
            log: EventLog::new(tenant, run.id, OPENING_EVENTS),
            purse: TurnPurse::new(run.budget()),
            run,
            cap,
            character,
            vectors,
            before: last_said(&window.heard),
            talk: Some(Talk { conversation: conversation.clone(), window }),
            message: message.content.clone(),
            told,
            request,
            notes: None,
            own_tools: true,
            reply_id: reply,
        };
        let persona = conversation.persona_id;
        let slug = say.persona_id.as_deref().filter(|named| !PersonaId::has_prefix(named));
        turn.open(store, &input, Some((conversation.id, &message)), Some(Speaker { persona, slug })).await?;
        Ok(turn)
    }
}

/// What a turn asks of the model, short of the character.
fn asked(heard: &[Message], message: &str, seed: u64, tools: Vec<Tool>) -> CompletionRequest {
    let mut said = prompt::transcript(heard);
    said.push(provider::Message::new(provider::Speaker::User, message));
    CompletionRequest {
        temperature: TEMPERATURE,
        seed: Some(seed),
        tools,
        ..CompletionRequest::new(Role::Chat, said, ANSWER_TOKENS)
    }
}

fn last_said(heard: &[Message]) -> Option<String> {
    let last = heard.iter().rev().find(|message| message.role == Author::Assistant)?;
    Some(last.content.clone())
}

/// A character, and the vectors kept of it.
type Voice = (Arc<Character>, Option<SampleVectors>);

/// Who speaks, and the newest messages before this turn's own: one request, whether this process knows the character
/// or not.
async fn read_talk(
    store: &Store,
    tenant: &Tenant,
    conversation: &Conversation,
) -> Result<(Voice, Vec<Message>)> {
    let (persona, version) = (conversation.persona_id, conversation.persona_version);
    let (id, before) = (conversation.id, conversation.last_message - 1);
    if let Some(character) = Character::known(tenant, persona, version) {
        return Ok(((character, None), store.latest_messages(tenant, id, before, READ).await?));
    }
    let found = store.to_speak(tenant, persona, version, Some((id, before, READ))).await?;
    read_voice(tenant, persona, version, found)
}

/// Who speaks when nothing was said before.
async fn read_alone(store: &Store, tenant: &Tenant, persona: PersonaId, version: u64) -> Result<Voice> {
    if let Some(character) = Character::known(tenant, persona, version) {
        return Ok((character, None));
    }
    let found = store.to_speak(tenant, persona, version, None).await?;
    Ok(read_voice(tenant, persona, version, found)?.0)
}

fn read_voice(
    tenant: &Tenant,
    persona: PersonaId,
    version: u64,
    found: ToSpeak,
) -> Result<(Voice, Vec<Message>)> {
    let document = found.version.ok_or_else(|| gone(persona))?.document()?;
    let character = Character::compile(tenant, persona, version, &document)?;
    Ok(((character, found.vectors), found.messages))
}

fn gone(persona: PersonaId) -> Error {
    Error::not_found("persona", &persona.to_string())
}

/// Events that a turn begins with: `run.started` and `message.started`.
const OPENING_EVENTS: u64 = 2;

/// What a turn that names no budget sets aside in a workspace with a monthly cap.
const SET_ASIDE: Usd = Usd::from_micros(500_000);

/// The monthly cap that a turn is held to, and the budget that its caller named.
#[derive(Debug, Clone, Copy)]
struct Cap {
    cap: Option<Usd>,
    named: Option<Usd>,
}

struct Draft {
    origin: Origin,
    reply: MessageId,
    kind: RunKind,
    seed: u64,
    budget: Option<Usd>,
    conversation: Option<ConversationId>,
    replay: Option<Replay>,
}

impl Draft {
    fn run(self, app: &App, caller: &Caller, character: &Character) -> (Run, Cap) {
        let cap = Cap { cap: monthly_cap(caller, self.replay.as_ref()), named: self.budget };
        let now = app.clock().timestamp();
        let mut reply = StepState::pending(Vec::new());
        reply.status = StepStatus::Running;
        reply.attempt = 1;
        // Nobody else takes it while this process may be alive.
        reply.lease = app.clock().epoch_millis() + LOST_AFTER.as_millis() as i64;
        let run = Run {
            id: self.origin.run,
            kind: self.kind,
            status: RunStatus::Running,
            mode: caller.mode,
            pipeline: pipeline(),
            seed: self.seed,
            budget_micros: self.budget.or(cap.cap.map(|_| SET_ASIDE)).map(Usd::micros),
            month: cap.cap.map(|_| month_of(&now).to_owned()),
            committed: Usd::ZERO,
            cost: Usd::ZERO,
            tokens_in: 0,
            tokens_out: 0,
            steps: [("reply".to_owned(), reply)].into(),
            persona_id: character.persona,
            conversation_id: self.conversation,
            message_id: Some(self.reply),
            slug: None,
            fields: Vec::new(),
            output_digest: None,
            output_version: None,
            error: None,
            replay: self.replay,
            trace_id: self.origin.trace_id,
            created_by: caller.key_id,
            last_seq: OPENING_EVENTS,
            created_at: now.clone(),
            updated_at: now.clone(),
            started_at: Some(now),
            completed_at: None,
        };
        (run, cap)
    }
}

/// What a turn follows: no graph, but prompts all the same.
fn pipeline() -> PipelineRef {
    PipelineRef { name: "conversation".to_owned(), version: 1, digest: prompt::digest() }
}

impl Turn {
    /// The run.
    pub fn run(&self) -> RunId {
        self.run.id
    }

    /// Who speaks.
    pub fn persona(&self) -> PersonaId {
        self.character.persona
    }

    /// The events that it began with.
    pub fn first_events(&self) -> Vec<Event> {
        let at = &self.run.created_at;
        let number = |(seq, body)| Event { seq, body, created_at: at.clone() };
        (1..).zip(self.opening_events()).map(number).collect()
    }

    fn opening_events(&self) -> Vec<EventBody> {
        let conversation = self.talk.as_ref().map(|talk| talk.conversation.id);
        vec![
            EventBody::run_started(self.run.id, "reply"),
            EventBody::message_started(self.reply_id, self.run.id, conversation),
        ]
    }

    async fn open(
        &mut self,
        store: &Store,
        input: &Value,
        said: Option<(ConversationId, &Message)>,
        speaker: Option<Speaker<'_>>,
    ) -> Result<()> {
        let events = self.opening_events();
        let due_millis = self.app.clock().epoch_millis() + LOST_AFTER.as_millis() as i64;
        let (tenant, Cap { cap, named }) = (self.log.tenant(), self.cap);
        loop {
            let opening = Opening { run: &self.run, input, events: &events, due_millis, cap };
            let begun = match store.begin_turn(&tenant, &opening, said, speaker).await? {
                TurnBegun::Run(begun) => begun,
                TurnBegun::PersonaGone => return Err(gone(self.character.persona)),
                TurnBegun::OtherSlug => {
                    let named = speaker.and_then(|speaker| speaker.slug).unwrap_or_default();
                    return Err(with_another(self.character.persona, named));
                }
            };
            match run::next(&mut self.run, cap, named, begun)? {
                Next::Begun => break,
                Next::Already => return Err(made_before(&self.run)),
                Next::Again => self.purse = TurnPurse::new(self.run.budget()),
                Next::FieldsChanged => return Err(Error::internal("a turn met custom fields")),
            }
        }
        Ok(())
    }

    /// Asks the model, measures, and ends the turn. Events go to `listener` as they happen, the last ones once they
    /// are written. The caller of this is a task of its own: it goes on when nobody listens.
    pub async fn speak(mut self, listener: Option<UnboundedSender<Event>>) -> Result<Spoken> {
        let patience = if self.run.replay.is_some() { replay::PATIENCE } else { PATIENCE };
        let mut speech = Speech { seq: OPENING_EVENTS, events: Vec::new(), listener, heard: false };
        let said = tokio::time::timeout(patience, self.say(&mut speech)).await;
        let said = said.unwrap_or_else(|_| Err(too_long(patience)));
        let ended = match said {
            Ok(said) => self.complete(&mut speech, said).await,
            Err(error) => self.fail(&mut speech, error).await,
        };
        if let Err(error) = &ended {
            tracing::warn!(run_id = %self.run.id, error.code = %error.code, error.source = error.source_chain(), "a turn failed");
        }
        ended
    }

    async fn say(&self, speech: &mut Speech) -> Result<Said> {
        let answers = Answers::of(self).await?;
        let answers = &answers;
        let mut notes = pin!(self.summarise(answers));
        let mut noted = None;
        let (answered, prepared) = {
            let mut speaking =
                pin!(async { tokio::join!(self.answer(answers, speech, Try::First), self.prepare(answers)) });
            loop {
                tokio::select! {
                    biased;
                    done = &mut speaking => break done,
                    written = &mut notes, if noted.is_none() => noted = Some(written),
                }
            }
        };
        let mut said = answered?;
        let Prepared { new, message: message_vector, exchanges } = prepared;
        said.drift_exchanges = exchanges;
        said.new_vectors = new;
        said.scored = Some(self.measure(answers, &mut said, message_vector.as_deref()).await);
        said.summary = match noted {
            Some(written) => written,
            None => tokio::time::timeout(NOTES_PATIENCE, notes).await.unwrap_or_else(|_| self.plain_notes()),
        };
        let out = |scored: &Scored| scored.drift.verdict == Verdict::OutOfCharacter;
        if self.told.regenerates
            && said.scored.as_ref().is_some_and(out)
            && said.completion.tool_calls.is_empty()
        {
            self.regenerate(answers, speech, &mut said, message_vector.as_deref()).await?;
        }
        Ok(said)
    }

    /// One more try, called back to itself; the better of the two is the answer.
    async fn regenerate(
        &self,
        answers: &Answers<'_>,
        speech: &mut Speech,
        first: &mut Said,
        message_vector: Option<&[f32]>,
    ) -> Result<()> {
        let broke = first.scored.as_ref().is_some_and(|scored| scored.drift.values >= OUT_OF_CHARACTER);
        let how = if broke { Try::Retold } else { Try::Anchored };
        let mut second = self.answer(answers, speech, how).await?;
        let scored = self.measure(answers, &mut second, message_vector).await;
        first.reply_exchanges.append(&mut second.reply_exchanges);
        first.drift_exchanges.append(&mut second.drift_exchanges);
        first.tools_used.append(&mut second.tools_used);
        let worst = |scored: &Option<Scored>| scored.as_ref().map_or(1.0, |scored| scored.drift.worst());
        if scored.drift.worst() <= worst(&first.scored) {
            first.completion = second.completion;
            first.scored = Some(scored);
        }
        first.regenerated = true;
        Ok(())
    }

    /// The answer, after as many rounds of tools as it takes.
    async fn answer(&self, answers: &Answers<'_>, speech: &mut Speech, how: Try) -> Result<Said> {
        let mut said = Said::default();
        let mut request = self.prompted(how)?;
        for round in 0..=tools::ROUNDS {
            if round == tools::ROUNDS && self.own_tools {
                request.tool_choice = ToolChoice::None;
            }
            let sink: Option<&mut dyn Sink> =
                if speech.listener.is_some() { Some(&mut *speech) } else { None };
            let ask = Ask { request: &request, validate: &anything, purse: &self.purse, sink };
            let answer = match answers.answer(ask).await {
                Ok(answer) => answer,
                Err(Unanswered { error, exchanges, .. }) => {
                    said.reply_exchanges.extend(exchanges);
                    self.purse.keep(said.reply_exchanges);
                    return Err(*error);
                }
            };
            said.reply_exchanges.extend(answer.exchanges);
            let completion = answer.content;
            said.text.push_str(&completion.text);
            if completion.tool_calls.is_empty() || !self.own_tools {
                said.completion = Completion { text: tidy(&said.text), ..completion };
                return Ok(said);
            }
            request
                .messages
                .push(provider::Message::calling(completion.text.clone(), completion.tool_calls.clone()));
            for call in &completion.tool_calls {
                speech.tell(EventBody::tool_called(&call.id, &tools::own_name(&call.name), &call.arguments));
                let used = answers.call(call).await;
                speech.tell(EventBody::tool_completed(&call.id, &used.name, used.results));
                request.messages.push(provider::Message::result(&call.id, used.result));
                if !said.tools_used.contains(&used.name) {
                    said.tools_used.push(used.name);
                }
            }
        }
        Err(Error::internal("a model called tools after it was told not to"))
    }

    fn prompted(&self, how: Try) -> Result<CompletionRequest> {
        let again = how != Try::First;
        let scene = Scene {
            notes: self.notes.as_deref(),
            summary: self.told.summary.as_ref(),
            anchored: again || self.told.anchored,
            retold: how == Try::Retold,
        };
        let mut request = self.request.clone();
        request.messages = prompt::messages(&self.character, &scene, request.messages)?;
        let seed = request.seed.map(|seed| seed + u64::from(again));
        request.seed = seed;
        request.inputs = json!({
            "step": "reply", "persona": self.character.layers, "language": self.character.language,
            "message": self.message, "intent": self.message, "seed": seed,
        });
        Ok(request)
    }

    /// Notes on what leaves the window; plain ones when the model is not done in time.
    async fn summarise(&self, answers: &Answers<'_>) -> Option<(Summary, Vec<Exchange>)> {
        let talk = self.talk.as_ref().filter(|talk| !talk.window.leaving.is_empty())?;
        let before = talk.conversation.summary.as_ref();
        let Ok(request) = prompt::summary(&self.character, before, &talk.window) else {
            return self.plain_notes();
        };
        let ask = Ask { request: &request, validate: &anything, purse: &self.purse, sink: None };
        let (text, exchanges) = match answers.answer(ask).await {
            Ok(answer) => (answer.content.text, answer.exchanges),
            Err(unanswered) => (String::new(), unanswered.exchanges),
        };
        let notes = talk.window.notes(&text).or_else(|| talk.window.plain_notes(before))?;
        Some((notes, exchanges))
    }

    fn plain_notes(&self) -> Option<(Summary, Vec<Exchange>)> {
        let talk = self.talk.as_ref()?;
        talk.window.plain_notes(talk.conversation.summary.as_ref()).map(|notes| (notes, Vec::new()))
    }

    async fn complete(&mut self, speech: &mut Speech, said: Said) -> Result<Spoken> {
        let at = self.app.clock().timestamp();
        let scored = said.scored.ok_or_else(|| Error::internal("a turn was not measured"))?;
        let (summary, notes_exchanges) = said.summary.unzip();
        self.settle("reply", StepStatus::Completed, &said.reply_exchanges);
        self.settle("drift", StepStatus::Completed, &said.drift_exchanges);
        if let Some(exchanges) = &notes_exchanges {
            self.settle("summary", StepStatus::Completed, exchanges);
        }
        self.ended(RunStatus::Completed, &at);
        self.run.output_digest = Some(digest_of(&said.completion));
        replay::compare(&mut self.run);
        let before = self.talk.as_ref().map_or_else(Smoothed::default, |talk| talk.conversation.smoothed);
        let smoothed = before.after(&scored.drift);
        let run = &self.run;
        let report = Report {
            average: smoothed.average,
            crossed: smoothed.above != before.above,
            persona_version: self.character.version,
            drift: scored.drift,
            coherence: scored.coherence,
            tools_used: said.tools_used,
            tokens_in: run.tokens_in,
            tokens_out: run.tokens_out,
            cost: run.cost,
            regenerated: said.regenerated,
        };
        let message = Message {
            id: self.reply_id,
            number: self.talk.as_ref().map_or(0, |talk| talk.conversation.last_message + 1),
            role: Author::Assistant,
            content: said.completion.text.clone(),
            run_id: run.id,
            report: Some(report),
            created_at: at,
        };
        let spoken = Spoken {
            run: run.id,
            conversation: self.talk.as_ref().map(|talk| talk.conversation.id),
            message,
            tool_calls: said.completion.tool_calls,
            finish: said.completion.finish,
            usage: said.completion.usage,
        };
        let object = spoken.to_object();
        // Known before it is written: nobody has to wait for that to hear it.
        speech.tell(EventBody::drift_scored(&object["drift"], scored.coherence));
        let last = vec![
            EventBody::message_completed(object.clone()),
            EventBody::run_completed(json!({
                "persona_id": run.persona_id, "total_cost_usd": run.cost, "message_id": spoken.message.id,
            })),
        ];
        let recordings = recordings(&[
            ("reply", &said.reply_exchanges),
            ("drift", &said.drift_exchanges),
            ("summary", notes_exchanges.as_ref().unwrap_or(&Vec::new())),
        ]);
        let mut also = self.vector_writes(said.new_vectors.as_ref()).await?;
        // Functions that the caller is to call are no turn yet: the answer to them will be.
        let kept = spoken.tool_calls.is_empty().then_some(&spoken.message);
        let told = self.told_of_end(kept.filter(|_| smoothed.above));
        also.extend(self.app.store().await.event_writes(&self.log.tenant(), &told)?);
        let end = TurnEnd {
            run: &self.run,
            events: &[speech.events.as_slice(), &last].concat(),
            recordings: &recordings,
            output: &object,
            message: kept,
            smoothed: &smoothed,
            summary: summary.as_ref(),
            also,
        };
        self.end(end).await?;
        for body in last {
            speech.tell(body);
        }
        webhook::announce(&self.app, &self.log.tenant(), &told).await;
        Ok(spoken)
    }

    /// What webhooks are told of a turn that ended well; `drifted` is its message where the average is above its threshold.
    fn told_of_end(&self, drifted: Option<&Message>) -> Vec<webhook::Event> {
        let run = &self.run;
        let at = &run.updated_at;
        let mut told = vec![webhook::Event::run_ended(run, RunStatus::Completed, run.cost, None, at)];
        let crossed = drifted.and_then(|message| message.report.as_ref()).filter(|report| report.crossed);
        if let (Some(talk), Some(report)) = (self.talk.as_ref().filter(|_| run.replay.is_none()), crossed) {
            let turn = (run.id, self.reply_id);
            told.push(webhook::Event::drift_detected(talk.conversation.id, run.persona_id, turn, report, at));
        }
        told
    }

    async fn vector_writes(
        &self,
        vectors: Option<&SampleVectors>,
    ) -> Result<Vec<aws_sdk_dynamodb::types::TransactWriteItem>> {
        // A replay keeps nothing but itself.
        let Some(vectors) = vectors.filter(|_| self.run.replay.is_none()) else { return Ok(Vec::new()) };
        let (persona, version) = (self.character.persona, self.character.version);
        Ok(vec![self.app.store().await.vectors_write(&self.log.tenant(), persona, version, vectors)?])
    }

    /// The user's message stays, the half answer does not, and the conversation is free for the next try.
    async fn fail(&mut self, speech: &mut Speech, error: Error) -> Result<Spoken> {
        let error = error.with_run(self.run.id);
        let at = self.app.clock().timestamp();
        let exchanges = self.purse.kept();
        self.settle("reply", StepStatus::Failed, &exchanges);
        self.run.error = Some(serde_json::to_string(&error.to_stored()).map_err(Error::internal)?);
        replay::diverge(&mut self.run, &error);
        self.ended(RunStatus::Failed, &at);
        let last = EventBody::run_failed(&error);
        let recordings = recordings(&[("reply", &exchanges)]);
        let smoothed = Smoothed::default();
        let told =
            [webhook::Event::run_ended(&self.run, RunStatus::Failed, self.run.cost, Some(&error), &at)];
        let also = self.app.store().await.event_writes(&self.log.tenant(), &told)?;
        let end = TurnEnd {
            run: &self.run,
            events: &[speech.events.as_slice(), std::slice::from_ref(&last)].concat(),
            recordings: &recordings,
            output: &Value::Null,
            message: None,
            smoothed: &smoothed,
            summary: None,
            also,
        };
        self.end(end).await?;
        speech.tell(last);
        webhook::announce(&self.app, &self.log.tenant(), &told).await;
        Err(error)
    }

    async fn end(&self, end: TurnEnd<'_>) -> Result<()> {
        let conversation = self.talk.as_ref().map(|talk| talk.conversation.id);
        let store = self.app.store().await;
        if store.end_turn(&mut self.log.clone(), conversation, end).await? {
            return Ok(());
        }
        let tenant = self.log.tenant();
        if let Some(id) = conversation {
            store.release_turn(&tenant, id, self.run.id).await?;
        }
        let message =
            "The turn was cancelled while the persona was speaking. Nothing was kept of the answer.";
        Err(Error::new(Code::ConversationBusy, message).with_run(self.run.id))
    }

    /// Counts what a step exchanged.
    fn settle(&mut self, step: &str, status: StepStatus, exchanges: &[Exchange]) {
        let cached = self.run.is_exact_replay();
        let state = self.run.steps.entry(step.to_owned()).or_insert_with(|| {
            let needs = if step == "drift" { vec!["reply".to_owned()] } else { Vec::new() };
            StepState { attempt: 1, waiting: 0, ..StepState::pending(needs) }
        });
        let last = exchanges.last();
        state.status = status;
        state.provider = last.map(|exchange| exchange.provider.clone());
        state.model = last.map(|exchange| exchange.model.clone());
        state.tokens_in = exchanges.iter().map(|exchange| exchange.usage.input).sum();
        state.tokens_out = exchanges.iter().map(|exchange| exchange.usage.output).sum();
        state.cost = exchanges.iter().map(|exchange| exchange.cost).sum();
        state.latency_ms = exchanges.iter().map(|exchange| exchange.latency_ms).sum();
        state.cached = cached;
        self.run.tokens_in += state.tokens_in;
        self.run.tokens_out += state.tokens_out;
        self.run.cost += state.cost;
        self.run.committed = self.run.cost;
    }

    fn ended(&mut self, status: RunStatus, at: &str) {
        self.run.status = status;
        self.run.updated_at = at.to_owned();
        self.run.completed_at = Some(at.to_owned());
    }
}

/// A turn is made by the call that begins it; another try of that call can only point to it.
fn made_before(run: &Run) -> Error {
    let message = format!(
        "An earlier try of this request made {}, and its answer was not kept for it. Read the run, or send the message again with another Idempotency-Key.",
        run.id
    );
    Error::new(Code::IdempotencyInProgress, message).with_run(run.id)
}

/// How a turn is put to the model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Try {
    /// As it was said.
    First,
    /// Once more, called back to itself.
    Anchored,
    /// Once more, where the first answer gave the role up: called back, and the message is told of.
    Retold,
}

/// What was said, and what it took.
#[derive(Default)]
struct Said {
    text: String,
    completion: Completion,
    tools_used: Vec<String>,
    regenerated: bool,
    scored: Option<Scored>,
    summary: Option<(Summary, Vec<Exchange>)>,
    new_vectors: Option<SampleVectors>,
    reply_exchanges: Vec<Exchange>,
    drift_exchanges: Vec<Exchange>,
}

/// SHA-256 of what was answered: the words, and the functions to be called where there are any.
fn digest_of(answer: &Completion) -> String {
    let Completion { text, tool_calls, .. } = answer;
    let calling = || json!({"text": text, "tool_calls": tool_calls});
    digest::of_value(&if tool_calls.is_empty() { json!(text) } else { calling() })
}

/// An answer without the blanks around it.
fn tidy(text: &str) -> String {
    text.trim().to_owned()
}

fn recordings<'a>(steps: &[(&'a str, &Vec<Exchange>)]) -> Vec<(&'a str, Value)> {
    let made = steps.iter().filter(|(_, exchanges)| !exchanges.is_empty());
    made.map(|(step, exchanges)| (*step, json!(exchanges))).collect()
}

fn too_long(patience: Duration) -> Error {
    Error::new(
        Code::ProviderUnavailable,
        format!("The model did not answer within {} s. Try again in a few moments.", patience.as_secs()),
    )
}

/// What is said, on its way to whoever listens, and kept for the log.
struct Speech {
    seq: u64,
    events: Vec<EventBody>,
    listener: Option<UnboundedSender<Event>>,
    heard: bool,
}

impl Speech {
    fn tell(&mut self, body: EventBody) {
        self.seq += 1;
        if let Some(listener) = &self.listener {
            // Nobody listens any more: the turn goes on.
            let _ = listener.send(Event { seq: self.seq, body: body.clone(), created_at: String::new() });
        }
        self.events.push(body);
    }
}

#[async_trait]
impl Sink for Speech {
    async fn text(&mut self, piece: &str) -> Result<()> {
        self.heard = true;
        self.tell(EventBody::message_delta(piece));
        Ok(())
    }

    /// What was heard cannot be taken back.
    async fn restart(&mut self) -> Result<()> {
        if self.heard {
            return Err(Error::new(
                Code::ProviderUnavailable,
                "The model provider broke off in the middle of the answer. Send the message again.",
            ));
        }
        Ok(())
    }
}

/// Pays within the turn's budget. One process makes a turn, so the sum is kept here.
struct TurnPurse {
    budget: Option<Usd>,
    sums: Mutex<Sums>,
    kept: Mutex<Vec<Exchange>>,
}

#[derive(Default)]
struct Sums {
    spent: Usd,
    reserved: Usd,
}

impl TurnPurse {
    fn new(budget: Option<Usd>) -> Self {
        Self { budget, sums: Mutex::default(), kept: Mutex::default() }
    }

    /// Keeps the exchanges of an answer that failed, for the recording.
    fn keep(&self, exchanges: Vec<Exchange>) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = exchanges;
    }

    fn kept(&self) -> Vec<Exchange> {
        std::mem::take(&mut *self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Purse for TurnPurse {
    async fn reserve(&self, worst: Usd) -> Result<()> {
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        let needed = sums.spent + sums.reserved + worst;
        if let Some(budget) = self.budget.filter(|budget| needed > *budget) {
            let message = format!("Run aborted: {} exceeds budget {}.", needed.dollars(), budget.dollars());
            return Err(Error::new(Code::CostBudgetExceeded, message));
        }
        sums.reserved += worst;
        Ok(())
    }

    async fn settle(&self, worst: Usd, cost: Usd) -> Result<()> {
        let mut sums = self.sums.lock().unwrap_or_else(PoisonError::into_inner);
        sums.reserved = sums.reserved - worst;
        sums.spent += cost;
        Ok(())
    }
}
