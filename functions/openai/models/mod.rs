//! `/v1/openai/models`: the personas that a key may talk to, and the embedding models.

pub mod get;
pub mod list;

use persona::{Result, key::Caller, store::personas::PersonaEntry};
use serde_json::{Value, json};

/// A persona as a model. `name` is what the caller calls it.
fn persona_model(name: &str, entry: &PersonaEntry, caller: &Caller) -> Result<Value> {
    let document = entry.document()?;
    Ok(json!({
        "id": name, "object": "model", "created": entry.id.epoch_seconds(), "owned_by": caller.workspace(),
        "persona": {
            "persona_id": entry.id, "version": entry.version, "slug": entry.slug, "language": entry.language,
            "name": document["identity"]["name"],
        },
    }))
}

/// An embedding model.
fn embedding_model(name: &str) -> Value {
    json!({"id": name, "object": "model", "created": 0, "owned_by": "provider"})
}
