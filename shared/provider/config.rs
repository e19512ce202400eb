//! The Secrets Manager document that says which models to ask: providers, models by role in fallback order, prices.
//!
//! ```json
//! {"providers": [{"name": "main", "kind": "openai", "api_key": "sk-…"}],
//!  "roles": {"draft": [{"provider": "main", "model": "gpt-4.1-mini"}]},
//!  "prices": {"models": [{"provider": "main", "model": "my-model", "input": 0.4, "output": 1.6}]}}
//! ```
//!
//! A mistake is one sentence that names the value at fault, and no key is ever in it.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use reqwest::Url;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    CompletionRequest, Role, Usage,
    prices::{self, Price},
    sandbox,
};
use crate::{money::Usd, search::SearchConfig};

/// How long a call may take where the configuration does not say.
const TIMEOUT_SECONDS: u64 = 120;

/// The longest timeout: a Lambda lives no longer.
const MOST_SECONDS: u64 = 900;

/// Why the document cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("providers document: {0}")]
pub struct InvalidConfig(String);

/// Which dialect a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The chat completions API: OpenAI, Azure, Groq, OpenRouter, vLLM, Ollama, llama.cpp…
    Openai,
    /// Anthropic's Messages API.
    Anthropic,
    /// Amazon Bedrock's Converse API.
    Bedrock,
    /// The built-in model of test mode.
    Sandbox,
}

/// How a model is made to answer in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StructuredOutput {
    /// The vendor decodes under the schema.
    JsonSchema,
    /// The vendor is told to write JSON; the schema stands in the prompt. OpenAI-compatible servers only.
    JsonObject,
    /// The model must call a tool whose input has the schema. Anthropic and Bedrock only.
    Tool,
    /// The schema stands in the prompt, and that is all.
    Prompt,
}

/// What an OpenAI-compatible server calls the limit of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MaxTokensField {
    /// Most servers.
    MaxTokens,
    /// OpenAI itself, whose newer models take no other.
    MaxCompletionTokens,
}

/// One provider. `Debug` shows no key.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderConfig {
    /// How roles and prices refer to it; recorded with each call.
    pub name: String,
    /// Its dialect.
    pub kind: Kind,
    /// Where it is, when not at the vendor's own address. OpenAI-compatible ones end in `/v1`.
    #[serde(default)]
    pub base_url: Option<String>,
    /// The key, or Bedrock's bearer token; without one, Bedrock signs with the function's role.
    #[serde(default)]
    pub api_key: Option<SecretString>,
    /// Bedrock's region, when not the function's own.
    #[serde(default)]
    pub region: Option<String>,
    /// How long one call may take, its stream included. 1 to 900.
    #[serde(default = "default_timeout")]
    pub timeout_seconds: u64,
    /// How JSON is asked for, when not the kind's best way.
    #[serde(default)]
    pub structured_output: Option<StructuredOutput>,
    /// What the limit is called, when not as the address suggests.
    #[serde(default)]
    pub max_tokens_field: Option<MaxTokensField>,
    /// More request headers, such as Azure's `api-key`; they are treated as secrets.
    #[serde(default)]
    pub headers: BTreeMap<String, SecretString>,
    /// Body fields that this server refuses and that are therefore not sent, such as `seed`.
    #[serde(default)]
    pub omit: Vec<String>,
    /// Body fields to send besides, such as `reasoning_effort`; they win over our own.
    #[serde(default)]
    pub extra_body: Map<String, Value>,
}

fn default_timeout() -> u64 {
    TIMEOUT_SECONDS
}

impl ProviderConfig {
    /// The built-in sandbox, which needs no entry.
    pub fn sandbox() -> Self {
        Self {
            name: sandbox::NAME.to_owned(),
            kind: Kind::Sandbox,
            base_url: None,
            api_key: None,
            region: None,
            timeout_seconds: TIMEOUT_SECONDS,
            structured_output: None,
            max_tokens_field: None,
            headers: BTreeMap::new(),
            omit: Vec::new(),
            extra_body: Map::new(),
        }
    }

