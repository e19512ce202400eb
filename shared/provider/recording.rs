//! What was asked and answered, so that a run can be replayed exactly without asking again.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    Completion, CompletionRequest, Failure, Finish, ModerationVerdict, Role, ToolCall, Usage,
    ask::{Answer, Ask, Purse, Source, Unanswered, repair},
    router::unavailable,
};
use crate::{
    error::{Code, Error, Result},
    money::Usd,
    persona::digest::of_value,
};

/// What was asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "nearly all of them are completions")]
pub enum Asked {
    /// A completion.
    Completion(CompletionRequest),
    /// Vectors of texts.
    Embedding(Vec<String>),
    /// A verdict on a text.
    Moderation(String),
}

impl Asked {
    /// Whom it was asked of.
    pub fn role(&self) -> Role {
        match self {
            Self::Completion(request) => request.role,
            Self::Embedding(_) => Role::Embed,
            Self::Moderation(_) => Role::Moderate,
        }
    }

    /// SHA-256 of its canonical JSON, 64 hexadecimal digits. Equal questions have equal digests.
    pub fn digest(&self) -> String {
        of_value(&json!(self))
    }
}

/// The digest of a request for a completion; see [`Asked::digest`].
pub fn digest(request: &CompletionRequest) -> String {
    of_value(&json!({ "completion": request }))
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answered {
    /// A text, whether or not it passed the validation.
    Completion {
        /// The whole text.
        text: String,
        /// The functions it wanted called.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<ToolCall>,
        /// Why it ended.
        finish: Finish,
    },
    /// One vector for each text.
    Embedding(Vec<Vec<f32>>),
    /// What is harmful.
    Moderation(ModerationVerdict),
    /// Nothing. The vendor's own words are in the log and not here.
    Failed(Failure),
}

/// One try with one vendor. Holds prompts and completions, so it belongs in the tenant's partition; no key is in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exchange {
    /// [`Asked::digest`] of the request.
    pub digest: String,
    /// Who was asked.
    pub provider: String,
    /// Which model was asked.
    pub model: String,
    /// What was asked.
    pub request: Asked,
    /// What was answered.
    pub answer: Answered,
    /// The tokens, as the vendor reported them; else an upper bound for an answer, and nothing for a failure.
    pub usage: Usage,
    /// What they cost.
    pub cost: Usd,
    /// From the call to the end of the answer, in milliseconds.
    pub latency_ms: u64,
}

/// Recorded exchanges as a source: each request is answered as it was, in order, at no cost.
#[derive(Debug)]
pub struct Recording {
    roles: HashSet<Role>,
    left: Mutex<HashMap<String, VecDeque<Exchange>>>,
}

impl Recording {
    /// A source of these exchanges, in the order in which they happened.
    pub fn new(exchanges: Vec<Exchange>) -> Self {
        let roles = exchanges.iter().map(|exchange| exchange.request.role()).collect();
        let mut left: HashMap<String, VecDeque<Exchange>> = HashMap::new();
        for exchange in exchanges {
            left.entry(exchange.digest.clone()).or_default().push_back(exchange);
        }
        Self { roles, left: Mutex::new(left) }
    }

    /// Whether all that was recorded was asked for again. If not, the replay has diverged.
    pub fn is_spent(&self) -> bool {
        let left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        left.values().all(VecDeque::is_empty)
    }

    fn next(&self, digest: &str) -> Next {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        match left.get_mut(digest).map(VecDeque::pop_front) {
            None => Next::Unknown,
            Some(None) => Next::Spent,
            Some(Some(exchange)) => Next::Was(Box::new(exchange)),
        }
    }

    /// The next answer to a question, past the failures before it.
    fn given(&self, digest: &str, heard: &mut Vec<Exchange>) -> Result<Option<Answered>, Unanswered> {
        loop {
            match self.next(digest) {
                Next::Was(exchange) => {
                    let answer = exchange.answer.clone();
                    heard.push(Exchange { cost: Usd::ZERO, ..*exchange });
                    if !matches!(answer, Answered::Failed(_)) {
                        return Ok(Some(answer));
                    }
                }
                Next::Spent => return Ok(None),
                Next::Unknown => return Err(diverged(std::mem::take(heard))),
            }
        }
    }

