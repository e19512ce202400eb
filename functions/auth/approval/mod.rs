//! `GET /v1/auth/approve`: the page on which a person sees what is asked for, and by whom, and chooses the workspace.

use persona::{
    app::App,
    auth::{
        Result,
        browser::{standing, unknown},
    },
    config::Setting,
};

use super::{cookie, shown};
use crate::{
    Form, OpenRoute, Speaks,
    serve::{OpenCall, Reply},
};

/// The route.
pub const ROUTE: OpenRoute = OpenRoute {
    bin: "auth-approval",
    method: "GET",
    path: "/v1/auth/approve",
    summary: "The page that asks a person what to grant, and in which workspace.",
    speaks: Speaks::Pages,
    fields: &[("sign_in", true)],
    answers: &[(200, Form::Page), (302, Form::Redirect)],
    settings: &[Setting::WorkspacesTable, Setting::SignInSecret],
};

/// Shows it; what is decided already leads back to who waits.
pub async fn handle(app: App, call: OpenCall) -> Result<Reply> {
    let config = app.sign_in().await?;
    let browser = cookie::browser(config, &call, call.get("sign_in")).ok_or_else(unknown)?;
    Ok(shown(config, &browser, &standing(&app, &browser).await?))
}
