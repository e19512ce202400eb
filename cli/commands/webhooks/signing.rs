//! Signatures of events, as the service makes them.

use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use clap::Args;

use crate::{
    Result,
    commands::input,
    failure::{Class, Failure},
    hex,
    screen::Screen,
};

/// An older signature may have been overheard.
const SECONDS_MOST: u64 = 300;

/// A delivery to check.
#[derive(Args)]
pub(crate) struct Verify {
    /// The header Persona-Signature
    #[arg(long, value_name = "t=…,v1=…")]
    signature: String,
    /// The webhook's secret
    #[arg(long, value_name = "whsec_…", env = "PERSONA_WEBHOOK_SECRET", hide_env_values = true)]
    secret: String,
}

impl Verify {
    /// Checks the body that standard input holds.
    pub(crate) async fn run(self, screen: &Screen) -> Result<()> {
        let body = input::bytes(std::path::Path::new("-")).await?;
        let refused = |why: &str| Err(Failure::new(Class::Authentication, why));
        let fields: Vec<(&str, &str)> =
            self.signature.split(',').filter_map(|field| field.trim().split_once('=')).collect();
        let Some(seconds) = fields.iter().find_map(|(name, at)| at.parse().ok().filter(|_| *name == "t"))
        else {
            return refused("The signature says no time: it is written t=…,v1=….");
        };
        let mac = mac(&self.secret, seconds, &body)?;
        let holds =
            |digits: &str| hex::bytes(digits).is_some_and(|bytes| mac.clone().verify_slice(&bytes).is_ok());
        if !fields.iter().any(|(name, hex)| *name == "v1" && holds(hex)) {
            return refused("The signature is not of this body under this secret.");
        }
        let age = now()?.abs_diff(seconds);
        if age > SECONDS_MOST {
            return refused(&format!(
                "The signature is {age} s old; more than {SECONDS_MOST} s are refused."
            ));
        }
        screen.done(&serde_json::json!({"valid": true}), "ok")
    }
}

/// `Persona-Signature` of a body at this moment.
pub(super) fn signature(secret: &str, body: &[u8]) -> Result<String> {
    signature_at(secret, now()?, body)
}

fn now() -> Result<u64> {
    SystemTime::now().duration_since(UNIX_EPOCH).map(|since| since.as_secs()).map_err(Failure::internal)
}

fn mac(secret: &str, seconds: u64, body: &[u8]) -> Result<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map_err(Failure::internal)?;
    mac.update(seconds.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    Ok(mac)
}

fn signature_at(secret: &str, seconds: u64, body: &[u8]) -> Result<String> {
    let hex = mac(secret, seconds, body)?
        .finalize()
        .into_bytes()
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    Ok(format!("t={seconds},v1={hex}"))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

    use super::*;

    #[test]
    fn a_signature_is_as_the_verifiers_of_the_documentation_expect_it() {
        let expected = "t=1767225600,v1=45b40331de0325606dc5400202ade162460fbe48daf9401adfdcd0d7b4f35470";
        assert_eq!(signature_at("whsec_test", 1_767_225_600, br#"{"id":"evt_1"}"#).unwrap(), expected);
    }
}
