//! Fits an answer to the schema that was asked for: what the schema does not know is dropped, what it requires
//! and the sandbox did not write (a workspace's own field) is filled in, and bounds are kept.

use serde_json::{Map, Value, json};

use super::{pattern, person::Person, random::Dice};

/// References deeper than this are cut off: a recursive schema must not recurse for ever.
const DEEPEST: usize = 12;

/// Fits `value` to `schema`.
pub(super) fn conform(value: Option<Value>, schema: &Value, person: &Person, dice: &mut Dice) -> Value {
    Fit { root: schema, person, dice }.value(value, schema, 0)
}

struct Fit<'a> {
    root: &'a Value,
    person: &'a Person,
    dice: &'a mut Dice,
}

impl Fit<'_> {
    fn value(&mut self, value: Option<Value>, schema: &Value, depth: usize) -> Value {
        let schema = merged(self.resolved(schema));
        if let Some(fixed) = schema.get("const") {
            return fixed.clone();
        }
        if let Some(allowed) = schema.get("enum").and_then(Value::as_array) {
            let told = value.filter(|value| allowed.contains(value));
            return told.or_else(|| allowed.first().cloned()).unwrap_or(Value::Null);
        }
        if let Some(branch) = self.branch(value.as_ref(), &schema)
            && depth < DEEPEST
        {
            return self.value(value, &branch, depth + 1);
        }
        let types = types(&schema);
        if value.as_ref().is_some_and(|v| v.is_null() && types.contains(&"null")) || depth >= DEEPEST {
            return Value::Null;
        }
        let value = value.filter(|v| types.is_empty() || types.iter().any(|t| is_of(v, t)));
        let told = value.as_ref().map(type_of);
        let first = types.iter().copied().find(|t| *t != "null");
        match told.or(first).unwrap_or("string") {
            "object" => self.object(value, &schema, depth),
            "array" => self.array(value, &schema, depth),
            "string" => self.string(value, &schema),
            "integer" => number(value, &schema, true),
            "number" if types.contains(&"integer") => number(value, &schema, true),
            "number" => number(value, &schema, false),
            "boolean" => value.unwrap_or(Value::Bool(false)),
            _ => value.unwrap_or(Value::Null),
        }
    }

    /// The schema behind a local `$ref`.
    fn resolved(&self, schema: &Value) -> Value {
        let mut schema = schema;
        for _ in 0..DEEPEST {
            let Some(reference) = schema.get("$ref").and_then(Value::as_str) else { break };
            let Some(target) = reference.strip_prefix('#').and_then(|at| self.root.pointer(at)) else {
                break;
            };
            schema = target;
        }
        schema.clone()
    }

    /// The branch of `anyOf` or `oneOf` that the value takes. Branches that only constrain (`required`) are none.
    fn branch(&self, value: Option<&Value>, schema: &Value) -> Option<Value> {
        let branches = ["anyOf", "oneOf"].iter().find_map(|key| schema.get(key)).and_then(Value::as_array)?;
        let shapes: Vec<Value> = branches
            .iter()
            .map(|branch| self.resolved(branch))
            .filter(|b| ["type", "enum", "const", "properties"].iter().any(|key| b.get(key).is_some()))
            .collect();
        let taken = value.and_then(|v| shapes.iter().find(|s| types(s).iter().any(|t| is_of(v, t))));
        taken.or_else(|| shapes.iter().find(|s| types(s) != ["null"])).cloned()
    }

    fn object(&mut self, value: Option<Value>, schema: &Value, depth: usize) -> Value {
        let mut told = match value {
            Some(Value::Object(told)) => told,
            _ => Map::new(),
        };
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
            return Value::Object(told);
        };
        let required: Vec<&str> = schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let mut fitted = Map::new();
        for (key, property) in properties {
            let value = told.remove(key);
            if value.is_some() || required.contains(&key.as_str()) {
                fitted.insert(key.clone(), self.value(value, property, depth + 1));
            }
        }
        if schema.get("additionalProperties") != Some(&Value::Bool(false)) {
            fitted.extend(told);
        }
        Value::Object(fitted)
    }

    fn array(&mut self, value: Option<Value>, schema: &Value, depth: usize) -> Value {
        let told = match value {
            Some(Value::Array(told)) => told,
            _ => Vec::new(),
        };
        let bound = |key: &str| schema.get(key).and_then(Value::as_u64).map(|n| n as usize);
        let empty = json!({});
        let items = schema.get("items").unwrap_or(&empty);
        let most = bound("maxItems").unwrap_or(usize::MAX);
        let mut fitted: Vec<Value> =
            told.into_iter().take(most).map(|item| self.value(Some(item), items, depth + 1)).collect();
        while fitted.len() < bound("minItems").unwrap_or(0).min(32) {
            let mut item = self.value(None, items, depth + 1);
            if schema.get("uniqueItems") == Some(&Value::Bool(true)) {
                item = another(item, items, &fitted);
            }
            fitted.push(item);
        }
        Value::Array(fitted)
    }

    fn string(&mut self, value: Option<Value>, schema: &Value) -> Value {
        let bound = |key: &str| schema.get(key).and_then(Value::as_u64).map(|n| n as usize);
        let text = if let Some(Value::String(text)) = value {
            text
        } else {
            let least = bound("minLength").unwrap_or(0);
            if let Some(text) = told(schema, "pattern").and_then(|text| pattern::matching(text, least)) {
                return Value::String(text);
            }
            match told(schema, "format").and_then(formatted) {
                Some(text) => text.to_owned(),
                None => self.person.one(&self.person.phrases.soul.beliefs, self.dice),
            }
        };
        let mut text = super::brief::clipped(&text, bound("maxLength").unwrap_or(usize::MAX));
        while text.chars().count() < bound("minLength").unwrap_or(0).min(4000) {
            text.push('.');
        }
        Value::String(text)
    }
}

