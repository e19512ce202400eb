//! Checks a delivery of a webhook.
#![expect(clippy::print_stdout, reason = "a program prints")]

use std::{
    env,
    error::Error,
    io::Read,
    time::{SystemTime, UNIX_EPOCH},
};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Fails unless `signature`, the header `Persona-Signature`, is of the raw body.
fn verify(signature: &str, body: &[u8], secret: &str) -> Result<(), Box<dyn Error>> {
    let mut fields = signature.split(',').filter_map(|field| field.split_once('='));
    let (Some(("t", t)), Some(("v1", v1))) = (fields.next(), fields.next()) else {
        return Err("no signature".into());
    };
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())?;
    mac.update(t.as_bytes());
    mac.update(b".");
    mac.update(body);
    let given: Result<Vec<u8>, _> = (0..v1.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(v1.get(at..at + 2).unwrap_or("?"), 16))
        .collect();
    mac.verify_slice(&given?).map_err(|_| "invalid signature")?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    if now.saturating_sub(t.parse()?) > 300 { Err("stale".into()) } else { Ok(()) }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut body = Vec::new();
    std::io::stdin().read_to_end(&mut body)?;
    let signature = env::args().nth(1).unwrap_or_default();
    verify(&signature, &body, &env::var("PERSONA_WEBHOOK_SECRET")?)?;
    println!("ok");
    Ok(())
}
