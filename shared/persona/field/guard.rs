//! What a caller's schema may be. A schema is a program that runs over every value that is sent, so it is held to what
//! is certain to be quick: bounded in size and depth, references only to its own `$defs` and never in a circle, few
//! patterns, in linear time only.

use std::collections::BTreeMap;

use jsonschema::{PatternOptions, Validator, draft202012};
use serde_json::{Map, Value};

use crate::{error::Detail, persona::schema::escaped};

/// Most bytes of a schema as JSON.
const BYTES_MOST: usize = 8 * 1024;
/// How deep a schema may be nested.
const DEEPEST: usize = 16;
/// Most parts of a schema with every reference replaced by what it names: what one value may cost.
const PARTS_MOST: usize = 1_000;
/// Most regular expressions.
const PATTERNS_MOST: usize = 10;
/// Most bytes of a compiled regular expression.
const PATTERN_BYTES_MOST: usize = 1 << 20;
/// The one dialect.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";
/// How a reference begins.
const OWN: &str = "#/$defs/";
/// Keywords that name schemas, or look elsewhere for them.
const NAMES: [&str; 7] =
    ["$id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$recursiveAnchor", "$vocabulary"];

/// Everything that a schema may not be; pointers begin with `/schema`. Empty when it may be compiled.
pub(super) fn problems(schema: &Value) -> Vec<Detail> {
    let Some(fields) = schema.as_object() else {
        return vec![Detail::new("/schema", "The schema is not an object.")];
    };
    let bytes = schema.to_string().len();
    if bytes > BYTES_MOST {
        let message = format!("The schema has {bytes} bytes; at most {BYTES_MOST} are allowed.");
        return vec![Detail::new("/schema", message)];
    }
    let mut walk = Walk { defs: fields.get("$defs"), patterns: 0, problems: Vec::new() };
    walk.part(schema, "/schema", 0);
    let Walk { patterns, mut problems, .. } = walk;
    if patterns > PATTERNS_MOST {
        let message = format!("The schema has {patterns} patterns; at most {PATTERNS_MOST} are allowed.");
        problems.push(Detail::new("/schema", message));
    }
    if problems.is_empty() {
        problems.extend(costs(schema));
    }
    if problems.is_empty()
        && let Err(error) = draft202012::meta::validate(schema)
    {
        let pointer = format!("/schema{}", error.instance_path().as_str());
        problems.push(Detail::new(pointer, format!("This is not JSON Schema 2020-12: {error}.")));
    }
    problems
}

/// A validator that no pattern can hold up.
pub(super) fn compiled(schema: &Value) -> Result<Validator, String> {
    draft202012::options()
        .with_pattern_options(PatternOptions::regex().size_limit(PATTERN_BYTES_MOST))
        .offline()
        .build(schema)
        .map_err(|error| format!("The schema cannot be used: {error}."))
}

struct Walk<'s> {
    defs: Option<&'s Value>,
    patterns: usize,
    problems: Vec<Detail>,
}

impl Walk<'_> {
    fn part(&mut self, part: &Value, pointer: &str, depth: usize) {
        if depth > DEEPEST {
            self.tell(pointer, format!("The schema is nested deeper than {DEEPEST} levels."));
            return;
        }
        match part {
            Value::Object(fields) => {
                for (key, value) in fields {
                    let at = format!("{pointer}/{}", escaped(key));
                    self.keyword(key, value, &at, depth);
                    self.part(value, &at, depth + 1);
                }
            }
            Value::Array(items) => {
                for (number, item) in items.iter().enumerate() {
                    self.part(item, &format!("{pointer}/{number}"), depth + 1);
                }
            }
            _ => {}
        }
    }

    /// Names of properties are taken for keywords here: a schema that calls a property `$id` is refused, too.
    fn keyword(&mut self, key: &str, value: &Value, at: &str, depth: usize) {
        match key {
            "$ref" => match value.as_str().and_then(|target| target.strip_prefix(OWN)) {
                Some(name) if self.defs.and_then(|defs| defs.get(name)).is_some() => {}
                _ => self.tell(
                    at,
                    format!("{value} is no reference to a schema of the field's own: use \"{OWN}<name>\"."),
                ),
            },
            "$schema" if value != DIALECT => {
                self.tell(at, format!("{value} is not the dialect of custom fields, \"{DIALECT}\"."));
            }
            "$defs" if depth > 0 => self.tell(at, "\"$defs\" stands at the top of the schema only.".into()),
            "pattern" => self.patterns += 1,
            "patternProperties" => self.patterns += value.as_object().map_or(0, Map::len),
            name if NAMES.contains(&name) => {
                self.tell(
                    at,
                    format!("\"{name}\" is not used in the schemas of custom fields; leave it out."),
                );
            }
            _ => {}
        }
    }

    fn tell(&mut self, at: &str, message: String) {
        self.problems.push(Detail::new(at, message));
    }
}

