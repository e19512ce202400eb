//! The deployment's OpenID Connect provider. State, nonce, PKCE, the token's signature, issuer, audience and times are
//! made and checked by `openidconnect`; what is left to us is where it is, and who we are there.

use std::{sync::OnceLock, time::Duration};

use futures_util::{FutureExt, future::BoxFuture};
use openidconnect::{
    AccessToken, AccessTokenHash, AsyncHttpClient, AuthType, AuthorizationCode, ClaimsVerificationError,
    ClientId, ClientSecret, CsrfToken, EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest,
    HttpResponse, IssuerUrl, Nonce, OAuth2TokenResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl,
    RequestTokenError, Scope, SubjectIdentifier, TokenResponse,
    core::{
        CoreAuthenticationFlow, CoreClient, CoreClientAuthMethod, CoreErrorResponseType, CoreIdTokenClaims,
        CoreProviderMetadata, CoreRequestTokenError, CoreTokenResponse, CoreUserInfoClaims,
    },
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use super::{
    person::{Email, Person},
    refusal::{Reason, Refusal, Result},
    ticket::Ticket,
};

const TIMEOUT: Duration = Duration::from_secs(10);

/// Where the provider sends people back to, below our base.
const CALLBACK: &str = "/v1/auth/callback";

/// Who signs people in: the document in the secret `SIGN_IN_SECRET`. An empty one means that nobody does.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The API's address as callers see it, without `/v1`: `https://api.persona.dev`.
    pub base_url: String,
    /// The provider's issuer; `/.well-known/openid-configuration` is below it.
    pub issuer: String,
    /// Who we are there.
    pub client_id: String,
    /// And by what the provider knows that it is us.
    pub client_secret: SecretString,
    /// Where the issuer is reached, where that is not at its own address: an emulator of it.
    #[serde(default)]
    pub issuer_at: Option<String>,
}

impl Config {
    /// Reads the secret. `None` where nobody has filled it.
    ///
    /// # Errors
    /// The document is there, and is none; the message is for the log.
    pub fn parse(document: &str) -> Result<Option<Self>, String> {
        let value: serde_json::Value =
            serde_json::from_str(document).map_err(|_| "the secret of sign-in is not JSON".to_owned())?;
        let blank = |name: &str| value[name].as_str().is_none_or(str::is_empty);
        if ["base_url", "issuer", "client_id", "client_secret"].into_iter().all(blank) {
            return Ok(None);
        }
        let mut config: Self =
            serde_json::from_value(value).map_err(|error| format!("the secret of sign-in: {error}"))?;
        config.base_url = config.base_url.trim_end_matches('/').to_owned();
        for (name, address) in [("base_url", &config.base_url), ("issuer", &config.issuer)] {
            if !is_safe(address) {
                return Err(format!("the secret of sign-in: {name} is neither https nor on this machine"));
            }
        }
        Ok(Some(config))
    }

    /// Whether browsers reach us encrypted, so that cookies may say so.
    pub fn is_https(&self) -> bool {
        self.base_url.starts_with("https://")
    }
}

/// https, or http to this machine.
fn is_safe(address: &str) -> bool {
    let Ok(url) = Url::parse(address) else { return false };
    let local = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    url.scheme() == "https" || (url.scheme() == "http" && local)
}

type Client = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// A provider, discovered.
#[derive(Debug)]
pub struct Provider {
    config: Config,
    client: Client,
    http: Http,
}

/// A sign-in that begins at the provider: where to, and what to hold its end against.
#[derive(Debug)]
pub struct Begun {
    /// Where the browser goes.
    pub url: Url,
    /// In the identity token.
    pub nonce: Nonce,
    /// For the provider's token endpoint.
    pub verifier: PkceCodeVerifier,
}

