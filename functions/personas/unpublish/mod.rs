//! `POST /v1/personas/{persona}/unpublish`: a persona's listing is taken off the marketplace.

use std::time::Duration;

use persona::{
    Error, Result,
    app::App,
    config::Setting,
    error::Code,
    key::{Caller, Scope},
    store::personas::PersonaEntry,
};

use super::{access, editing};
use crate::{
    Form, Route,
    serve::{Call, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "personas-unpublish",
    method: "POST",
    path: "/v1/personas/{persona}/unpublish",
    summary: "Take a persona's listing off the marketplace; installed copies stay.",
    scope: Scope::Write,
    streaming: false,
    query: &[],
    headers: &[],
    body: None,
    answers: &[(200, Form::Object("persona"))],
    errors: &[Code::PreconditionFailed],
    settings: &[Setting::WorkspacesTable, Setting::PersonasTable, Setting::MarketplaceTable],
};

/// Edits in between are met this often.
const TRIES: u32 = 12;

/// The persona, which is in no marketplace then; it is no error if it was not before.
pub async fn handle(app: App, call: Call) -> Result<Reply> {
    let was = withdraw(&app, &call.caller, call.path("persona")).await?;
    let tag = editing::etag(was.version);
    let now = PersonaEntry { publication: None, ..was };
    Ok(Reply::json(200, now.document()?).with_header("etag", tag))
}

/// Takes the listing of a persona off, if it has one. The persona as it was.
pub(crate) async fn withdraw(app: &App, caller: &Caller, name: &str) -> Result<PersonaEntry> {
    for tried in 0..TRIES {
        let entry = access::find(app, caller, name, None).await?;
        if app.store().await.withdraw(caller.tenant(), caller.mode, &entry).await? {
            return Ok(entry);
        }
        tokio::time::sleep(Duration::from_millis(u64::from(tried) * 15)).await;
    }
    Err(Error::new(
        Code::PreconditionFailed,
        format!("The persona was changed {TRIES} times while it was to be taken off. Try again."),
    ))
}
