//! Routes of `/v1/pipelines`.

pub mod delete;
pub mod get;
pub mod list;
pub mod update;

use persona::{Error, Result, error::Code, pipeline::Pipeline, store::pipelines::PipelineRow};
use serde_json::{Value, json};

use crate::serve::{Call, Reply};

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

/// 412 where `If-Match` names none of the tags that the pipeline has; one that is not there has none.
fn precondition<B>(call: &Call<B>, row: Option<&PipelineRow>) -> Result<()> {
    let Some(wanted) = call.header("if-match") else { return Ok(()) };
    let current = row.map(|row| etag(row.version));
    let matches = |tag: &str| current.as_deref().is_some_and(|current| tag == "*" || tag == current);
    if wanted.split(',').map(str::trim).any(matches) {
        return Ok(());
    }
    let shown: String = wanted.chars().take(60).collect();
    let now = current.map_or_else(|| "not there".to_owned(), |current| format!("at {current}"));
    let message = format!(
        "If-Match is {shown}, but the pipeline is {now}. Read it again, and send the change on top of that."
    );
    Err(Error::new(Code::PreconditionFailed, message).with_param("If-Match"))
}
