//! `POST /v1/auth/approve`: the person decides; a second click changes nothing.

use persona::{
    app::App,
    auth::{
        Reason, Refusal, Result,
        browser::{Decision, decide, unknown},
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
    bin: "auth-approve",
    method: "POST",
    path: "/v1/auth/approve",
    summary: "What the person decided on that page.",
    speaks: Speaks::Pages,
    fields: &[
        ("sign_in", true),
        ("form", true),
        ("decision", true),
        ("workspace", false),
        ("user_code", false),
    ],
    answers: &[(200, Form::Page), (302, Form::Redirect)],
    settings: &[Setting::WorkspacesTable, Setting::SignInSecret],
};

/// Decides, and leads back to who waits.
pub async fn handle(app: App, call: OpenCall) -> Result<Reply> {
    let config = app.sign_in().await?;
    let browser = cookie::browser(config, &call, call.get("sign_in")).ok_or_else(unknown)?;
    let standing = decide(&app, &browser, call.require("form")?, decision(&call)?).await?;
    Ok(shown(config, &browser, &standing))
}

fn decision(call: &OpenCall) -> Result<Decision> {
    match call.require("decision")? {
        "approve" => {
            let chosen = call.get("workspace").and_then(|workspace| workspace.parse().ok());
            let none =
                || Refusal::new(Reason::InvalidRequest, "No workspace was chosen. Go back and choose one.");
            chosen.map(Decision::Approve).ok_or_else(none)
        }
        "deny" => Ok(Decision::Deny),
        "code" => Ok(Decision::Code(call.get("user_code").unwrap_or_default().to_owned())),
        _ => Err(Refusal::new(Reason::InvalidRequest, "decision must be approve, deny or code.")),
    }
}
