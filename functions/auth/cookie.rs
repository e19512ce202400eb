//! The cookie that ties a sign-in to one browser. Each sign-in has one of its own, so that two tabs do not meet.

use persona::auth::{Config, SIGN_IN_SECONDS, Ticket, browser::Browser};

use crate::serve::OpenCall;

/// Characters of the state's digest in the cookie's name.
const NAMED_BY: usize = 16;

/// Its name. The prefix is a promise that browsers hold us to, where they reach us encrypted: this host's alone, never sent
/// in the clear.
fn name(config: &Config, state: &Ticket) -> String {
    let prefix = if config.is_https() { "__Host-" } else { "" };
    let digest = state.digest();
    format!("{prefix}persona-sign-in-{}", digest.get(..NAMED_BY).unwrap_or_default())
}

/// What sets it.
pub(super) fn set(config: &Config, browser: &Browser) -> String {
    let secure = if config.is_https() { "; Secure" } else { "" };
    let (name, value) = (name(config, &browser.state), browser.ticket.reveal());
    format!("{name}={value}; Path=/; Max-Age={SIGN_IN_SECONDS}; HttpOnly; SameSite=Lax{secure}")
}

/// The browser that sends it together with a state.
pub(super) fn browser(config: &Config, call: &OpenCall, state: Option<&str>) -> Option<Browser> {
    let state: Ticket = state?.parse().ok()?;
    let ticket = call.cookie(&name(config, &state))?.parse().ok()?;
    Some(Browser { state, ticket })
}
