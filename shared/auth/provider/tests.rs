//! A provider made small, which keeps to its standard but for one thing at a time: what a good one may do is taken, and
//! what only a forger would do is not.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use base64::{Engine as _, engine::general_purpose::STANDARD, engine::general_purpose::URL_SAFE_NO_PAD};
use openidconnect::{
    JsonWebKeyId, PrivateSigningKey,
    core::{CoreEdDsaPrivateSigningKey, CoreHmacKey, CoreJwsSigningAlgorithm},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;

const OWN_KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIKTgQ6ZHu19OSme2YBJ7tyzKBLDmtZATuFx2IMfg+csY\n-----END PRIVATE KEY-----\n";
const ANOTHER_KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEID+K/Tbt88PJaAmh265CYicRQS2IYlPibEEb3FOt1eWP\n-----END PRIVATE KEY-----\n";
const SECRET: &str = "a secret of the client's";

/// What the provider does besides what its standard says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    Nothing,
    /// Its document names another issuer.
    NamesAnotherIssuer,
    /// The token is signed with a key that is none of its own, under the name of one that is.
    SignsWithAnotherKey,
    /// Its keys change after they were first read.
    ChangesItsKeys,
    /// The token is signed with our own secret.
    SignsWithOurSecret,
    SignsNothing,
    /// A claim is another.
    Claims(&'static str, Claimed),
    /// There is no identity token.
    SendsNoToken,
    /// The address is told elsewhere, of this subject.
    TellsTheAddressElsewhere(&'static str),
    /// The address is not verified.
    HasNotVerified,
    /// It reads our secret in the body alone.
    ReadsTheBody,
    Fails,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claimed {
    Text(&'static str),
    Number(i64),
    Absent,
}

/// A provider that listens.
struct Fake {
    address: String,
    does: Does,
    /// What came to the authorization endpoint.
    asked: Mutex<HashMap<String, String>>,
    keys_read: Mutex<usize>,
}

impl Fake {
    async fn start(does: Does) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let fake = Arc::new(Self { address, does, asked: Mutex::default(), keys_read: Mutex::default() });
        let serving = Arc::clone(&fake);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let fake = Arc::clone(&serving);
                tokio::spawn(async move { fake.answer(stream).await });
            }
        });
        fake
    }

    fn config(&self) -> Config {
        let document = json!({
            "base_url": "https://api.example", "issuer": self.address, "client_id": "us", "client_secret": SECRET,
        });
        Config::parse(&document.to_string()).unwrap().unwrap()
    }

    async fn answer(&self, mut stream: TcpStream) {
        let mut bytes = Vec::new();
        let mut buffer = [0; 4096];
        let (head, body) = loop {
            let read = stream.read(&mut buffer).await.unwrap();
            bytes.extend_from_slice(&buffer[..read]);
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head
                .to_lowercase()
                .split("content-length: ")
                .nth(1)
                .map_or(0, |rest| rest.split("\r\n").next().unwrap().parse::<usize>().unwrap());
            if body.len() >= length {
                break (head.to_owned(), body.to_owned());
            }
        };
        let (status, answer) = self.told(&head, &body);
        let answer = answer.to_string();
        let told = format!(
            "HTTP/1.1 {status} Said\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{answer}",
            answer.len()
        );
        stream.write_all(told.as_bytes()).await.unwrap();
    }

    fn told(&self, head: &str, body: &str) -> (u16, Value) {
        let path = head.split(' ').nth(1).unwrap();
        match path {
            "/.well-known/openid-configuration" => (200, self.document()),
            "/keys" => {
                let mut read = self.keys_read.lock().unwrap();
                *read += 1;
                let changed = self.does == Does::ChangesItsKeys && *read == 1;
                let key = signing_key(
                    if changed { ANOTHER_KEY } else { OWN_KEY },
                    if changed { "old" } else { "own" },
                );
                (200, json!({"keys": [key.as_verification_key()]}))
            }
            "/token" if self.does == Does::Fails => (503, json!({})),
            "/token" => self.token(head, body),
            "/person" => match self.does {
                Does::TellsTheAddressElsewhere(subject) => {
                    (200, json!({"sub": subject, "email": "ada@example.org", "email_verified": "true"}))
                }
                _ => (404, json!({})),
            },
            _ => (404, json!({})),
        }
    }

    fn document(&self) -> Value {
        let at = |path: &str| format!("{}{path}", self.address);
        let issuer =
            if self.does == Does::NamesAnotherIssuer { "https://evil.example".to_owned() } else { at("") };
        let mut document = json!({
            "issuer": issuer, "authorization_endpoint": at("/authorize"), "token_endpoint": at("/token"),
            "jwks_uri": at("/keys"), "userinfo_endpoint": at("/person"), "response_types_supported": ["code"],
            "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["EdDSA"],
        });
        if self.does == Does::ReadsTheBody {
            document["token_endpoint_auth_methods_supported"] = json!(["client_secret_post"]);
        }
        document
    }

    fn token(&self, head: &str, body: &str) -> (u16, Value) {
        let form: HashMap<String, String> = Url::parse(&format!("http://form?{body}"))
            .unwrap()
            .query_pairs()
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        let in_header = STANDARD.encode(format!("us:{}", SECRET.replace(' ', "+").replace('\'', "%27")));
        let known = if self.does == Does::ReadsTheBody {
            form.get("client_secret").is_some_and(|secret| secret == SECRET)
        } else {
            head.contains(&format!("Basic {in_header}"))
        };
        let asked = self.asked.lock().unwrap().clone();
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(form["code_verifier"].as_bytes()));
        let good = known
            && form["code"] == "good"
            && form["redirect_uri"] == asked["redirect_uri"]
            && challenge == asked["code_challenge"];
        if !good {
            return (
                400,
                json!({"error": "invalid_grant", "error_description": format!("{known} {form:?}")}),
            );
        }
        let mut answer = json!({"access_token": "token", "token_type": "Bearer", "expires_in": 60});
        if self.does != Does::SendsNoToken {
            answer["id_token"] = self.identity_token(&asked["nonce"]).into();
        }
        (200, answer)
    }

    fn identity_token(&self, nonce: &str) -> String {
        let now = time::OffsetDateTime::now_utc().unix_timestamp();
        let mut claims = json!({
            "iss": self.address, "sub": "1815", "aud": "us", "iat": now, "exp": now + 60, "nonce": nonce,
        });
        if !matches!(self.does, Does::TellsTheAddressElsewhere(_)) {
            claims["email"] = "Ada@Example.org".into();
            claims["email_verified"] = (self.does != Does::HasNotVerified).into();
        }
        if let Does::Claims(name, value) = self.does {
            claims[name] = match value {
                Claimed::Text(text) => text.into(),
                Claimed::Number(number) => (now + number).into(),
                Claimed::Absent => Value::Null,
            };
            if value == Claimed::Absent {
                claims.as_object_mut().unwrap().shift_remove(name);
            }
        }
        let encoded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = |algorithm: &str| {
            format!("{}.{}", encoded(&json!({"alg": algorithm, "kid": "own"})), encoded(&claims))
        };
        let (text, signature) = match self.does {
            Does::SignsNothing => (signed("none"), Vec::new()),
            Does::SignsWithOurSecret => {
                let text = signed("HS256");
                let key = CoreHmacKey::new(SECRET);
                let signature = key.sign(&CoreJwsSigningAlgorithm::HmacSha256, text.as_bytes()).unwrap();
                (text, signature)
            }
            does => {
                let text = signed("EdDSA");
                let key =
                    signing_key(if does == Does::SignsWithAnotherKey { ANOTHER_KEY } else { OWN_KEY }, "own");
                let signature = key.sign(&CoreJwsSigningAlgorithm::EdDsa, text.as_bytes()).unwrap();
                (text, signature)
            }
        };
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

fn signing_key(pem: &str, name: &str) -> CoreEdDsaPrivateSigningKey {
    CoreEdDsaPrivateSigningKey::from_ed25519_pem(pem, Some(JsonWebKeyId::new(name.to_owned()))).unwrap()
}

/// Signs somebody in at a provider that does this.
async fn signed_in(does: Does) -> Result<Person> {
    let fake = Fake::start(does).await;
    let provider = Provider::discover(&fake.config()).await?;
    let state = Ticket::generate();
    let begun = provider.begin(&state);
    let asked: HashMap<String, String> =
        begun.url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    assert_eq!((asked["response_type"].as_str(), asked["scope"].as_str()), ("code", "openid email"));
    assert_eq!((asked["state"].as_str(), asked["code_challenge_method"].as_str()), (state.reveal(), "S256"));
    assert_eq!(asked["redirect_uri"], "https://api.example/v1/auth/callback");
    *fake.asked.lock().unwrap() = asked;
    provider.identify("good".to_owned(), begun.verifier.secret().clone(), &begun.nonce).await
}

#[tokio::test]
async fn a_provider_that_keeps_to_the_standard_is_believed() {
    for does in
        [Does::Nothing, Does::ReadsTheBody, Does::ChangesItsKeys, Does::TellsTheAddressElsewhere("1815")]
    {
        let person = signed_in(does).await.unwrap();
        assert_eq!((person.subject.as_str(), person.shown()), ("1815", "ada@example.org"), "{does:?}");
    }
}

#[tokio::test]
async fn an_address_that_is_not_verified_names_nobody() {
    let person = signed_in(Does::HasNotVerified).await.unwrap();
    assert_eq!((person.email, person.subject.as_str()), (None, "1815"));
}

#[tokio::test]
async fn a_token_that_does_not_hold_signs_nobody_in() {
    for does in [
        Does::SignsWithAnotherKey,
        Does::SignsWithOurSecret,
        Does::SignsNothing,
        Does::SendsNoToken,
        Does::Claims("iss", Claimed::Text("https://evil.example")),
        Does::Claims("aud", Claimed::Text("another")),
        Does::Claims("exp", Claimed::Number(-60)),
        Does::Claims("nonce", Claimed::Text("another")),
        Does::Claims("nonce", Claimed::Absent),
        Does::Claims("at_hash", Claimed::Text("AAAAAAAAAAAAAAAAAAAAAA")),
    ] {
        let refused = signed_in(does).await.unwrap_err();
        assert_eq!(refused.reason, Reason::AccessDenied, "{does:?}: {refused:?}");
    }
}

#[tokio::test]
async fn a_provider_that_is_not_who_it_should_be_is_not_asked() {
    for does in [Does::NamesAnotherIssuer, Does::Fails, Does::TellsTheAddressElsewhere("another")] {
        let refused = signed_in(does).await.unwrap_err();
        assert_eq!(refused.reason, Reason::ProviderFailed, "{does:?}: {refused:?}");
    }
}

#[test]
fn what_is_not_filled_in_is_no_provider_and_what_is_unsafe_is_refused() {
    assert!(Config::parse("{}").unwrap().is_none());
    let document = |base: &str, issuer: &str| {
        json!({"base_url": base, "issuer": issuer, "client_id": "us", "client_secret": "s"}).to_string()
    };
    assert!(Config::parse(&document("https://api.example/", "https://id.example")).unwrap().is_some());
    for (base, issuer) in
        [("http://api.example", "https://id.example"), ("https://api.example", "http://id.example")]
    {
        assert!(Config::parse(&document(base, issuer)).is_err(), "{base} {issuer}");
    }
    assert!(Config::parse("{\"issuer\": \"https://id.example\"}").is_err());
    assert!(Config::parse("[").is_err());
}
