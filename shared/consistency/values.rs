//! Every value within its schema. Layers are checked as they are read; this guards those that code has changed.

use super::{Rule, Violation};
use crate::persona::{Layer, Layers, validate};

pub(super) fn check(layers: &Layers) -> Vec<Violation> {
    let value = layers.to_value();
    let mut violations = Vec::new();
    for layer in Layer::ALL {
        violations.extend(validate(layer, &value[layer.as_str()]).into_iter().map(|problem| Violation {
            check: Rule::ValuesInRange,
            message: format!("{}: {}", problem.pointer, problem.message),
            pointer: problem.pointer,
            other: None,
            layers: vec![layer],
        }));
    }
    violations
}
