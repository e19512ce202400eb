//! `POST /v1/auth/revoke`: a key that somebody got by signing in ends at once (RFC 7009). Holding it is enough.

use persona::{
    app::App,
    auth::{Result, browser::require_client, key::revoke},
    config::Setting,
};

use crate::{
    Form, OpenRoute, Speaks,
    serve::{OpenCall, Payload, Reply},
};

/// The route.
pub const ROUTE: OpenRoute = OpenRoute {
    bin: "auth-revoke",
    method: "POST",
    path: "/v1/auth/revoke",
    summary: "End a key that was made by signing in.",
    speaks: Speaks::OAuth,
    fields: &[("token", true), ("client_id", true)],
    answers: &[(200, Form::Nothing)],
    settings: &[Setting::WorkspacesTable],
};

/// Ends it; what is unknown or has ended already needs no more.
pub async fn handle(app: App, call: OpenCall) -> Result<Reply> {
    require_client(call.get("client_id"))?;
    revoke(&app, call.require("token")?).await?;
    Ok(Reply::new(200, Payload::Empty))
}
