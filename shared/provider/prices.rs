//! What models cost: a built-in table (`prices.json`) for well-known hosted models, which configuration overrides.
//! Amounts are USD for a million tokens; a cost is rounded up to the micro-dollar once, at the end.

use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::Usage;
use crate::money::Usd;

/// What a model costs, in USD for a million tokens.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Prompt tokens.
    pub input: Usd,
    /// Completion tokens.
    pub output: Usd,
    /// Prompt tokens read from the vendor's cache; as `input` when absent.
    #[serde(default)]
    pub cache_read: Option<Usd>,
    /// Prompt tokens written to the vendor's cache; as `input` when absent.
    #[serde(default)]
    pub cache_write: Option<Usd>,
    /// Reasoning tokens; as `output` when absent.
    #[serde(default)]
    pub reasoning: Option<Usd>,
    /// The rates of the whole call once the prompt is long.
    #[serde(default)]
    pub long: Option<Box<Long>>,
}

/// The rates of prompts above a length.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Long {
    /// Prompt tokens above which these rates hold.
    pub above: u64,
    /// As in [`Price`].
    pub input: Usd,
    /// As in [`Price`].
    pub output: Usd,
    /// As in [`Price`].
    #[serde(default)]
    pub cache_read: Option<Usd>,
    /// As in [`Price`].
    #[serde(default)]
    pub cache_write: Option<Usd>,
    /// As in [`Price`].
    #[serde(default)]
    pub reasoning: Option<Usd>,
}

/// The rates that hold for one call.
#[derive(Debug, Clone, Copy)]
struct Rates {
    input: Usd,
    output: Usd,
    cache_read: Usd,
    cache_write: Usd,
    reasoning: Usd,
}

impl Price {
    /// A model that costs nothing.
    pub const FREE: Self = Self {
        input: Usd::ZERO,
        output: Usd::ZERO,
        cache_read: None,
        cache_write: None,
        reasoning: None,
        long: None,
    };

    /// What a call cost.
    pub fn cost(&self, usage: &Usage) -> Usd {
        let rates = match &self.long {
            Some(long) if usage.input > long.above => long.rates(),
            _ => self.rates(),
        };
        rates.cost(usage)
    }

    /// The most that a call of at most so many tokens can cost: each token at the dearest rate it may have.
    pub fn worst_case(&self, input: u64, output: u64) -> Usd {
        let short = self.rates().worst_case(input, output);
        match &self.long {
            Some(long) if input > long.above => short.max(long.rates().worst_case(input, output)),
            _ => short,
        }
    }

    /// Whether an amount is below zero.
    pub fn is_negative(&self) -> bool {
        let long = self.long.as_ref().map(|long| long.rates());
        [Some(self.rates()), long].into_iter().flatten().any(|r| {
            [r.input, r.output, r.cache_read, r.cache_write, r.reasoning].iter().any(|a| *a < Usd::ZERO)
        })
    }

    fn rates(&self) -> Rates {
        Rates {
            input: self.input,
            output: self.output,
            cache_read: self.cache_read.unwrap_or(self.input),
            cache_write: self.cache_write.unwrap_or(self.input),
            reasoning: self.reasoning.unwrap_or(self.output),
        }
    }
}

impl Long {
    fn rates(&self) -> Rates {
        Rates {
            input: self.input,
            output: self.output,
            cache_read: self.cache_read.unwrap_or(self.input),
            cache_write: self.cache_write.unwrap_or(self.input),
            reasoning: self.reasoning.unwrap_or(self.output),
        }
    }
}

impl Rates {
    fn cost(self, usage: &Usage) -> Usd {
        let cached = usage.cache_read.saturating_add(usage.cache_write);
        rounded_up(&[
            (usage.input.saturating_sub(cached), self.input),
            (usage.cache_read, self.cache_read),
            (usage.cache_write, self.cache_write),
            (usage.output.saturating_sub(usage.reasoning), self.output),
            (usage.reasoning, self.reasoning),
        ])
    }

    fn worst_case(self, input: u64, output: u64) -> Usd {
        let dearest_input = self.input.max(self.cache_read).max(self.cache_write);
        rounded_up(&[(input, dearest_input), (output, self.output.max(self.reasoning))])
    }
}

