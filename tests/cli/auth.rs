//! `persona auth` against a small service that speaks the sign-in protocol: what the service itself does is tested with it.

use std::{
    collections::HashMap,
    os::unix::fs::PermissionsExt,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Form, Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::Url;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tests::Workspace;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::TcpListener,
    process::Child,
};

use super::{Ended, Machine};

type Fields = HashMap<String, String>;

/// The service.
#[derive(Clone)]
struct Service {
    url: String,
    key: String,
    workspace: String,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    /// What a sign-in was begun with, so that the exchange can be held to it.
    begun: Fields,
    /// Exchanges and polls.
    tokens: Vec<Fields>,
    device: Fields,
    revoked: Vec<String>,
    /// What polls for the device's key are answered.
    polls: Vec<&'static str>,
    issuer: Option<String>,
}

impl Service {
    /// Grants the key of a workspace.
    async fn of(workspace: &Workspace) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let service = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            key: workspace.key.clone(),
            workspace: workspace.id.clone(),
            seen: Arc::default(),
        };
        let router = Router::new()
            .route("/v1/auth/metadata", get(metadata))
            .route("/v1/auth/token", post(token))
            .route("/v1/auth/device", post(device))
            .route("/v1/auth/revoke", post(revoke))
            .route("/v1/workspace", get(workspace_of))
            .with_state(service.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        service
    }

    fn with<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.seen.lock().unwrap())
    }

    fn granted(&self) -> Response {
        let token = json!({
            "access_token": self.key, "token_type": "Bearer", "expires_in": 7_776_000, "scope": "read write chat",
            "workspace": {"id": self.workspace, "name": "Acme", "mode": "test"}, "key_id": "key_1",
            "person": {"email": "ada@example.com"},
        });
        Json(token).into_response()
    }
}

async fn metadata(State(service): State<Service>) -> Json<Value> {
    let at = |name: &str| format!("{}/v1/auth/{name}", service.url);
    let issuer = service.with(|seen| seen.issuer.clone()).unwrap_or_else(|| service.url.clone());
    Json(json!({
        "issuer": issuer, "authorization_endpoint": at("authorize"), "token_endpoint": at("token"),
        "device_authorization_endpoint": at("device"), "revocation_endpoint": at("revoke"),
    }))
}

fn refused(error: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({"error": error}))).into_response()
}

/// Holds the exchange to what the sign-in was begun with, as the service must.
async fn token(State(service): State<Service>, Form(fields): Form<Fields>) -> Response {
    let begun = service.with(|seen| {
        seen.tokens.push(fields.clone());
        seen.begun.clone()
    });
    if fields["grant_type"].ends_with("device_code") {
        let poll = service.with(|seen| if seen.polls.is_empty() { "granted" } else { seen.polls.remove(0) });
        return if poll == "granted" { service.granted() } else { refused(poll) };
    }
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&fields["code_verifier"]));
    let is_right = fields["code"] == "c0de"
        && fields["client_id"] == "persona-cli"
        && challenge == begun["code_challenge"]
        && fields["redirect_uri"] == begun["redirect_uri"];
    if is_right { service.granted() } else { refused("invalid_grant") }
}

async fn device(State(service): State<Service>, Form(fields): Form<Fields>) -> Json<Value> {
    service.with(|seen| seen.device = fields);
    let at = format!("{}/v1/auth/device", service.url);
    Json(json!({
        "device_code": "d3v1ce", "user_code": "BCDF-GHJK", "verification_uri": at,
        "verification_uri_complete": format!("{at}?user_code=BCDF-GHJK"), "expires_in": 600, "interval": 1,
    }))
}

async fn revoke(State(service): State<Service>, Form(fields): Form<Fields>) -> StatusCode {
    service.with(|seen| seen.revoked.push(fields["token"].clone()));
    StatusCode::OK
}

async fn workspace_of(State(service): State<Service>) -> Json<Value> {
    Json(
        json!({"id": service.workspace, "object": "workspace", "name": "Acme", "mode": "test", "plan": "team"}),
    )
}

/// A machine and the service that it signs in to.
async fn signing_in() -> (Machine, Service) {
    let service = Service::of(&Workspace::test("team").await).await;
    (Machine::new().asking(&service.url), service)
}

/// A sign-in that has shown its address; the service knows what it was begun with.
async fn begun(machine: &Machine, service: &Service, arguments: &[&str]) -> (Child, Url) {
    let mut child =
        machine.command(&[&["auth", "login", "--no-browser"], arguments].concat()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.as_mut().unwrap()).lines();
    let address = loop {
        let line =
            tokio::time::timeout(Duration::from_secs(10), lines.next_line()).await.unwrap().unwrap().unwrap();
        if let Some(address) = line.strip_prefix("  http") {
            break Url::parse(&format!("http{address}")).unwrap();
        }
    };
    service.with(|seen| seen.begun = address.query_pairs().into_owned().collect());
    (child, address)
}