    /// The only answer to a question that is not validated.
    fn only<T>(
        &self,
        asked: &Asked,
        wanted: impl Fn(Answered) -> Option<T>,
    ) -> Result<Answer<T>, Unanswered> {
        let mut heard = Vec::new();
        let given = self.given(&asked.digest(), &mut heard)?;
        match given.and_then(wanted) {
            Some(content) => Ok(told(content, heard)),
            None => Err(failed(heard)),
        }
    }
}

enum Next {
    /// Nobody asked this then.
    Unknown,
    /// It was asked, but not so often.
    Spent,
    Was(Box<Exchange>),
}

#[async_trait]
impl Source for Recording {
    fn offers(&self, role: Role) -> bool {
        self.roles.contains(&role)
    }

    /// Goes the way it went then: the request, its repair where one was asked for, the request again to the next
    /// candidate, until an answer passes. The purse is left alone.
    async fn answer(&self, ask: Ask<'_>) -> Result<Answer, Unanswered> {
        let asked = digest(ask.request);
        let mut heard = Vec::new();
        let mut current = asked.clone();
        while let Some(given) = self.given(&current, &mut heard)? {
            let Answered::Completion { text, tool_calls, finish } = given else { continue };
            if finish == Finish::ContentFilter {
                current.clone_from(&asked);
                continue;
            }
            let Err(problems) = (ask.validate)(&text) else {
                if let Some(sink) = ask.sink {
                    sink.text(&text).await.map_err(|error| stopped(error, heard.clone()))?;
                }
                let usage = heard.last().map(|exchange| exchange.usage).unwrap_or_default();
                return Ok(told(Completion { text, tool_calls, usage, finish }, heard));
            };
            let repaired = digest(&repair(ask.request, &text, &problems));
            let was_repaired = current == asked && self.knows(&repaired);
            current = if was_repaired { repaired } else { asked.clone() };
        }
        Err(failed(heard))
    }

    async fn embed(&self, texts: &[String], _: &dyn Purse) -> Result<Answer<Vec<Vec<f32>>>, Unanswered> {
        self.only(&Asked::Embedding(texts.to_vec()), |answer| match answer {
            Answered::Embedding(vectors) => Some(vectors),
            _ => None,
        })
    }

    async fn moderate(&self, text: &str, _: &dyn Purse) -> Result<Answer<ModerationVerdict>, Unanswered> {
        self.only(&Asked::Moderation(text.to_owned()), |answer| match answer {
            Answered::Moderation(verdict) => Some(verdict),
            _ => None,
        })
    }
}

impl Recording {
    fn knows(&self, digest: &str) -> bool {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).contains_key(digest)
    }
}

fn told<T>(content: T, heard: Vec<Exchange>) -> Answer<T> {
    let (provider, model) =
        heard.last().map(|exchange| (exchange.provider.clone(), exchange.model.clone())).unwrap_or_default();
    Answer { content, provider, model, cost: Usd::ZERO, exchanges: heard }
}

fn failed(heard: Vec<Exchange>) -> Unanswered {
    stopped(unavailable("every recorded try failed".to_owned(), None), heard)
}

fn stopped(error: Error, heard: Vec<Exchange>) -> Unanswered {
    Unanswered { error: Box::new(error), diverged: false, cost: Usd::ZERO, exchanges: heard }
}

fn diverged(heard: Vec<Exchange>) -> Unanswered {
    let error = Error::new(
        Code::RunNotReplayable,
        "The replay asks a model something that the recorded run did not ask.",
    );
    Unanswered { error: Box::new(error), diverged: true, cost: Usd::ZERO, exchanges: heard }
}
