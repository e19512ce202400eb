//! Tidying that changes no meaning, before anything is judged: trimmed texts, no item twice, the timeline
//! earliest first.

use std::collections::HashSet;

use serde_json::Value;

use super::{ages::implied_birth, text::fold};
use crate::persona::{Layer, Layers, Moment};

/// Trims every text, drops what an array says twice (never below its schema's minimum) and sorts the timeline.
/// What cannot be tidied within the schema stays as it is. Doing it again changes nothing.
pub fn normalise(layers: &mut Layers) {
    let mut value = layers.to_value();
    for layer in Layer::ALL {
        let before = value[layer.as_str()].clone();
        tidy(&mut value[layer.as_str()], layer.schema());
        if !crate::persona::validate(layer, &value[layer.as_str()]).is_empty() {
            value[layer.as_str()] = before;
        }
    }
    if let Ok(tidied) = Layers::from_value(&value) {
        *layers = tidied;
    }
    let birth = implied_birth(&layers.history.timeline);
    sort_timeline(&mut layers.history.timeline, birth);
}

fn tidy(value: &mut Value, schema: &Value) {
    match value {
        Value::String(text) => {
            let trimmed = text.trim();
            if !trimmed.is_empty() && trimmed.len() < text.len() {
                *text = trimmed.to_owned();
            }
        }
        Value::Array(items) => {
            for item in items.iter_mut() {
                tidy(item, &schema["items"]);
            }
            let least = schema["minItems"].as_u64().unwrap_or(0) as usize;
            drop_repeats(items, least);
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                tidy(field, &schema["properties"][name]);
            }
        }
        _ => {}
    }
}

/// Keeps the first of equal items, as long as `least` remain.
fn drop_repeats(items: &mut Vec<Value>, least: usize) {
    let mut seen = HashSet::new();
    let mut spare = items.len().saturating_sub(least);
    items.retain(|item| {
        let key = match item {
            Value::String(text) => fold(text),
            other => fold(&other.to_string()),
        };
        if seen.insert(key) || spare == 0 {
            return true;
        }
        spare -= 1;
        false
    });
}

/// Earliest first. Where ages and years are mixed, `birth` relates them; without it the order stays.
pub(super) fn sort_timeline(timeline: &mut [Moment], birth: Option<i32>) {
    if timeline.iter().all(|moment| moment.age.is_some()) {
        timeline.sort_by_key(|moment| (moment.age, moment.year));
    } else if timeline.iter().all(|moment| moment.year.is_some()) {
        timeline.sort_by_key(|moment| (moment.year, moment.age));
    } else if let Some(birth) = birth {
        timeline.sort_by_key(|moment| moment.age.map(i32::from).or_else(|| Some(moment.year? - birth)));
    }
}
