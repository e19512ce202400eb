//! The persona: its eight layers, what makes each valid, and the pure functions over the document.

pub mod diff;
pub mod digest;
pub mod document;
pub mod field;
pub mod fingerprint;
pub mod language;
mod layer;
mod layers;
pub mod schema;
pub mod settings;
pub mod slug;
pub mod yaml;

pub use digest::digest;
pub use field::{Field, FieldType};
pub use fingerprint::Fingerprint;
pub use layer::{Layer, UnknownLayer};
pub use layers::{
    Boundaries, History, Identity, Knowledge, Layers, Moment, Register, Relation, Sample, Scenario, Soul,
    Traits, Voice, Weighted,
};
pub use schema::validate;

/// A small valid persona for the tests of this crate.
#[cfg(test)]
pub(crate) fn layers_for_tests() -> serde_json::Value {
    layers::tests::bookseller()
}