/// References in a circle, or so many, one within the other, that a small schema becomes a large one.
fn costs(schema: &Value) -> Option<Detail> {
    let defs = schema.get("$defs").and_then(Value::as_object);
    let mut known: BTreeMap<&str, Option<usize>> = BTreeMap::new();
    match parts(schema, defs, &mut known, true) {
        None => Some(Detail::new(
            "/schema/$defs",
            "A schema of $defs refers to itself, directly or through others.",
        )),
        Some(parts) if parts > PARTS_MOST => {
            let message = format!(
                "With its references followed the schema has {parts} parts; at most {PARTS_MOST} are allowed."
            );
            Some(Detail::new("/schema", message))
        }
        Some(_) => None,
    }
}

/// How many values the schema has with its references followed; `None` for a circle. A schema that is being counted is
/// known as `None` meanwhile.
fn parts<'s>(
    part: &'s Value,
    defs: Option<&'s Map<String, Value>>,
    known: &mut BTreeMap<&'s str, Option<usize>>,
    is_top: bool,
) -> Option<usize> {
    let mut sum = 1_usize;
    match part {
        Value::Object(fields) => {
            for (key, value) in fields {
                if is_top && key == "$defs" {
                    // Each is counted where it is used, and once here, so that none is a circle by itself.
                    for name in value.as_object().into_iter().flatten().map(|(name, _)| name) {
                        named(name, defs, known)?;
                    }
                    continue;
                }
                let target = value.as_str().filter(|_| key == "$ref").and_then(|text| text.strip_prefix(OWN));
                let more = match target {
                    Some(name) => named(name, defs, known)?,
                    None => parts(value, defs, known, false)?,
                };
                sum = sum.saturating_add(more);
            }
        }
        Value::Array(items) => {
            for item in items {
                sum = sum.saturating_add(parts(item, defs, known, false)?);
            }
        }
        _ => {}
    }
    Some(sum)
}

fn named<'s>(
    name: &str,
    defs: Option<&'s Map<String, Value>>,
    known: &mut BTreeMap<&'s str, Option<usize>>,
) -> Option<usize> {
    let Some((name, target)) = defs.and_then(|defs| defs.get_key_value(name)) else { return Some(1) };
    if let Some(counted) = known.get(name.as_str()) {
        return *counted;
    }
    known.insert(name, None);
    let counted = parts(target, defs, known, false)?;
    known.insert(name, Some(counted));
    Some(counted)
}

/// The schema with every reference replaced by what it names, and without `$defs`: it stands for itself wherever it is
/// put. Only of schemas without problems.
pub(super) fn without_references(schema: &Value) -> Value {
    let defs = schema.get("$defs").and_then(Value::as_object);
    let mut top = schema.clone();
    if let Some(fields) = top.as_object_mut() {
        fields.shift_remove("$defs");
        fields.shift_remove("$schema");
    }
    replaced(&top, defs)
}

fn replaced(part: &Value, defs: Option<&Map<String, Value>>) -> Value {
    match part {
        Value::Array(items) => items.iter().map(|item| replaced(item, defs)).collect(),
        Value::Object(fields) => {
            let target = fields.get("$ref").and_then(Value::as_str).and_then(|text| text.strip_prefix(OWN));
            let target = target.and_then(|name| defs?.get(name)).map(|target| replaced(target, defs));
            let rest: Map<String, Value> = fields
                .iter()
                .filter(|(key, _)| target.is_none() || *key != "$ref")
                .map(|(key, value)| (key.clone(), replaced(value, defs)))
                .collect();
            match target {
                None => Value::Object(rest),
                Some(target) if rest.is_empty() => target,
                // What stands beside a reference holds as well.
                Some(target) => serde_json::json!({"allOf": [target, rest]}),
            }
        }
        other => other.clone(),
    }
}

