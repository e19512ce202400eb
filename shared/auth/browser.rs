//! The part of signing in that a person sees: to the provider, back, and the decision.
//!
//! A sign-in is known by its state, which the provider gives back, and bound to one browser by a ticket in a cookie.
//! The code that it ends in follows from that ticket, so that a second click is answered as the first one was.

use time::OffsetDateTime;
use url::Url;

use super::{
    CLIENT,
    grant::{Asked, Grant},
    person::Person,
    refusal::{Reason, Refusal, Result},
    ticket::{Challenge, Ticket, UserCode},
};
use crate::{
    app::App,
    id::WorkspaceId,
    store::auth::{Destination, Device, Entered, SignIn, Stage},
};

/// A browser that is on its way: the state in its address, the ticket in its cookie.
#[derive(Debug)]
pub struct Browser {
    /// What the provider gives back.
    pub state: Ticket,
    /// What the cookie holds.
    pub ticket: Ticket,
}

impl Browser {
    /// What a form must carry to be this browser's own.
    pub fn form_ticket(&self) -> Ticket {
        self.ticket.derived("form")
    }

    fn code(&self) -> Ticket {
        self.ticket.derived("code")
    }
}

/// What the provider says when it sends a browser back.
#[derive(Debug)]
pub enum Returned {
    /// Somebody signed in: what to redeem at the provider.
    Code(String),
    /// Nobody did: the provider's own word for why.
    Refused(String),
}

/// Where a sign-in stands.
#[derive(Debug)]
pub enum Standing {
    /// The person must decide.
    Deciding(Box<Deciding>),
    /// The person must enter the code that the device shows; whether they did before, and it was wrong.
    CodeWanted {
        /// Whether one was entered.
        wrong: bool,
    },
    /// It is decided: back to the program that waits.
    Back(Url),
    /// It is decided, and the device will find out: whether it may.
    Settled(bool),
}

/// What a person decides about.
#[derive(Debug)]
pub struct Deciding {
    /// Who.
    pub person: Person,
    /// Where they may let the client in, and what it will be allowed there.
    pub choices: Vec<Choice>,
    /// The workspace that the client asked for.
    pub asked: Option<WorkspaceId>,
    /// The code that the device must show, where it is a device.
    pub user_code: Option<UserCode>,
    /// Where the answer goes, where it is a program on the person's machine.
    pub redirect_uri: Option<String>,
}

/// A workspace that may be chosen.
#[derive(Debug)]
pub struct Choice {
    /// The workspace.
    pub entered: Entered,
    /// What the client will be allowed there; it cannot be chosen when that is nothing.
    pub scopes: Vec<crate::key::Scope>,
}

/// What a person does on our pages.
#[derive(Debug)]
pub enum Decision {
    /// The client may, in this workspace.
    Approve(WorkspaceId),
    /// It may not.
    Deny,
    /// A user code, read off the device.
    Code(String),
}

/// Checks where a program listens: a port of the person's own machine, by number, and nothing else.
pub fn loopback(redirect_uri: &str) -> Result<Url> {
    let refused = || {
        let message = "redirect_uri must be http://127.0.0.1:<port>/callback or http://[::1]:<port>/callback. Start the sign-in again from the command line.";
        Refusal::new(Reason::InvalidRequest, message)
    };
    let url = Url::parse(redirect_uri).map_err(|_| refused())?;
    let port = url.port().ok_or_else(refused)?;
    let plain = |host: &str| redirect_uri == format!("http://{host}:{port}/callback");
    if plain("127.0.0.1") || plain("[::1]") { Ok(url) } else { Err(refused()) }
}

