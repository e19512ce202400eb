//! The differences between two JSON documents, field by field.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::schema::escaped;

/// What happened to a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// Only the later document has it.
    Added,
    /// Only the earlier document has it.
    Removed,
    /// Both have it, with different values.
    Changed,
}

/// One difference. `before` is absent where a field was added, `after` where it was removed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// JSON Pointer (RFC 6901) to the field.
    pub pointer: String,
    /// What happened to it.
    pub op: Op,
    /// What it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// The changes that lead from `before` to `after`, in the order of the documents; empty if they are equal.
/// Arrays are compared place by place; what is over at the end was added or removed.
pub fn diff(before: &Value, after: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    compare("", Some(before), Some(after), &mut changes);
    changes
}

fn compare(
    pointer: &str,
    before: Option<&Value>,
    after: Option<&Value>,
    changes: &mut Vec<Change>,
) {
    match (before, after) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let added = new.keys().filter(|key| !old.contains_key(*key));
            for key in old.keys().chain(added) {
                compare(
                    &format!("{pointer}/{}", escaped(key)),
                    old.get(key),
                    new.get(key),
                    changes,
                );
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            for at in 0..old.len().max(new.len()) {
                compare(
                    &format!("{pointer}/{at}"),
                    old.get(at),
                    new.get(at),
                    changes,
                );
            }
        }
        (before, after) if before == after => {}
        (before, after) => {
            let op = match (before, after) {
                (None, _) => Op::Added,
                (_, None) => Op::Removed,
                _ => Op::Changed,
            };
            let (before, after) = (before.cloned(), after.cloned());
            changes.push(Change {
                pointer: pointer.to_owned(),
                op,
                before,
                after,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_field_that_differs_is_named_once() {
        let before = json!({"identity": {"age": 61, "a/b": 1}, "soul": {"beliefs": ["x", "y"]}, "gone": null});
        let after = json!({"identity": {"age": 62, "a/b": 1}, "soul": {"beliefs": ["x", "z", "w"]}, "new": {}});
        let changes = serde_json::to_value(diff(&before, &after)).unwrap_or_default();
        assert_eq!(
            changes,
            json!([
                {"pointer": "/identity/age", "op": "changed", "before": 61, "after": 62},
                {"pointer": "/soul/beliefs/1", "op": "changed", "before": "y", "after": "z"},
                {"pointer": "/soul/beliefs/2", "op": "added", "after": "w"},
                {"pointer": "/gone", "op": "removed", "before": null},
                {"pointer": "/new", "op": "added", "after": {}}
            ])
        );
    }

    #[test]
    fn equal_documents_do_not_differ_and_another_type_is_one_change() {
        let document = json!({"b": [1, {"c": null}], "a": "x"});
        assert_eq!(
            diff(&document, &json!({"a": "x", "b": [1, {"c": null}]})),
            []
        );
        assert_eq!(diff(&document, &json!([])).len(), 1);
        assert_eq!(
            diff(&json!({"a/b": {"~": 1}}), &json!({"a/b": {"~": 2}}))[0].pointer,
            "/a~1b/~0"
        );
    }
}
