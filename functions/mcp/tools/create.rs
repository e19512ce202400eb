//! `create_persona`: the run of `POST /v1/personas`, followed to its end.

use std::time::Duration;

use persona::{
    Result,
    run::{self, CreatePersona, Origin, Run, Tail},
};
use rmcp::model::{CallToolResult, ContentBlock};
use serde_json::json;

use super::{
    Calling, Outline, Tool,
    once::{Made, Sameness},
};
use crate::{
    mcp::resources,
    personas::create::{Outcome, outcome},
};

/// A creation is remembered as long as the function may run.
const REMEMBERED: Duration = Duration::from_mins(15);
/// A little less: then the run is answered as it stands.
const PATIENCE: Duration = Duration::from_mins(14);

impl Calling {
    pub(super) async fn create_persona(&self) -> Result<CallToolResult> {
        let body: CreatePersona = self.read()?;
        let sameness = Sameness { tool: Tool::CreatePersona.name(), by_id: false, remembered: REMEMBERED };
        self.once(sameness, async |made| match made {
            Made::First(origin) => self.created(body, origin).await,
            Made::Before(run) => self.followed(*run).await,
        })
        .await
    }

    async fn created(&self, body: CreatePersona, origin: Origin) -> Result<CallToolResult> {
        let started = run::create(&self.server.app, &self.server.caller, body, origin).await?;
        self.followed(started.run).await
    }

    async fn followed(&self, run: Run) -> Result<CallToolResult> {
        let (app, caller) = (&self.server.app, &self.server.caller);
        let followed = tokio::time::timeout(PATIENCE, self.follow(&run)).await;
        let ended = followed.unwrap_or(Ok(false))?;
        match outcome(app, caller, run, ended).await? {
            Outcome::Persona(run, entry) => {
                let mut result = CallToolResult::structured(json!({
                    "status": run.status, "run_id": run.id, "cost_usd": run.cost, "persona": Outline::of(&entry)?,
                }));
                result.content.push(ContentBlock::resource_link(resources::listed(&entry)?));
                Ok(result)
            }
            Outcome::Run(run) => Ok(CallToolResult::structured(
                json!({"status": run.status, "run_id": run.id, "cost_usd": run.cost}),
            )),
        }
    }

    /// Tells each step that ends, to the end of the run.
    async fn follow(&self, run: &Run) -> Result<bool> {
        let steps = run.step_order().len();
        self.progress.tell(0, Some(steps), format!("{} has begun", run.id)).await;
        let mut tail = Tail::new(self.server.app.clone(), *self.server.caller.tenant(), run.id, 1);
        let mut done = 0;
        while let Some(event) = tail.next().await? {
            if event.body.event == "step.completed" {
                done += 1;
                let step = event.body.data["step"].as_str().unwrap_or_default();
                self.progress.tell(done, Some(steps.max(done)), format!("{step} is done")).await;
            }
        }
        Ok(true)
    }
}