/// Begins a sign-in. The answer: where the browser goes, and what it must hold when it comes back.
pub async fn begin(app: &App, destination: Destination, asked: Asked) -> Result<(Url, Browser)> {
    let browser = Browser { state: Ticket::generate(), ticket: Ticket::generate() };
    let begun = app.sign_in_provider().await?.begin(&browser.state);
    let sign_in = SignIn {
        destination,
        asked,
        stage: Stage::Begun,
        browser: browser.ticket.digest(),
        nonce: begun.nonce.secret().clone(),
        verifier: begun.verifier.secret().clone(),
        person: None,
        ends_at: SignIn::end(app.clock().now()),
    };
    app.store().await.begin_sign_in(&browser.state.digest(), &sign_in).await?;
    Ok((begun.url, browser))
}

/// The browser comes back from the provider. Each state is good for one answer.
pub async fn returned(app: &App, browser: &Browser, returned: Returned, issuer: Option<&str>) -> Result<()> {
    let (store, now) = (app.store().await, app.clock().now());
    let state = browser.state.digest();
    let sign_in = find(app, browser).await?;
    let provider = app.sign_in_provider().await?;
    provider.require_issuer(issuer)?;
    let seen = SignIn { stage: Stage::Returned, ..sign_in.clone() };
    if sign_in.stage != Stage::Begun || !store.advance_sign_in(&state, Stage::Begun, &seen).await? {
        return Err(used());
    }
    let code = match returned {
        Returned::Code(code) => code,
        Returned::Refused(_) => return deny(app, browser, Stage::Returned, &sign_in).await.map(|_| ()),
    };
    let nonce = openidconnect::Nonce::new(sign_in.nonce.clone());
    let person = provider.identify(code, sign_in.verifier.clone(), &nonce).await?;
    store.recognise(&person, now).await?;
    let mut identified = SignIn { stage: Stage::Identified, person: Some(person), ..sign_in };
    if let Destination::Device { user_code: Some(typed), .. } = identified.destination.clone() {
        enter_code(app, &mut identified, &typed).await?;
    }
    store.advance_sign_in(&state, Stage::Returned, &identified).await?;
    Ok(())
}

/// Where a browser's sign-in stands.
pub async fn standing(app: &App, browser: &Browser) -> Result<Standing> {
    let sign_in = find(app, browser).await?;
    let Some(person) = sign_in.person.clone().filter(|_| sign_in.stage == Stage::Identified) else {
        return decided(browser, &sign_in);
    };
    let (asked, user_code, redirect_uri) = match &sign_in.destination {
        Destination::Loopback { redirect_uri, .. } => {
            (sign_in.asked.clone(), None, Some(redirect_uri.clone()))
        }
        Destination::Device { user_code, device } => match open_device(app, device.as_deref()).await? {
            Some(device) => (device.asked, user_code.as_deref().and_then(UserCode::parse), None),
            None => return Ok(Standing::CodeWanted { wrong: user_code.is_some() }),
        },
    };
    let entered = app.store().await.memberships(&person).await?;
    let choices = entered
        .into_iter()
        .map(|entered| Choice { scopes: asked.within(&entered.scopes), entered })
        .collect();
    let asked = asked.workspace;
    Ok(Standing::Deciding(Box::new(Deciding { person, choices, asked, user_code, redirect_uri })))
}

/// The person decides. What was decided before stays: a second click is answered as the first one was.
pub async fn decide(app: &App, browser: &Browser, form: &str, decision: Decision) -> Result<Standing> {
    let sign_in = find(app, browser).await?;
    if form.parse::<Ticket>().ok().is_none_or(|form| form.digest() != browser.form_ticket().digest()) {
        let message =
            "The form is not one of this sign-in. Go back to the page and try again, or start again.";
        return Err(Refusal::new(Reason::InvalidRequest, message));
    }
    if sign_in.stage != Stage::Identified {
        return decided(browser, &sign_in);
    }
    match decision {
        Decision::Approve(workspace) => approve(app, browser, &sign_in, workspace).await,
        Decision::Deny => deny(app, browser, Stage::Identified, &sign_in).await,
        Decision::Code(typed) => {
            let mut changed = sign_in;
            enter_code(app, &mut changed, &typed).await?;
            let state = browser.state.digest();
            app.store().await.advance_sign_in(&state, Stage::Identified, &changed).await?;
            standing(app, browser).await
        }
    }
}

