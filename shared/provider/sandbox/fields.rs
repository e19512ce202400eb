//! A workspace's own fields: the sandbox fills them by their schemas, whatever the character.

use serde_json::{Map, Value};

use super::{conform::conform, person::Person};
use crate::persona::Field;

/// The fields of the inputs, each with a value that its schema allows as far as the sandbox knows how: its example or
/// default where it has one, else one made from type, bounds, pattern and format.
pub(super) fn filled(fields: &Value, person: &Person, step: &str) -> Value {
    let fields: Vec<Field> = serde_json::from_value(fields.clone()).unwrap_or_default();
    let values = fields.iter().map(|field| (field.name.clone(), value(field, person, step)));
    Value::Object(values.collect::<Map<_, _>>())
}

fn value(field: &Field, person: &Person, step: &str) -> Value {
    let schema = field.own_schema();
    let told = schema["examples"].as_array().into_iter().flatten().chain(schema.get("default"));
    if let Some(told) = told.into_iter().find(|told| field.allows(told)) {
        return told.clone();
    }
    conform(None, &schema, person, &mut person.dice(&format!("{step}/{}", field.name)))
}
