//! Pipelines of workspaces' own at rest: the newest of each. A run keeps the one that it follows.

use aws_sdk_dynamodb::types::{ConditionCheck, Delete, TransactWriteItem};
use serde::{Deserialize, Serialize};

use super::{Refused, Store, number, primary_key, runs::delete, storage, text, to_item, workspaces};
use crate::{
    config::Setting,
    error::{Error, Result},
    pipeline::Pipeline,
    tenant::Tenant,
};

/// Most pipelines of a workspace. Calls at the same moment may come to one or two more.
pub const PIPELINES_MOST: usize = 20;

fn partition(tenant: &Tenant) -> String {
    format!("WS#{}#PIPELINES", tenant.workspace())
}

/// A pipeline as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PipelineRow {
    name: String,
    /// Counts up with every change.
    pub version: u32,
    /// JSON text of the whole.
    pipeline: String,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub updated_at: String,
}

impl PipelineRow {
    /// A pipeline made at `created_at`, as it is from `at` on.
    pub fn new(pipeline: &Pipeline, created_at: &str, at: &str) -> Result<Self> {
        Ok(Self {
            name: pipeline.name.clone(),
            version: pipeline.version,
            pipeline: serde_json::to_string(pipeline).map_err(Error::internal)?,
            created_at: created_at.to_owned(),
            updated_at: at.to_owned(),
        })
    }

    /// The pipeline.
    pub fn pipeline(&self) -> Result<Pipeline> {
        serde_json::from_str(&self.pipeline).map_err(Error::internal)
    }
}

/// What came of deleting a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// It is gone.
    Yes,
    /// It has been changed or deleted since it was read.
    Overtaken,
    /// It is the workspace's active one.
    Active,
}

impl Store {
    /// A workspace's pipeline of a name: one request.
    pub async fn pipeline_row(&self, tenant: &Tenant, name: &str) -> Result<Option<PipelineRow>> {
        self.get(Setting::WorkspacesTable, &partition(tenant), name).await
    }

    /// A workspace's pipelines by name.
    pub async fn pipeline_rows(&self, tenant: &Tenant) -> Result<Vec<PipelineRow>> {
        self.range(Setting::WorkspacesTable, &partition(tenant), "a", "~").await
    }

    /// Writes a pipeline where the one there is of this version, or none. `false` where it is not.
    pub async fn put_pipeline(
        &self,
        tenant: &Tenant,
        row: &PipelineRow,
        before: Option<u32>,
    ) -> Result<bool> {
        let put = self
            .client
            .put_item()
            .table_name(Setting::WorkspacesTable.read()?)
            .set_item(Some(to_item(&partition(tenant), &row.name, row)?));
        let put = match before {
            None => put.condition_expression("attribute_not_exists(pk)"),
            Some(version) => put
                .condition_expression("version = :before")
                .expression_attribute_values(":before", number(version)),
        };
        match put.send().await {
            Ok(_) => Ok(true),
            Err(error)
                if error.as_service_error().is_some_and(
                    aws_sdk_dynamodb::operation::put_item::PutItemError::is_conditional_check_failed_exception,
                ) =>
            {
                Ok(false)
            }
            Err(error) => Err(storage(error)),
        }
    }

    /// Deletes a pipeline as it was read, unless the workspace's calls that name none run on it. Runs that follow it have
    /// their own.
    pub async fn delete_pipeline(&self, tenant: &Tenant, row: &PipelineRow) -> Result<Dropped> {
        let table = Setting::WorkspacesTable.read()?;
        let gone = delete(
            Delete::builder()
                .table_name(&table)
                .set_key(Some(primary_key(&partition(tenant), &row.name)))
                .condition_expression("version = :read")
                .expression_attribute_values(":read", number(row.version)),
        )?;
        let inactive = ConditionCheck::builder()
            .table_name(&table)
            .set_key(Some(primary_key(&workspaces::partition(tenant), "WORKSPACE")))
            .condition_expression("#pipeline <> :name")
            .expression_attribute_names("#pipeline", "pipeline")
            .expression_attribute_values(":name", text(&row.name))
            .build()
            .map_err(Error::internal)?;
        let inactive = TransactWriteItem::builder().condition_check(inactive).build();
        match self.transact(vec![gone, inactive]).await {
            Ok(()) => Ok(Dropped::Yes),
            Err(Refused::Conditions(failed)) if failed.iter().any(|(at, _)| *at == 0) => {
                Ok(Dropped::Overtaken)
            }
            Err(Refused::Conditions(_)) => Ok(Dropped::Active),
            Err(refused) => Err(refused.into_error()),
        }
    }
}