async fn approve(app: &App, browser: &Browser, sign_in: &SignIn, workspace: WorkspaceId) -> Result<Standing> {
    let (store, now, state) = (app.store().await, app.clock().now(), browser.state.digest());
    let person = sign_in.person.clone().ok_or_else(used)?;
    let entered = store.enter(&person, workspace).await?.ok_or_else(|| {
        let message = "You are not a member of that workspace. Choose another one, or ask its administrator to add you.";
        Refusal::new(Reason::AccessDenied, message)
    })?;
    let grant = |asked: &Asked| {
        let scopes = asked.within(&entered.scopes);
        let workspace_id = entered.workspace.id;
        (!scopes.is_empty()).then_some(Grant { person, workspace_id, scopes }).ok_or_else(|| {
            let message = "You may grant nothing of what is asked for in that workspace. Choose another one, or ask its administrator.";
            Refusal::new(Reason::AccessDenied, message)
        })
    };
    match &sign_in.destination {
        Destination::Loopback { redirect_uri, challenge, .. } => {
            let (grant, sent) = (grant(&sign_in.asked)?, (redirect_uri.as_str(), challenge.as_str()));
            store.approve_with_code(&state, sign_in, &browser.code(), sent, &grant, now).await?;
        }
        Destination::Device { device, .. } => {
            let Some(open) = open_device(app, device.as_deref()).await? else { return Err(device_gone()) };
            let grant = grant(&open.asked)?;
            let device = device.as_deref().unwrap_or_default();
            store.decide_device(&state, sign_in, device, Some(&grant), now).await?;
        }
    }
    settled(app, browser).await
}

async fn deny(app: &App, browser: &Browser, from: Stage, sign_in: &SignIn) -> Result<Standing> {
    let (store, now, state) = (app.store().await, app.clock().now(), browser.state.digest());
    match &sign_in.destination {
        Destination::Device { device: Some(device), .. } if from == Stage::Identified => {
            store.decide_device(&state, sign_in, device, None, now).await?;
        }
        _ => {
            let denied = SignIn { stage: Stage::Denied, ..sign_in.clone() };
            store.advance_sign_in(&state, from, &denied).await?;
        }
    }
    settled(app, browser).await
}

/// What was decided, by this call or by another at the same moment.
async fn settled(app: &App, browser: &Browser) -> Result<Standing> {
    let sign_in = find(app, browser).await?;
    if sign_in.stage == Stage::Identified {
        return Err(device_gone());
    }
    decided(browser, &sign_in)
}

fn decided(browser: &Browser, sign_in: &SignIn) -> Result<Standing> {
    let approved = match sign_in.stage {
        Stage::Approved => true,
        Stage::Denied => false,
        Stage::Begun | Stage::Returned | Stage::Identified => return Err(used()),
    };
    let Destination::Loopback { redirect_uri, state, .. } = &sign_in.destination else {
        return Ok(Standing::Settled(approved));
    };
    let mut url = loopback(redirect_uri)?;
    let mut query = url.query_pairs_mut();
    if approved {
        query.append_pair("code", browser.code().reveal());
    } else {
        query.append_pair("error", Reason::AccessDenied.as_str());
        query.append_pair("error_description", "The person did not agree.");
    }
    if let Some(state) = state {
        query.append_pair("state", state);
    }
    drop(query);
    Ok(Standing::Back(url))
}

