//! ISO-639-1 codes and their English names: what a persona may speak, and how prompts name it.

use std::{collections::BTreeMap, sync::OnceLock};

fn names() -> &'static BTreeMap<String, String> {
    static NAMES: OnceLock<BTreeMap<String, String>> = OnceLock::new();
    NAMES.get_or_init(|| serde_json::from_str(include_str!("languages.json")).unwrap_or_default())
}

/// The English name of a two-letter code; `None` if no language has it.
pub fn name(code: &str) -> Option<&'static str> {
    names().get(code).map(String::as_str)
}

/// Every code, in alphabetical order.
pub fn codes() -> impl Iterator<Item = &'static str> {
    names().keys().map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_the_standard_has_a_name() {
        assert_eq!(codes().count(), 183);
        assert!(
            codes().all(|code| code.len() == 2 && code.bytes().all(|b| b.is_ascii_lowercase()))
        );
        assert_eq!(name("tr"), Some("Turkish"));
        assert_eq!(name("xx"), None);
    }
}
