//! Workspaces: made by the administrator's function together with their first admin key.

use aws_sdk_dynamodb::types::{TransactWriteItem, Update};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{
    Refused, Store,
    admission::{self, Admission},
    keys::{KeyDraft, KeyRecord, first_key},
    number, primary_key, reminders, text, to_item,
    usage::month_of,
};
use crate::{
    Usd,
    clock::timestamp,
    config::Setting,
    error::{Error, Result},
    id::WorkspaceId,
    key::{ApiKey, Mode, Plan},
    tenant::Tenant,
};

/// A tenant's own record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    /// What its runs may spend in a calendar month (UTC); no cap where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monthly_budget_micros: Option<i64>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub updated_at: String,
}

impl Workspace {
    /// What its runs may spend in a calendar month (UTC).
    pub fn monthly_budget(&self) -> Option<Usd> {
        self.monthly_budget_micros.map(Usd::from_micros)
    }
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
    ) -> Result<(Workspace, KeyRecord, ApiKey)> {
        let workspace = Workspace {
            id: WorkspaceId::new(),
            name: name.to_owned(),
            mode,
            plan,
            pipeline: "default".to_owned(),
            api_version: crate::API_VERSION.to_owned(),
            monthly_budget_micros: None,
            created_at: timestamp(now),
            updated_at: timestamp(now),
        };
        let tenant = Tenant::of(workspace.id);
        let secret = ApiKey::generate(mode);
        let (shown, mut writes) = first_key(&tenant, &secret, &key, Admission::new(&workspace), now)?;
        let item = to_item(&partition(&tenant), "WORKSPACE", &workspace)?;
        writes.push(super::runs::put_new(&Setting::WorkspacesTable.read()?, item)?);
        self.transact(writes).await.map_err(Refused::into_error)?;
        Ok((workspace, shown, secret))
    }

    /// Changes a workspace's settings, if they are still those of `seen`, and what its calls are admitted with.
    /// `None` when they are not.
    pub async fn update_workspace(
        &self,
        tenant: &Tenant,
        seen: &Workspace,
        mut changed: Workspace,
        now: OffsetDateTime,
    ) -> Result<Option<Workspace>> {
        changed.updated_at = timestamp(now);
        let table = Setting::WorkspacesTable.read()?;
        let put = aws_sdk_dynamodb::types::Put::builder()
            .table_name(&table)
            .set_item(Some(to_item(&partition(tenant), "WORKSPACE", &changed)?))
            .condition_expression("updated_at = :seen")
            .expression_attribute_values(":seen", text(&seen.updated_at))
            .build()
            .map_err(Error::internal)?;
        let mut update = Update::builder()
            .table_name(&table)
            .set_key(Some(primary_key(&admission::partition(tenant), admission::SORT_KEY)))
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(":pipeline", text(&changed.pipeline))
            .expression_attribute_values(":version", text(&changed.api_version));
        let mut expression = "SET pipeline = :pipeline, api_version = :version".to_owned();
        match changed.monthly_budget_micros {
            Some(cap) => {
                expression.push_str(", cap_micros = :cap");
                update = update.expression_attribute_values(":cap", number(cap));
            }
            None => expression.push_str(" REMOVE cap_micros"),
        }
        let update = update.update_expression(expression).build().map_err(Error::internal)?;
        let mut writes = vec![
            TransactWriteItem::builder().put(put).build(),
            TransactWriteItem::builder().update(update).build(),
        ];
        if changed.monthly_budget_micros.is_some() {
            // Another budget may be spent to a share that the old one was not.
            writes.push(reminders::of_month(tenant, month_of(&changed.updated_at), &changed.updated_at)?);
        }
        match self.transact(writes).await {
            Ok(()) => Ok(Some(changed)),
            Err(Refused::Conditions(_)) => Ok(None),
            Err(refused) => Err(refused.into_error()),
        }
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
