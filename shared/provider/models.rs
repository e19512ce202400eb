//! Which models answer in which role: the Secrets Manager document, read.

use std::{collections::HashMap, sync::Arc, time::Duration};

use secrecy::SecretString;
use serde::Deserialize;

use super::{
    Candidate, Price, Provider, Role,
    openai::{OpenAi, StructuredOutput},
    sandbox::{self, Sandbox},
};
use crate::{
    Usd,
    error::{Error, Result},
};

/// The configured candidates of every role, in fallback order.
#[derive(Debug, Clone)]
pub struct Models {
    roles: HashMap<Role, Vec<Candidate>>,
}

#[derive(Deserialize)]
struct Document {
    providers: Vec<ProviderEntry>,
    roles: HashMap<Role, Vec<ModelEntry>>,
    #[serde(default)]
    prices: Prices,
}

#[derive(Deserialize)]
struct ProviderEntry {
    name: String,
    kind: Kind,
    base_url: Option<String>,
    api_key: Option<SecretString>,
    timeout_seconds: Option<u64>,
    #[serde(default)]
    structured_output: StructuredOutput,
    max_tokens_field: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Openai,
    Sandbox,
}

#[derive(Deserialize)]
struct ModelEntry {
    provider: String,
    model: String,
}

#[derive(Default, Deserialize)]
struct Prices {
    #[serde(default)]
    models: Vec<PriceEntry>,
}

#[derive(Deserialize)]
struct PriceEntry {
    provider: String,
    model: String,
    input: Usd,
    output: Usd,
    cache_read: Option<Usd>,
    cache_write: Option<Usd>,
}

impl Models {
    /// The built-in sandbox in every role: what workspaces in test mode run on.
    pub fn sandbox() -> Self {
        let candidate = sandbox_candidate(Arc::new(Sandbox::default()));
        let roles = [Role::Draft, Role::Audit, Role::Chat, Role::Judge, Role::Embed, Role::Moderate];
        Self { roles: roles.into_iter().map(|role| (role, vec![candidate.clone()])).collect() }
    }

    /// What the Secrets Manager document configures. Its errors name the fault, never a key.
    pub fn from_secret(document: &str) -> Result<Self> {
        let document: Document = serde_json::from_str(document).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            Error::internal(format!("the providers secret is not of its shape: line {line}, column {column}"))
        })?;
        let mut clients: HashMap<String, (Kind, Arc<dyn Provider>)> = HashMap::new();
        for entry in &document.providers {
            clients.insert(entry.name.clone(), (entry.kind, client(entry)?));
        }
        let mut roles = HashMap::new();
        for (role, entries) in &document.roles {
            let candidates = entries.iter().map(|entry| candidate(entry, &clients, &document.prices));
            roles.insert(*role, candidates.collect::<Result<Vec<_>>>()?);
        }
        if roles.get(&Role::Draft).is_none_or(Vec::is_empty) {
            return Err(Error::internal("the providers secret names no model for the role \"draft\""));
        }
        Ok(Self { roles })
    }

    /// Who answers in `role`, in order; empty when no one is configured for it.
    pub fn candidates(&self, role: Role) -> Vec<Candidate> {
        self.roles.get(&role).cloned().unwrap_or_default()
    }
}

fn sandbox_candidate(provider: Arc<dyn Provider>) -> Candidate {
    Candidate { provider_name: sandbox::NAME.into(), model: sandbox::MODEL.into(), price: None, provider }
}

fn client(entry: &ProviderEntry) -> Result<Arc<dyn Provider>> {
    match entry.kind {
        Kind::Sandbox => Ok(Arc::new(Sandbox::default())),
        Kind::Openai => {
            let base_url = entry.base_url.as_deref().unwrap_or("https://api.openai.com/v1");
            let field = match (&entry.max_tokens_field, &entry.base_url) {
                (Some(field), _) => field.as_str(),
                // OpenAI's own newer models take this one alone; compatible servers know the older one.
                (None, None) => "max_completion_tokens",
                (None, Some(_)) => "max_tokens",
            };
            let timeout = Duration::from_secs(entry.timeout_seconds.unwrap_or(120));
            let client =
                OpenAi::new(base_url, entry.api_key.clone(), timeout, entry.structured_output, field);
            Ok(Arc::new(client.map_err(Error::internal)?))
        }
    }
}

fn candidate(
    entry: &ModelEntry,
    clients: &HashMap<String, (Kind, Arc<dyn Provider>)>,
    prices: &Prices,
) -> Result<Candidate> {
    let Some((kind, provider)) = clients.get(&entry.provider) else {
        return Err(Error::internal(format!(
            "a role names the provider \"{}\", which is not configured",
            entry.provider
        )));
    };
    if *kind == Kind::Sandbox {
        return Ok(sandbox_candidate(provider.clone()));
    }
    let listed =
        prices.models.iter().find(|price| price.provider == entry.provider && price.model == entry.model);
    // Embedding models are not billed by the run engine; all others need a price, or no budget could be kept.
    let price = match listed {
        Some(price) => Price {
            input: price.input,
            output: price.output,
            cache_read: price.cache_read,
            cache_write: price.cache_write,
        },
        None if entry.model.contains("e5") || entry.model.contains("embed") => Price::default(),
        None => {
            return Err(Error::internal(format!(
                "{}/{} has no price under \"prices\": a budget cannot be kept without one; 0 is a price",
                entry.provider, entry.model
            )));
        }
    };
    Ok(Candidate {
        provider_name: entry.provider.clone(),
        model: entry.model.clone(),
        price: Some(price),
        provider: provider.clone(),
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    const LOCAL: &str = r#"{"providers":[{"name":"local","kind":"openai","base_url":"http://127.0.0.1:1/v1","api_key":"hush"}],
        "roles":{"draft":[{"provider":"local","model":"m"}]},
        "prices":{"models":[{"provider":"local","model":"m","input":0.15,"output":0.6}]}}"#;

    #[test]
    fn a_role_that_is_not_configured_has_no_candidate() {
        let models = Models::from_secret(LOCAL).unwrap();
        assert_eq!(models.candidates(Role::Draft).len(), 1);
        assert!(models.candidates(Role::Judge).is_empty());
        assert_eq!(models.candidates(Role::Draft)[0].price.unwrap().input, Usd::from_micros(150_000));
    }

    #[test]
    fn a_model_without_a_price_is_refused_by_name_and_without_the_key() {
        let error =
            Models::from_secret(&LOCAL.replace("\"model\":\"m\",\"input\"", "\"model\":\"other\",\"input\""))
                .unwrap_err();
        let text = error.source_chain().unwrap();
        assert!(text.contains("local/m") && !text.contains("hush"), "{text}");
    }

    #[test]
    fn an_unknown_provider_is_named() {
        let error = Models::from_secret(&LOCAL.replace(
            "\"provider\":\"local\",\"model\":\"m\"}]",
            "\"provider\":\"nobody\",\"model\":\"m\"}]",
        ))
        .unwrap_err();
        assert!(error.source_chain().unwrap().contains("nobody"));
    }
}
