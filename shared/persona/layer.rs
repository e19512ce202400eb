//! The names of the eight layers and the JSON Schema of each, read from the data files.

use std::{fmt, str::FromStr, sync::OnceLock};

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A layer of the persona, in the order of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// Who this is.
    Identity,
    /// What moves them.
    Soul,
    /// How they speak.
    Voice,
    /// Where they come from.
    History,
    /// The people in their life; the one layer that is an array.
    Relations,
    /// What they know.
    Knowledge,
    /// Where they stop.
    Boundaries,
    /// Where the talk begins.
    Scenario,
}

/// The text names no layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a layer; the layers are identity, soul, voice, history, relations, knowledge, boundaries, scenario"
)]
pub struct UnknownLayer;

impl Layer {
    /// Every layer, in the order of the contract.
    pub const ALL: [Self; 8] = [
        Self::Identity,
        Self::Soul,
        Self::Voice,
        Self::History,
        Self::Relations,
        Self::Knowledge,
        Self::Boundaries,
        Self::Scenario,
    ];

    /// The key in the persona object.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Soul => "soul",
            Self::Voice => "voice",
            Self::History => "history",
            Self::Relations => "relations",
            Self::Knowledge => "knowledge",
            Self::Boundaries => "boundaries",
            Self::Scenario => "scenario",
        }
    }

    /// Whether the layer is an array: its deltas then carry it whole.
    pub const fn is_array(self) -> bool {
        matches!(self, Self::Relations)
    }

    /// The layer's JSON Schema, the one source for validation, prompts and documents.
    pub fn schema(self) -> &'static Value {
        static SCHEMAS: OnceLock<[Value; 8]> = OnceLock::new();
        let schemas =
            SCHEMAS.get_or_init(|| Self::ALL.map(|layer| super::schema::parsed(layer.schema_text())));
        &schemas[self as usize]
    }

    /// The text of the layer's schema file.
    pub const fn schema_text(self) -> &'static str {
        match self {
            Self::Identity => include_str!("../schemas/layers/identity.json"),
            Self::Soul => include_str!("../schemas/layers/soul.json"),
            Self::Voice => include_str!("../schemas/layers/voice.json"),
            Self::History => include_str!("../schemas/layers/history.json"),
            Self::Relations => include_str!("../schemas/layers/relations.json"),
            Self::Knowledge => include_str!("../schemas/layers/knowledge.json"),
            Self::Boundaries => include_str!("../schemas/layers/boundaries.json"),
            Self::Scenario => include_str!("../schemas/layers/scenario.json"),
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Layer {
    type Err = UnknownLayer;

    fn from_str(text: &str) -> Result<Self, UnknownLayer> {
        Self::ALL.into_iter().find(|layer| layer.as_str() == text).ok_or(UnknownLayer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layer_has_one_name_everywhere() {
        for layer in Layer::ALL {
            assert_eq!(layer.as_str().parse(), Ok(layer));
            assert_eq!(serde_json::to_value(layer).ok(), Some(layer.as_str().into()));
            assert_eq!(layer.schema()["title"], layer.as_str());
            assert_eq!(layer.schema()["type"] == "array", layer.is_array());
        }
        assert_eq!("souls".parse::<Layer>(), Err(UnknownLayer));
    }
}
