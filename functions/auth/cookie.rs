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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn config(base_url: &str) -> Config {
        let document = serde_json::json!({
            "base_url": base_url, "issuer": "https://id.example", "client_id": "us", "client_secret": "s",
        });
        Config::parse(&document.to_string()).unwrap().unwrap()
    }

    #[test]
    fn where_browsers_reach_us_encrypted_the_cookie_is_this_hosts_alone() {
        let browser = Browser { state: Ticket::generate(), ticket: Ticket::generate() };
        let cookie = set(&config("https://api.example"), &browser);
        assert!(cookie.starts_with("__Host-persona-sign-in-"), "{cookie}");
        assert!(cookie.ends_with("; Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure"), "{cookie}");
        let cookie = set(&config("http://127.0.0.1:9000"), &browser);
        assert!(cookie.starts_with("persona-sign-in-") && !cookie.contains("Secure"), "{cookie}");
    }

    #[test]
    fn each_sign_in_has_a_cookie_of_its_own() {
        let config = config("https://api.example");
        assert_ne!(name(&config, &Ticket::generate()), name(&config, &Ticket::generate()));
    }
}