/// Looks up what a person has typed. What is not a code of a device that waits is counted.
async fn enter_code(app: &App, sign_in: &mut SignIn, typed: &str) -> Result<()> {
    let (store, now) = (app.store().await, app.clock().now());
    let code = UserCode::parse(typed);
    let mut device = None;
    if let Some(code) = &code {
        device = store.device_of(code).await?;
    }
    if open_device(app, device.as_deref()).await?.is_none() {
        device = None;
        let person = sign_in.person.as_ref().ok_or_else(used)?;
        if !store.may_guess(person, now).await? {
            let message = "Too many codes were wrong. Wait ten minutes, then start again on the device.";
            return Err(Refusal::new(Reason::SlowDown, message));
        }
    }
    let shown = code.map_or_else(|| typed.chars().take(20).collect(), |code| code.to_string());
    sign_in.destination = Destination::Device { user_code: Some(shown), device };
    Ok(())
}

async fn open_device(app: &App, device: Option<&str>) -> Result<Option<Device>> {
    let Some(device) = device else { return Ok(None) };
    let found = app.store().await.device(device).await?;
    Ok(found.filter(|device| device.is_open(app.clock().now())))
}

/// The sign-in of this browser, if it is not too late.
async fn find(app: &App, browser: &Browser) -> Result<SignIn> {
    let found = app.store().await.sign_in(&browser.state.digest()).await?;
    let found = found.filter(|sign_in| sign_in.browser == browser.ticket.digest());
    let sign_in = found.ok_or_else(unknown)?;
    if is_over(&sign_in, app.clock().now()) {
        let message = "This sign-in has taken more than ten minutes. Start again.";
        return Err(Refusal::new(Reason::InvalidRequest, message));
    }
    Ok(sign_in)
}

fn is_over(sign_in: &SignIn, now: OffsetDateTime) -> bool {
    sign_in.ends_at <= now.unix_timestamp()
}

/// The same whether there is no such sign-in or it is another browser's.
pub fn unknown() -> Refusal {
    let message = "This browser has begun no such sign-in, or its cookies are off. Start again, and finish in the same browser.";
    Refusal::new(Reason::InvalidRequest, message)
}

fn used() -> Refusal {
    Refusal::new(Reason::InvalidRequest, "This answer of the identity provider was used before. Start again.")
}

fn device_gone() -> Refusal {
    let message = "The device's code has expired, or it was decided on already. Start again on the device.";
    Refusal::new(Reason::ExpiredToken, message)
}

/// Refuses a client that is none of ours.
pub fn require_client(client_id: Option<&str>) -> Result<()> {
    if client_id == Some(CLIENT) {
        return Ok(());
    }
    let shown: String = client_id.unwrap_or_default().chars().take(40).collect();
    let message = format!("\"{shown}\" is no client_id that is known here. It is {CLIENT}.");
    Err(Refusal::new(Reason::InvalidClient, message))
}

/// Reads the challenge of a client, which must be of SHA-256.
pub fn challenge(challenge: Option<&str>, method: Option<&str>) -> Result<Challenge> {
    let refused = |message: &str| Refusal::new(Reason::InvalidRequest, message);
    if method != Some("S256") {
        return Err(refused("code_challenge_method must be S256."));
    }
    let parsed = challenge.and_then(Challenge::parse);
    parsed.ok_or_else(|| {
        refused("code_challenge must be the SHA-256 of the verifier in base64url, 43 characters.")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_listens_on_a_port_of_this_machine_by_number() {
        for good in ["http://127.0.0.1:49152/callback", "http://[::1]:8000/callback"] {
            assert!(loopback(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "http://127.0.0.1/callback",
            "http://127.0.0.1:0080/callback",
            "https://127.0.0.1:8000/callback",
            "http://localhost:8000/callback",
            "http://127.0.0.1:8000/callback/../x",
            "http://127.0.0.1:8000/callback?next=http://evil.example",
            "http://127.0.0.1:8000/callback#x",
            "http://127.0.0.1:8000@evil.example/callback",
            "http://user@127.0.0.1:8000/callback",
            "http://127.0.0.1.evil.example:8000/callback",
            "http://2130706433:8000/callback",
            "http://127.0.0.1:8000/",
            "javascript:alert(1)",
        ] {
            assert!(loopback(bad).is_err(), "{bad}");
        }
    }
}
