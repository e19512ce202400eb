//! Validation by JSON Schema, told in words: each problem names the value and what is allowed.

use std::sync::OnceLock;

use jsonschema::{ValidationError, Validator, error::ValidationErrorKind as Kind};
use serde_json::Value;

use super::Layer;
use crate::error::Detail;

/// How much of a wrong value a message quotes.
const QUOTED: usize = 80;

/// Every problem of one layer's value; pointers begin with `/<layer>`. Empty when valid.
pub fn validate(layer: Layer, value: &Value) -> Vec<Detail> {
    static VALIDATORS: [OnceLock<Validator>; 8] = [const { OnceLock::new() }; 8];
    let validator = VALIDATORS[layer as usize].get_or_init(|| compiled(layer.schema()));
    problems(validator, &format!("/{layer}"), value, usize::MAX)
}

/// Every problem of `value` by any schema; pointers begin with `prefix`. Empty when valid.
/// A schema that does not compile is itself the problem, so that callers' schemas need no panic.
pub fn validate_with(schema: &Value, prefix: &str, value: &Value) -> Vec<Detail> {
    match jsonschema::validator_for(schema) {
        Ok(validator) => problems(&validator, prefix, value, usize::MAX),
        Err(error) => vec![Detail::new(prefix, format!("The schema does not compile: {error}"))],
    }
}

/// Why a caller's schema cannot be used, if so.
pub fn unusable(schema: &Value) -> Option<String> {
    let why = jsonschema::validator_for(schema).err()?;
    Some(format!("The schema does not compile: {why}"))
}

/// The value of a schema file of this crate.
#[expect(clippy::panic, reason = "files of this crate; a test parses each of them")]
pub(crate) fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("a schema file is not JSON: {error}"))
}

#[expect(clippy::panic, reason = "schemas of this crate; a test compiles each of them")]
fn compiled(schema: &Value) -> Validator {
    jsonschema::validator_for(schema)
        .unwrap_or_else(|error| panic!("a schema file is no JSON Schema: {error}"))
}

/// The first `most` problems of a value.
pub(super) fn problems(validator: &Validator, prefix: &str, value: &Value, most: usize) -> Vec<Detail> {
    validator.iter_errors(value).take(most).map(|error| told(&error, prefix)).collect()
}

fn told(error: &ValidationError<'_>, prefix: &str) -> Detail {
    let pointer = format!("{prefix}{}", error.instance_path().as_str());
    let found = error.instance();
    let message = match error.kind() {
        Kind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            return Detail::new(
                format!("{pointer}/{}", escaped(name)),
                format!("\"{name}\" is missing; it is required."),
            );
        }
        Kind::AdditionalProperties { unexpected } => {
            let name = unexpected.first().map_or("", String::as_str);
            let names: Vec<_> = unexpected.iter().map(|name| format!("\"{name}\"")).collect();
            return Detail::new(
                format!("{pointer}/{}", escaped(name)),
                format!("{} is not a field here; leave it out.", names.join(", ")),
            );
        }
        Kind::Type { kind } => format!("{} is not {}.", quoted(found), type_names(kind)),
        Kind::Enum { options } => format!("{} is not one of {}.", quoted(found), listed(options)),
        Kind::Constant { expected_value } => {
            format!("{} must be {}.", quoted(found), quoted(expected_value))
        }
        Kind::Minimum { limit } => format!("{found} is below the minimum of {limit}."),
        Kind::Maximum { limit } => format!("{found} is above the maximum of {limit}."),
        Kind::MinLength { limit: 1 } => "The text is empty.".to_owned(),
        Kind::MinLength { limit } => {
            format!("{} is too short; at least {limit} characters are needed.", quoted(found))
        }
        Kind::MaxLength { limit } => {
            let length = found.as_str().map_or(0, |text| text.chars().count());
            format!("{} is {length} characters long; {limit} are allowed.", quoted(found))
        }
        Kind::MinItems { limit } => format!("{}; at least {limit} are needed.", counted(found)),
        Kind::MaxItems { limit } => format!("{}; at most {limit} are allowed.", counted(found)),
        Kind::Pattern { pattern } => format!("{} does not match {pattern}.", quoted(found)),
        Kind::AnyOf { context } => alternatives(context, found),
        other => format!("{} does not fit \"{}\".", quoted(found), other.keyword()),
    };
    Detail::new(pointer, message)
}