/// The browser comes back with this besides the issuer, and is shown a page.
async fn comes_back(service: &Service, answer: &[(&str, &str)]) -> (u16, String) {
    let begun = service.with(|seen| seen.begun.clone());
    let mut url = Url::parse(&begun["redirect_uri"]).unwrap();
    let state = begun["state"].as_str();
    let mut fields: HashMap<&str, &str> = HashMap::from([("state", state), ("iss", &service.url)]);
    fields.extend(answer.iter().copied());
    url.query_pairs_mut().extend_pairs(fields);
    let response = reqwest::get(url).await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

async fn outcome(child: Child) -> Ended {
    Ended::of(tokio::time::timeout(Duration::from_secs(20), child.wait_with_output()).await.unwrap().unwrap())
}

#[tokio::test]
async fn a_person_approves_in_the_browser_and_is_signed_in() {
    let (machine, service) = signing_in().await;
    let (child, address) = begun(&machine, &service, &["--workspace", "ws_acme"]).await;
    let asked: Fields = address.query_pairs().into_owned().collect();
    assert_eq!(address.path(), "/v1/auth/authorize");
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", "persona-cli"),
        ("code_challenge_method", "S256"),
        ("scope", "read write chat"),
        ("workspace", "ws_acme"),
    ] {
        assert_eq!(asked[name], value, "{address}");
    }
    assert!(
        asked["redirect_uri"].starts_with("http://127.0.0.1:")
            && asked["redirect_uri"].ends_with("/callback")
    );
    assert!(asked["state"].len() >= 22 && asked["code_challenge"].len() == 43);
    let (status, page) = comes_back(&service, &[("code", "c0de")]).await;
    assert!(status == 200 && page.contains("Signed in"), "{page}");
    let ended = outcome(child).await.well();
    assert!(ended.stdout.starts_with("Signed in as ada@example.com to ws_"), "{}", ended.stdout);
    let config = machine.read("config/persona/config.toml");
    assert!(config.contains("email = \"ada@example.com\"") && !config.contains(&service.key), "{config}");
    let file = machine.path("config/persona/credentials.toml");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let status = machine.run(&["auth", "status", "--json"]).await.well().json();
    assert_eq!((&status["workspace"], &status["name"]), (&service.workspace.as_str().into(), &"Acme".into()));
    assert!(!status.to_string().contains(&service.key), "{status}");
    assert_eq!(machine.run(&["auth", "token"]).await.well().stdout.trim(), service.key);
}

#[tokio::test]
async fn another_state_issuer_or_verdict_signs_nobody_in() {
    let (machine, service) = signing_in().await;
    for (answer, says) in [
        (vec![("code", "c0de"), ("state", "another")], "state"),
        (vec![("code", "c0de"), ("iss", "https://evil.example")], "another service"),
        (vec![("error", "access_denied"), ("error_description", "The <person> declined.")], "declined"),
        (vec![], "without a code"),
        (vec![("code", "wrong")], "invalid_grant"),
    ] {
        let (child, _) = begun(&machine, &service, &[]).await;
        let (status, page) = comes_back(&service, &answer).await;
        assert!(status == 400 || answer == [("code", "wrong")], "{page}");
        assert!(!page.contains("<person>"), "{page}");
        let ended = outcome(child).await;
        assert_eq!((ended.code, ended.stdout.as_str()), (4, ""), "{}", ended.stderr);
        assert!(ended.stderr.contains(says), "{says}: {}", ended.stderr);
        assert!(!machine.path("config/persona").exists(), "nothing is kept");
    }
    let only_the_last_was_exchanged = service.with(|seen| seen.tokens.len());
    assert_eq!(only_the_last_was_exchanged, 1);
}

#[tokio::test]
async fn the_service_must_be_who_it_says() {
    let (machine, service) = signing_in().await;
    service.with(|seen| seen.issuer = Some("https://evil.example".to_owned()));
    let ended = machine.run(&["auth", "login", "--no-browser"]).await;
    assert!(ended.code == 4 && ended.stderr.contains("evil.example"), "{}", ended.stderr);
}

#[tokio::test]
async fn a_device_shows_a_code_and_waits_as_it_is_told() {
    let (machine, service) = signing_in().await;
    service.with(|seen| seen.polls = vec!["authorization_pending", "authorization_pending"]);
    let ended = machine.run(&["auth", "login", "--device", "--scope", "read"]).await.well();
    assert!(
        ended.stderr.contains("BCDF-GHJK") && ended.stderr.contains("/v1/auth/device"),
        "{}",
        ended.stderr
    );
    assert!(ended.stdout.starts_with("Signed in as ada@example.com"), "{}", ended.stdout);
    service.with(|seen| {
        assert_eq!(
            (seen.device["client_id"].as_str(), seen.device["scope"].as_str()),
            ("persona-cli", "read")
        );
        assert!(seen.tokens.len() == 3 && seen.tokens.iter().all(|poll| poll["device_code"] == "d3v1ce"));
    });
}

