//! `DELETE /v1/keys/{key}`: ends a key at once.

use persona::{Result, app::App, config::Setting, key::Scope};

use super::find;
use crate::{
    Form, Route,
    serve::{Call, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "keys-revoke",
    method: "DELETE",
    path: "/v1/keys/{key}",
    summary: "Revoke a key: the next call with it is refused.",
    scope: Scope::Admin,
    streaming: false,
    query: &[],
    headers: &[],
    body: None,
    answers: &[(200, Form::Object("key"))],
    errors: &[],
    settings: &[Setting::WorkspacesTable],
};

/// Revokes it; a second time changes nothing.
pub async fn handle(app: App, call: Call) -> Result<Reply> {
    let record = find(&app, &call.caller, call.id("key", "key")?).await?;
    let now = app.clock().now();
    let revoked = app.store().await.revoke_key(call.caller.tenant(), &record, now).await?;
    Ok(Reply::json(200, revoked.to_object(app.clock().epoch_millis())))
}
