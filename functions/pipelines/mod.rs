//! Routes of `/v1/pipelines`.

pub mod delete;
pub mod get;
pub mod list;
pub mod update;

use persona::{Result, pipeline::Pipeline, store::pipelines::PipelineRow};
use serde_json::{Value, json};

use crate::serve::Reply;

/// A pipeline as callers see it.
fn object(pipeline: &Pipeline) -> Value {
    json!({
        "object": "pipeline", "name": pipeline.name, "version": pipeline.version, "description": pipeline.description,
        "digest": pipeline.digest, "built_in": pipeline.is_built_in(), "steps": pipeline.steps,
    })
}

/// One of a workspace's own.
fn own_object(row: &PipelineRow) -> Result<Value> {
    let pipeline = row.pipeline()?;
    let mut object = object(&pipeline);
    object["prompts"] = json!(pipeline.prompts);
    object["created_at"] = json!(row.created_at);
    object["updated_at"] = json!(row.updated_at);
    Ok(object)
}

fn reply(status: u16, object: Value, version: u32) -> Reply {
    Reply::json(status, object).with_header("etag", etag(version))
}

fn etag(version: u32) -> String {
    format!("\"v{version}\"")
}
