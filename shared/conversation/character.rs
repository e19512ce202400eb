//! A persona's version, ready to speak: its prompt and its yardstick, compiled once and kept for the life of the process.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use serde_json::Value;

use super::prompt;
use crate::{
    drift::Yardstick,
    error::{Error, Result},
    id::{PersonaId, WorkspaceId},
    persona::{Layer, Layers},
    tenant::Tenant,
};

/// How many a process keeps. Each is some tens of kilobytes.
const KEPT: usize = 64;

/// A persona's version, ready to speak.
#[derive(Debug)]
pub struct Character {
    /// The persona.
    pub persona: PersonaId,
    /// The version.
    pub version: u64,
    /// The language it speaks, ISO-639-1.
    pub language: String,
    /// Its layers.
    pub layers: Layers,
    /// The prompt that makes a model be it.
    pub prompt: String,
    yardstick: OnceLock<Yardstick>,
}

type Key = (WorkspaceId, PersonaId, u64);

fn kept() -> &'static Mutex<HashMap<Key, Arc<Character>>> {
    static KEPT: OnceLock<Mutex<HashMap<Key, Arc<Character>>>> = OnceLock::new();
    KEPT.get_or_init(Mutex::default)
}

impl Character {
    /// The version that this process has compiled before, if it has. A version never changes.
    pub fn known(tenant: &Tenant, persona: PersonaId, version: u64) -> Option<Arc<Self>> {
        let kept = kept().lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(&(tenant.workspace(), persona, version)).cloned()
    }

    /// Compiles a document and keeps it.
    pub fn compile(tenant: &Tenant, persona: PersonaId, version: u64, document: &Value) -> Result<Arc<Self>> {
        let layers: Value = Layer::ALL
            .iter()
            .map(|layer| (layer.as_str().to_owned(), document[layer.as_str()].clone()))
            .collect::<serde_json::Map<_, _>>()
            .into();
        let layers = Layers::from_value(&layers)
            .map_err(|problems| Error::internal(format!("a stored persona is invalid: {problems:?}")))?;
        let language = document["language"].as_str().unwrap_or("en").to_owned();
        let prompt = prompt::character(&layers, &language)?;
        let made = Arc::new(Self { persona, version, language, layers, prompt, yardstick: OnceLock::new() });
        let mut kept = kept().lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT {
            // Whom to forget hardly matters: a forgotten one costs a millisecond.
            let forgotten = kept.keys().next().copied();
            forgotten.map(|key| kept.remove(&key));
        }
        kept.insert((tenant.workspace(), persona, version), made.clone());
        Ok(made)
    }

    /// What replies are measured by; present once [`Character::measured_by`] was told the vectors.
    pub fn yardstick(&self) -> Option<&Yardstick> {
        self.yardstick.get()
    }

    /// Keeps the yardstick made of the vectors of [`Yardstick::texts`].
    pub fn measured_by(&self, vectors: &[Vec<f32>]) -> &Yardstick {
        self.yardstick.get_or_init(|| Yardstick::new(&self.layers, &self.language, vectors))
    }

    /// How many tokens its prompt takes at most: a byte-level tokenizer makes at most one of a byte.
    pub fn prompt_tokens_at_most(&self) -> usize {
        self.prompt.len()
    }
}
