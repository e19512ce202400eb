//! `GET /v1/auth/authorize`: a program, or a person with a device's code, begins a sign-in; the provider goes on.

use persona::{
    app::App,
    auth::{
        Asked, Reason, Refusal, Result,
        browser::{begin, challenge, loopback, require_client},
    },
    config::Setting,
    store::auth::Destination,
};

use super::{cookie, redirect};
use crate::{
    Form, OpenRoute, Speaks,
    serve::{OpenCall, Reply},
};

/// The route.
pub const ROUTE: OpenRoute = OpenRoute {
    bin: "auth-authorize",
    method: "GET",
    path: "/v1/auth/authorize",
    summary: "Begin to sign in; the answer leads to the identity provider.",
    speaks: Speaks::Pages,
    fields: &[
        ("response_type", false),
        ("client_id", false),
        ("redirect_uri", false),
        ("state", false),
        ("code_challenge", false),
        ("code_challenge_method", false),
        ("scope", false),
        ("workspace", false),
        ("user_code", false),
    ],
    answers: &[(302, Form::Redirect)],
    settings: &[Setting::WorkspacesTable, Setting::SignInSecret],
};

/// Values that clients may send are this long at most.
const STATE_MOST: usize = 500;

/// Begins, or tells the program why not.
pub async fn handle(app: App, call: OpenCall) -> Result<Reply> {
    let config = app.sign_in().await?;
    if let Some(user_code) = call.get("user_code") {
        let typed = user_code.chars().take(20).collect();
        let destination = Destination::Device { user_code: Some(typed), device: None };
        return begun(&app, destination, Asked::parse(None, None)?).await;
    }
    // Until both are known to be good, nothing is sent back to where the request says.
    require_client(call.get("client_id"))?;
    let redirect_uri = call.require("redirect_uri")?;
    let mut url = loopback(redirect_uri)?;
    let answered = match asked(&call) {
        Ok((destination, asked)) => begun(&app, destination, asked).await,
        Err(refusal) => Err(refusal),
    };
    answered.or_else(|refusal| {
        if refusal.is_fault() {
            return Err(refusal);
        }
        let state = call.get("state").filter(|state| state.len() <= STATE_MOST);
        url.query_pairs_mut()
            .append_pair("error", refusal.reason.as_str())
            .append_pair("error_description", &refusal.message)
            .extend_pairs(state.map(|state| ("state", state)))
            .append_pair("iss", &config.base_url);
        Ok(redirect(302, &url))
    })
}

fn asked(call: &OpenCall) -> Result<(Destination, Asked)> {
    if call.require("response_type")? != "code" {
        return Err(Refusal::new(Reason::UnsupportedResponseType, "response_type must be code."));
    }
    let state = call.get("state").map(str::to_owned);
    if state.as_ref().is_some_and(|state| state.len() > STATE_MOST) {
        let message = format!("state has more than {STATE_MOST} bytes.");
        return Err(Refusal::new(Reason::InvalidRequest, message));
    }
    let challenge = challenge(call.get("code_challenge"), call.get("code_challenge_method"))?;
    let destination = Destination::Loopback {
        redirect_uri: call.require("redirect_uri")?.to_owned(),
        state,
        challenge: challenge.as_str().to_owned(),
    };
    Ok((destination, Asked::parse(call.get("scope"), call.get("workspace"))?))
}

async fn begun(app: &App, destination: Destination, asked: Asked) -> Result<Reply> {
    let (url, browser) = begin(app, destination, asked).await?;
    Ok(redirect(302, &url).with_header("set-cookie", cookie::set(app.sign_in().await?, &browser)))
}
