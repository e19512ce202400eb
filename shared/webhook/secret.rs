//! Secrets and signatures. A webhook's secret lies in no table: it is derived from the deployment's, the webhook and the
//! secret's number, so that it can be shown once and used for ever.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::Webhook;
use crate::{error::Result, key::hex, tenant::Tenant};

/// How a secret begins.
const PREFIX: &str = "whsec_";

fn mac(key: &[u8], parts: &[&[u8]]) -> Result<Vec<u8>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).map_err(crate::Error::internal)?;
    for part in parts {
        mac.update(part);
    }
    Ok(mac.finalize().into_bytes().to_vec())
}

/// The secret of a number: `whsec_` and 64 hexadecimal digits.
pub(super) fn secret(key: &[u8], tenant: &Tenant, webhook: &Webhook, number: u32) -> Result<String> {
    // Ids are of fixed width and the number comes last, so no two secrets are made of the same bytes.
    let of = format!("webhook secret {} {} {number}", tenant.workspace(), webhook.id);
    Ok(format!("{PREFIX}{}", hex(&mac(key, &[of.as_bytes()])?)))
}

/// The value of `Persona-Signature`: the time, then one signature a secret, the newest first.
pub(super) fn signature(secrets: &[String], seconds: i64, body: &str) -> Result<String> {
    let mut value = format!("t={seconds}");
    for secret in secrets {
        let signed = mac(secret.as_bytes(), &[seconds.to_string().as_bytes(), b".", body.as_bytes()])?;
        value.push_str(",v1=");
        value.push_str(&hex(&signed));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;
    use crate::id::WorkspaceId;

    #[test]
    fn the_signature_is_what_openssl_makes_of_time_and_body() {
        // printf '1700000000.{"id":"evt_1"}' | openssl dgst -sha256 -hmac whsec_test
        let made = signature(&["whsec_test".to_owned()], 1_700_000_000, "{\"id\":\"evt_1\"}").unwrap();
        assert_eq!(made, "t=1700000000,v1=c89214b5b5da833daed6f0b8c5bb6bd58cea9022bd80ccc78230f3942d632925");
    }

    #[test]
    fn the_older_secret_signs_last() {
        let both = signature(&["new".to_owned(), "old".to_owned()], 1, "{}").unwrap();
        let alone = |secret: &str| signature(&[secret.to_owned()], 1, "{}").unwrap();
        assert_eq!(both, format!("{},{}", alone("new"), alone("old").trim_start_matches("t=1,")));
    }

    #[test]
    fn every_webhook_and_every_number_has_a_secret_of_its_own() {
        let (tenant, other) = (Tenant::of(WorkspaceId::new()), Tenant::of(WorkspaceId::new()));
        let (webhook, second) = (Webhook::example(), Webhook::example());
        let of = |key: &[u8], tenant, webhook, number| secret(key, tenant, webhook, number).unwrap();
        let first = of(b"deployment", &tenant, &webhook, 1);
        assert_eq!(first, of(b"deployment", &tenant, &webhook, 1));
        assert_eq!(first.len(), PREFIX.len() + 64);
        for differs in [
            of(b"deployment", &tenant, &webhook, 2),
            of(b"deployment", &tenant, &second, 1),
            of(b"deployment", &other, &webhook, 1),
            of(b"another", &tenant, &webhook, 1),
        ] {
            assert_ne!(first, differs);
        }
    }
}
