//! Support of the black-box tests: a client of the running stack.
#![allow(clippy::expect_used, clippy::missing_panics_doc, reason = "a test fails by panicking")]

#[path = "support/mod.rs"]
pub mod support;

use std::{env, time::Duration};

use futures_util::StreamExt;
use reqwest::{Method, RequestBuilder, StatusCode, header::HeaderMap};
use serde_json::{Value, json};

/// A workspace of its own with its admin key.
pub struct Workspace {
    client: reqwest::Client,
    /// Identifier.
    pub id: String,
    /// The key's secret.
    pub key: String,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Headers.
    pub headers: HeaderMap,
    /// Body as text.
    pub text: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic_with(&self.text))
    }

    /// The error's code.
    pub fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }

    /// Whether it is this error with this status.
    pub fn code_is(&self, status: u16, code: &str) -> bool {
        self.status == status && self.code() == code
    }

    /// How many requests the call took to the store, from `Server-Timing: store;desc="2 requests"`.
    pub fn store_requests(&self) -> u64 {
        let count = self.header("server-timing").chars().filter(char::is_ascii_digit).collect::<String>();
        count.parse().expect("Server-Timing")
    }

    /// A header's text.
    pub fn header(&self, name: &str) -> String {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    }
}

#[expect(clippy::panic, reason = "a test fails by panicking")]
fn panic_with(text: &str) -> Value {
    panic!("not JSON: {text}")
}

/// What the stack says of itself.
pub fn variable(name: &str) -> String {
    env::var(name).expect("the stack is not running: use `make test`, or run under `infra/local exec --`")
}

/// The API's base URL.
pub fn base_url() -> String {
    variable("PERSONA_BASE_URL")
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().timeout(Duration::from_secs(90)).build().expect("a client")
}

/// A client that leaves redirects to who called.
pub fn client_without_redirects() -> reqwest::Client {
    let built = reqwest::Client::builder().timeout(Duration::from_secs(90));
    built.redirect(reqwest::redirect::Policy::none()).build().expect("a client")
}

/// Calls without a key.
pub fn anonymous(method: Method, path: &str) -> RequestBuilder {
    client().request(method, format!("{}{path}", base_url()))
}

/// Sends and reads the whole answer.
pub async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.expect("an answer");
    let (status, headers) = (response.status(), response.headers().clone());
    Answer { status, headers, text: response.text().await.expect("a body") }
}

/// The fewest requests to the store that such a call takes. It takes one more where another process has used the workspace's
/// bucket since, or this one meets the key for the first time.
pub async fn least_requests(call: impl Fn(u64) -> RequestBuilder) -> u64 {
    let mut least = u64::MAX;
    for number in 0..12 {
        let answer = send(call(number)).await;
        assert!(answer.status.is_success(), "{}", answer.text);
        least = least.min(answer.store_requests());
    }
    least
}

/// Calls a function that no route leads to.
pub async fn invoke(function: &str, payload: &Value) -> Value {
    let url = format!("{}/2015-03-31/functions/{function}/invocations", variable("PERSONA_LAMBDA_URL"));
    let answer = send(client().post(url).json(payload)).await;
    assert!(answer.status.is_success(), "{}", answer.text);
    answer.json()
}

/// Calls the reaper, which its schedule calls every minute.
pub async fn reap() {
    invoke("worker-reaper", &json!({})).await;
}

impl Workspace {
    /// A new workspace in test mode.
    pub async fn test(plan: &str) -> Self {
        Self::made(json!({"name": "t", "plan": plan, "mode": "test"})).await
    }

    /// A new workspace in live mode: the configured providers answer.
    pub async fn live(plan: &str) -> Self {
        Self::made(json!({"name": "t", "plan": plan, "mode": "live"})).await
    }

    async fn made(payload: Value) -> Self {
        let made = invoke("admin-create-workspace", &payload).await;
        let text =
            |pointer: &str| made.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self { client: client(), id: text("/workspace/id"), key: text("/key/secret") }
    }

    /// The same workspace through another key.
    pub async fn with_key(&self, scopes: &[&str], expires_in_days: Option<u64>) -> Self {
        let key = json!({"name": "another", "scopes": scopes, "expires_in_days": expires_in_days});
        Self::made(json!({"workspace_id": self.id, "key": key})).await
    }

    /// The same workspace through a key of this secret.
    #[must_use]
    pub fn through(&self, secret: &str) -> Self {
        Self { client: client(), id: self.id.clone(), key: secret.to_owned() }
    }

    /// A call with the workspace's key.
    pub fn call(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", base_url())).bearer_auth(&self.key)
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        send(self.call(Method::GET, path)).await
    }

    /// Everything in a list, page by page.
    pub async fn all(&self, path: &str) -> Vec<Value> {
        self.all_where(path, "").await
    }

    /// Everything in a list that these filters keep, written as `name=value&…`.
    pub async fn all_where(&self, path: &str, filters: &str) -> Vec<Value> {
        let (mut objects, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.get(&format!("{path}?limit=100&{filters}{cursor}")).await;
            assert_eq!(page.status.as_u16(), 200, "{path}: {}", page.text);
            let mut page = page.json();
            objects.append(page["data"].as_array_mut().expect("a list"));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return objects,
            }
        }
    }

    /// POST of JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        send(self.call(Method::POST, path).json(body)).await
    }

    /// A finished persona from an intent.
    pub async fn persona(&self, intent: &str) -> Value {
        let answer = self.post("/v1/personas", &json!({"intent": intent, "seed": 7})).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
        answer.json()
    }

    /// All events of a stream.
    pub async fn stream(&self, request: RequestBuilder) -> Vec<(u64, String, Value)> {
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::OK);
        let mut text = String::new();
        let mut bytes = response.bytes_stream();
        while let Some(piece) = bytes.next().await {
            text.push_str(&String::from_utf8_lossy(&piece.expect("a piece")));
        }
        parse_events(&text)
    }
}

/// Reads server-sent events; each has `id:`, `event:` and one line of JSON.
pub fn parse_events(text: &str) -> Vec<(u64, String, Value)> {
    let blocks = text.split("\n\n").filter(|block| block.starts_with("id: "));
    blocks
        .map(|block| {
            let field = |name: &str| {
                let line = block.lines().find_map(|line| line.strip_prefix(name));
                line.expect("the field").to_owned()
            };
            let data = serde_json::from_str(&field("data: ")).expect("one line of JSON");
            (field("id: ").parse().expect("a number"), field("event: "), data)
        })
        .collect()
}
