//! Signing in as people do it, without a browser: pages are read, forms filled, redirects followed, cookies kept.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rand::RngExt;
use regex::Regex;
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{Answer, Workspace, anonymous, base_url, client_without_redirects, invoke, send, variable};

/// An account at the emulator's user pool, which is the stack's identity provider.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its address.
    pub email: String,
    /// What is typed in beside it.
    pub password: String,
}

fn random(bytes: usize) -> String {
    let random: Vec<u8> = (0..bytes).map(|_| rand::rng().random()).collect();
    URL_SAFE_NO_PAD.encode(random)
}

/// Calls the user pool as its administrator.
pub async fn pool(action: &str, mut body: Value) -> Value {
    body["UserPoolId"] = variable("SIGN_IN_POOL_ID").into();
    let credential = "Credential=test/20260101/us-east-1/cognito-idp/aws4_request";
    let request = client_without_redirects()
        .post(variable("AWS_ENDPOINT_URL"))
        .header("x-amz-target", format!("AWSCognitoIdentityProviderService.{action}"))
        .header("content-type", "application/x-amz-json-1.1")
        .header("authorization", format!("AWS4-HMAC-SHA256 {credential}, SignedHeaders=host, Signature=0"))
        .body(body.to_string());
    let answer = send(request).await;
    assert!(answer.status.is_success(), "{action}: {}", answer.text);
    serde_json::from_str(&answer.text).unwrap_or_default()
}

impl Account {
    /// A new one with an address of its own, verified.
    pub async fn new() -> Self {
        let email = format!("{}@people.example", random(9).to_lowercase());
        Self::with(&email, true).await
    }

    /// A new one with this address.
    pub async fn with(email: &str, verified: bool) -> Self {
        let password = format!("{}-aA1", random(12));
        let attributes = json!([
            {"Name": "email", "Value": email},
            {"Name": "email_verified", "Value": verified.to_string()},
        ]);
        let user = json!({"Username": email, "UserAttributes": attributes, "MessageAction": "SUPPRESS"});
        let made = pool("AdminCreateUser", user).await;
        let name = made["User"]["Username"].as_str().unwrap_or(email).to_owned();
        let password_of = json!({"Username": name, "Password": password, "Permanent": true});
        pool("AdminSetUserPassword", password_of).await;
        Self { email: email.to_owned(), password }
    }

    /// One that is a member of a workspace.
    pub async fn member(workspace: &Workspace, scopes: &[&str]) -> Self {
        let account = Self::new().await;
        join(workspace, &account.email, scopes).await;
        account
    }
}

/// Makes an address a member, through the administrator's function.
pub async fn join(workspace: &Workspace, email: &str, scopes: &[&str]) -> Value {
    let set = json!([{"email": email, "scopes": scopes}]);
    invoke("admin-members", &json!({"workspace_id": workspace.id, "set": set})).await
}

/// What the command line keeps of a sign-in that it has begun.
#[derive(Debug, Clone)]
pub struct Program {
    /// Where it listens.
    pub redirect_uri: String,
    /// What it wants to see again.
    pub state: String,
    /// What it proves itself by.
    pub verifier: String,
}

impl Default for Program {
    fn default() -> Self {
        Self {
            redirect_uri: "http://127.0.0.1:49152/callback".to_owned(),
            state: random(16),
            verifier: random(32),
        }
    }
}

impl Program {
    /// What its verifier is the proof of.
    pub fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.verifier.as_bytes()))
    }

    /// Where it sends the browser; `more` adds values, or replaces them.
    pub fn begins(&self, more: &[(&str, &str)]) -> Url {
        let challenge = self.challenge();
        let mut values: BTreeMap<&str, &str> = BTreeMap::from([
            ("response_type", "code"),
            ("client_id", "persona-cli"),
            ("redirect_uri", self.redirect_uri.as_str()),
            ("state", self.state.as_str()),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
        ]);
        values.extend(more.iter().copied());
        Url::parse_with_params(&format!("{}/v1/auth/authorize", base_url()), values).expect("an address")
    }

    /// Redeems a code.
    pub async fn redeems(&self, code: &str) -> Answer {
        self.redeems_with(code, &[]).await
    }

    /// The same with other values.
    pub async fn redeems_with(&self, code: &str, more: &[(&str, &str)]) -> Answer {
        let mut values: BTreeMap<&str, &str> = BTreeMap::from([
            ("grant_type", "authorization_code"),
            ("client_id", "persona-cli"),
            ("code", code),
            ("redirect_uri", self.redirect_uri.as_str()),
            ("code_verifier", self.verifier.as_str()),
        ]);
        values.extend(more.iter().copied());
        posted("token", &values.into_iter().collect::<Vec<_>>()).await
    }
}

/// A form sent to one of the endpoints.
pub async fn posted(endpoint: &str, form: &[(&str, &str)]) -> Answer {
    send(with_form(anonymous(Method::POST, &format!("/v1/auth/{endpoint}")), form)).await
}

fn with_form<N: AsRef<str>, V: AsRef<str>>(request: RequestBuilder, form: &[(N, V)]) -> RequestBuilder {
    let encoded = Url::parse_with_params("http://form", form).expect("a form");
    let body = encoded.query().unwrap_or_default().to_owned();
    request.header("content-type", "application/x-www-form-urlencoded").body(body)
}

