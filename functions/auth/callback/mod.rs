//! `GET /v1/auth/callback`: the provider sends the browser back; who came is verified, and the decision follows.

use persona::{
    app::App,
    auth::{
        Result,
        browser::{Returned, returned, unknown},
    },
    config::Setting,
};
use url::Url;

use super::{cookie, own, redirect};
use crate::{
    Form, OpenRoute, Speaks,
    serve::{OpenCall, Reply},
};

/// The route.
pub const ROUTE: OpenRoute = OpenRoute {
    bin: "auth-callback",
    method: "GET",
    path: "/v1/auth/callback",
    summary: "Where the identity provider sends people back to.",
    speaks: Speaks::Pages,
    fields: &[("state", true), ("code", false), ("error", false), ("iss", false)],
    answers: &[(303, Form::Redirect)],
    settings: &[Setting::WorkspacesTable, Setting::SignInSecret],
};

/// Looks at the answer once, and takes it out of the address.
pub async fn handle(app: App, call: OpenCall) -> Result<Reply> {
    let config = app.sign_in().await?;
    let browser = cookie::browser(config, &call, call.get("state")).ok_or_else(unknown)?;
    let answer = match call.get("error") {
        Some(error) => Returned::Refused(error.to_owned()),
        None => Returned::Code(call.require("code")?.to_owned()),
    };
    returned(&app, &browser, answer, call.get("iss")).await?;
    let mut next = Url::parse(&own(config, "/v1/auth/approve"))
        .map_err(|error| persona::Error::internal(error.to_string()))?;
    next.query_pairs_mut().append_pair("sign_in", browser.state.reveal());
    Ok(redirect(303, &next))
}