/// The sum of tokens at a price for a million, rounded up once so that parts never cost more than the whole.
fn rounded_up(parts: &[(u64, Usd)]) -> Usd {
    let pico: i128 = parts.iter().map(|(tokens, rate)| i128::from(*tokens) * i128::from(rate.micros())).sum();
    let micros = (pico + 999_999) / 1_000_000;
    Usd::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
}

// ---- the built-in table

/// The table's date, which a run's record may name.
pub fn version() -> &'static str {
    &TABLE.version
}

/// The list price of a hosted model, by the vendor's name in `prices.json` and the vendor's name for the model.
/// A dated snapshot (`gpt-4.1-mini-2025-04-14`) costs what its family does.
pub fn listed(vendor: &str, model: &str) -> Option<&'static Price> {
    let find = |name: &str| {
        TABLE.models.iter().find(|(v, m, _)| v == vendor && m == name).map(|(_, _, price)| price)
    };
    spellings(vendor, model).iter().find_map(|name| find(name).or_else(|| find(undated(name))))
}

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::parse(include_str!("prices.json")));

#[derive(Default)]
struct Table {
    version: String,
    models: Vec<(String, String, Price)>,
}

impl Table {
    /// The file is part of the build and a test reads it whole, so a row that does not parse cannot be shipped.
    fn parse(text: &str) -> Self {
        let document: Value = serde_json::from_str(text).unwrap_or_default();
        let rows = document["models"].as_array().cloned().unwrap_or_default();
        Self {
            version: document["version"].as_str().unwrap_or_default().to_owned(),
            models: rows.into_iter().filter_map(row).collect(),
        }
    }
}

fn row(value: Value) -> Option<(String, String, Price)> {
    let Value::Object(mut row) = value else { return None };
    let (vendor, model) = (text(&mut row, "vendor")?, text(&mut row, "model")?);
    Some((vendor, model, serde_json::from_value(Value::Object(row)).ok()?))
}

