//! How a turn measures its reply: the yardstick is made beside the answer, the local signals after its last word, and a
//! judge is asked where one is configured.

use std::time::Duration;

use super::{Answers, Said, Turn};
use crate::{
    conversation::prompt,
    drift::{Heard, Opinion, REVISION, Scored, Yardstick},
    error::Detail,
    provider::{Ask, Exchange, Unanswered},
    store::personas::SampleVectors,
};

/// How long a judge is waited for; after that the local signals alone have measured.
const JUDGE_PATIENCE: Duration = Duration::from_secs(20);

/// Letters of a text that its vector is made of, at most.
const EMBEDDED_MOST: usize = 2_000;

/// What was prepared beside the answer.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    /// Vectors to be kept: they were made in this turn.
    pub(super) new: Option<SampleVectors>,
    /// The vector of the message.
    pub(super) message: Option<Vec<f32>>,
    /// What it took.
    pub(super) exchanges: Vec<Exchange>,
}

impl Turn {
    /// The vectors of the yardstick, kept or new, and of the message. Without a model for them the rules alone measure.
    pub(super) async fn prepare(&self, answers: &Answers<'_>) -> Prepared {
        let Some(model) = answers.model_of_vectors() else {
            self.character.measured_by(&[]);
            return Prepared::default();
        };
        let model = format!("{model}/{REVISION}");
        if let Some(kept) = self.vectors.as_ref().filter(|kept| kept.model == model) {
            self.character.measured_by(&kept.vectors);
        }
        let known = answers.knew_the_yardstick().unwrap_or_else(|| self.character.yardstick().is_some());
        let mut texts = if known {
            Vec::new()
        } else {
            Yardstick::texts(&self.character.layers, &self.character.language)
        };
        texts.push(clipped(&self.message));
        let (mut vectors, exchanges) = match answers.embed(&texts, &self.purse).await {
            Ok(answer) => (answer.content, answer.exchanges),
            Err(unanswered) => (Vec::new(), unanswered.exchanges),
        };
        let message = vectors.pop();
        // Without an answer the vendor of vectors is away: measured without, and tried again at the next turn.
        let new = (!known && message.is_some()).then_some(SampleVectors { model, vectors });
        if let Some(new) = &new {
            self.character.measured_by(&new.vectors);
        }
        Prepared { new, message, exchanges }
    }

    /// How far the answer is from its persona.
    pub(super) async fn measure(
        &self,
        answers: &Answers<'_>,
        said: &mut Said,
        message_vector: Option<&[f32]>,
    ) -> Scored {
        let reply = &said.completion.text;
        let unmeasured;
        let yardstick = if let Some(yardstick) = self.character.yardstick() {
            yardstick
        } else {
            unmeasured = Yardstick::new(&self.character.layers, &self.character.language, &[]);
            &unmeasured
        };
        let heard = Heard {
            reply,
            vector: None,
            message: &self.message,
            message_vector,
            before: self.before.as_deref(),
        };
        // Neither needs the other.
        let (embedded, asked) = tokio::join!(
            self.reply_vector(answers, &heard),
            tokio::time::timeout(JUDGE_PATIENCE, self.judge(answers, yardstick, &heard)),
        );
        let (vector, mut exchanges) = embedded;
        let (opinion, mut judged) = asked.unwrap_or_default();
        said.drift_exchanges.append(&mut exchanges);
        said.drift_exchanges.append(&mut judged);
        let local = yardstick.score(&Heard { vector: vector.as_deref(), ..heard });
        match opinion {
            Some(opinion) => opinion.on(reply, yardstick.lines(), local),
            None => local,
        }
    }

    /// The vector of the reply, where there is one of the message to stand beside.
    async fn reply_vector(
        &self,
        answers: &Answers<'_>,
        heard: &Heard<'_>,
    ) -> (Option<Vec<f32>>, Vec<Exchange>) {
        if heard.message_vector.is_none() || heard.reply.is_empty() {
            return Default::default();
        }
        match answers.embed(&[clipped(heard.reply)], &self.purse).await {
            Ok(mut answer) => (answer.content.pop(), answer.exchanges),
            Err(unanswered) => (None, unanswered.exchanges),
        }
    }

    /// A judge's opinion; none where no judge is configured, or it does not answer. The sandbox is no judge.
    async fn judge(
        &self,
        answers: &Answers<'_>,
        yardstick: &Yardstick,
        heard: &Heard<'_>,
    ) -> (Option<Opinion>, Vec<Exchange>) {
        if !answers.has_judge() || heard.reply.is_empty() {
            return Default::default();
        }
        let Ok(request) = prompt::judge(&self.character, yardstick.lines(), heard) else {
            return Default::default();
        };
        let ask = Ask { request: &request, validate: &is_opinion, purse: &self.purse, sink: None };
        match answers.answer(ask).await {
            Ok(answer) => (serde_json::from_str(&answer.content.text).ok(), answer.exchanges),
            Err(Unanswered { exchanges, .. }) => (None, exchanges),
        }
    }
}

/// The beginning of a text. Models of vectors read a few hundred tokens at once: many leave out the rest, and the local
/// one goes over it window by window, which takes it seconds.
fn clipped(text: &str) -> String {
    text.chars().take(EMBEDDED_MOST).collect()
}

fn is_opinion(text: &str) -> Result<(), Vec<Detail>> {
    match serde_json::from_str::<Opinion>(text) {
        Ok(_) => Ok(()),
        Err(error) => Err(vec![Detail::new("", format!("The answer is not in the form: {error}."))]),
    }
}
