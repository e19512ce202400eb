//! The persona: its eight layers, what makes each valid, and the pure functions over the document.

mod layer;
mod layers;
pub mod schema;

pub use layer::{Layer, UnknownLayer};
pub use layers::{
    Boundaries, History, Identity, Knowledge, Layers, Moment, Register, Relation, Sample, Scenario,
    Soul, Traits, Voice, Weighted,
};
pub use schema::validate;