impl Provider {
    /// Reads where the provider's endpoints and keys are.
    ///
    /// # Errors
    /// [`Reason::ProviderFailed`] when it does not answer, or says something else than its issuer.
    pub fn discover(config: &Config) -> BoxFuture<'_, Result<Self>> {
        // Boxed, for the compiler cannot follow the lifetimes of the library's futures further than this.
        Self::discovered(config).boxed()
    }

    async fn discovered(config: &Config) -> Result<Self> {
        let failed = |what: &str, source: &dyn std::fmt::Display| {
            Refusal::new(Reason::ProviderFailed, UNREACHABLE).because(format!("{what}: {source}"))
        };
        let issuer =
            IssuerUrl::new(config.issuer.clone()).map_err(|error| failed("the provider's issuer", &error))?;
        let http = Http::of(config);
        let metadata = CoreProviderMetadata::discover_async(issuer, &http)
            .await
            .map_err(|error| failed("the provider's discovery", &error))?;
        let redirect = RedirectUrl::new(format!("{}{CALLBACK}", config.base_url))
            .map_err(|error| failed("our own address", &error))?;
        let auth = auth_type(&metadata);
        let client = CoreClient::from_provider_metadata(
            metadata,
            ClientId::new(config.client_id.clone()),
            Some(ClientSecret::new(config.client_secret.expose_secret().to_owned())),
        )
        .set_redirect_uri(redirect)
        .set_auth_type(auth);
        Ok(Self { config: config.clone(), client, http })
    }

    /// Begins a sign-in whose end will carry `state`.
    pub fn begin(&self, state: &Ticket) -> Begun {
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let state = state.reveal().to_owned();
        let (url, _, nonce) = self
            .client
            .authorize_url(
                CoreAuthenticationFlow::AuthorizationCode,
                || CsrfToken::new(state),
                Nonce::new_random,
            )
            .add_scope(Scope::new("email".to_owned()))
            .set_pkce_challenge(challenge)
            .url();
        Begun { url, nonce, verifier }
    }

    /// Refuses an answer that says that it is another provider's (RFC 9207).
    pub fn require_issuer(&self, named: Option<&str>) -> Result<()> {
        match named {
            Some(other) if other != self.config.issuer => Err(Refusal::new(
                Reason::InvalidRequest,
                "The answer came from another identity provider than the one that was asked. Start again.",
            )),
            _ => Ok(()),
        }
    }

    /// Who came back with `code`.
    ///
    /// # Errors
    /// [`Reason::AccessDenied`] when the provider's answer does not hold; [`Reason::ProviderFailed`] when there is none.
    pub fn identify<'a>(
        &'a self,
        code: String,
        verifier: String,
        nonce: &'a Nonce,
    ) -> BoxFuture<'a, Result<Person>> {
        self.identified(code, verifier, nonce).boxed()
    }

    async fn identified(&self, code: String, verifier: String, nonce: &Nonce) -> Result<Person> {
        let exchange = self.client.exchange_code(AuthorizationCode::new(code)).map_err(unverified)?;
        let answer = exchange
            .set_pkce_verifier(PkceCodeVerifier::new(verifier))
            .request_async(&self.http)
            .await
            .map_err(exchange_failed)?;
        match self.verified(&answer, nonce) {
            // Its keys may have changed since this process read them.
            Err(Unverified::Claims(ClaimsVerificationError::SignatureVerification(_))) => {
                let anew = Self::discover(&self.config).await?;
                let claims = anew.verified(&answer, nonce).map_err(unverified)?;
                anew.person(&claims, answer.access_token()).await
            }
            Err(error) => Err(unverified(error)),
            Ok(claims) => self.person(&claims, answer.access_token()).await,
        }
    }

    /// The identity token's claims, if its signature, issuer, audience, nonce and times are right, and the access token
    /// beside it is its own.
    fn verified(&self, answer: &CoreTokenResponse, nonce: &Nonce) -> Result<CoreIdTokenClaims, Unverified> {
        let token = answer.id_token().ok_or(Unverified::Absent)?;
        let verifier = self.client.id_token_verifier();
        let claims = token.claims(&verifier, nonce)?;
        if let Some(stated) = claims.access_token_hash() {
            let key = token.signing_key(&verifier).map_err(|_| Unverified::AccessToken)?;
            let algorithm = token.signing_alg().map_err(|_| Unverified::AccessToken)?;
            let actual = AccessTokenHash::from_token(answer.access_token(), algorithm, key)
                .map_err(|_| Unverified::AccessToken)?;
            if actual != *stated {
                return Err(Unverified::AccessToken);
            }
        }
        Ok(claims.clone())
    }

    /// The person of these claims; the address is asked for where the token does not have it.
    async fn person(&self, claims: &CoreIdTokenClaims, token: &AccessToken) -> Result<Person> {
        let stated = claims.email().map(|email| (email.to_string(), claims.email_verified()));
        let (address, verified) = match stated {
            Some(stated) => stated,
            None => self.stated_elsewhere(claims.subject(), token).await?.unwrap_or_default(),
        };
        let email = if verified == Some(true) { Email::parse(&address).ok() } else { None };
        Ok(Person { issuer: self.config.issuer.clone(), subject: claims.subject().to_string(), email })
    }

    async fn stated_elsewhere(
        &self,
        subject: &SubjectIdentifier,
        token: &AccessToken,
    ) -> Result<Option<(String, Option<bool>)>> {
        let Ok(request) = self.client.user_info(token.clone(), Some(subject.clone())) else {
            return Ok(None);
        };
        let claims: CoreUserInfoClaims = request.request_async(&self.http).await.map_err(|error| {
            Refusal::new(Reason::ProviderFailed, UNREACHABLE)
                .because(format!("the provider's user info: {error}"))
        })?;
        Ok(claims.email().map(|email| (email.to_string(), claims.email_verified())))
    }
}

