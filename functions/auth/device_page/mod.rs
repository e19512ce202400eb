//! `GET /v1/auth/device`: where a person enters the code that a device shows. Nothing is looked up before they signed in.

use persona::{
    app::App,
    auth::{Result, UserCode},
    config::Setting,
};

use super::page;
use crate::{
    Form, OpenRoute, Speaks,
    serve::{OpenCall, Reply},
};

/// The route.
pub const ROUTE: OpenRoute = OpenRoute {
    bin: "auth-device-page",
    method: "GET",
    path: "/v1/auth/device",
    summary: "The page on which a person enters the code that a device shows.",
    speaks: Speaks::Pages,
    fields: &[("user_code", false)],
    answers: &[(200, Form::Page)],
    settings: &[Setting::SignInSecret],
};

/// Shows it, with the code where the address has one.
pub async fn handle(app: App, call: OpenCall) -> Result<Reply> {
    let config = app.sign_in().await?;
    let typed = call.get("user_code");
    let code = typed.and_then(UserCode::parse);
    Ok(page::device(config, code.as_ref(), typed.is_some() && code.is_none()))
}
