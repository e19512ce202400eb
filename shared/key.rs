//! API keys: `pk_live_` or `pk_test_`, 43 base62 characters of randomness, 6 of CRC-32, so that a scanner can tell
//! a real key offline. Stored only as SHA-256.

use std::{fmt, str::FromStr};

use rand::RngExt;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    Usd,
    error::{Code, Error, Result},
    id::{KeyId, WorkspaceId},
    tenant::Tenant,
};

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const RANDOM_WIDTH: usize = 43;
const CRC_WIDTH: usize = 6;

/// Days from a key's creation to its end.
pub const LIFETIME_DAYS: u64 = 90;
/// Days before the end from which answers carry `Persona-Key-Expires`.
pub const WARNING_DAYS: u64 = 14;

/// Whether a workspace, and each of its keys, does real work or sandbox work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Real providers, real money.
    Live,
    /// The built-in sandbox model; free and deterministic.
    Test,
}

impl Mode {
    /// How its keys begin.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Live => "pk_live_",
            Self::Test => "pk_test_",
        }
    }
}

/// What a workspace pays for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Plan {
    /// Free of charge.
    Free,
    /// For one developer.
    Pro,
    /// For a team; may choose pipelines.
    Team,
    /// By contract.
    Enterprise,
}

/// A plan's request rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Requests a minute, sustained.
    pub per_minute: u32,
    /// Requests at once after a pause: the bucket's size.
    pub burst: u32,
}

impl Rate {
    /// Milliseconds in which one token comes back, in micro-steps so that odd rates stay exact: microseconds.
    pub const fn interval_micros(self) -> i64 {
        60_000_000 / self.per_minute as i64
    }
}

impl Plan {
    /// The plan's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Pro => "pro",
            Self::Team => "team",
            Self::Enterprise => "enterprise",
        }
    }

    /// Request rate of the plan.
    pub const fn rate(self) -> Rate {
        match self {
            Self::Free => Rate { per_minute: 60, burst: 30 },
            Self::Pro => Rate { per_minute: 600, burst: 120 },
            Self::Team => Rate { per_minute: 3_000, burst: 600 },
            Self::Enterprise => Rate { per_minute: 30_000, burst: 6_000 },
        }
    }
}

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Read personas, runs, the workspace.
    Read,
    /// Create, edit, delete.
    Write,
    /// Converse.
    Chat,
    /// Everything, private personas of other keys included.
    Admin,
    /// No key has this one: a route of it is for every key, and asks for more where a call needs more.
    #[serde(skip_deserializing)]
    Any,
}

impl Scope {
    /// The scope's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Chat => "chat",
            Self::Admin => "admin",
            Self::Any => "any",
        }
    }
}

/// A key as its owner holds it. Never logged: `Debug` shows the mask.
#[derive(Clone)]
pub struct ApiKey {
    mode: Mode,
    secret: SecretString,
}

/// The text is not a key: wrong prefix, length, alphabet or checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an API key")]
pub struct InvalidKey;

impl ApiKey {
    /// A new key from the system's randomness.
    pub fn generate(mode: Mode) -> Self {
        let mut random = rand::rng();
        let mut text = String::with_capacity(8 + RANDOM_WIDTH + CRC_WIDTH);
        text.push_str(mode.prefix());
        for _ in 0..RANDOM_WIDTH {
            text.push(DIGITS[random.random_range(0..62)] as char);
        }
        let crc = checksum(&text);
        text.push_str(&crc);
        Self { mode, secret: text.into() }
    }

    /// Live or test, as the prefix says.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// SHA-256 of the whole key in hex: all that is stored.
    pub fn hash(&self) -> String {
        hex(&Sha256::digest(self.secret.expose_secret().as_bytes()))
    }

    /// As lists show it: `pk_live_…wXyZ`.
    pub fn masked(&self) -> String {
        let text = self.secret.expose_secret();
        format!("{}…{}", self.mode.prefix(), &text[text.len() - 4..])
    }

