//! Routes of `/v1/pipelines`.

pub mod get;
pub mod list;

use persona::pipeline::Pipeline;
use serde_json::{Value, json};

/// A pipeline as callers see it.
fn object(pipeline: &Pipeline) -> Value {
    json!({
        "object": "pipeline", "name": pipeline.name, "version": pipeline.version, "description": pipeline.description,
        "digest": pipeline.digest, "built_in": true, "steps": pipeline.steps,
    })
}
