//! Vectors of a caller's texts. No persona takes part and nothing of them is kept, so this is no run; but it is counted as
//! runs are, and held to the month's cap: the worst case is set aside before a vendor is asked, and what was not spent is
//! given back in the transaction that counts.

use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::{
    app::App,
    error::{Code, Error, Result},
    key::{Caller, Mode},
    money::Usd,
    provider::{Purse, Role, Router, config::Kind},
    run::monthly_cap,
    store::{
        Store,
        usage::{Used, month_of},
    },
};

/// Models that were trained so that the first part of a vector, brought to length 1, is a vector of the same text.
const CUT: &[&str] = &["text-embedding-3-", "qwen3-embedding", "embeddinggemma", "nomic-embed-text-v1.5"];

/// What is asked.
#[derive(Debug, Clone)]
pub struct Embed {
    /// The model, as [`embedding_models`] names it.
    pub model: String,
    /// The texts.
    pub texts: Vec<String>,
    /// How many numbers a vector is to have; as many as the model gives, where it is not said.
    pub dimensions: Option<usize>,
}

/// What was answered.
#[derive(Debug, Clone)]
pub struct Embedded {
    /// One for each text, in order.
    pub vectors: Vec<Vec<f32>>,
    /// Tokens of all texts.
    pub tokens: u64,
    /// What it cost.
    pub cost: Usd,
}

/// The embedding models that `mode` has.
pub async fn embedding_models(app: &App, mode: Mode) -> Result<Vec<String>> {
    let mut models: Vec<String> = Vec::new();
    for candidate in app.models(mode).await?.candidates(Role::Embed) {
        if !models.contains(&candidate.model) {
            models.push(candidate.model.clone());
        }
    }
    Ok(models)
}

/// Makes the vectors, and counts them: one request to the store, and one more where money is set aside.
///
/// # Errors
/// 404 for a model that is not configured, 400 for dimensions that it does not have, 402 where the month's cap leaves too
/// little.
pub async fn embed(app: &App, caller: &Caller, asked: &Embed) -> Result<Embedded> {
    let models = app.models(caller.mode).await?;
    if !models.candidates(Role::Embed).iter().any(|candidate| candidate.model == asked.model) {
        return Err(unknown(&asked.model, &embedding_models(app, caller.mode).await?));
    }
    let at = app.clock().timestamp();
    let purse = MonthPurse::new(app.store().await, caller, month_of(&at));
    let answered = models.embed_by(&asked.model, &asked.texts, &purse).await;
    let (embeddings, usage, cost) = match &answered {
        Ok(answer) => (1, answer.usage(), answer.cost),
        Err(unanswered) => (0, unanswered.usage(), unanswered.cost),
    };
    let used = Used { embeddings, tokens_in: usage.input, cost, ..Used::default() };
    purse.close(used, &at).await?;
    let answer = answered?;
    let tokens = usage.input;
    let can_be_cut = can_be_cut(models, &asked.model);
    let vectors = answer.content.into_iter().map(|vector| sized(vector, asked, can_be_cut));
    let vectors = vectors.collect::<Result<_>>()?;
    Ok(Embedded { vectors, tokens, cost: answer.cost })
}

/// Pays out of the workspace's month, as far as its cap allows.
struct MonthPurse<'a> {
    store: &'a Store,
    caller: &'a Caller,
    month: &'a str,
    cap: Option<Usd>,
    money: Mutex<Money>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Money {
    /// Set aside in the month.
    aside: Usd,
    /// Of that, spent, or perhaps spent: what a vendor charged that never answered, nobody knows.
    used: Usd,
}

impl<'a> MonthPurse<'a> {
    fn new(store: &'a Store, caller: &'a Caller, month: &'a str) -> Self {
        Self { store, caller, month, cap: monthly_cap(caller, None), money: Mutex::default() }
    }

    fn money(&self) -> MutexGuard<'_, Money> {
        self.money.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts what came of it, and gives back what was set aside and is not needed.
    async fn close(&self, used: Used, at: &str) -> Result<()> {
        let Money { aside, used: kept } = *self.money();
        if used == Used::default() && aside == Usd::ZERO {
            return Ok(());
        }
        // What is perhaps spent stays set aside.
        let returned = aside - (kept - used.cost);
        let month = self.cap.map(|_| (self.month, returned));
        self.store.count_embeddings(self.caller.tenant(), self.caller.key_id, used, month, at).await
    }

