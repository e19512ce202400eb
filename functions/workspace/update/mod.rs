//! `PATCH /v1/workspace`: a JSON Merge Patch of what an administrator may change.

use persona::{
    API_VERSION, Error, Result, Usd,
    app::App,
    config::Setting,
    error::Code,
    key::{Plan, Scope},
    pipeline,
    store::workspaces::Workspace,
};
use serde::Deserialize;

use super::{etag, reply};
use crate::{
    Form, Route,
    serve::{Call, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "workspace-update",
    method: "PATCH",
    path: "/v1/workspace",
    summary: "Change the workspace: name, active pipeline, API version, monthly budget.",
    scope: Scope::Admin,
    streaming: false,
    query: &[],
    headers: &["If-Match"],
    body: Some(include_str!("request.json")),
    answers: &[(200, Form::Object("workspace"))],
    errors: &[Code::PreconditionFailed, Code::UpgradeRequired],
    settings: &[Setting::WorkspacesTable, Setting::WebhooksTable],
};

/// How often a change is made anew on what another has written meanwhile.
const TRIES: usize = 6;

/// Body of the call; what is left out stays.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpdateWorkspace {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    pipeline: Option<String>,
    #[serde(default)]
    api_version: Option<String>,
    #[serde(default)]
    monthly_budget_usd: Budget,
}

/// What is to become of the monthly budget: `null` is something else than nothing.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(from = "Option<Usd>")]
enum Budget {
    #[default]
    Kept,
    Lifted,
    Set(Usd),
}

impl From<Option<Usd>> for Budget {
    fn from(given: Option<Usd>) -> Self {
        given.map_or(Self::Lifted, Self::Set)
    }
}

impl UpdateWorkspace {
    fn applied(&self, workspace: &Workspace) -> Workspace {
        let mut changed = workspace.clone();
        if let Some(name) = &self.name {
            changed.name = name.trim().to_owned();
        }
        if let Some(pipeline) = &self.pipeline {
            changed.pipeline.clone_from(pipeline);
        }
        if let Some(version) = &self.api_version {
            changed.api_version.clone_from(version);
        }
        match self.monthly_budget_usd {
            Budget::Kept => {}
            Budget::Lifted => changed.monthly_budget_micros = None,
            Budget::Set(budget) => changed.monthly_budget_micros = Some(budget.micros()),
        }
        changed
    }

    async fn check(&self, app: &App, call: &Call<Self>) -> Result<()> {
        if let Some(version) = self.api_version.as_deref().filter(|version| *version != API_VERSION) {
            let message = format!("There is no API version \"{version}\". Use {API_VERSION}.");
            return Err(Error::invalid("api_version", message));
        }
        if let Some(name) = &self.pipeline {
            pipeline::resolve(app, call.caller.tenant(), name, false).await?;
            if name != pipeline::DEFAULT {
                call.caller.require_plan(Plan::Team, "pipeline")?;
            }
        }
        Ok(())
    }
}

/// Changes the workspace and what its calls are admitted with, both or neither.
pub async fn handle(app: App, call: Call<UpdateWorkspace>) -> Result<Reply> {
    call.body.check(&app, &call).await?;
    let (store, tenant) = (app.store().await, call.caller.tenant());
    for _ in 0..TRIES {
        let now = app.clock().now();
        let seen = store.workspace(tenant).await?;
        call.precondition("workspace", Some(&etag(&seen)))?;
        let changed = call.body.applied(&seen);
        if changed == seen {
            return Ok(reply(&seen));
        }
        if changed.monthly_budget_micros.is_some() && seen.monthly_budget_micros.is_none() {
            store.begin_month(tenant, now).await?;
        }
        if let Some(changed) = store.update_workspace(tenant, &seen, changed, now).await? {
            return Ok(reply(&changed));
        }
    }
    Err(Error::new(Code::PreconditionFailed, "Others are changing the workspace. Try again in a moment."))
}
