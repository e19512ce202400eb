//! Signatures of events, as the service makes them.

use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::{Result, failure::Failure};

/// `Persona-Signature` of a body at this moment.
pub(super) fn signature(secret: &str, body: &[u8]) -> Result<String> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_err(Failure::internal)?.as_secs();
    signature_at(secret, seconds, body)
}

fn signature_at(secret: &str, seconds: u64, body: &[u8]) -> Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map_err(Failure::internal)?;
    mac.update(seconds.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    let hex = mac.finalize().into_bytes().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
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