    /// How long one call may take.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds)
    }

    fn url(&self) -> Option<Url> {
        self.base_url.as_deref().and_then(|url| Url::parse(url).ok())
    }

    /// Whether it runs on this machine, which charges nothing.
    fn is_local(&self) -> bool {
        self.url().is_some_and(|url| {
            let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
            host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
        })
    }

    /// Whose list prices hold, as `prices.json` calls them.
    fn vendor(&self) -> Option<&'static str> {
        let url = self.url();
        let host = url.as_ref().and_then(Url::host_str);
        match (self.kind, host) {
            (Kind::Bedrock, _) => Some("bedrock"),
            (Kind::Anthropic, None | Some("api.anthropic.com")) => Some("anthropic"),
            (Kind::Openai, None | Some("api.openai.com")) => Some("openai"),
            (Kind::Openai, Some("api.groq.com")) => Some("groq"),
            (Kind::Openai, Some(host)) if host.ends_with(".openai.azure.com") => Some("openai"),
            _ => None,
        }
    }

    fn check(&self) -> Result<(), InvalidConfig> {
        let name = &self.name;
        let known = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.len() > 64 || !name.chars().all(known) {
            return bad("a provider's name is 1 to 64 letters, digits, \"-\", \"_\" or \".\"");
        }
        if (name == sandbox::NAME) != (self.kind == Kind::Sandbox) {
            return bad(format!("provider \"{name}\": the name and the kind \"sandbox\" belong together"));
        }
        if !(1..=MOST_SECONDS).contains(&self.timeout_seconds) {
            return bad(format!("provider \"{name}\": timeout_seconds is 1 to {MOST_SECONDS}"));
        }
        let web = |url: Url| ["http", "https"].contains(&url.scheme()) && url.has_host();
        if self.base_url.is_some() && !self.url().is_some_and(web) {
            return bad(format!("provider \"{name}\": base_url is not an http or https address"));
        }
        let wanted = match self.kind {
            Kind::Openai => ["json_schema", "json_object", "prompt"],
            Kind::Anthropic | Kind::Bedrock | Kind::Sandbox => ["json_schema", "tool", "prompt"],
        };
        match (self.kind, self.structured_output) {
            (Kind::Openai, Some(StructuredOutput::Tool))
            | (Kind::Anthropic | Kind::Bedrock, Some(StructuredOutput::JsonObject)) => {
                bad(format!("provider \"{name}\": structured_output is one of {}", wanted.join(", ")))
            }
            _ => Ok(()),
        }
    }
}

/// A model to try for a role, with what it costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The provider's name.
    pub provider: String,
    /// The model, in the vendor's words.
    pub model: String,
    /// The provider's dialect.
    pub kind: Kind,
    /// What it costs. The sandbox quotes each call by itself instead.
    pub price: Price,
}

impl Candidate {
    /// The most a completion can cost: a reservation of this much can never be exceeded.
    pub fn worst_case(&self, request: &CompletionRequest) -> Usd {
        match self.kind {
            Kind::Sandbox => sandbox::quote(request),
            _ => self.price.worst_case(self.prompt_tokens_at_most(request), u64::from(request.max_tokens)),
        }
    }

    /// What a completion cost.
    pub fn cost(&self, request: &CompletionRequest, usage: &Usage) -> Usd {
        match self.kind {
            Kind::Sandbox => sandbox::quote(request),
            _ => self.price.cost(usage),
        }
    }

    /// The request's own bound, and what a vendor puts around a schema: a prompt of some hundred tokens that
    /// explains tools, or the wrapping of the schema in the prompt.
    pub fn prompt_tokens_at_most(&self, request: &CompletionRequest) -> u64 {
        let frame = match (self.kind, &request.schema) {
            (_, None) | (Kind::Sandbox, _) => 0,
            (Kind::Openai, _) => 256,
            (Kind::Anthropic | Kind::Bedrock, _) => 1_024,
        };
        request.prompt_tokens_at_most() + frame
    }
}

