//! What is handed out once and kept only as a digest: states, cookies, codes. Whoever reads the table can use none.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use rand::RngExt;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::key::hex;

const BYTES: usize = 32;
/// The length of 32 bytes in base64url.
const WIDTH: usize = 43;

/// 256 random bits as text. Never logged.
#[derive(Debug, Clone)]
pub struct Ticket(SecretString);

/// The text is no ticket of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a ticket")]
pub struct InvalidTicket;

impl Ticket {
    /// A new one from the system's randomness.
    pub fn generate() -> Self {
        let mut bytes = [0u8; BYTES];
        rand::rng().fill(&mut bytes);
        Self(URL_SAFE_NO_PAD.encode(bytes).into())
    }

    /// Another ticket that follows from this one: who holds this one can make it again, and nobody else can.
    #[must_use]
    pub fn derived(&self, purpose: &str) -> Self {
        // HMAC takes keys of any length.
        let mac = Hmac::<Sha256>::new_from_slice(self.reveal().as_bytes()).map(|mut mac| {
            mac.update(purpose.as_bytes());
            mac.finalize().into_bytes()
        });
        Self(mac.map(|bytes| URL_SAFE_NO_PAD.encode(bytes)).unwrap_or_default().into())
    }

    /// What is stored of it: SHA-256 in hex.
    pub fn digest(&self) -> String {
        hex(&Sha256::digest(self.reveal().as_bytes()))
    }

    /// The text itself, for its holder.
    pub fn reveal(&self) -> &str {
        self.0.expose_secret()
    }
}

impl FromStr for Ticket {
    type Err = InvalidTicket;

    fn from_str(text: &str) -> Result<Self, InvalidTicket> {
        let well_formed =
            text.len() == WIDTH && URL_SAFE_NO_PAD.decode(text).is_ok_and(|it| it.len() == BYTES);
        if well_formed { Ok(Self(text.to_owned().into())) } else { Err(InvalidTicket) }
    }
}

/// What proves that who redeems a code is who asked for it (PKCE, RFC 7636), by SHA-256 alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Challenge(String);

impl Challenge {
    /// A `code_challenge` as a client sends it: 32 bytes in base64url.
    pub fn parse(text: &str) -> Option<Self> {
        let well_formed =
            text.len() == WIDTH && URL_SAFE_NO_PAD.decode(text).is_ok_and(|it| it.len() == BYTES);
        well_formed.then(|| Self(text.to_owned()))
    }

    /// Whether `verifier` (43 to 128 unreserved characters) is what it was made of.
    pub fn is_met_by(&self, verifier: &str) -> bool {
        let well_formed = (43..=128).contains(&verifier.len())
            && verifier.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
        let made = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
        well_formed && bool::from(subtle::ConstantTimeEq::ct_eq(made.as_bytes(), self.0.as_bytes()))
    }

    /// As it was sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Letters of user codes: no vowels, so that they spell nothing, and none that look alike (RFC 8628 6.1).
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
const LETTERS_OF_CODE: usize = 8;

/// The eight letters that a person reads off a device, shown as `BCDF-GHJK`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserCode(String);

impl UserCode {
    /// A new one; 34 bits, which is why guesses are counted.
    pub fn generate() -> Self {
        let mut random = rand::rng();
        let letter = |_| LETTERS[random.random_range(0..LETTERS.len())] as char;
        Self((0..LETTERS_OF_CODE).map(letter).collect())
    }

    /// As people type it: in any case, with or without the dash.
    pub fn parse(text: &str) -> Option<Self> {
        let letters = text.trim().chars().filter(|letter| !matches!(letter, '-' | ' ' | '\u{2013}'));
        let letters: String =
            letters.take(LETTERS_OF_CODE + 1).map(|letter| letter.to_ascii_uppercase()).collect();
        let known =
            letters.len() == LETTERS_OF_CODE && letters.bytes().all(|letter| LETTERS.contains(&letter));
        known.then_some(Self(letters))
    }

    /// What is stored of it.
    pub fn digest(&self) -> String {
        hex(&Sha256::digest(self.0.as_bytes()))
    }
}

impl fmt::Display for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, second) = self.0.split_at(LETTERS_OF_CODE / 2);
        write!(f, "{first}-{second}")
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_ticket_comes_back_as_it_was_handed_out_and_debug_hides_it() {
        let ticket = Ticket::generate();
        assert_eq!(ticket.reveal().parse::<Ticket>().unwrap().digest(), ticket.digest());
        assert!(!format!("{ticket:?}").contains(ticket.reveal()));
        for other in ["", "short", &"!".repeat(43), &"a".repeat(44)] {
            assert!(other.parse::<Ticket>().is_err(), "{other}");
        }
    }

    #[test]
    fn a_derived_ticket_follows_from_its_origin_and_purpose_alone() {
        let ticket = Ticket::generate();
        let code = ticket.derived("code");
        assert_eq!(code.digest(), ticket.derived("code").digest());
        assert_ne!(code.digest(), ticket.derived("csrf").digest());
        assert_ne!(code.digest(), Ticket::generate().derived("code").digest());
        assert!(code.reveal().parse::<Ticket>().is_ok());
    }

    #[test]
    fn a_challenge_is_met_by_its_verifier_alone() {
        // The example of RFC 7636, appendix B.
        let challenge = Challenge::parse("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM").unwrap();
        assert!(challenge.is_met_by("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"));
        for wrong in ["", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXK", &"a".repeat(129)] {
            assert!(!challenge.is_met_by(wrong), "{wrong}");
        }
        assert!(Challenge::parse("plain").is_none());
    }

    #[test]
    fn a_user_code_is_read_however_it_is_typed() {
        let code = UserCode::generate();
        let shown = code.to_string();
        assert_eq!((shown.len(), shown.chars().nth(4)), (9, Some('-')));
        for typed in
            [shown.to_lowercase(), shown.replace('-', ""), shown.replace('-', " "), format!(" {shown} ")]
        {
            assert_eq!(UserCode::parse(&typed), Some(code.clone()), "{typed}");
        }
        for wrong in ["", "BCDF-GHJ", "BCDF-GHJKL", "AEIO-UAEI", "<script>"] {
            assert_eq!(UserCode::parse(wrong), None, "{wrong}");
        }
    }
}
