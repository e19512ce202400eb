//! `persona auth`: who is signed in, as whom, and for how long.

mod browser;
mod oauth;

use std::io::IsTerminal;

use clap::{Args, Subcommand};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use url::Url;

use super::{input, keys::Scope, listing};
use crate::{
    Result,
    api::Api,
    arguments::{API_KEY, Session},
    failure::{Class, Failure},
    screen::{STRONG, visible},
    secrets::{Place, Secrets},
    settings::{self, Profile, Settings},
};
use oauth::{Granted, Service};

/// Sign in and out.
#[derive(Subcommand)]
pub(crate) enum Auth {
    /// Sign in through the browser
    Login(Login),
    /// Show who is signed in
    Status,
    /// Sign out: the key is revoked and forgotten
    Logout,
    /// Print the key that is used, for scripts
    Token,
}

/// How to sign in.
#[derive(Args)]
pub(crate) struct Login {
    /// Show a code to enter in a browser elsewhere
    #[arg(long, conflicts_with_all = ["no_browser", "with_key"])]
    device: bool,
    /// Show the address instead of opening it
    #[arg(long, conflicts_with = "with_key")]
    no_browser: bool,
    /// Read a key from standard input instead
    #[arg(long)]
    with_key: bool,
    /// What the key may do
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "read,write,chat",
        conflicts_with = "with_key"
    )]
    scope: Vec<Scope>,
}

impl Auth {
    /// Does it.
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<()> {
        match self {
            Self::Login(login) => login.run(session).await,
            Self::Status => status(session).await,
            Self::Logout => logout(session).await,
            Self::Token => {
                let api = session.api()?;
                session.screen.line(api.key().expose_secret())
            }
        }
    }
}

/// A key, and what the profile says of it.
struct Signed {
    key: SecretString,
    profile: Profile,
}

impl Login {
    async fn run(self, session: &Session<'_>) -> Result<()> {
        let mut settings = Settings::read()?;
        let name = session.profile_name(&settings);
        let before = settings.profile(&name)?;
        let base = session.base(&before.clone().unwrap_or_default())?;
        let signed = if self.with_key {
            with_key(session, &base).await?
        } else {
            self.granted(session, &base).await?
        };
        // The key that this one replaces would go on for weeks, used by nobody.
        if let Some(before) = before {
            let _ = revoked(&settings, &name, &before).await;
        }
        let secrets = Secrets::beside(&settings);
        let place = secrets.keep(&name, &signed.key)?;
        let profile =
            Profile { secret: Some(place), base_url: Some(settings::told(&base)), ..signed.profile };
        settings.keep(&name, &profile)?;
        told(session, &name, &profile)
    }

    /// A key that a person has granted in a browser.
    async fn granted(&self, session: &Session<'_>, base: &Url) -> Result<Signed> {
        let service = Service::discovered(base).await?;
        let scopes: Vec<&str> = self.scope.iter().map(|scope| scope.name()).collect();
        let by_device = self.device || (!self.no_browser && !browser::is_there());
        let granted = if by_device {
            service.by_device(session.screen, &scopes, session.workspace()).await?
        } else {
            service.by_browser(session.screen, &scopes, session.workspace(), self.no_browser).await?
        };
        Ok(signed(granted))
    }
}

fn signed(granted: Granted) -> Signed {
    let expires = (time::OffsetDateTime::now_utc() + granted.lasts).truncate_to_second();
    let profile = Profile {
        workspace: Some(granted.workspace),
        key_id: Some(granted.key_id),
        email: granted.email,
        expires_at: expires.format(&time::format_description::well_known::Rfc3339).ok(),
        ..Profile::default()
    };
    Signed { key: granted.key, profile }
}

/// A key that somebody brings along. It is tried before it is kept.
async fn with_key(session: &Session<'_>, base: &Url) -> Result<Signed> {
    if std::io::stdin().is_terminal() {
        session.screen.note("Paste the key, then Ctrl-D:");
    }
    let text = input::text(std::path::Path::new("-")).await?;
    let text = text.trim();
    if !(text.starts_with("pk_live_") || text.starts_with("pk_test_")) {
        let message = "What standard input holds is no key: keys begin with pk_live_ or pk_test_.";
        return Err(Failure::new(Class::Authentication, message));
    }
    let key = SecretString::from(text.to_owned());
    let api = Api::new(base.clone(), key.clone(), session.workspace().map(str::to_owned))?;
    let workspace = api.get(&["workspace"]).value().await?;
    let profile = Profile { workspace: workspace["id"].as_str().map(str::to_owned), ..Profile::default() };
    Ok(Signed { key, profile })
}

