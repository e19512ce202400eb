//! OAuth 2.1 as a public client: authorisation code with PKCE on a loopback redirect, or the device flow (RFC 8628).

use std::time::Duration;

use oauth2::{
    AuthUrl, AuthorizationCode, Client, ClientId, CsrfToken, DeviceAuthorizationUrl,
    EmptyExtraDeviceAuthorizationFields, EndpointNotSet, EndpointSet, ErrorResponseType, ExtraTokenFields,
    HttpRequest, HttpResponse, PkceCodeChallenge, RedirectUrl, RequestTokenError, Scope,
    StandardErrorResponse, StandardRevocableToken, StandardTokenResponse, TokenResponse, TokenUrl,
    basic::{
        BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse, BasicTokenType,
    },
};
use reqwest::header;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::{Url, form_urlencoded};

use super::{
    browser::{self, Answer, Loopback},
    text,
};
use crate::{
    Result, api,
    failure::{Class, Failure},
    screen::{STRONG, Screen, visible},
    settings,
};

/// What this program is called where people approve it.
const CLIENT: &str = "persona-cli";
/// A call of these endpoints takes no longer.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a key lasts where the service does not say.
const LASTS: Duration = Duration::from_hours(90 * 24);

/// What a token comes with.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Details {
    workspace: Value,
    key_id: String,
    #[serde(default)]
    person: Value,
}

impl ExtraTokenFields for Details {}

type Token = StandardTokenResponse<Details, BasicTokenType>;
type OauthClient = Client<
    BasicErrorResponse,
    Token,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointSet,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

/// A key, as it was granted.
pub(super) struct Granted {
    /// The key.
    pub key: SecretString,
    /// Its id.
    pub key_id: String,
    /// The workspace that was chosen.
    pub workspace: String,
    /// Who granted it.
    pub email: Option<String>,
    /// How long it lasts.
    pub lasts: Duration,
}

/// The service's endpoints.
pub(super) struct Service {
    base: Url,
    issuer: String,
    http: reqwest::Client,
    client: OauthClient,
}

impl Service {
    /// The endpoints as the service publishes them (RFC 8414).
    pub(super) async fn discovered(base: &Url) -> Result<Self> {
        let http = api::client()?;
        let told = settings::told(base);
        let sent = http.get(api::address(base, &["auth", "metadata"])).timeout(PATIENCE).send().await;
        let response = sent.map_err(|error| Failure::network(&error, &told))?;
        let status = response.status();
        let body = response.text().await.map_err(|error| Failure::network(&error, &told))?;
        let metadata: Value = serde_json::from_str(&body).unwrap_or_default();
        let issuer = text(&metadata, "/issuer");
        if !status.is_success() || issuer != told {
            let message =
                format!("{told} does not say how to sign in: its metadata is {status}, of issuer {issuer}.");
            return Err(Failure::new(Class::Authentication, message)
                .hint("bring a key along instead: persona auth login --with-key"));
        }
        let endpoint = |name: &str| text(&metadata, &format!("/{name}"));
        let wrong =
            |error: url::ParseError| Failure::internal(format!("an endpoint that is no address: {error}"));
        let client = Client::new(ClientId::new(CLIENT.to_owned()))
            .set_auth_uri(AuthUrl::new(endpoint("authorization_endpoint")).map_err(wrong)?)
            .set_token_uri(TokenUrl::new(endpoint("token_endpoint")).map_err(wrong)?)
            .set_device_authorization_url(
                DeviceAuthorizationUrl::new(endpoint("device_authorization_endpoint")).map_err(wrong)?,
            );
        Ok(Self { base: base.clone(), issuer, http, client })
    }

    /// Has a person approve in the browser of this machine.
    pub(super) async fn by_browser(
        &self,
        screen: &Screen,
        scopes: &[&str],
        workspace: Option<&str>,
        is_shown: bool,
    ) -> Result<Granted> {
        let loopback = Loopback::bound().await?;
        let redirect = RedirectUrl::new(loopback.address()).map_err(Failure::internal)?;
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let client = self.client.clone().set_redirect_uri(redirect);
        let mut request = client
            .authorize_url(CsrfToken::new_random)
            .set_pkce_challenge(challenge)
            .add_scopes(named(scopes));
        if let Some(workspace) = workspace {
            request = request.add_extra_param("workspace", workspace.to_owned());
        }
        let (address, state) = request.url();
        if is_shown || !browser::open(address.as_str()) {
            screen.note(format_args!("Open this address to sign in:\n\n  {address}\n"));
        } else {
            screen.note("A browser is open for you to sign in. If it is not, say --no-browser.");
        }
        let issuer = self.issuer.clone();
        let code = loopback.heard(move |answer| judged(answer, &state, &issuer)).await?;
        let http = self.http();
        let exchange = client.exchange_code(code).set_pkce_verifier(verifier).request_async(&http).await;
        exchange.map(granted).map_err(|error| self.refused(error))
    }

