//! A completion, as the OpenAI-compatible API asks for one: a turn whose functions, sampling and limits are the
//! caller's. In a conversation it is a turn like any other; alone it is a run all the same, and nothing remembers it.

use rand::RngExt;
use serde_json::json;

use super::{
    Draft, OPENING_EVENTS, TEMPERATURE, Talk, Told, Turn, TurnPurse, Voice, claim, last_said, moderate,
    read_alone, read_talk,
};
use crate::{
    app::App,
    conversation::{Author, Conversation, DriftPolicy, Message, memory::Window, prompt},
    error::{Code, Error, Result},
    id::{ConversationId, MessageId, PersonaId},
    key::Caller,
    provider::{self, CompletionRequest, OutputSchema, Role, Speaker, Tool, ToolChoice},
    run::{Origin, RunKind, SEED_MOST},
    store::{conversations, runs::EventLog},
};

/// Tokens of an answer where the caller does not say: of words, and of JSON, which takes more.
const WORDS: u32 = 700;
const JSON: u32 = 2_000;
/// Tokens of an answer at most, whatever the caller says.
const MOST: u32 = 4_096;
/// The longest notes of an application, in characters: they must not drown the persona.
const NOTES_MOST: usize = 16_000;

/// Who is to answer.
#[derive(Debug, Clone)]
pub enum Whom {
    /// This version of a persona, by itself.
    Alone {
        /// The persona.
        persona: PersonaId,
        /// The version.
        version: u64,
    },
    /// The persona of this conversation.
    Conversation {
        /// The conversation.
        id: ConversationId,
        /// Whom it must be with, by id or slug.
        named: String,
        /// Which version must speak in it; any, where none is named.
        version: Option<u64>,
    },
}

/// What is asked.
#[derive(Debug, Clone)]
pub struct Complete {
    /// Who is to answer.
    pub whom: Whom,
    /// What was said before. A conversation knows that itself.
    pub before: Vec<provider::Message>,
    /// What is to be answered.
    pub message: String,
    /// Functions called since, and their results.
    pub after: Vec<provider::Message>,
    /// What the application adds under the persona.
    pub notes: Option<String>,
    /// Tokens of the answer, at most.
    pub max_tokens: Option<u32>,
    /// 0 to 2.
    pub temperature: Option<f32>,
    /// 0 to 1.
    pub top_p: Option<f32>,
    /// Reproducibility seed.
    pub seed: Option<u64>,
    /// Texts at which the answer ends.
    pub stop: Vec<String>,
    /// The shape of the answer, where it is to be JSON.
    pub schema: Option<OutputSchema>,
    /// Functions that the caller offers, and will call.
    pub tools: Vec<Tool>,
    /// Whether one may, must, or must not be called.
    pub tool_choice: ToolChoice,
    /// Whether the answer is heard as it is made.
    pub stream: bool,
}

/// Begins a completion. Everything that can be wrong with it is said here.
pub async fn begin_completion(app: &App, caller: &Caller, asked: Complete, origin: Origin) -> Result<Turn> {
    asked.check()?;
    let run = origin.run;
    let completing = Completing { app, caller, asked: &asked, origin };
    match &asked.whom {
        Whom::Alone { persona, version } => completing.alone(*persona, *version).await,
        Whom::Conversation { id, named, version } => {
            let (id, conversation) = (*id, claim(app, caller, *id, run, Some(named)).await?);
            match completing.in_conversation(&conversation, named, *version).await {
                Ok(turn) => Ok(turn),
                Err(error) => {
                    app.store().await.release_turn(caller.tenant(), id, run).await?;
                    Err(error)
                }
            }
        }
    }
}

impl Complete {
    /// The policy's rules hold for all that the caller says, wherever it stands.
    fn check(&self) -> Result<()> {
        let length = self.notes.as_ref().map_or(0, |notes| notes.chars().count());
        if length > NOTES_MOST {
            let message = format!(
                "The system messages have {length} characters; at most {NOTES_MOST} are allowed. Shorten them."
            );
            return Err(Error::invalid("messages", message));
        }
        let users = self.before.iter().filter(|message| message.role == Speaker::User);
        let said = users.map(|message| message.content.as_str()).chain(self.notes.as_deref());
        said.chain([self.message.as_str()]).try_for_each(moderate)
    }

    fn request(&self, said: Vec<provider::Message>, seed: u64) -> CompletionRequest {
        let structured = self.schema.is_some() || !self.tools.is_empty();
        let tokens = self.max_tokens.unwrap_or(if structured { JSON } else { WORDS }).min(MOST);
        CompletionRequest {
            schema: self.schema.clone(),
            temperature: self.temperature.unwrap_or(TEMPERATURE),
            top_p: self.top_p,
            seed: Some(seed),
            stop: self.stop.clone(),
            tools: self.tools.clone(),
            tool_choice: self.tool_choice.clone(),
            ..CompletionRequest::new(Role::Chat, said, tokens)
        }
    }

