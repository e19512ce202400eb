//! A persona document as YAML and back, without loss: the order of keys stays, and a text that looks like a
//! number, a date or a word of YAML is quoted.

use serde_json::Value;

use crate::error::{Code, Error, Result};

/// The YAML form of a document.
///
/// # Errors
/// `internal.error` if it cannot be written; no JSON document is known for which that is so.
pub fn to_yaml(document: &Value) -> Result<String> {
    serde_saphyr::to_string(document).map_err(|error| Error::internal(error.to_string()))
}

/// The document that a YAML text holds. Words are read as YAML 1.2 has them: `no` and `007` are texts. What is written
/// to exhaust its reader (aliases of aliases, deep nesting, a flood of nodes) ends where it passes the bounds here.
///
/// # Errors
/// `request.invalid` that says where the text is not YAML: line and column.
pub fn from_yaml(text: &str) -> Result<Value> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_documents: 1,
            max_depth: 64,
            max_nodes: 20_000,
            max_events: 60_000,
            max_anchors: 200,
            max_aliases: 200,
            max_recorded_anchor_events: 20_000,
            max_recorded_anchor_bytes: 512 * 1024,
            max_total_scalar_bytes: 512 * 1024,
        },
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        non_finite_float_policy: serde_saphyr::options::NonFiniteFloatPolicy::Reject,
        merge_keys: serde_saphyr::options::MergeKeyPolicy::AsOrdinary,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let place = error.location().map_or_else(
            || "at its end".to_owned(),
            |place| format!("line {}, column {}", place.line(), place.column()),
        );
        let why = error.to_string();
        let why = why.lines().next().unwrap_or_default();
        let message = format!("The body is not YAML that can be read, {place}: {why}.");
        Error::new(Code::RequestInvalid, message)
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::persona::layers_for_tests;

    #[test]
    fn a_persona_survives_with_its_keys_in_order() {
        let persona = layers_for_tests();
        let yaml = to_yaml(&persona).unwrap();
        assert!(yaml.starts_with("identity:\n  name: Nermin Aksoy\n  age: 61\n"), "{yaml}");
        assert_eq!(from_yaml(&yaml).unwrap().to_string(), persona.to_string());
    }

    #[test]
    fn texts_that_look_like_something_else_stay_texts() {
        for text in [
            "no",
            "yes",
            "on",
            "y",
            "~",
            "null",
            "true",
            "007",
            "0x1f",
            "0o7",
            "1e3",
            "1_000",
            "12:30:45",
            ".5",
            ".inf",
            ".nan",
            "2026-11-01",
            "- a",
            "? b",
            "a: b",
            "a #b",
            "#a",
            "&x",
            "*x",
            "!t",
            "|",
            ">",
            "%d",
            "@a",
            "`",
            "'",
            "\"",
            "",
            " ",
            "  lead",
            "trail ",
            "tab\there",
            "line one\nline two\n",
            "\nfirst blank",
            "a\n\n  indented\n b",
            "\r\n",
            "…",
            "👩🏽‍🚀",
            "\u{feff}bom",
            "\u{0}",
            "\u{85}",
            "\u{2028}",
            "<<",
            "---",
            "...",
            "[a]",
            "{a}",
            "a,b",
            "\\n",
            "é",
        ] {
            let document = json!({ "key": text, text: [text, {"in": text}] });
            let yaml = to_yaml(&document).unwrap();
            assert_eq!(from_yaml(&yaml).unwrap().to_string(), document.to_string(), "{yaml}");
        }
    }

    #[test]
    fn a_hand_written_document_is_read_as_meant() {
        let yaml = "# Mine.\nidentity: {name: no, age: 61}\nvoice:\n  greeting: >-\n    Come in,\n    mind the stack.\n";
        let document =
            json!({"identity": {"name": "no", "age": 61}, "voice": {"greeting": "Come in, mind the stack."}});
        assert_eq!(from_yaml(yaml).unwrap(), document);
    }

    #[test]
    fn what_is_no_yaml_is_a_callers_error() {
        for text in ["a: [1", "a: 1\na: 2", "a: .inf", "a: 1\n---\nb: 2"] {
            assert_eq!(from_yaml(text).unwrap_err().code, crate::error::Code::RequestInvalid, "{text}");
        }
    }

    #[test]
    fn a_text_that_would_exhaust_its_reader_is_refused_with_its_place() {
        let bomb: String = (1..12).fold("a0: &a0 [lol]\n".to_owned(), |text, n| {
            let last = n - 1;
            text + &format!("a{n}: &a{n} [{}]\n", vec![format!("*a{last}"); 9].join(", "))
        });
        let nested = format!("a: {}{}", "[".repeat(200), "]".repeat(200));
        let indented = (0..200).fold(String::new(), |text, n| text + &" ".repeat(n) + "a:\n");
        let flood = format!("a: [{}]", vec!["1"; 30_000].join(","));
        let documents = "a: 1\n---\n".repeat(50);
        let alias = "a: *nobody".to_owned();
        let itself = "a: &a [*a]".to_owned();
        for text in [bomb, nested, indented, flood, documents, alias, itself] {
            let begun = std::time::Instant::now();
            let error = from_yaml(&text).unwrap_err();
            let start: String = text.chars().take(40).collect();
            assert!(
                error.message.contains(" line ") && error.message.contains(", column "),
                "{start}: {}",
                error.message
            );
            assert!(error.message.len() < 400 && !error.message.contains('\n'), "{start}: {}", error.message);
            assert!(begun.elapsed().as_secs() < 2, "{start}");
        }
    }

    fn any_document() -> impl Strategy<Value = Value> {
        let text = prop_oneof![any::<String>(), "[-:#&*!|>'\"%@`{}\\[\\],? \n\ta0._~<]{0,10}"];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            (-1e9f64..1e9).prop_map(Value::from),
            text.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(text.clone(), inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_document_survives(document in any_document()) {
            let yaml = to_yaml(&document).unwrap();
            let read = from_yaml(&yaml);
            prop_assert_eq!(read.ok(), Some(document), "{}", yaml);
        }
    }
}
