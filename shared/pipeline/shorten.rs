//! Texts that are longer than their field allows, cut where a reader would pause. Models are not told the lengths
//! (grammar-constrained ones suffer from them), and a small one that overruns does so again when it is asked again.

use serde_json::Value;

/// Cuts every text in `value` to the `maxLength` that `schema` gives it.
pub(super) fn shorten(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                shorten(&schema["properties"][name], field);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| shorten(&schema["items"], item)),
        Value::String(text) => {
            let most = schema["maxLength"].as_u64().and_then(|most| usize::try_from(most).ok());
            if let Some(most) = most.filter(|most| text.chars().count() > *most) {
                *text = cut(text, most);
            }
        }
        _ => {}
    }
}

/// At most `most` characters: whole sentences, or else whole clauses, or else whole words, as long as half of the
/// room is used.
fn cut(text: &str, most: usize) -> String {
    let kept: String = text.chars().take(most).collect();
    let half = kept.char_indices().nth(most / 2).map_or(0, |(at, _)| at);
    let after = |marks: &[char]| {
        kept.rmatch_indices(marks).map(|(at, mark)| at + mark.len()).find(|end| *end >= half)
    };
    let sentence = after(&['.', '!', '?', '…', '。', '！', '？']);
    let end = sentence.or_else(|| after(&[',', ';', ':', '、', '،'])).or_else(|| after(&[' ']));
    let kept = kept.get(..end.unwrap_or(kept.len())).unwrap_or(&kept);
    let kept =
        if sentence.is_some() { kept } else { kept.trim_end_matches([' ', ',', ';', ':', '、', '،']) };
    kept.to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_end_where_a_reader_would_pause() {
        assert_eq!(cut("He left. She stayed for years", 20), "He left. She stayed");
        assert_eq!(cut("He left for good. She stayed", 20), "He left for good.");
        assert_eq!(cut("Old books, new books, and what", 25), "Old books, new books");
        assert_eq!(cut("Unbreakable", 5), "Unbre");
    }

    #[test]
    fn only_what_is_too_long_is_touched_at_whatever_depth() {
        let schema = json!({"properties": {
            "list": {"items": {"maxLength": 6}},
            "inner": {"properties": {"text": {"maxLength": 3}}},
        }});
        let mut value =
            json!({"list": ["short", "long words"], "inner": {"text": "abc", "other": "abcdef"}, "n": 1});
        shorten(&schema, &mut value);
        let wanted = json!({"list": ["short", "long"], "inner": {"text": "abc", "other": "abcdef"}, "n": 1});
        assert_eq!(value, wanted);
    }

    proptest! {
        #[test]
        fn a_cut_text_is_a_beginning_that_fits(text in "\\PC{0,60}", most in 1_usize..40) {
            let kept = cut(&text, most);
            prop_assert!(kept.chars().count() <= most && text.starts_with(&kept));
        }
    }
}
