//! `/v1/workspace`.
pub mod get;
pub mod update;

use persona::store::workspaces::Workspace;
use serde_json::{Value, json};

use crate::serve::Reply;

/// The workspace as every answer shows it.
fn object(workspace: &Workspace) -> Value {
    let rate = workspace.plan.rate();
    json!({
        "id": workspace.id, "object": "workspace", "name": workspace.name, "mode": workspace.mode,
        "plan": workspace.plan, "pipeline": workspace.pipeline, "api_version": workspace.api_version,
        "monthly_budget_usd": workspace.monthly_budget(),
        "limits": {"requests_per_minute": rate.per_minute, "burst": rate.burst},
        "created_at": workspace.created_at, "updated_at": workspace.updated_at,
    })
}

/// Changes with every change.
fn etag(workspace: &Workspace) -> String {
    format!("\"{}\"", workspace.updated_at)
}

fn reply(workspace: &Workspace) -> Reply {
    Reply::json(200, object(workspace)).with_header("etag", etag(workspace))
}
