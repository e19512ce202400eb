//! Says who is a member of a workspace, and so may get keys of it by signing in. Invoked by an administrator; never on the
//! HTTP API.

use persona::{Error, Result, app::App, auth::Email, config::Setting, id::WorkspaceId, key::Scope};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::Worker;

/// The function.
pub const WORKER: Worker = Worker {
    bin: "admin-members",
    summary: "Makes people members of a workspace by their e-mail addresses, ends memberships, lists them.",
    settings: &[Setting::WorkspacesTable],
};

/// Changes of one call, at most.
const CHANGES_MOST: usize = 100;

/// What an administrator asks for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    workspace_id: WorkspaceId,
    /// Members to be, or members who may do something else from now on.
    #[serde(default)]
    set: Vec<Membership>,
    /// Members to be no more; keys that they got by signing in end.
    #[serde(default)]
    remove: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Membership {
    email: String,
    /// What keys that they get may do.
    #[serde(default = "usual")]
    scopes: Vec<Scope>,
}

fn usual() -> Vec<Scope> {
    vec![Scope::Read, Scope::Write, Scope::Chat]
}

/// Serves until the process ends.
pub async fn run() -> Result<(), lambda_runtime::Error> {
    super::serve(&WORKER, change).await
}

async fn change(app: App, payload: Value) -> Result<Value> {
    let request: Request =
        serde_json::from_value(payload).map_err(|error| Error::invalid("payload", format!("{error}.")))?;
    if request.set.len() + request.remove.len() > CHANGES_MOST {
        return Err(Error::invalid("set", format!("At most {CHANGES_MOST} changes are made at once.")));
    }
    let set: Vec<(Email, Vec<Scope>)> =
        request.set.into_iter().map(|it| Ok((Email::parse(&it.email)?, it.scopes))).collect::<Result<_>>()?;
    if set.iter().any(|(_, scopes)| scopes.is_empty()) {
        return Err(Error::invalid("scopes", "A member needs at least one scope."));
    }
    let remove: Vec<Email> = request.remove.iter().map(|text| Email::parse(text)).collect::<Result<_>>()?;
    let (store, now) = (app.store().await, app.clock().now());
    let (tenant, _) = store.workspace_for_administrator(request.workspace_id).await?;
    for (email, scopes) in &set {
        store.set_member(&tenant, email, scopes, now).await?;
    }
    for email in &remove {
        store.remove_member(&tenant, email, now).await?;
    }
    let members = store.members(&tenant).await?.into_iter().map(|member| {
        json!({
            "email": member.email, "scopes": member.scopes, "has_signed_in": member.person.is_some(),
            "created_at": member.created_at, "updated_at": member.updated_at,
        })
    });
    Ok(json!({"workspace_id": request.workspace_id, "members": members.collect::<Vec<_>>()}))
}
