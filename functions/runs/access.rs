//! Finding a run.

use persona::{Error, Result, app::App, id::RunId, key::Caller, run::Run};

/// The run of that id in the caller's workspace; 404 for any other.
pub(super) async fn find(app: &App, caller: &Caller, name: &str) -> Result<Run> {
    let unknown = || Error::not_found("run", name);
    let id: RunId = name.parse().map_err(|_| unknown())?;
    let run = app.store().await.run(caller.tenant(), id).await?.ok_or_else(unknown)?;
    tracing::Span::current().record("run_id", tracing::field::display(run.id));
    Ok(run)
}
