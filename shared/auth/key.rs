//! The part of signing in that programs see: a grant becomes a key, once, and the key ends.

use super::{
    CLIENT_NAME, CODE_SECONDS,
    grant::{Asked, Grant},
    refusal::{Reason, Refusal, Result},
    ticket::{Challenge, Ticket, UserCode},
};
use crate::{
    app::App,
    error::Code,
    id::KeyId,
    key::ApiKey,
    store::{
        auth::{Decided, Entered, Place, Polled},
        keys::{KeyDraft, KeyRecord},
    },
};

/// A key that somebody got by signing in.
#[derive(Debug)]
pub struct Minted {
    /// As its owner sees it.
    pub record: KeyRecord,
    /// The key itself.
    pub secret: ApiKey,
    /// Where it is good.
    pub entered: Entered,
    /// Whose it is.
    pub grant: Grant,
}

/// A device that may now be approved.
#[derive(Debug)]
pub struct BegunDevice {
    /// What it asks with.
    pub device_code: Ticket,
    /// What it shows.
    pub user_code: UserCode,
}

/// User codes that are tried until one is free; there are 25 billion.
const TRIES: usize = 3;

/// A device asks to be approved.
pub async fn begin_device(app: &App, asked: Asked) -> Result<BegunDevice> {
    let (store, now) = (app.store().await, app.clock().now());
    for _ in 0..TRIES {
        let begun = BegunDevice { device_code: Ticket::generate(), user_code: UserCode::generate() };
        if store.begin_device(&begun.device_code.digest(), &begun.user_code, asked.clone(), now).await? {
            return Ok(begun);
        }
    }
    Err(Refusal::new(Reason::ServerError, "No code was free. Try again.").because("user codes collide"))
}

/// Redeems a code, for whoever can prove that they asked for it.
pub async fn redeem_code(app: &App, code: &str, redirect_uri: &str, verifier: &str) -> Result<Minted> {
    let refused = |message: &str| Refusal::new(Reason::InvalidGrant, message);
    let unknown = || refused("The code is unknown. Sign in again.");
    let digest = code.parse::<Ticket>().map_err(|_| unknown())?.digest();
    let known = app.store().await.code(&digest).await?.ok_or_else(unknown)?;
    if known.redirect_uri != redirect_uri {
        return Err(refused("redirect_uri is not the one that the code was asked for with."));
    }
    if !Challenge::parse(&known.challenge).is_some_and(|challenge| challenge.is_met_by(verifier)) {
        return Err(refused("code_verifier does not fit the challenge that the code was asked for with."));
    }
    if known.ends_at <= app.clock().now().unix_timestamp() {
        let message = format!("The code is older than {CODE_SECONDS} seconds. Sign in again.");
        return Err(refused(&message));
    }
    mint(app, Place::code(&digest), known.grant).await
}

/// A device asks how it stands; once it was approved, it gets its key.
pub async fn redeem_device(app: &App, device_code: &str) -> Result<Minted> {
    let unknown = || Refusal::new(Reason::InvalidGrant, "The device code is unknown. Start again.");
    let digest = device_code.parse::<Ticket>().map_err(|_| unknown())?.digest();
    let now = app.clock().now();
    let device = match app.store().await.poll_device(&digest, now).await? {
        Polled::Unknown => return Err(unknown()),
        Polled::TooSoon => {
            let message = "Asked too soon. Wait five seconds longer between two questions.";
            return Err(Refusal::new(Reason::SlowDown, message));
        }
        Polled::Known(device) => device,
    };
    match (device.status, device.grant) {
        (Decided::Denied, _) => {
            Err(Refusal::new(Reason::AccessDenied, "The person did not agree. Nothing was granted."))
        }
        _ if device.ends_at <= now.unix_timestamp() => {
            Err(Refusal::new(Reason::ExpiredToken, "Nobody has approved the device in time. Start again."))
        }
        (Decided::Approved, Some(grant)) => mint(app, Place::device(&digest), grant).await,
        _ => {
            Err(Refusal::new(Reason::AuthorizationPending, "Nobody has approved the device yet. Ask again."))
        }
    }
}

/// Makes the key of a grant. A grant that is redeemed again makes none, and ends the one that it has made: one of the two
/// who redeem it is not who it was given to.
async fn mint(app: &App, place: Place<'_>, grant: Grant) -> Result<Minted> {
    let (store, now, id) = (app.store().await, app.clock().now(), KeyId::new());
    if !store.claim_grant(place, id).await? {
        store.spoil_grant(place, now).await?;
        return Err(replayed());
    }
    let entered = entered(app, &grant).await?;
    // What they may do may have become less since they agreed.
    let scopes = Asked { scopes: grant.scopes.clone(), workspace: None }.within(&entered.scopes);
    let draft = KeyDraft { name: name(&grant), scopes, expires_in_days: None };
    let person = grant.person.digest();
    let made = store.redeem_grant(place, &entered, &draft, (id, &person), now).await.map_err(no_room)?;
    let Some((record, secret)) = made else {
        self::entered(app, &grant).await?;
        return Err(replayed());
    };
    Ok(Minted { record, secret, entered, grant })
}

/// The workspace of a grant, if the person is a member of it at this moment.
async fn entered(app: &App, grant: &Grant) -> Result<Entered> {
    let found = app.store().await.enter(&grant.person, grant.workspace_id).await?;
    found.ok_or_else(|| {
        let message =
            "You are no longer a member of the workspace. Ask its administrator, or choose another one.";
        Refusal::new(Reason::AccessDenied, message)
    })
}

/// Ends a key that somebody got by signing in, for whoever holds it.
pub async fn revoke(app: &App, token: &str) -> Result<()> {
    // What is no key at all has ended already (RFC 7009 2.2).
    let Ok(key) = token.parse::<ApiKey>() else { return Ok(()) };
    if app.store().await.end_signed_in(&key, app.clock().now()).await? {
        return Ok(());
    }
    let message = "This key was not made by signing in, so it cannot end in this way. Use DELETE /v1/keys/{key} with an admin key.";
    Err(Refusal::new(Reason::UnsupportedTokenType, message))
}

/// What the workspace's administrators see of the key.
fn name(grant: &Grant) -> String {
    format!("{} of {}", CLIENT_NAME.trim_start_matches("Persona "), grant.person.shown())
        .chars()
        .take(100)
        .collect()
}

fn replayed() -> Refusal {
    let message = "This was redeemed before, so the key that it made was revoked. Sign in again.";
    Refusal::new(Reason::InvalidGrant, message)
}

fn no_room(error: crate::Error) -> Refusal {
    match error.code {
        Code::RequestInvalid => Refusal::new(Reason::AccessDenied, error.message),
        _ => error.into(),
    }
}
