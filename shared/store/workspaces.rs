//! Workspaces: made by the administrator's function together with their first admin key.

use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{
    Store,
    keys::{KeyDraft, NewKey},
    to_item,
};
use crate::{
    clock::timestamp,
    config::Setting,
    error::{Error, Result},
    id::WorkspaceId,
    key::{ApiKey, Mode, Plan},
    tenant::Tenant,
};

/// A tenant's own record.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Workspace {
    /// Identifier.
    pub id: WorkspaceId,
    /// What people call it.
    pub name: String,
    /// Live or test; never changes.
    pub mode: Mode,
    /// What it pays for.
    pub plan: Plan,
    /// The pipeline that runs when a call names none.
    pub pipeline: String,
    /// The API version of calls that name none.
    pub api_version: String,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub updated_at: String,
}

pub(super) fn partition(tenant: &Tenant) -> String {
    format!("WS#{}", tenant.workspace())
}

impl Store {
    /// Makes a workspace and its first key, both or neither. The key's secret is returned here and never again.
    pub async fn create_workspace(
        &self,
        name: &str,
        mode: Mode,
        plan: Plan,
        key: KeyDraft,
        now: OffsetDateTime,
    ) -> Result<(Workspace, NewKey, ApiKey)> {
        let workspace = Workspace {
            id: WorkspaceId::new(),
            name: name.to_owned(),
            mode,
            plan,
            pipeline: "default".to_owned(),
            api_version: crate::API_VERSION.to_owned(),
            created_at: timestamp(now),
            updated_at: timestamp(now),
        };
        let tenant = Tenant::of(workspace.id);
        let secret = ApiKey::generate(mode);
        let (shown, mut writes) = self.new_key(&tenant, &secret, plan, key, now)?;
        let put = Put::builder()
            .table_name(Setting::WorkspacesTable.read()?)
            .set_item(Some(to_item(&partition(&tenant), "WORKSPACE", &workspace)?))
            .condition_expression("attribute_not_exists(pk)")
            .build()
            .map_err(Error::internal)?;
        writes.push(TransactWriteItem::builder().put(put).build());
        self.transact(writes).await.map_err(super::Refused::into_error)?;
        Ok((workspace, shown, secret))
    }

    /// Another key of an existing workspace, with the workspace's mode.
    pub async fn create_key(
        &self,
        tenant: &Tenant,
        workspace: &Workspace,
        key: KeyDraft,
        now: OffsetDateTime,
    ) -> Result<(NewKey, ApiKey)> {
        let secret = ApiKey::generate(workspace.mode);
        let (shown, writes) = self.new_key(tenant, &secret, workspace.plan, key, now)?;
        self.transact(writes).await.map_err(super::Refused::into_error)?;
        Ok((shown, secret))
    }

    /// The caller's workspace.
    pub async fn workspace(&self, tenant: &Tenant) -> Result<Workspace> {
        self.get(Setting::WorkspacesTable, &partition(tenant), "WORKSPACE")
            .await?
            .ok_or_else(|| Error::internal("a key's workspace is missing"))
    }

    /// A workspace by id, for the administrator's functions alone: they act for no key.
    pub async fn workspace_for_administrator(&self, id: WorkspaceId) -> Result<(Tenant, Workspace)> {
        let tenant = Tenant::of(id);
        let workspace = self
            .get(Setting::WorkspacesTable, &partition(&tenant), "WORKSPACE")
            .await?
            .ok_or_else(|| Error::not_found("workspace", &id.to_string()))?;
        Ok((tenant, workspace))
    }
}