/// A browser: cookies by host and port, and no script.
#[derive(Debug, Default)]
pub struct Browser {
    cookies: BTreeMap<String, BTreeMap<String, String>>,
}

/// A page, or where a browser was led that is none of this stack's.
#[derive(Debug)]
pub struct Shown {
    /// Its address.
    pub url: Url,
    /// What came from there; `None` where it was not asked, because a program would listen there.
    pub answer: Option<Answer>,
}

impl Shown {
    /// The page's text.
    pub fn text(&self) -> &str {
        self.answer.as_ref().map_or("", |answer| answer.text.as_str())
    }

    /// The page's status.
    pub fn status(&self) -> u16 {
        self.answer.as_ref().map_or(0, |answer| answer.status.as_u16())
    }

    /// A value of the address.
    pub fn query(&self, name: &str) -> Option<String> {
        self.url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned())
    }

    /// Values that the page's form would send: hidden ones, and the choice that is made already.
    pub fn form(&self) -> BTreeMap<String, String> {
        let tag = Regex::new("<input [^>]*>").expect("a pattern");
        let inputs = tag.find_iter(self.text()).map(|found| found.as_str());
        inputs
            .filter(|input| input.contains("type=\"hidden\"") || input.contains(" checked"))
            .filter_map(|input| Some((attribute(input, "name")?, attribute(input, "value")?)))
            .collect()
    }

    /// Where the page's form goes.
    pub fn action(&self) -> Url {
        let tag = Regex::new("<form [^>]*>").expect("a pattern");
        let form = tag.find(self.text()).map(|found| found.as_str()).expect("a form");
        self.url.join(&attribute(form, "action").expect("an action")).expect("an address")
    }

    /// Where the page's one link leads.
    pub fn link(&self) -> Url {
        let tag = Regex::new("<a [^>]*>").expect("a pattern");
        let link = tag.find(self.text()).map(|found| found.as_str()).expect("a link");
        self.url.join(&attribute(link, "href").expect("an address")).expect("an address")
    }

    /// The workspaces that may be chosen.
    pub fn choices(&self) -> Vec<String> {
        let tag = Regex::new("<input type=\"radio\"[^>]*>").expect("a pattern");
        let choices = tag.find_iter(self.text()).map(|found| found.as_str());
        choices
            .filter(|input| !input.contains(" disabled"))
            .filter_map(|input| attribute(input, "value"))
            .collect()
    }
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let pattern = Regex::new(&format!(" {name}=\"([^\"]*)\"")).expect("a pattern");
    let value = pattern.captures(tag)?.get(1)?.as_str();
    let plain =
        [("&quot;", "\""), ("&#x27;", "'"), ("&#x2f;", "/"), ("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")];
    Some(plain.iter().fold(value.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain)))
}

impl Browser {
    /// Opens an address, and follows where it leads.
    pub async fn open(&mut self, url: Url) -> Shown {
        self.travel(Method::GET, url, Vec::new()).await
    }

    /// Sends the page's form, with `more`.
    pub async fn submit(&mut self, page: &Shown, more: &[(&str, &str)]) -> Shown {
        let mut form = page.form();
        form.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self.travel(Method::POST, page.action(), form.into_iter().collect()).await
    }

    /// Opens an address and signs in at the provider that it leads to.
    pub async fn sign_in(&mut self, url: Url, account: &Account) -> Shown {
        let login = self.open(url).await;
        assert!(login.text().contains("name=\"password\""), "no login at {}: {}", login.url, login.text());
        self.submit(&login, &[("username", &account.email), ("password", &account.password)]).await
    }

    /// Forgets everything.
    pub fn forget(&mut self) {
        self.cookies.clear();
    }

    async fn travel(&mut self, mut method: Method, mut url: Url, mut form: Vec<(String, String)>) -> Shown {
        for _ in 0..10 {
            // Nobody listens where programs would.
            if url.path() == "/callback" {
                return Shown { url, answer: None };
            }
            let mut request = client_without_redirects().request(method.clone(), url.clone());
            if let Some(cookies) = self.cookies.get(&origin(&url)) {
                let pairs: Vec<String> =
                    cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
                request = request.header("cookie", pairs.join("; "));
            }
            if method == Method::POST {
                request = with_form(request, &form);
            }
            let answer = send(request).await;
            self.keep_cookies(&url, &answer);
            if !answer.status.is_redirection() {
                return Shown { url, answer: Some(answer) };
            }
            assert!([StatusCode::FOUND, StatusCode::SEE_OTHER].contains(&answer.status), "{}", answer.status);
            url = url.join(&answer.header("location")).expect("an address");
            (method, form) = (Method::GET, Vec::new());
        }
        Shown { url, answer: None }
    }

    fn keep_cookies(&mut self, url: &Url, answer: &Answer) {
        for set in answer.headers.get_all("set-cookie").iter().filter_map(|value| value.to_str().ok()) {
            let pair = set.split(';').next().unwrap_or_default();
            if let Some((name, value)) = pair.split_once('=') {
                let cookies = self.cookies.entry(origin(url)).or_default();
                cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }
}

fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}
