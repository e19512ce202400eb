//! `persona workspace`: what it is, and what of it can be changed.

use clap::Args;
use serde_json::{Map, json};

use crate::{Result, arguments::Session};

/// Shows the workspace, or changes it.
#[derive(Args)]
pub(crate) struct Workspace {
    /// Give it another name
    #[arg(long)]
    name: Option<String>,
    /// Make this the active pipeline
    #[arg(long)]
    pipeline: Option<String>,
    /// Most that all runs together may spend in a month, in USD
    #[arg(long, value_name = "USD", conflicts_with = "no_monthly_budget")]
    monthly_budget_usd: Option<f64>,
    /// Let them spend what they need
    #[arg(long)]
    no_monthly_budget: bool,
}

impl Workspace {
    /// Does it.
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<()> {
        let api = session.api()?;
        let mut changes = Map::new();
        if let Some(name) = &self.name {
            changes.insert("name".to_owned(), json!(name));
        }
        if let Some(pipeline) = &self.pipeline {
            changes.insert("pipeline".to_owned(), json!(pipeline));
        }
        if self.no_monthly_budget || self.monthly_budget_usd.is_some() {
            changes.insert("monthly_budget_usd".to_owned(), json!(self.monthly_budget_usd));
        }
        let call = if changes.is_empty() {
            api.get(&["workspace"])
        } else {
            api.patch(&["workspace"]).json(&changes.into())
        };
        session.screen.object(&call.value().await?)
    }
}
