//! Who may answer: a provider with one of its models and its price.

use std::{fmt, sync::Arc};

use super::{CompletionRequest, Provider, Usage, sandbox};
use crate::Usd;

/// USD for a million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Price {
    /// Prompt tokens.
    pub input: Usd,
    /// Completion tokens.
    pub output: Usd,
    /// Prompt tokens read from the vendor's cache; `None` is `input`.
    pub cache_read: Option<Usd>,
    /// Prompt tokens written to the vendor's cache; `None` is `input`.
    pub cache_write: Option<Usd>,
}

/// A provider with one of its models.
#[derive(Clone)]
pub struct Candidate {
    /// Its name in the configuration.
    pub provider_name: String,
    /// The model.
    pub model: String,
    /// What it charges; `None` for the sandbox, which quotes a simulated price per call.
    pub price: Option<Price>,
    /// The client.
    pub provider: Arc<dyn Provider>,
}

impl Candidate {
    /// The most that `request` can cost: an upper bound of the prompt's tokens and all of `max_tokens`, at the dearest rates.
    pub fn worst_case(&self, request: &CompletionRequest) -> Usd {
        let Some(price) = self.price else { return sandbox::quote(request) };
        let dearest = price.input.max(price.cache_write.unwrap_or_default());
        Usd::for_tokens(request.prompt_tokens_at_most(), dearest)
            + Usd::for_tokens(request.max_tokens.into(), price.output)
    }

    /// What a call that used `usage` costs.
    pub fn cost(&self, request: &CompletionRequest, usage: &Usage) -> Usd {
        let Some(price) = self.price else { return sandbox::quote(request) };
        let plain = usage.input.saturating_sub(usage.cache_read + usage.cache_write);
        Usd::for_tokens(plain, price.input)
            + Usd::for_tokens(usage.cache_read, price.cache_read.unwrap_or(price.input))
            + Usd::for_tokens(usage.cache_write, price.cache_write.unwrap_or(price.input))
            + Usd::for_tokens(usage.output, price.output)
    }
}

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider_name, self.model)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::provider::Role;

    #[test]
    fn a_call_never_costs_more_than_its_worst_case() {
        let price = Price {
            input: Usd::from_micros(3_000_000),
            output: Usd::from_micros(15_000_000),
            cache_read: Some(Usd::from_micros(300_000)),
            cache_write: Some(Usd::from_micros(3_750_000)),
        };
        let candidate = Candidate {
            provider_name: "anthropic".into(),
            model: "m".into(),
            price: Some(price),
            provider: Arc::new(sandbox::Sandbox::default()),
        };
        let request = CompletionRequest {
            role: Role::Draft,
            messages: vec![],
            schema: None,
            max_tokens: 100,
            temperature: 0.0,
            seed: None,
            stop: vec![],
            inputs: Value::Null,
        };
        let most = request.prompt_tokens_at_most();
        let usage = Usage { input: most, output: 100, cache_read: 0, cache_write: most, reasoning: 0 };
        assert!(candidate.cost(&request, &usage) <= candidate.worst_case(&request));
    }
}