/// The document, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Every provider that a role may name, the sandbox among them.
    pub providers: Vec<ProviderConfig>,
    /// The candidates of each configured role. `audit` and `chat` are as `draft` where they are not given.
    pub roles: HashMap<Role, Vec<Candidate>>,
    /// The web search that personas may use, where there is one.
    pub search: Option<SearchConfig>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    providers: Vec<Value>,
    #[serde(default)]
    roles: BTreeMap<String, Vec<Target>>,
    #[serde(default)]
    prices: Prices,
    #[serde(default)]
    search: Option<SearchConfig>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Prices {
    #[serde(default)]
    models: Vec<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Target {
    provider: String,
    model: String,
}

impl Config {
    /// Reads the document.
    pub fn parse(text: &str) -> Result<Self, InvalidConfig> {
        let document: Value = serde_json::from_str(text)
            .map_err(|e| InvalidConfig(format!("not JSON at line {}, column {}", e.line(), e.column())))?;
        let document: Document = read(document, "the document")?;
        let providers = providers(document.providers)?;
        let prices = own_prices(document.prices.models, &providers)?;
        let mut roles = HashMap::new();
        for (name, targets) in document.roles {
            let role = role(&name)?;
            let candidates: Result<Vec<_>, _> = targets
                .into_iter()
                .map(|target| candidate(&name, role, target, &providers, &prices))
                .collect();
            let candidates = candidates?;
            if !candidates.is_empty() {
                roles.insert(role, candidates);
            }
        }
        let Some(draft) = roles.get(&Role::Draft).cloned() else {
            return bad("the role \"draft\" names no model; every run needs one");
        };
        for role in [Role::Audit, Role::Chat] {
            roles.entry(role).or_insert_with(|| draft.clone());
        }
        Ok(Self { providers, roles, search: document.search })
    }

    /// The sandbox in every role: test mode.
    pub fn sandbox() -> Self {
        let candidate = Candidate {
            provider: sandbox::NAME.to_owned(),
            model: sandbox::MODEL.to_owned(),
            kind: Kind::Sandbox,
            price: Price::FREE,
        };
        let all = [Role::Draft, Role::Audit, Role::Chat, Role::Judge, Role::Embed, Role::Moderate];
        Self {
            providers: vec![ProviderConfig::sandbox()],
            roles: all.map(|role| (role, vec![candidate.clone()])).into(),
            search: None,
        }
    }
}

fn providers(values: Vec<Value>) -> Result<Vec<ProviderConfig>, InvalidConfig> {
    let mut providers: Vec<ProviderConfig> = Vec::new();
    for (index, value) in values.into_iter().enumerate() {
        let named = value.get("name").and_then(Value::as_str).filter(|name| name.len() <= 64);
        let place = match named {
            Some(name) => format!("provider \"{name}\""),
            None => format!("provider number {}", index + 1),
        };
        let provider: ProviderConfig = read(value, &place)?;
        provider.check()?;
        if providers.iter().any(|other| other.name == provider.name) {
            return bad(format!("two providers have the name \"{}\"", provider.name));
        }
        providers.push(provider);
    }
    if !providers.iter().any(|provider| provider.kind == Kind::Sandbox) {
        providers.push(ProviderConfig::sandbox());
    }
    Ok(providers)
}

type OwnPrices = HashMap<(String, String), Price>;

fn own_prices(
    rows: Vec<Map<String, Value>>,
    providers: &[ProviderConfig],
) -> Result<OwnPrices, InvalidConfig> {
    let mut prices = HashMap::new();
    for mut row in rows {
        let mut name = |key: &str| match row.remove(key) {
            Some(Value::String(name)) => Ok(name),
            _ => bad(format!("each price has a text \"{key}\"")),
        };
        let (provider, model) = (name("provider")?, name("model")?);
        let place = format!("the price of \"{model}\" at \"{provider}\"");
        if !providers.iter().any(|known| known.name == provider) {
            return bad(format!("{place}: there is no such provider"));
        }
        let price: Price = read(Value::Object(row), &place)?;
        if price.is_negative() {
            return bad(format!("{place} is below zero"));
        }
        prices.insert((provider, model), price);
    }
    Ok(prices)
}

fn role(name: &str) -> Result<Role, InvalidConfig> {
    serde_json::from_value(Value::from(name)).map_err(|_| {
        InvalidConfig(format!(
            "there is no role \"{name}\"; the roles are draft, audit, chat, judge, embed, moderate"
        ))
    })
}

fn candidate(
    role_name: &str,
    role: Role,
    target: Target,
    providers: &[ProviderConfig],
    prices: &OwnPrices,
) -> Result<Candidate, InvalidConfig> {
    let Target { provider: name, model } = target;
    let Some(provider) = providers.iter().find(|provider| provider.name == name) else {
        return bad(format!("the role \"{role_name}\" names the provider \"{name}\", which is not listed"));
    };
    let offers = match role {
        Role::Embed | Role::Moderate => matches!(provider.kind, Kind::Openai | Kind::Sandbox),
        Role::Draft | Role::Audit | Role::Chat | Role::Judge => true,
    };
    if !offers {
        return bad(format!(
            "the role \"{role_name}\" names the provider \"{name}\", whose kind has no such endpoint; use one of \
             kind \"openai\", or leave the role out"
        ));
    }
    let Some(price) = price(provider, &model, prices) else {
        return bad(format!(
            "no price is known for the model \"{model}\" at \"{name}\", and without one no budget can be \
             guaranteed; add {{\"provider\": \"{name}\", \"model\": \"{model}\", \"input\": …, \"output\": …}} to \
             prices.models, in USD for a million tokens (0 if it costs nothing)"
        ));
    };
    Ok(Candidate { provider: name, model, kind: provider.kind, price })
}

/// What the configuration says, else nothing for a model on this machine, else the list price.
fn price(provider: &ProviderConfig, model: &str, prices: &OwnPrices) -> Option<Price> {
    if let Some(price) = prices.get(&(provider.name.clone(), model.to_owned())) {
        return Some(price.clone());
    }
    if provider.kind == Kind::Sandbox || (provider.kind != Kind::Bedrock && provider.is_local()) {
        return Some(Price::FREE);
    }
    prices::listed(provider.vendor()?, model).cloned()
}

/// Reads one part. A parser quotes the value it stumbles over, so a part's own texts are cut out of what it says.
fn read<T: serde::de::DeserializeOwned>(value: Value, place: &str) -> Result<T, InvalidConfig> {
    let mut texts = Vec::new();
    collect_texts(&value, &mut texts);
    serde_json::from_value(value).map_err(|error| {
        let said = texts.iter().fold(error.to_string(), |said, text| said.replace(text.as_str(), "…"));
        InvalidConfig(format!("{place}: {said}"))
    })
}

/// Every text of a value that may be a key: the longer first, so that no part of one is left over.
fn collect_texts(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::String(text) if text.len() >= 8 => texts.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| collect_texts(item, texts)),
        Value::Object(fields) => fields.values().for_each(|field| collect_texts(field, texts)),
        _ => {}
    }
    texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
}