    /// Has a person enter a code in a browser elsewhere.
    pub(super) async fn by_device(
        &self,
        screen: &Screen,
        scopes: &[&str],
        workspace: Option<&str>,
    ) -> Result<Granted> {
        let http = self.http();
        let mut request = self.client.exchange_device_code().add_scopes(named(scopes));
        if let Some(workspace) = workspace {
            request = request.add_extra_param("workspace", workspace.to_owned());
        }
        let asked = request.request_async(&http).await;
        let details: oauth2::DeviceAuthorizationResponse<EmptyExtraDeviceAuthorizationFields> =
            asked.map_err(|error| self.refused(error))?;
        let (address, code) =
            (visible(details.verification_uri().as_str()), visible(details.user_code().secret()));
        screen.note(format_args!("Open {address} in any browser, and enter\n\n  {STRONG}{code}{STRONG:#}\n"));
        if let Some(whole) = details.verification_uri_complete() {
            screen.note(format_args!("or open {}", visible(whole.secret())));
        }
        let token = self.client.exchange_device_access_token(&details);
        let token = token.request_async(&http, tokio::time::sleep, None).await;
        token.map(granted).map_err(|error| self.refused(error))
    }

    /// How the library's requests are sent.
    fn http(&self) -> impl Fn(HttpRequest) -> Sending + use<'_> {
        |request| {
            let client = self.http.clone();
            Box::pin(async move {
                let mut request = reqwest::Request::try_from(request)?;
                *request.timeout_mut() = Some(PATIENCE);
                let response = client.execute(request).await?;
                let (status, headers) = (response.status(), response.headers().clone());
                let mut answer = HttpResponse::new(response.bytes().await?.to_vec());
                (*answer.status_mut(), *answer.headers_mut()) = (status, headers);
                Ok(answer)
            })
        }
    }

    fn refused<T: ErrorResponseType + std::fmt::Display>(
        &self,
        error: RequestTokenError<reqwest::Error, StandardErrorResponse<T>>,
    ) -> Failure {
        match error {
            RequestTokenError::ServerResponse(refusal) => {
                let description = refusal.error_description().map(String::as_str).unwrap_or_default();
                refusal_of(&refusal.error().to_string(), description)
            }
            RequestTokenError::Request(error) => Failure::network(&error, &settings::told(&self.base)),
            RequestTokenError::Parse(error, _) => {
                Failure::internal(format!("the answer is none of OAuth: {}", error.inner()))
            }
            RequestTokenError::Other(why) => Failure::internal(why),
        }
    }
}

type Sending =
    std::pin::Pin<Box<dyn Future<Output = std::result::Result<HttpResponse, reqwest::Error>> + Send>>;

fn named(scopes: &[&str]) -> Vec<Scope> {
    scopes.iter().map(|scope| Scope::new((*scope).to_owned())).collect()
}

fn granted(token: Token) -> Granted {
    let details = token.extra_fields();
    Granted {
        key: SecretString::from(token.access_token().secret().clone()),
        key_id: details.key_id.clone(),
        workspace: text(&details.workspace, "/id"),
        email: details.person["email"].as_str().map(str::to_owned),
        lasts: token.expires_in().unwrap_or(LASTS),
    }
}

/// The code that the browser came back with, if it came from the sign-in that this process began, and from this service.
fn judged(answer: &Answer, state: &CsrfToken, issuer: &str) -> Result<AuthorizationCode> {
    let refused = |message: &str| {
        Err(Failure::new(Class::Authentication, message).hint("try again: persona auth login"))
    };
    let value = |name: &str| answer.get(name).map(String::as_str).unwrap_or_default();
    if value("state") != state.secret() {
        return refused("The browser came back with a state that is not of this sign-in. Nothing was kept.");
    }
    if value("iss") != issuer {
        return refused("The browser came back from another service than it was sent to. Nothing was kept.");
    }
    if let Some(error) = answer.get("error") {
        return Err(refusal_of(error, value("error_description")));
    }
    match answer.get("code").filter(|code| !code.is_empty()) {
        Some(code) => Ok(AuthorizationCode::new(code.clone())),
        None => refused("The browser came back without a code. Nothing was kept."),
    }
}

fn refusal_of(error: &str, description: &str) -> Failure {
    let message = match error {
        "access_denied" => "The sign-in was declined.".to_owned(),
        "expired_token" => "The code expired before anybody approved it.".to_owned(),
        other => format!("The service refused to sign you in ({other})."),
    };
    let message = if description.is_empty() { message } else { format!("{message} {description}") };
    Failure::new(Class::Authentication, message).hint("try again: persona auth login")
}

/// Ends a key (RFC 7009). The library does so over TLS alone, and a stack of this machine has none.
pub(super) async fn revoke(base: &Url, key: &SecretString) -> Result<()> {
    let form = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("token", key.expose_secret()), ("client_id", CLIENT)])
        .finish();
    let told = settings::told(base);
    let request = api::client()?.post(api::address(base, &["auth", "revoke"])).timeout(PATIENCE);
    let sent =
        request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded").body(form).send().await;
    let response = sent.map_err(|error| Failure::network(&error, &told))?;
    if response.status().is_success() {
        return Ok(());
    }
    let (status, headers) = (response.status(), response.headers().clone());
    Err(Failure::answered(status, &headers, &response.text().await.unwrap_or_default()))
}