    fn own_message(&self) -> provider::Message {
        provider::Message::new(Speaker::User, self.message.clone())
    }
}

/// A completion on its way to a turn.
struct Completing<'a> {
    app: &'a App,
    caller: &'a Caller,
    asked: &'a Complete,
    origin: Origin,
}

impl Completing<'_> {
    async fn alone(self, persona: PersonaId, version: u64) -> Result<Turn> {
        let (app, tenant) = (self.app, *self.caller.tenant());
        let store = app.store().await;
        let voice = read_alone(store, &tenant, persona, version).await.map_err(model_is_gone)?;
        let said = self.asked.before.iter().cloned();
        let said = said.chain([self.asked.own_message()]).chain(self.asked.after.iter().cloned());
        let mut turn = self.turn(voice, None, said.collect());
        let input = self.input(&turn);
        // The caller has just found the persona: there is nothing to check.
        turn.open(store, &input, None, None).await?;
        Ok(turn)
    }

    async fn in_conversation(
        self,
        conversation: &Conversation,
        named: &str,
        version: Option<u64>,
    ) -> Result<Turn> {
        let (app, tenant) = (self.app, *self.caller.tenant());
        let speaks = conversation.persona_version;
        if let Some(version) = version.filter(|version| *version != speaks) {
            let message = format!(
                "In this conversation version {speaks} of the persona speaks, not {version}. Leave the version out."
            );
            return Err(Error::invalid("model", message));
        }
        let store = app.store().await;
        let number = conversation.last_message;
        let (voice, earlier) = read_talk(store, &tenant, conversation).await.map_err(model_is_gone)?;
        let window = Window::of(earlier, conversation.summary.as_ref());
        // Results of functions come with the message that led to the calls, which the transcript has already.
        let known = !self.asked.after.is_empty()
            && window
                .heard
                .last()
                .is_some_and(|last| last.role == Author::User && last.content == self.asked.message);
        let mut said = prompt::transcript(&window.heard);
        said.extend((!known).then(|| self.asked.own_message()));
        said.extend(self.asked.after.iter().cloned());
        let talk = Talk { conversation: conversation.clone(), window };
        let mut turn = self.turn(voice, Some(talk), said);
        let message = Message {
            id: MessageId::new(),
            number,
            role: Author::User,
            content: self.asked.message.clone(),
            run_id: turn.run.id,
            report: None,
            created_at: turn.run.created_at.clone(),
        };
        let kept = (!known).then_some((conversation.id, &message));
        let slug = Some(named).filter(|named| !PersonaId::has_prefix(named));
        let speaker = conversations::Speaker { persona: conversation.persona_id, slug };
        let input = self.input(&turn);
        turn.open(store, &input, kept, Some(speaker)).await.map_err(model_is_gone)?;
        Ok(turn)
    }

    fn turn(&self, voice: Voice, talk: Option<Talk>, said: Vec<provider::Message>) -> Turn {
        let asked = self.asked;
        let (character, vectors) = voice;
        let seed = asked.seed.unwrap_or_else(|| rand::rng().random_range(0..=SEED_MOST));
        let reply = MessageId::new();
        let draft = Draft {
            origin: self.origin.clone(),
            reply,
            kind: if talk.is_some() { RunKind::ConversationTurn } else { RunKind::OpenaiCompletion },
            seed,
            budget: None,
            conversation: talk.as_ref().map(|talk| talk.conversation.id),
            replay: None,
        };
        let (run, cap) = draft.run(self.app, self.caller, &character);
        let words = asked.tools.is_empty() && asked.schema.is_none() && !asked.stream;
        let told = talk.as_ref().map_or_else(Told::default, |talk| {
            let strict = talk.conversation.drift_policy == DriftPolicy::Regenerate;
            Told::of(&talk.conversation, &talk.window, words && strict)
        });
        Turn {
            app: self.app.clone(),
            log: EventLog::new(*self.caller.tenant(), run.id, OPENING_EVENTS),
            purse: TurnPurse::new(run.budget()),
            run,
            cap,
            character,
            vectors,
            before: talk.as_ref().and_then(|talk| last_said(&talk.window.heard)),
            talk,
            told,
            message: asked.message.clone(),
            request: asked.request(said, seed),
            notes: asked.notes.clone(),
            own_tools: false,
            reply_id: reply,
        }
    }

    /// What the run remembers of the question.
    fn input(&self, turn: &Turn) -> serde_json::Value {
        json!({
            "message": self.asked.message, "notes": self.asked.notes, "stream": self.asked.stream,
            "seed": turn.run.seed, "persona_version": turn.character.version, "request": turn.request,
            "told": turn.told,
        })
    }
}

/// A persona that went since it was found is an unknown model.
fn model_is_gone(error: Error) -> Error {
    if error.code == Code::NotFound { error.with_param("model") } else { error }
}