const UNREACHABLE: &str = "The identity provider cannot be reached, or is not set up as it says. Try again; if it persists, tell the operator of this deployment.";

/// Why an identity token is not believed.
#[derive(Debug, thiserror::Error)]
enum Unverified {
    #[error("there is no identity token")]
    Absent,
    #[error("{0}")]
    Claims(#[from] ClaimsVerificationError),
    #[error("the access token is not the identity token's own")]
    AccessToken,
}

fn unverified(error: impl std::fmt::Display) -> Refusal {
    Refusal::new(
        Reason::AccessDenied,
        "What the identity provider says of you cannot be verified, so nobody was signed in. Start again; if it persists, tell the operator of this deployment.",
    )
    .because(format!("the identity token: {error}"))
}

fn exchange_failed(error: CoreRequestTokenError<Unsent>) -> Refusal {
    match error {
        RequestTokenError::ServerResponse(answer) if *answer.error() == CoreErrorResponseType::InvalidGrant => Refusal::new(
            Reason::AccessDenied,
            "The identity provider did not accept its own answer: it was used before, or it is too old. Start again.",
        )
        .because(format!("the provider's token endpoint: {}", answer.error())),
        other => {
            Refusal::new(Reason::ProviderFailed, UNREACHABLE).because(format!("the provider's token endpoint: {other}"))
        }
    }
}

/// How we say who we are: in the header, unless the provider reads it in the body alone.
fn auth_type(metadata: &CoreProviderMetadata) -> AuthType {
    let methods = metadata.token_endpoint_auth_methods_supported().map_or(&[][..], Vec::as_slice);
    let reads = |method| methods.contains(&method);
    if reads(CoreClientAuthMethod::ClientSecretPost) && !reads(CoreClientAuthMethod::ClientSecretBasic) {
        AuthType::RequestBody
    } else {
        AuthType::BasicAuth
    }
}

/// The provider did not answer. The address is left out: it may carry a code.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unsent(String);

impl From<reqwest::Error> for Unsent {
    fn from(error: reqwest::Error) -> Self {
        Self(error.without_url().to_string())
    }
}

/// Redirects are not followed: the provider's addresses are what its document says.
fn client() -> Result<&'static reqwest::Client, Unsent> {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    if let Some(client) = CLIENT.get() {
        return Ok(client);
    }
    let policy = reqwest::redirect::Policy::none();
    let made = reqwest::Client::builder().redirect(policy).timeout(TIMEOUT).build()?;
    Ok(CLIENT.get_or_init(|| made))
}

/// Our client of the provider.
#[derive(Debug, Clone)]
struct Http {
    /// The issuer, and where it is reached instead.
    elsewhere: Option<(String, String)>,
}

impl Http {
    fn of(config: &Config) -> Self {
        let address = |text: &str| text.trim_end_matches('/').to_owned();
        Self { elsewhere: config.issuer_at.as_deref().map(|at| (address(&config.issuer), address(at))) }
    }

    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, Unsent> {
        let mut request = reqwest::Request::try_from(request)?;
        if let Some((issuer, at)) = &self.elsewhere
            && let Some(below) = request.url().as_str().strip_prefix(issuer)
            && let Ok(address) = Url::parse(&format!("{at}{below}"))
        {
            *request.url_mut() = address;
        }
        let answer = client()?.execute(request).await?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let mut response = HttpResponse::new(answer.bytes().await?.to_vec());
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        Ok(response)
    }
}

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = Unsent;
    type Future = BoxFuture<'c, Result<HttpResponse, Unsent>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        self.send(request).boxed()
    }
}

#[cfg(test)]
mod tests;
