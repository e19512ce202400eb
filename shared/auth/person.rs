//! People: who the provider says that somebody is. A person is an issuer and a subject there; addresses change hands.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    error::{Error, Result},
    key::hex,
};

const LENGTH_MOST: usize = 254;

/// An e-mail address as memberships name people by: trimmed and in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Email(String);

impl Email {
    /// What may be an address: something, an at sign, something; no spaces, at most 254 bytes.
    pub fn parse(text: &str) -> Result<Self> {
        let address = text.trim().to_lowercase();
        let named = address
            .split_once('@')
            .is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@'));
        let printable = !address.chars().any(|letter| letter.is_whitespace() || letter.is_control());
        if named && printable && address.len() <= LENGTH_MOST {
            return Ok(Self(address));
        }
        let shown: String = text.chars().take(60).collect();
        Err(Error::invalid("email", format!("\"{shown}\" is no e-mail address.")))
    }

    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What keys of items are made of.
    pub fn digest(&self) -> String {
        hex(&Sha256::digest(self.0.as_bytes()))
    }
}

/// Somebody who has signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// The provider.
    pub issuer: String,
    /// Who it is there; never given to anybody else.
    pub subject: String,
    /// The address that the provider has verified; `None` where it has none, or has not verified it.
    pub email: Option<Email>,
}

impl Person {
    /// Who it is, in keys of items and in keys' records.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        hash.update((self.issuer.len() as u64).to_be_bytes());
        hash.update(self.issuer.as_bytes());
        hash.update(self.subject.as_bytes());
        hex(&hash.finalize())
    }

    /// How the person is called: the address, or the provider's own name for them.
    pub fn shown(&self) -> &str {
        self.email.as_ref().map_or(self.subject.as_str(), Email::as_str)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn an_address_is_the_same_in_any_case() {
        let address = Email::parse(" Ada@Example.org ").unwrap();
        assert_eq!(address.as_str(), "ada@example.org");
        for wrong in [
            "",
            "ada",
            "@example.org",
            "ada@",
            "a da@example.org",
            "a@b@c",
            &format!("{}@x", "a".repeat(254)),
        ] {
            assert!(Email::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_person_is_told_apart_by_issuer_and_subject_and_not_by_address() {
        let person = |issuer: &str, subject: &str, email: Option<&str>| Person {
            issuer: issuer.to_owned(),
            subject: subject.to_owned(),
            email: email.map(|text| Email::parse(text).unwrap()),
        };
        let ada = person("https://a", "1", Some("ada@example.org"));
        assert_eq!(ada.digest(), person("https://a", "1", None).digest());
        assert_ne!(ada.digest(), person("https://a", "2", Some("ada@example.org")).digest());
        assert_ne!(person("https://a", "b1", None).digest(), person("https://ab", "1", None).digest());
    }
}