fn bad<T>(why: impl Into<String>) -> Result<T, InvalidConfig> {
    Err(InvalidConfig(why.into()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed parse is a failed test")]

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const KEY: &str = "sk-proj-a-very-secret-key";

    fn document() -> Value {
        json!({
            "providers": [
                {"name": "main", "kind": "openai", "api_key": KEY, "timeout_seconds": 60},
                {"name": "own", "kind": "openai", "base_url": "http://127.0.0.1:8080/v1",
                 "headers": {"x-token": KEY}, "structured_output": "json_object", "max_tokens_field": "max_tokens"},
            ],
            "roles": {
                "draft": [{"provider": "main", "model": "gpt-4.1-mini"}, {"provider": "own", "model": "qwen"}],
                "judge": [{"provider": "sandbox", "model": "sandbox"}],
                "embed": []
            },
            "prices": {"models": [{"provider": "main", "model": "gpt-4.1-mini", "input": 0.5, "output": 2}]}
        })
    }

    fn parse(value: &Value) -> Result<Config, InvalidConfig> {
        Config::parse(&value.to_string())
    }

    fn refusal(change: impl FnOnce(&mut Value)) -> String {
        let mut document = document();
        change(&mut document);
        parse(&document).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn roles_come_in_fallback_order_with_their_prices() {
        let config = parse(&document()).unwrap();
        let draft = &config.roles[&Role::Draft];
        assert_eq!(draft[0].price.input, Usd::from_micros(500_000));
        assert_eq!((draft[1].model.as_str(), &draft[1].price), ("qwen", &Price::FREE));
        assert_eq!(config.roles[&Role::Chat], *draft);
        assert_eq!(config.roles[&Role::Judge][0].kind, Kind::Sandbox);
        assert!(!config.roles.contains_key(&Role::Embed));
        assert!(!config.roles.contains_key(&Role::Moderate));
    }

    #[test]
    fn the_sandbox_needs_no_entry() {
        let config =
            Config::parse(r#"{"roles": {"draft": [{"provider": "sandbox", "model": "sandbox"}]}}"#).unwrap();
        assert_eq!(config.roles[&Role::Draft][0].price, Price::FREE);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let unknown = refusal(|d| d["roles"]["draft"][0]["provider"] = json!("mian"));
        assert!(unknown.contains("\"mian\"") && unknown.contains("\"draft\""), "{unknown}");
        let role = refusal(|d| d["roles"]["drat"] = json!([]));
        assert!(role.contains("\"drat\""), "{role}");
        let draft = refusal(|d| d["roles"] = json!({}));
        assert!(draft.contains("\"draft\""), "{draft}");
        let field = refusal(|d| d["providers"][0]["api_keey"] = json!("x"));
        assert!(field.contains("api_keey") && field.contains("\"main\""), "{field}");
        let twice = refusal(|d| d["providers"][1]["name"] = json!("main"));
        assert!(twice.contains("\"main\""), "{twice}");
        let url = refusal(|d| d["providers"][1]["base_url"] = json!("127.0.0.1:8080"));
        assert!(url.contains("base_url"), "{url}");
        let tool = refusal(|d| d["providers"][1]["structured_output"] = json!("tool"));
        assert!(tool.contains("json_schema, json_object, prompt"), "{tool}");
        let negative = refusal(|d| d["prices"]["models"][0]["input"] = json!(-1));
        assert!(negative.contains("below zero"), "{negative}");
    }

    #[test]
    fn a_hosted_model_without_a_price_is_refused_and_an_explicit_zero_is_not() {
        let why = refusal(|d| d["roles"]["draft"][0]["model"] = json!("gpt-99"));
        assert!(why.contains("\"gpt-99\" at \"main\"") && why.contains("prices.models"), "{why}");
        let mut document = document();
        document["roles"]["draft"][0]["model"] = json!("gpt-99");
        document["prices"]["models"][0] =
            json!({"provider": "main", "model": "gpt-99", "input": 0, "output": 0});
        assert_eq!(parse(&document).unwrap().roles[&Role::Draft][0].price, Price::FREE);
    }

    #[test]
    fn a_kind_without_embeddings_cannot_have_the_role() {
        let why = refusal(|d| {
            d["providers"][0]["kind"] = json!("anthropic");
            d["roles"]["embed"] = json!([{"provider": "main", "model": "x"}]);
        });
        assert!(why.contains("\"embed\"") && why.contains("\"main\""), "{why}");
    }

    #[test]
    fn no_key_is_shown_by_debug_or_by_an_error() {
        let config = parse(&document()).unwrap();
        assert!(!format!("{config:?}").contains(KEY));
        for place in ["kind", "timeout_seconds", "structured_output", "omit", "headers"] {
            let why = refusal(|d| d["providers"][0][place] = json!(KEY));
            assert!(!why.contains(KEY), "{why}");
        }
        let why = Config::parse(&format!("{{\"providers\": [{KEY}")).map(|_| ()).unwrap_err().to_string();
        assert!(!why.contains(KEY), "{why}");
    }

    #[test]
    fn every_example_of_the_documentation_is_a_document() {
        let page = include_str!("../../docs/PROVIDERS.md");
        let examples: Vec<_> =
            page.split("```json\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
        assert!(examples.len() >= 7, "{}", examples.len());
        for example in examples {
            assert!(Config::parse(example).is_ok(), "{:?}: {example}", Config::parse(example).err());
        }
    }

    proptest! {
        #[test]
        fn no_document_makes_the_parser_panic_or_leak(text in ".{0,200}", field in "[a-z_]{1,12}") {
            let _ = Config::parse(&text);
            let why = Config::parse(&json!({"providers": [{"name": "n", "kind": "openai", field: KEY}]}).to_string());
            prop_assert!(!why.map_or_else(|e| e.to_string(), |_| String::new()).contains(KEY));
        }
    }
}