fn told(session: &Session<'_>, name: &str, profile: &Profile) -> Result<()> {
    let screen = session.screen;
    if screen.is_json() {
        return screen.json_line(&json!({"profile": name, "signed_in": true, "details": profile}));
    }
    let workspace = visible(profile.workspace.as_deref().unwrap_or("-"));
    let email = profile.email.as_deref().map(|email| format!(" as {}", visible(email))).unwrap_or_default();
    screen.line(format_args!("Signed in{email} to {STRONG}{workspace}{STRONG:#} (profile \"{name}\")."))?;
    if let Some(expires) = &profile.expires_at {
        screen.note(format_args!("The key lasts until {expires}."));
    }
    if profile.secret == Some(Place::File) {
        screen.note("The key lies in a file that you alone may read, not in a keyring.");
    }
    Ok(())
}

async fn status(session: &Session<'_>) -> Result<()> {
    let identity = session.identity()?;
    let Some(key) = identity.key else {
        return Err(Failure::new(
            Class::Authentication,
            format!("Nobody is signed in (profile \"{}\").", identity.name),
        )
        .hint("sign in: persona auth login"));
    };
    let secret = key.expose_secret();
    let tail: String = secret.chars().skip(secret.chars().count().saturating_sub(4)).collect();
    let head: String = secret.chars().take(8).collect();
    let (base, profile) = (settings::told(&identity.base), identity.profile);
    let from = match (identity.is_of_environment, profile.secret) {
        (true, _) => API_KEY,
        (false, Some(Place::Keyring)) => "the keyring",
        (false, _) => "a file",
    };
    let workspace = Api::new(identity.base, key, identity.workspace)?.get(&["workspace"]).value().await?;
    let mut status = json!({
        "base_url": base, "key": format!("{head}…{tail}"), "key_from": from, "workspace": workspace["id"],
        "name": workspace["name"], "mode": workspace["mode"], "plan": workspace["plan"],
    });
    if !identity.is_of_environment {
        let more = [
            ("profile", json!(identity.name)),
            ("email", json!(profile.email)),
            ("expires_at", json!(profile.expires_at)),
        ];
        for (name, value) in more.into_iter().filter(|(_, value)| !value.is_null()) {
            status[name] = value;
        }
    }
    session.screen.object(&status)
}

async fn logout(session: &Session<'_>) -> Result<()> {
    let mut settings = Settings::read()?;
    let name = session.profile_name(&settings);
    let Some(profile) = settings.profile(&name)? else {
        return Err(Failure::new(
            Class::Authentication,
            format!("Nobody is signed in (profile \"{name}\")."),
        ));
    };
    let ended = revoked(&settings, &name, &profile).await;
    if let Some(place) = profile.secret {
        Secrets::beside(&settings).forget(&name, place)?;
    }
    settings.forget(&name)?;
    let was_revoked = ended.map_err(|failure| {
        let key = profile.key_id.as_deref().unwrap_or("the key");
        let message = format!("Signed out here, but {key} was not revoked: {}", failure.message);
        failure.retold(message).hint(format!("revoke it with another key: persona keys revoke {key}"))
    })?;
    let gone: Value = json!({"profile": name, "signed_in": false, "revoked": was_revoked});
    let told = if was_revoked {
        "Signed out; the key is revoked."
    } else {
        "Signed out; the key, which was brought along, still works."
    };
    session.screen.done(&gone, told)?;
    if std::env::var_os(API_KEY).is_some() {
        session.screen.hint(format_args!("{API_KEY} is still set, and is used"));
    }
    Ok(())
}

/// Revokes the key that a sign-in made; one that was brought along is its owner's.
async fn revoked(settings: &Settings, name: &str, profile: &Profile) -> Result<bool> {
    let (Some(place), Some(_)) = (profile.secret, &profile.key_id) else { return Ok(false) };
    let Some(key) = Secrets::beside(settings).read(name, place)? else { return Ok(false) };
    let base = settings::base_url(profile.base_url.as_deref().unwrap_or(settings::BASE_URL))?;
    oauth::revoke(&base, &key).await?;
    Ok(true)
}

/// What a value of an answer says.
fn text(value: &Value, pointer: &str) -> String {
    listing::cell(value.pointer(pointer))
}