fn number(value: Option<Value>, schema: &Value, whole: bool) -> Value {
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    let low = bound("minimum").or_else(|| bound("exclusiveMinimum").map(|n| n + 1.0));
    let high = bound("maximum").or_else(|| bound("exclusiveMaximum").map(|n| n - 1.0));
    let fits = |n: f64| low.is_none_or(|low| n >= low) && high.is_none_or(|high| n <= high);
    if let Some(value) = value.filter(|v| v.as_f64().is_some_and(fits)) {
        return value;
    }
    let nearest = low.or(high.map(|high| high.min(0.0))).unwrap_or(0.0);
    let step = bound("multipleOf").filter(|step| *step > 0.0);
    let nearest = step.map_or(nearest, |step| (nearest / step).ceil() * step);
    if whole { json!(nearest.ceil() as i64) } else { json!(nearest) }
}

fn told<'s>(schema: &'s Value, keyword: &str) -> Option<&'s str> {
    schema.get(keyword)?.as_str()
}

/// What has a form of its own.
fn formatted(format: &str) -> Option<&'static str> {
    Some(match format {
        "date" => "1984-05-17",
        "time" => "09:30:00Z",
        "date-time" => "1984-05-17T09:30:00Z",
        "email" => "someone@example.com",
        "uri" => "https://example.com/",
        "uuid" => "0190a3c4-5d6e-7f80-8123-456789abcdef",
        _ => return None,
    })
}

/// The schema with what its `allOf` says besides.
fn merged(mut schema: Value) -> Value {
    let Some(parts) = schema.get("allOf").and_then(Value::as_array).cloned() else { return schema };
    for part in parts.into_iter().map(merged) {
        for (key, value) in part.as_object().into_iter().flatten() {
            match (schema.get_mut(key), value) {
                (None, _) => schema[key.as_str()] = value.clone(),
                (Some(Value::Object(had)), Value::Object(more)) => {
                    had.extend(more.iter().map(|(key, value)| (key.clone(), value.clone())));
                }
                (Some(Value::Array(had)), Value::Array(more)) if key == "required" => {
                    had.extend(more.iter().cloned());
                }
                _ => {}
            }
        }
    }
    schema
}

/// A value that is none of these, where the schema is seen to allow one.
fn another(value: Value, schema: &Value, before: &[Value]) -> Value {
    if !before.contains(&value) {
        return value;
    }
    let fresh = |candidate: &&Value| !before.contains(candidate);
    if let Some(allowed) = schema.get("enum").and_then(Value::as_array) {
        return allowed.iter().find(fresh).cloned().unwrap_or(value);
    }
    match &value {
        Value::String(text) => format!("{text} {}", before.len()).into(),
        Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => json!(whole + before.len() as i64),
            (None, Some(real)) => json!(real + before.len() as f64),
            _ => value,
        },
        _ => value,
    }
}

fn types(schema: &Value) -> Vec<&str> {
    match schema.get("type") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect(),
        _ if schema.get("properties").is_some() => vec!["object"],
        _ => Vec::new(),
    }
}

fn is_of(value: &Value, kind: &str) -> bool {
    type_of(value) == kind || (kind == "number" && value.is_number())
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_i64() || number.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