/// A schema with nothing in it but what every vendor's decoder knows.
pub(super) fn plain(schema: &Value) -> Value {
    const KNOWN: [&str; 9] = [
        "type",
        "description",
        "enum",
        "minimum",
        "maximum",
        "minItems",
        "maxItems",
        "required",
        "additionalProperties",
    ];
    let Some(fields) = schema.as_object() else { return serde_json::json!({}) };
    let mut kept = Map::new();
    for (key, value) in fields {
        let value = match key.as_str() {
            "properties" => {
                let named = value.as_object().into_iter().flatten();
                named.map(|(name, part)| (name.clone(), plain(part))).collect::<Map<_, _>>().into()
            }
            "items" if value.is_object() => plain(value),
            "additionalProperties" if !value.is_boolean() => continue,
            known if KNOWN.contains(&known) => value.clone(),
            _ => continue,
        };
        kept.insert(key.clone(), value);
    }
    Value::Object(kept)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(schema: &Value) -> Vec<String> {
        problems(schema)
            .into_iter()
            .map(|problem| format!("{} {}", problem.pointer, problem.message))
            .collect()
    }

    #[test]
    fn a_schema_looks_nowhere_but_into_itself() {
        for target in ["https://example.com/s.json", "#", "#/properties/a", "other.json", "#/$defs/none"] {
            let told = told(&json!({"properties": {"a": {"$ref": target}}}));
            assert!(told[0].starts_with("/schema/properties/a/$ref"), "{target}: {told:?}");
        }
        assert!(told(&json!({"$id": "https://example.com/"}))[0].starts_with("/schema/$id"));
        assert!(
            told(&json!({"$schema": "http://json-schema.org/draft-07/schema#"}))[0]
                .starts_with("/schema/$schema")
        );
    }

    #[test]
    fn references_in_a_circle_are_refused() {
        let itself = json!({"$defs": {"a": {"items": {"$ref": "#/$defs/a"}}}});
        assert!(told(&itself)[0].contains("refers to itself"));
        let two =
            json!({"$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}]}, "b": {"not": {"$ref": "#/$defs/a"}}}});
        assert!(told(&two)[0].contains("refers to itself"));
    }

    #[test]
    fn a_small_schema_that_becomes_a_large_one_is_refused() {
        let mut defs = Map::new();
        for level in 0..30 {
            let next = json!({"$ref": format!("#/$defs/d{}", level + 1)});
            defs.insert(format!("d{level}"), json!({"allOf": [next, next]}));
        }
        defs.insert("d30".to_owned(), json!({"type": "string"}));
        let told = told(&json!({"$defs": defs, "$ref": "#/$defs/d0"}));
        assert!(told[0].contains("parts; at most 1000"), "{told:?}");
    }

    #[test]
    fn size_depth_and_patterns_are_bounded() {
        assert!(told(&json!({"description": "x".repeat(9_000)}))[0].contains("bytes"));
        let mut deep = json!({});
        for _ in 0..20 {
            deep = json!({"items": deep});
        }
        assert!(told(&deep)[0].contains("deeper than 16"));
        let many: Vec<Value> = (0..11).map(|n| json!({"pattern": format!("^{n}$")})).collect();
        assert!(told(&json!({"anyOf": many}))[0].contains("11 patterns"));
        let huge = json!({"type": "string", "pattern": "(?:\\p{L}{1000}){1000}"});
        assert_eq!(told(&huge), Vec::<String>::new());
        assert!(compiled(&huge).is_err());
    }

    #[test]
    fn a_pattern_takes_linear_time() {
        let hostile = compiled(&json!({"pattern": "^(a+)+$"}));
        let text = format!("{}!", "a".repeat(60_000));
        assert!(hostile.is_ok_and(|validator| !validator.is_valid(&json!(text))));
        assert!(compiled(&json!({"pattern": "(?=a)b"})).is_err(), "what the linear engine has not");
    }

    #[test]
    fn what_is_no_schema_is_told_where() {
        let told = told(&json!({"properties": {"a": {"minLength": -1}}}));
        assert!(told[0].starts_with("/schema/properties/a/minLength"), "{told:?}");
    }
}
