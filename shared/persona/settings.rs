//! What a caller says of a persona beside its layers: slug, language, metadata. The rules are the same whether it is
//! created, edited or imported.

use serde_json::{Map, Value};

use super::{language, schema::escaped, slug};
use crate::error::Detail;

/// The one key of metadata that is no text: an object that holds what a character card says and the layers have no
/// home for, as it came.
pub const EXTENSIONS: &str = "extensions";

/// Most pairs of metadata.
const PAIRS_MOST: usize = 50;
/// Longest name of a pair, in bytes.
const NAME_MOST: usize = 100;
/// Longest value of a pair, in bytes.
const VALUE_MOST: usize = 2_000;

/// Why a text is no slug, if so.
pub fn slug_problem(text: &str) -> Option<Detail> {
    let message = || {
        let shown: String = text.chars().take(80).collect();
        format!("\"{shown}\" is not a slug. Use 1 to 64 lower-case letters, digits and inner hyphens.")
    };
    let reserved = || format!("\"{text}\" is part of the API's paths; choose another slug.");
    match text {
        _ if !slug::is_valid(text) => Some(Detail::new("/slug", message())),
        _ if slug::is_reserved(text) => Some(Detail::new("/slug", reserved())),
        _ => None,
    }
}

/// Why a text is no language, if so.
pub fn language_problem(code: &str) -> Option<Detail> {
    let message = || {
        let shown: String = code.chars().take(20).collect();
        format!("\"{shown}\" is not an ISO-639-1 code. Use two lower-case letters, such as \"en\" or \"tr\".")
    };
    language::name(code).is_none().then(|| Detail::new("/language", message()))
}

/// Everything wrong with metadata; `extensions` is an object where `may_extend`, and not there elsewhere.
pub fn metadata_problems(metadata: &Map<String, Value>, may_extend: bool) -> Vec<Detail> {
    let mut problems = Vec::new();
    let pairs = metadata.iter().filter(|(name, value)| !(may_extend && is_extensions(name, value)));
    let count = pairs.clone().count();
    if count > PAIRS_MOST {
        problems.push(Detail::new(
            "/metadata",
            format!("metadata has {count} pairs; at most {PAIRS_MOST} are allowed."),
        ));
    }
    for (name, value) in pairs {
        let pointer = format!("/metadata/{}", escaped(name));
        if name == EXTENSIONS {
            let message = "\"extensions\" is kept for what a character card brings: an object, which edits and imports may have.";
            problems.push(Detail::new(pointer, message));
        } else if value.as_str().is_none_or(|text| text.len() > VALUE_MOST) || name.len() > NAME_MOST {
            let shown: String = name.chars().take(60).collect();
            problems.push(Detail::new(
                pointer,
                format!("\"{shown}\" is not a pair of strings (name up to {NAME_MOST} bytes, value up to {VALUE_MOST})."),
            ));
        }
    }
    problems
}

fn is_extensions(name: &str, value: &Value) -> bool {
    name == EXTENSIONS && value.is_object()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pointers(metadata: &Value, may_extend: bool) -> Vec<String> {
        let metadata = metadata.as_object().cloned().unwrap_or_default();
        metadata_problems(&metadata, may_extend).into_iter().map(|problem| problem.pointer).collect()
    }

    #[test]
    fn metadata_is_pairs_of_strings_and_the_extensions_of_cards() {
        let metadata = json!({"a": "b", "n": 1, "x/y": "v".repeat(2_001), "extensions": {"deep": [1]}});
        assert_eq!(pointers(&metadata, true), ["/metadata/n", "/metadata/x~1y"]);
        assert_eq!(pointers(&metadata, false), ["/metadata/n", "/metadata/x~1y", "/metadata/extensions"]);
        assert_eq!(pointers(&json!({"extensions": "text"}), true), ["/metadata/extensions"]);
    }

    #[test]
    fn slug_and_language_are_told_with_their_pointers() {
        assert_eq!(slug_problem("ada"), None);
        assert_eq!(slug_problem("Ada!").map(|problem| problem.pointer), Some("/slug".to_owned()));
        assert_eq!(language_problem("tr"), None);
        assert!(language_problem("xx").is_some_and(|problem| problem.message.contains("\"xx\"")));
    }
}
