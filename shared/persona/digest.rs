//! The digest of a document: SHA-256 over canonical JSON, so that equal content has equal digests
//! whatever the order of its keys.

use std::fmt::Write as _;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::Layers;

/// The digest of a persona's content: its language and all its layers. 64 hexadecimal digits.
pub fn digest(language: &str, layers: &Layers) -> String {
    of_value(&serde_json::json!({ "language": language, "layers": layers.to_value() }))
}

/// The digest of any JSON value. 64 hexadecimal digits.
pub fn of_value(value: &Value) -> String {
    let mut text = String::new();
    for byte in Sha256::digest(canonical(value)) {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// JSON without blanks, keys sorted by their bytes, whole numbers without a decimal point.
pub fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write_canonical(value, &mut text);
    text
}

fn write_canonical(value: &Value, text: &mut String) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| *key);
            write_list(text, ['{', '}'], entries, |text, (key, value)| {
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                write_canonical(value, text);
            });
        }
        Value::Array(items) => write_list(text, ['[', ']'], items, |text, item| {
            write_canonical(item, text)
        }),
        Value::Number(number) => {
            let whole = number
                .as_f64()
                .filter(|n| number.is_f64() && n.fract() == 0.0 && n.abs() < 9.0e15);
            let shown = whole.map_or_else(|| number.to_string(), |n| (n as i64).to_string());
            text.push_str(&shown);
        }
        other => text.push_str(&other.to_string()),
    }
}

fn write_list<I: IntoIterator>(
    text: &mut String,
    [open, close]: [char; 2],
    items: I,
    write: impl Fn(&mut String, I::Item),
) {
    text.push(open);
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        write(text, item);
    }
    text.push(close);
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

    use serde_json::json;

    use super::*;
    use crate::persona::layers::tests::bookseller;

    #[test]
    fn the_order_of_keys_and_the_spelling_of_whole_numbers_do_not_matter() {
        let one = json!({"b": [1.0, {"y": "ü\n", "x": null}], "a": 0.5});
        let other = json!({"a": 0.5, "b": [1, {"x": null, "y": "ü\n"}]});
        assert_eq!(canonical(&one), r#"{"a":0.5,"b":[1,{"x":null,"y":"ü\n"}]}"#);
        assert_eq!(of_value(&one), of_value(&other));
    }

    #[test]
    fn the_digest_is_sha_256() {
        let expected = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        assert_eq!(of_value(&json!({})), expected);
    }

    #[test]
    fn language_and_every_layer_are_in_a_personas_digest() {
        let layers = Layers::from_value(&bookseller()).unwrap();
        let mut changed = layers.clone();
        changed.scenario.setting.push('!');
        assert_ne!(digest("tr", &layers), digest("en", &layers));
        assert_ne!(digest("tr", &layers), digest("tr", &changed));
        assert_eq!(digest("tr", &layers), digest("tr", &layers.clone()));
    }
}
