//! `POST /v1/auth/token`: a code, or an approved device, becomes a key of the workspace (RFC 6749 4.1.3, RFC 8628 3.4).

use persona::{
    app::App,
    auth::{
        Reason, Refusal, Result,
        browser::require_client,
        joined,
        key::{Minted, redeem_code, redeem_device},
    },
    clock::{Clock, SystemClock},
    config::Setting,
};
use serde_json::json;
use tracing::{Span, field};

use crate::{
    Form, OpenRoute, Speaks,
    serve::{OpenCall, Reply},
};

/// The route.
pub const ROUTE: OpenRoute = OpenRoute {
    bin: "auth-token",
    method: "POST",
    path: "/v1/auth/token",
    summary: "Turn a code, or an approved device, into a key.",
    speaks: Speaks::OAuth,
    fields: &[
        ("grant_type", true),
        ("client_id", true),
        ("code", false),
        ("redirect_uri", false),
        ("code_verifier", false),
        ("device_code", false),
    ],
    answers: &[(200, Form::Object("auth_token"))],
    settings: &[Setting::WorkspacesTable, Setting::WebhooksTable],
};

/// What RFC 8628 calls its grant.
pub const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// Mints the key.
pub async fn handle(app: App, call: OpenCall) -> Result<Reply> {
    require_client(call.get("client_id"))?;
    let minted = match call.require("grant_type")? {
        "authorization_code" => {
            let verifier = call.require("code_verifier")?;
            redeem_code(&app, call.require("code")?, call.require("redirect_uri")?, verifier).await?
        }
        DEVICE_GRANT => redeem_device(&app, call.require("device_code")?).await?,
        _ => {
            let message = format!("grant_type must be authorization_code or {DEVICE_GRANT}.");
            return Err(Refusal::new(Reason::UnsupportedGrantType, message));
        }
    };
    Span::current().record("workspace_id", field::display(minted.entered.workspace.id));
    Ok(told(&minted))
}

fn told(minted: &Minted) -> Reply {
    let workspace = &minted.entered.workspace;
    let left = (minted.record.ends_millis - SystemClock.epoch_millis() + 500) / 1_000;
    Reply::json(
        200,
        json!({
            "access_token": minted.secret.reveal(),
            "token_type": "Bearer",
            "expires_in": left,
            "scope": joined(&minted.record.scopes),
            "workspace": {"id": workspace.id, "name": workspace.name, "mode": workspace.mode},
            "key_id": minted.record.id,
            "person": {"email": minted.grant.person.email},
        }),
    )
}