/// What `anyOf` wanted: where all branches miss a field, the fields; else the value alone.
fn alternatives(context: &[Vec<ValidationError<'static>>], found: &Value) -> String {
    let missing: Vec<_> = context
        .iter()
        .flatten()
        .filter_map(|error| match error.kind() {
            Kind::Required { property } => Some(property.to_string()),
            _ => None,
        })
        .collect();
    if missing.is_empty() {
        format!("{} fits none of the allowed forms.", quoted(found))
    } else {
        format!("One of {} is required.", missing.join(", "))
    }
}

fn type_names(kind: &jsonschema::error::TypeKind) -> String {
    match kind {
        jsonschema::error::TypeKind::Single(one) => article(&one.to_string()),
        jsonschema::error::TypeKind::Multiple(set) => {
            let names: Vec<_> = set.iter().map(|one| article(&one.to_string())).collect();
            names.join(" or ")
        }
    }
}

fn article(name: &str) -> String {
    match name {
        "null" => name.to_owned(),
        _ if name.starts_with(['a', 'i', 'o']) => format!("an {name}"),
        _ => format!("a {name}"),
    }
}

fn counted(found: &Value) -> String {
    match found.as_array().map_or(0, Vec::len) {
        1 => "There is 1 item".to_owned(),
        count => format!("There are {count} items"),
    }
}

fn listed(options: &Value) -> String {
    let Some(options) = options.as_array() else {
        return options.to_string();
    };
    let names: Vec<_> = options.iter().map(Value::to_string).collect();
    names.join(", ")
}

/// A value as messages quote it.
pub(super) fn quoted(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= QUOTED {
        return text;
    }
    let start: String = text.chars().take(QUOTED).collect();
    format!("{start}…")
}

/// A reference token of a JSON Pointer (RFC 6901).
pub(crate) fn escaped(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::persona::layers::tests::bookseller;

    #[test]
    fn every_layer_schema_compiles_and_accepts_a_whole_persona() {
        let persona = bookseller();
        for layer in Layer::ALL {
            assert_eq!(validate(layer, &persona[layer.as_str()]), []);
        }
    }

    #[test]
    fn each_problem_names_the_value_and_what_is_allowed() {
        let mut soul = bookseller()["soul"].take();
        soul["values"][1]["weight"] = json!(1.5);
        soul["beliefs"] = json!(["One."]);
        soul["wound"] = json!("");
        soul["mood"] = json!("fine");
        let mut found = validate(Layer::Soul, &soul);
        found.sort_by(|a, b| a.pointer.cmp(&b.pointer));
        assert_eq!(
            found,
            [
                Detail::new("/soul/beliefs", "There is 1 item; at least 2 are needed."),
                Detail::new("/soul/mood", "\"mood\" is not a field here; leave it out."),
                Detail::new("/soul/values/1/weight", "1.5 is above the maximum of 1."),
                Detail::new("/soul/wound", "The text is empty."),
            ]
        );
    }

    #[test]
    fn a_moment_without_a_date_says_what_dates_it() {
        let mut history = bookseller()["history"].take();
        history["timeline"][0] = json!({"event": "e", "effect": "f"});
        assert_eq!(
            validate(Layer::History, &history),
            [Detail::new("/history/timeline/0", "One of \"age\", \"year\" is required.")]
        );
    }

    #[test]
    fn a_wrong_type_and_a_missing_field_are_told() {
        let found = validate(Layer::Scenario, &json!({"setting": 7}));
        assert!(found.contains(&Detail::new("/scenario/setting", "7 is not a string.")));
        assert!(
            found.contains(&Detail::new("/scenario/situation", "\"situation\" is missing; it is required."))
        );
    }
}