    /// The key itself, shown once at creation.
    pub fn reveal(&self) -> &str {
        self.secret.expose_secret()
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl FromStr for ApiKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let mode = [Mode::Live, Mode::Test]
            .into_iter()
            .find(|mode| text.starts_with(mode.prefix()))
            .ok_or(InvalidKey)?;
        let well_formed = text.len() == mode.prefix().len() + RANDOM_WIDTH + CRC_WIDTH
            && text[mode.prefix().len()..].bytes().all(|b| b.is_ascii_alphanumeric());
        if !well_formed {
            return Err(InvalidKey);
        }
        let (body, crc) = text.split_at(text.len() - CRC_WIDTH);
        if checksum(body) != crc {
            return Err(InvalidKey);
        }
        Ok(Self { mode, secret: text.to_owned().into() })
    }
}

/// CRC-32 (IEEE) in six base62 digits, most significant first.
fn checksum(body: &str) -> String {
    let mut value = crc32fast::hash(body.as_bytes()) as usize;
    let mut digits = [0u8; CRC_WIDTH];
    for slot in digits.iter_mut().rev() {
        *slot = DIGITS[value % 62];
        value /= 62;
    }
    digits.iter().map(|&b| b as char).collect()
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Who calls: made by authentication alone.
#[derive(Debug, Clone)]
pub struct Caller {
    pub(crate) tenant: Tenant,
    /// The key used.
    pub key_id: KeyId,
    /// Live or test.
    pub mode: Mode,
    /// The workspace's plan.
    pub plan: Plan,
    /// What the key may do.
    pub scopes: Vec<Scope>,
    /// When the key ends, milliseconds since the epoch.
    pub expires_at_millis: i64,
    /// The workspace's active pipeline.
    pub pipeline: String,
    /// What the workspace's runs may spend in a month.
    pub monthly_budget: Option<Usd>,
}

impl Caller {
    /// The caller's tenant.
    pub fn tenant(&self) -> &Tenant {
        &self.tenant
    }

    /// The caller's workspace.
    pub fn workspace(&self) -> WorkspaceId {
        self.tenant.workspace()
    }

    /// Whether the key may do everything in its workspace.
    pub fn is_admin(&self) -> bool {
        self.scopes.contains(&Scope::Admin)
    }

    /// Refuses a key whose scopes do not cover `needed`; `admin` covers all.
    pub fn require(&self, needed: Scope) -> Result<()> {
        if needed == Scope::Any || self.is_admin() || self.scopes.contains(&needed) {
            return Ok(());
        }
        let has: Vec<_> = self.scopes.iter().map(|s| s.as_str()).collect();
        Err(Error::new(
            Code::InsufficientScope,
            format!(
                "This call needs the scope \"{}\"; the key has {}. Use a key with that scope.",
                needed.as_str(),
                if has.is_empty() { "none".to_owned() } else { format!("\"{}\"", has.join("\", \"")) },
            ),
        ))
    }

    /// Refuses a workspace below `plan`.
    pub fn require_plan(&self, plan: Plan, feature: &str) -> Result<()> {
        if self.plan >= plan {
            return Ok(());
        }
        Err(Error::new(
            Code::UpgradeRequired,
            format!(
                "{feature} needs the {} plan or above; this workspace is on {}. Leave it out or upgrade.",
                plan.as_str(),
                self.plan.as_str()
            ),
        ))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_generated_key_is_recognised_offline() {
        for mode in [Mode::Live, Mode::Test] {
            let key = ApiKey::generate(mode);
            let again: ApiKey = key.reveal().parse().unwrap();
            assert_eq!(again.mode(), mode);
            assert_eq!(again.hash(), key.hash());
            assert_eq!(key.reveal().len(), 8 + 43 + 6);
        }
    }

    #[test]
    fn debug_never_shows_a_key() {
        let key = ApiKey::generate(Mode::Live);
        assert!(!format!("{key:?}").contains(&key.reveal()[8..40]));
    }

    proptest! {
        #[test]
        fn one_wrong_character_is_noticed(at in 8usize..57, with in 0usize..62) {
            let key = ApiKey::generate(Mode::Test);
            let mut bytes = key.reveal().as_bytes().to_vec();
            prop_assume!(bytes[at] != DIGITS[with]);
            bytes[at] = DIGITS[with];
            prop_assert!(ApiKey::from_str(&String::from_utf8(bytes).unwrap()).is_err());
        }

        #[test]
        fn any_text_is_refused_without_panic(text in "\\PC{0,70}") {
            prop_assert!(ApiKey::from_str(&text).is_err());
        }
    }
}