#[tokio::test]
async fn a_device_code_that_is_declined_or_expired_signs_nobody_in() {
    let (machine, service) = signing_in().await;
    for (poll, says) in
        [("access_denied", "The sign-in was declined."), ("expired_token", "The code expired")]
    {
        service.with(|seen| seen.polls = vec!["authorization_pending", poll]);
        let ended = machine.run(&["auth", "login", "--device"]).await;
        assert!(ended.code == 4 && ended.stderr.contains(says), "{}", ended.stderr);
        assert!(ended.stderr.contains("hint: try again: persona auth login"), "{}", ended.stderr);
    }
}

#[tokio::test]
async fn without_a_display_or_over_ssh_the_device_flow_is_chosen() {
    let (machine, service) = signing_in().await;
    let mut command = machine.command(&["auth", "login"]);
    command.env("SSH_CONNECTION", "192.0.2.1 22 192.0.2.2 22").env("DISPLAY", ":0");
    super::ended(command).await.well();
    super::ended(machine.command(&["auth", "login"])).await.well();
    assert_eq!(service.with(|seen| seen.tokens.len()), 2);
}

#[tokio::test]
async fn logout_revokes_what_login_made_and_nothing_else() {
    let (machine, service) = signing_in().await;
    machine.run(&["auth", "login", "--device"]).await.well();
    let ended = machine.run(&["auth", "logout"]).await.well();
    assert!(ended.stdout.contains("the key is revoked"), "{}", ended.stdout);
    assert_eq!(service.with(|seen| seen.revoked.clone()), std::slice::from_ref(&service.key));
    assert!(!machine.read("config/persona/credentials.toml").contains("pk_"));
    assert_eq!(machine.run(&["personas", "list"]).await.code, 4);
    assert_eq!(machine.run(&["auth", "logout"]).await.code, 4);
    machine.fed(&["auth", "login", "--with-key"], &service.key).await.well();
    let ended = machine.run(&["auth", "logout"]).await.well();
    assert!(ended.stdout.contains("still works"), "{}", ended.stdout);
    assert_eq!(service.with(|seen| seen.revoked.len()), 1);
}

#[tokio::test]
async fn signing_in_again_ends_the_key_before() {
    let (machine, service) = signing_in().await;
    machine.run(&["auth", "login", "--device"]).await.well();
    machine.run(&["auth", "login", "--device"]).await.well();
    assert_eq!(service.with(|seen| seen.revoked.len()), 1);
}

#[tokio::test]
async fn a_key_that_is_brought_along_is_tried_before_it_is_kept() {
    let workspace = Workspace::test("team").await;
    let machine = Machine::new();
    for (key, code) in [("hello", 4), ("pk_test_x", 4)] {
        assert_eq!(machine.fed(&["auth", "login", "--with-key"], key).await.code, code);
        assert!(!machine.path("config/persona").exists());
    }
    machine.fed(&["auth", "login", "--with-key"], &format!("{}\n", workspace.key)).await.well();
    machine.run(&["personas", "list"]).await.well();
    let elsewhere = machine.run(&["personas", "list", "--base-url", "http://127.0.0.1:1"]).await;
    assert!(
        elsewhere.code == 4 && elsewhere.stderr.contains("is not sent to http://127.0.0.1:1"),
        "{}",
        elsewhere.stderr
    );
    let clear = machine.run(&["personas", "list", "--base-url", "http://example.com"]).await;
    assert!(clear.code == 2 && clear.stderr.contains("in the clear"), "{}", clear.stderr);
}

#[tokio::test]
async fn profiles_are_kept_apart_and_comments_of_their_file_stay() {
    let (one, two) = (Workspace::test("team").await, Workspace::test("team").await);
    let machine = Machine::new();
    machine.fed(&["auth", "login", "--with-key", "--profile", "one"], &one.key).await.well();
    let config = machine.path("config/persona/config.toml");
    std::fs::write(&config, format!("# Mine.\n{}", std::fs::read_to_string(&config).unwrap())).unwrap();
    machine.fed(&["auth", "login", "--with-key", "--profile", "two"], &two.key).await.well();
    for (profile, workspace) in
        [(&["--profile", "two"][..], &two), (&["--profile", "one"][..], &one), (&[][..], &one)]
    {
        let status = machine.run(&[&["auth", "status", "--json"], profile].concat()).await.well().json();
        assert_eq!(status["workspace"], workspace.id.as_str(), "{profile:?}");
    }
    assert!(std::fs::read_to_string(&config).unwrap().starts_with("# Mine.\n"));
    let unknown = machine.run(&["personas", "list", "--profile", "three"]).await;
    assert!(
        unknown.code == 4 && unknown.stderr.contains("There is no profile \"three\""),
        "{}",
        unknown.stderr
    );
    let keys = machine.path("config/persona/credentials.toml");
    std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o644)).unwrap();
    let open = machine.run(&["personas", "list"]).await;
    assert!(
        open.code == 4 && open.stderr.contains("(mode 0644)") && open.stderr.contains("chmod 600"),
        "{}",
        open.stderr
    );
    std::fs::write(&config, "profile = \n").unwrap();
    let broken = machine.run(&["personas", "list"]).await;
    assert!(broken.code == 2 && broken.stderr.contains("line 1, column"), "{}", broken.stderr);
}