fn text(row: &mut Map<String, Value>, key: &str) -> Option<String> {
    match row.remove(key) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// Under which names a model may stand in the table. Bedrock sells the same model through a global profile and,
/// dearer, through regional ones; a regional id names its region or none.
fn spellings(vendor: &str, model: &str) -> Vec<String> {
    if vendor != "bedrock" {
        return vec![model.to_owned()];
    }
    let regions = ["us.", "us-gov.", "eu.", "apac.", "jp.", "au.", "ca.", "sa.", "me.", "af."];
    let bare = regions.iter().find_map(|region| model.strip_prefix(region)).unwrap_or(model);
    vec![model.to_owned(), format!("regional.{bare}"), bare.to_owned()]
}

/// A model's name without its release: `-20250929-v1:0`, `-2025-04-14`, `-latest`.
fn undated(name: &str) -> &str {
    let name = name.split_once(':').map_or(name, |(before, _)| before);
    let name = match name.rsplit_once("-v") {
        Some((before, version)) if digits(version) => before,
        _ => name,
    };
    let name = name.strip_suffix("-latest").unwrap_or(name);
    match name.rsplit_once(['-', '@']) {
        Some((before, date)) if date.len() == 8 && digits(date) => before,
        _ => name.get(..name.len().saturating_sub(11)).filter(|_| has_iso_date(name)).unwrap_or(name),
    }
}

fn has_iso_date(name: &str) -> bool {
    let Some(tail) = name.get(name.len().saturating_sub(11)..) else { return false };
    let parts: Vec<&str> = tail.split('-').collect();
    matches!(parts[..], ["", y, m, d] if y.len() == 4 && m.len() == 2 && d.len() == 2 && [y, m, d].into_iter().all(digits))
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed parse is a failed test")]

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn every_row_of_the_table_is_a_price() {
        let document: Value = serde_json::from_str(include_str!("prices.json")).unwrap();
        assert_eq!(document["models"].as_array().unwrap().len(), TABLE.models.len());
        for (vendor, model, price) in &TABLE.models {
            assert!(!price.is_negative(), "{vendor} {model}");
            assert_eq!(listed(vendor, model), Some(price), "{vendor} {model} is listed twice");
        }
        assert!(!version().is_empty());
    }

    #[test]
    fn a_dated_snapshot_costs_what_its_family_does() {
        for (vendor, dated, family) in [
            ("openai", "gpt-4.1-mini-2025-04-14", "gpt-4.1-mini"),
            ("anthropic", "claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
            ("anthropic", "claude-3-5-haiku-latest", "claude-3-5-haiku"),
            ("bedrock", "amazon.nova-lite-v1:0", "amazon.nova-lite"),
            (
                "bedrock",
                "global.anthropic.claude-haiku-4-5-20251001-v1:0",
                "global.anthropic.claude-haiku-4-5",
            ),
            (
                "bedrock",
                "eu.anthropic.claude-sonnet-4-5-20250929-v1:0",
                "regional.anthropic.claude-sonnet-4-5",
            ),
            ("bedrock", "anthropic.claude-3-haiku-20240307-v1:0", "regional.anthropic.claude-3-haiku"),
        ] {
            assert!(listed(vendor, dated).is_some(), "{dated}");
            assert_eq!(listed(vendor, dated), listed(vendor, family), "{dated}");
        }
    }

    #[test]
    fn a_longer_name_is_another_model() {
        assert_ne!(listed("openai", "gpt-4.1"), listed("openai", "gpt-4.1-nano"));
        assert_eq!(listed("openai", "gpt-4.1-turbo-deluxe"), None);
        assert_eq!(listed("groq", "gpt-4.1"), None);
    }

    #[test]
    fn cache_reads_writes_and_reasoning_are_priced_apart() {
        let price: Price = serde_json::from_value(json!({
            "input": 3, "output": 15, "cache_read": 0.3, "cache_write": 3.75, "reasoning": 20
        }))
        .unwrap();
        let usage = Usage {
            input: 1_000_000,
            output: 1_000_000,
            cache_read: 500_000,
            cache_write: 100_000,
            reasoning: 400_000,
        };
        // 0.4 × 3 + 0.5 × 0.3 + 0.1 × 3.75 + 0.6 × 15 + 0.4 × 20
        assert_eq!(price.cost(&usage), Usd::from_micros(18_725_000));
    }

    #[test]
    fn a_long_prompt_changes_the_rates_of_the_whole_call() {
        let price = listed("anthropic", "claude-sonnet-4-5").unwrap();
        let call = |input| price.cost(&Usage { input, output: 1_000_000, ..Usage::default() });
        assert_eq!(call(200_000), Usd::from_micros(15_600_000));
        assert_eq!(call(200_001), Usd::from_micros(23_700_006));
    }

    #[test]
    fn decimals_are_read_as_decimals() {
        let price: Price = serde_json::from_value(json!({"input": 0.000_001, "output": 0.1})).unwrap();
        assert_eq!((price.input.micros(), price.output.micros()), (1, 100_000));
        assert!(serde_json::from_value::<Price>(json!({"input": 0.000_000_1, "output": 0})).is_err());
        assert!(serde_json::from_value::<Price>(json!({"input": 1, "output": 1, "cache_raed": 0})).is_err());
    }

    fn prices() -> impl Strategy<Value = Price> {
        let rate = || (0i64..80_000_000).prop_map(Usd::from_micros);
        let maybe = move || proptest::option::of(rate());
        let long = (0u64..300_000, rate(), rate(), maybe(), maybe(), maybe()).prop_map(
            |(above, input, output, cache_read, cache_write, reasoning)| {
                Box::new(Long { above, input, output, cache_read, cache_write, reasoning })
            },
        );
        (rate(), rate(), maybe(), maybe(), maybe(), proptest::option::of(long)).prop_map(
            |(input, output, cache_read, cache_write, reasoning, long)| Price {
                input,
                output,
                cache_read,
                cache_write,
                reasoning,
                long,
            },
        )
    }

    proptest! {
        #[test]
        fn no_call_costs_more_than_its_worst_case(
            price in prices(),
            (input, output) in (0u64..400_000, 0u64..100_000),
            parts in (0.0f64..1.0, 0.0f64..1.0, 0.0f64..1.0),
            slack in 0u64..10_000,
        ) {
            let cache_read = (input as f64 * parts.0) as u64;
            let cache_write = ((input - cache_read) as f64 * parts.1) as u64;
            let reasoning = (output as f64 * parts.2) as u64;
            let usage = Usage { input, output, cache_read, cache_write, reasoning };
            prop_assert!(price.cost(&usage) <= price.worst_case(input + slack, output));
        }
    }
}
