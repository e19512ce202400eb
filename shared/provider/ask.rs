//! What the pipeline says to models and hears from them: who pays, who listens, what counts as an answer. The
//! router answers from vendors, a recording from what was answered before, both through [`Source`].

use std::fmt::Write as _;

use async_trait::async_trait;

use super::{
    Completion, CompletionRequest, Message, ModerationVerdict, Role, Speaker, Usage, recording::Exchange,
};
use crate::{
    error::{Detail, Error, Result},
    money::Usd,
};

/// Says what is wrong with an answer: nothing, or each problem.
pub type Validate<'a> = dyn Fn(&str) -> Result<(), Vec<Detail>> + Send + Sync + 'a;

/// How many problems a repair names at most; more do not help a model.
const PROBLEMS: usize = 20;

/// Takes any answer, for free text.
pub fn anything(_: &str) -> Result<(), Vec<Detail>> {
    Ok(())
}

/// Pays for calls. Money is set aside before each try and accounted for after it.
#[async_trait]
pub trait Purse: Send + Sync {
    /// Sets `worst` aside. An error means that the call is not made, and ends the asking.
    async fn reserve(&self, worst: Usd) -> Result<()>;

    /// The call has ended: `worst` is free again, `cost` is spent. Not called when the asking is dropped midway or
    /// the vendor never answers, since nobody knows then what it charged.
    async fn settle(&self, worst: Usd, cost: Usd) -> Result<()>;
}

/// Pays without a cap: for calls that belong to no run, and so have no budget.
#[derive(Debug, Clone, Copy)]
pub struct OpenPurse;

#[async_trait]
impl Purse for OpenPurse {
    async fn reserve(&self, _worst: Usd) -> Result<()> {
        Ok(())
    }

    async fn settle(&self, _worst: Usd, _cost: Usd) -> Result<()> {
        Ok(())
    }
}

/// Listens while an answer is written. An error stops the asking, such as that of a cancelled run.
#[async_trait]
pub trait Sink: Send {
    /// More text.
    async fn text(&mut self, piece: &str) -> Result<()>;

    /// All text so far is void: the answer failed or does not fit, and begins anew.
    async fn restart(&mut self) -> Result<()>;
}

/// A question to a model.
pub struct Ask<'a> {
    /// The prompt and its limits; the role says which models are asked.
    pub request: &'a CompletionRequest,
    /// What counts as an answer.
    pub validate: &'a Validate<'a>,
    /// Who pays.
    pub purse: &'a dyn Purse,
    /// Who listens; without one the answer comes whole.
    pub sink: Option<&'a mut dyn Sink>,
}

/// What was heard, and what it took.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer<T = Completion> {
    /// The answer itself.
    pub content: T,
    /// Who gave it.
    pub provider: String,
    /// Which model gave it.
    pub model: String,
    /// What it cost with every failed try before it.
    pub cost: Usd,
    /// Every try in order, for the recording.
    pub exchanges: Vec<Exchange>,
}

impl<T> Answer<T> {
    /// The tokens of every try.
    pub fn usage(&self) -> Usage {
        total(&self.exchanges)
    }
}

/// Nobody answered, or the purse or the listener stopped it. What was spent until then was spent.
#[derive(Debug)]
pub struct Unanswered {
    /// What the caller may read.
    pub error: Box<Error>,
    /// Whether a replay met a request that was not made when it was recorded.
    pub diverged: bool,
    /// What the tries cost.
    pub cost: Usd,
    /// Every try in order, for the recording.
    pub exchanges: Vec<Exchange>,
}

impl Unanswered {
    /// The tokens of every try.
    pub fn usage(&self) -> Usage {
        total(&self.exchanges)
    }
}

impl From<Unanswered> for Error {
    fn from(unanswered: Unanswered) -> Self {
        *unanswered.error
    }
}

fn total(exchanges: &[Exchange]) -> Usage {
    exchanges.iter().fold(Usage::default(), |sum, exchange| Usage {
        input: sum.input + exchange.usage.input,
        output: sum.output + exchange.usage.output,
        cache_read: sum.cache_read + exchange.usage.cache_read,
        cache_write: sum.cache_write + exchange.usage.cache_write,
        reasoning: sum.reasoning + exchange.usage.reasoning,
    })
}

/// Where answers come from: vendors, or a recording.
#[async_trait]
pub trait Source: Send + Sync {
    /// Whether anyone has the role.
    fn offers(&self, role: Role) -> bool;

    /// A completion that passes the validation. An answer that does not is sent back once for repair.
    async fn answer(&self, ask: Ask<'_>) -> Result<Answer, Unanswered>;

    /// One vector for each text.
    async fn embed(&self, texts: &[String], purse: &dyn Purse) -> Result<Answer<Vec<Vec<f32>>>, Unanswered>;

    /// What is harmful in a text.
    async fn moderate(&self, text: &str, purse: &dyn Purse) -> Result<Answer<ModerationVerdict>, Unanswered>;
}

/// The request once more, with the bad answer and what is wrong with it.
pub(super) fn repair(request: &CompletionRequest, bad: &str, problems: &[Detail]) -> CompletionRequest {
    let mut listed = String::from("Your answer does not fit:\n");
    for problem in problems.iter().take(PROBLEMS) {
        let place = if problem.pointer.is_empty() { "the whole" } else { &problem.pointer };
        // Writing to a string cannot fail.
        let _ = writeln!(listed, "- {place}: {}", problem.message);
    }
    listed.push_str("Give the whole answer again, corrected, and nothing else.");
    let mut repair = request.clone();
    repair.messages.push(Message::new(Speaker::Assistant, bad));
    repair.messages.push(Message::new(Speaker::User, listed));
    repair
}
