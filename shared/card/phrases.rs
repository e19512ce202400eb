//! What stands where a card says nothing, by language.

use std::{collections::BTreeMap, sync::OnceLock};

use serde::Deserialize;

/// Phrases of one language.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Phrases {
    pub(super) unstated: String,
    pub(super) refusal: String,
    pub(super) unsaid: String,
}

/// The phrases of a language, or the English ones.
#[expect(clippy::expect_used, reason = "a file of this crate, read by a test")]
pub(super) fn of(language: &str) -> &'static Phrases {
    static ALL: OnceLock<BTreeMap<String, Phrases>> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let text = include_str!(concat!(env!("OUT_DIR"), "/phrases.json"));
        serde_json::from_str(text).expect("the phrases of cards")
    });
    all.get(language).or_else(|| all.get("en")).expect("English phrases")
}