    fn used_up(&self, cap: Usd, committed: Usd, more: Usd) -> Error {
        Error::new(
            Code::WorkspaceBudgetExceeded,
            format!(
                "The workspace has spent or set aside {} of its {} for {} (UTC); these texts may need {}. Raise monthly_budget_usd, send fewer, or wait for the next month.",
                committed.dollars(),
                cap.dollars(),
                self.month,
                more.dollars()
            ),
        )
    }
}

#[async_trait]
impl Purse for MonthPurse<'_> {
    async fn reserve(&self, worst: Usd) -> Result<()> {
        let Some(cap) = self.cap else { return Ok(()) };
        let Money { aside, used } = *self.money();
        let more = worst - (aside - used);
        if more > Usd::ZERO {
            let set = self.store.set_aside(self.caller.tenant(), self.month, more, cap).await?;
            set.map_err(|committed| self.used_up(cap, committed, more))?;
            self.money().aside = aside + more;
        }
        self.money().used = used + worst;
        Ok(())
    }

    async fn settle(&self, worst: Usd, cost: Usd) -> Result<()> {
        let mut money = self.money();
        money.used = money.used - worst + cost;
        Ok(())
    }
}

fn unknown(model: &str, known: &[String]) -> Error {
    let shown: String = model.chars().take(80).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    Error::new(Code::NotFound, format!("There is no embedding model \"{shown}\". Configured: {known}."))
        .with_param("model")
}

fn can_be_cut(models: &Router, model: &str) -> bool {
    // The sandbox hashes: any part of a vector of hashes is one.
    let hashed = models
        .candidates(Role::Embed)
        .iter()
        .any(|known| known.model == model && known.kind == Kind::Sandbox);
    let name = model.rsplit('/').next().unwrap_or(model).to_lowercase();
    hashed || CUT.iter().any(|family| name.starts_with(family))
}

fn sized(mut vector: Vec<f32>, asked: &Embed, can_be_cut: bool) -> Result<Vec<f32>> {
    let (wanted, whole) = (asked.dimensions.unwrap_or(vector.len()), vector.len());
    if wanted == whole {
        return Ok(vector);
    }
    if wanted > whole || !can_be_cut {
        let less = if can_be_cut { " or fewer" } else { "" };
        let message = format!(
            "{wanted} is not a size of \"{}\": its vectors have {whole} dimensions{less}.",
            asked.model
        );
        return Err(Error::invalid("dimensions", message));
    }
    vector.truncate(wanted);
    let length = vector.iter().map(|number| f64::from(*number).powi(2)).sum::<f64>().sqrt();
    if length > 0.0 {
        for number in &mut vector {
            *number = (f64::from(*number) / length) as f32;
        }
    }
    Ok(vector)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn asked(dimensions: Option<usize>) -> Embed {
        Embed { model: "m".to_owned(), texts: Vec::new(), dimensions }
    }

    #[test]
    fn a_vector_is_cut_to_length_one_where_the_model_can() {
        let whole = vec![3.0, 4.0, 12.0];
        assert_eq!(sized(whole.clone(), &asked(None), false).unwrap(), whole);
        assert_eq!(sized(whole.clone(), &asked(Some(3)), false).unwrap(), whole);
        assert_eq!(sized(whole, &asked(Some(2)), true).unwrap(), [0.6, 0.8]);
    }

    #[test]
    fn a_size_that_the_model_does_not_have_is_refused_with_those_that_it_has() {
        for (wanted, cut) in [(2, false), (4, false), (4, true)] {
            let refused = sized(vec![1.0, 0.0, 0.0], &asked(Some(wanted)), cut).unwrap_err();
            assert_eq!(refused.param.as_deref(), Some("dimensions"));
            assert!(refused.message.contains("3 dimensions"), "{}", refused.message);
        }
    }

    #[test]
    fn models_are_known_by_their_family() {
        let models = Router::sandbox();
        for (model, cut) in [
            (crate::provider::sandbox::MODEL, true),
            ("text-embedding-3-small", true),
            ("openai/text-embedding-3-large", true),
            ("text-embedding-ada-002", false),
        ] {
            assert_eq!(can_be_cut(&models, model), cut, "{model}");
        }
    }
}
