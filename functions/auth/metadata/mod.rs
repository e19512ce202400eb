//! `GET /v1/auth/metadata`: where the endpoints are, and what they can (RFC 8414).

use persona::{
    app::App,
    auth::{CLIENT, Result},
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
    bin: "auth-metadata",
    method: "GET",
    path: "/v1/auth/metadata",
    summary: "Where the endpoints of signing in are, and what they can.",
    speaks: Speaks::OAuth,
    fields: &[],
    answers: &[(200, Form::Object("auth_metadata"))],
    settings: &[Setting::SignInSecret],
};

/// Tells it.
pub async fn handle(app: App, _call: OpenCall) -> Result<Reply> {
    let config = app.sign_in().await?;
    let at = |name: &str| own(config, &format!("/v1/auth/{name}"));
    Ok(Reply::json(
        200,
        json!({
            "issuer": config.base_url,
            "authorization_endpoint": at("authorize"),
            "token_endpoint": at("token"),
            "device_authorization_endpoint": at("device"),
            "revocation_endpoint": at("revoke"),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", super::token::DEVICE_GRANT],
            "scopes_supported": ["read", "write", "chat", "admin"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none"],
            "revocation_endpoint_auth_methods_supported": ["none"],
            "authorization_response_iss_parameter_supported": true,
            "client_id": CLIENT,
        }),
    ))
}
