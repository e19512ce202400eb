//! Makes a workspace and its first admin key. Invoked by an administrator; never on the HTTP API.

use persona::{
    Error, Result,
    app::App,
    config::Setting,
    id::WorkspaceId,
    key::{ApiKey, Mode, Plan, Scope},
    store::keys::{KeyDraft, KeyRecord},
    store::workspaces::Workspace,
};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Worker;

/// The function.
pub const WORKER: Worker = Worker {
    bin: "admin-create-workspace",
    summary: "Makes a workspace and its first admin key; with workspace_id, another key of it.",
    settings: &[Setting::WorkspacesTable, Setting::WebhooksTable],
};

/// What an administrator asks for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    /// Name of the new workspace.
    #[serde(default)]
    name: String,
    #[serde(default = "live")]
    mode: Mode,
    #[serde(default = "free")]
    plan: Plan,
    /// Instead of a new workspace: another key of this one.
    #[serde(default)]
    workspace_id: Option<WorkspaceId>,
    #[serde(default)]
    key: KeyRequest,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct KeyRequest {
    name: String,
    scopes: Vec<Scope>,
    expires_in_days: Option<u64>,
}

impl Default for KeyRequest {
    fn default() -> Self {
        Self { name: "first".to_owned(), scopes: vec![Scope::Admin], expires_in_days: None }
    }
}

fn live() -> Mode {
    Mode::Live
}

fn free() -> Plan {
    Plan::Free
}

/// Serves until the process ends.
pub async fn run() -> Result<(), lambda_runtime::Error> {
    super::serve(&WORKER, make).await
}

async fn make(app: App, payload: Value) -> Result<Value> {
    let request: Request =
        serde_json::from_value(payload).map_err(|error| Error::invalid("payload", format!("{error}.")))?;
    let draft = KeyDraft {
        name: request.key.name,
        scopes: request.key.scopes,
        expires_in_days: request.key.expires_in_days,
    };
    let (store, now) = (app.store().await, app.clock().now());
    if let Some(id) = request.workspace_id {
        let (tenant, workspace) = store.workspace_for_administrator(id).await?;
        let (key, secret) = store.create_key(&tenant, &draft, now).await?;
        return Ok(answer(&workspace, &key, &secret, &app));
    }
    let name = request.name.trim();
    if name.is_empty() || name.chars().count() > 100 {
        return Err(Error::invalid("name", "A workspace needs a name of 1 to 100 characters."));
    }
    let (workspace, key, secret) =
        store.create_workspace(name, request.mode, request.plan, draft, now).await?;
    Ok(answer(&workspace, &key, &secret, &app))
}

fn answer(workspace: &Workspace, key: &KeyRecord, secret: &ApiKey, app: &App) -> Value {
    let mut shown = key.to_object(app.clock().epoch_millis());
    shown["secret"] = json!(secret.reveal());
    json!({
        "workspace": {"id": workspace.id, "object": "workspace", "name": workspace.name, "mode": workspace.mode, "plan": workspace.plan},
        "key": shown,
    })
}
