//! Vectors of a caller's texts. No persona takes part and nothing is kept, so this is no run: the calls are counted
//! where all calls to models are, in the log.

use crate::{
    app::App,
    error::{Code, Error, Result},
    key::Mode,
    money::Usd,
    provider::{OpenPurse, Role, Router, config::Kind},
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

/// Makes the vectors.
///
/// # Errors
/// 404 for a model that is not configured, 400 for dimensions that it does not have.
pub async fn embed(app: &App, mode: Mode, asked: &Embed) -> Result<Embedded> {
    let models = app.models(mode).await?;
    if !models.candidates(Role::Embed).iter().any(|candidate| candidate.model == asked.model) {
        return Err(unknown(&asked.model, &embedding_models(app, mode).await?));
    }
    let answer = models.embed_by(&asked.model, &asked.texts, &OpenPurse).await?;
    let tokens = answer.usage().input;
    let can_be_cut = can_be_cut(models, &asked.model);
    let vectors = answer.content.into_iter().map(|vector| sized(vector, asked, can_be_cut));
    let vectors = vectors.collect::<Result<_>>()?;
    Ok(Embedded { vectors, tokens, cost: answer.cost })
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
