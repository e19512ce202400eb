//! `POST /v1/auth/device`: a device without a browser asks to be approved elsewhere (RFC 8628).

use persona::{
    app::App,
    auth::{Asked, DEVICE_SECONDS, INTERVAL_SECONDS, Result, browser::require_client, key::begin_device},
    config::Setting,
};
use serde_json::json;

use super::own;
use crate::{
    Form, OpenRoute, Speaks,
    serve::{OpenCall, Reply},
};

/// The route.
pub const ROUTE: OpenRoute = OpenRoute {
    bin: "auth-device",
    method: "POST",
    path: "/v1/auth/device",
    summary: "Begin to sign in on a device without a browser.",
    speaks: Speaks::OAuth,
    fields: &[("client_id", true), ("scope", false), ("workspace", false)],
    answers: &[(200, Form::Object("auth_device"))],
    settings: &[Setting::WorkspacesTable, Setting::SignInSecret],
};

/// Makes the two codes.
pub async fn handle(app: App, call: OpenCall) -> Result<Reply> {
    let config = app.sign_in().await?;
    require_client(call.get("client_id"))?;
    let begun = begin_device(&app, Asked::parse(call.get("scope"), call.get("workspace"))?).await?;
    let page = own(config, ROUTE.path);
    Ok(Reply::json(
        200,
        json!({
            "device_code": begun.device_code.reveal(),
            "user_code": begun.user_code.to_string(),
            "verification_uri": page,
            "verification_uri_complete": format!("{page}?user_code={}", begun.user_code),
            "expires_in": DEVICE_SECONDS,
            "interval": INTERVAL_SECONDS,
        }),
    ))
}
