//! Calls of the API: with the key, again where that is safe, and failures as they are told.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use reqwest::{
    Method, RequestBuilder, Response, StatusCode,
    header::{self, HeaderMap},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::Url;
use uuid::Uuid;

use crate::{
    Result,
    failure::{Again, Failure},
    screen::{DIM, Screen},
    settings,
};

/// The version of the API that this program was written for.
const VERSION: &str = "2026-11-01";
/// The service waits 60 s at most before it answers.
const PATIENCE: Duration = Duration::from_secs(90);
/// A stream says something every 15 s.
pub(crate) const SILENCE: Duration = Duration::from_secs(40);
/// A refusal that asks for a longer pause is told instead of waited for.
const PAUSE_MOST: Duration = Duration::from_secs(20);

/// The service, and as whom it is called.
pub(crate) struct Api {
    client: reqwest::Client,
    base: Url,
    key: SecretString,
    workspace: Option<String>,
}

/// One call.
pub(crate) struct Call<'a> {
    api: &'a Api,
    request: RequestBuilder,
    repeatable: bool,
}

/// An HTTP client as this program needs it.
pub(crate) fn client() -> Result<reqwest::Client> {
    reqwest::Client::builder()
        .user_agent(concat!("persona-cli/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(10))
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(Failure::internal)
}

/// The address of these path segments.
pub(crate) fn address(base: &Url, path: &[&str]) -> Url {
    let mut url = base.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().push("v1").extend(path);
    }
    url
}

impl Api {
    /// The service at `base`, called with `key`; `workspace` is named with each call.
    pub(crate) fn new(base: Url, key: SecretString, workspace: Option<String>) -> Result<Self> {
        Ok(Self { client: client()?, base, key, workspace })
    }

    /// Its address.
    pub(crate) fn base(&self) -> &Url {
        &self.base
    }

    /// The key.
    pub(crate) fn key(&self) -> &SecretString {
        &self.key
    }

    /// Says so where the key is of test mode: whoever reads the answers must know that no model gave them.
    pub(crate) fn tell_simulation(&self, screen: &Screen) {
        if self.key.expose_secret().starts_with("pk_test_") && !screen.is_json() {
            screen.note(format_args!("{DIM}test mode: the sandbox answers, which is a simulation{DIM:#}"));
        }
    }

    /// A read.
    pub(crate) fn get(&self, path: &[&str]) -> Call<'_> {
        Call { repeatable: true, ..self.call(Method::GET, path) }
    }

    /// A POST that is made once, however often it must be sent.
    pub(crate) fn post(&self, path: &[&str]) -> Call<'_> {
        self.post_once(path, None)
    }

    /// The same, known by the caller's own key.
    pub(crate) fn post_once(&self, path: &[&str], key: Option<&str>) -> Call<'_> {
        let key = key.map_or_else(|| Uuid::now_v7().to_string(), str::to_owned);
        Call { repeatable: true, ..self.call(Method::POST, path).header("Idempotency-Key", &key) }
    }

    /// A replacement. It is not sent twice: the second one would meet the version that the first has made.
    pub(crate) fn put(&self, path: &[&str]) -> Call<'_> {
        self.call(Method::PUT, path)
    }

    /// A change.
    pub(crate) fn patch(&self, path: &[&str]) -> Call<'_> {
        self.call(Method::PATCH, path)
    }

    /// A removal.
    pub(crate) fn delete(&self, path: &[&str]) -> Call<'_> {
        self.call(Method::DELETE, path)
    }

    /// A POST as it is, without an Idempotency-Key.
    pub(crate) fn bare_post(&self, path: &[&str]) -> RequestBuilder {
        self.call(Method::POST, path).request
    }

    fn call(&self, method: Method, path: &[&str]) -> Call<'_> {
        let mut request = self
            .client
            .request(method, address(&self.base, path))
            .bearer_auth(self.key.expose_secret())
            .header("Persona-Version", VERSION);
        if let Some(workspace) = &self.workspace {
            request = request.header("Persona-Workspace", workspace);
        }
        Call { api: self, request, repeatable: false }
    }

    /// A failure of the connection.
    pub(crate) fn broken(&self, error: &reqwest::Error) -> Failure {
        Failure::network(error, &settings::told(&self.base))
    }
}

impl Call<'_> {
    /// With a header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    /// With a header where there is a value for it.
    pub(crate) fn maybe_header(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.header(name, value),
            None => self,
        }
    }

    /// With a query value where there is one.
    pub(crate) fn query(mut self, name: &str, value: Option<impl ToString>) -> Self {
        if let Some(value) = value {
            self.request = self.request.query(&[(name, value.to_string())]);
        }
        self
    }

    /// With a JSON body.
    pub(crate) fn json(mut self, body: &Value) -> Self {
        self.request = self.request.json(body);
        self
    }

    /// With a body of another kind.
    pub(crate) fn body(mut self, media: &str, body: impl Into<Vec<u8>>) -> Self {
        self.request = self.request.header(header::CONTENT_TYPE, media).body(body.into());
        self
    }

    /// Sends, and reads the answer as JSON.
    pub(crate) async fn value(self) -> Result<Value> {
        Ok(self.answer().await?.1)
    }

    /// Sends, and reads the answer as JSON, with its status.
    pub(crate) async fn answer(self) -> Result<(StatusCode, Value)> {
        let (status, _, text) = self.whole().await?;
        let value = serde_json::from_str(&text)
            .map_err(|_| Failure::internal("the answer is no JSON; is the base URL right?"))?;
        Ok((status, value))
    }

    /// Sends, and reads the answer as text, with its `ETag`.
    pub(crate) async fn text(self) -> Result<(String, String)> {
        let (_, headers, text) = self.whole().await?;
        let tag = headers.get(header::ETAG).and_then(|tag| tag.to_str().ok()).unwrap_or_default();
        Ok((text, tag.to_owned()))
    }

    /// Sends, and reads the answer to its end; again where that is safe.
    async fn whole(self) -> Result<(StatusCode, HeaderMap, String)> {
        let read = async || {
            let response = self.once(PATIENCE).await?;
            let (status, headers) = (response.status(), response.headers().clone());
            let text = response.text().await.map_err(|error| self.api.broken(&error))?;
            Ok((status, headers, text))
        };
        self.again(read).await
    }

    /// Sends, and gives the answer as it begins; again where that is safe.
    pub(crate) async fn send(self, patience: Duration) -> Result<Response> {
        self.again(async || self.once(patience).await).await
    }

    async fn once(&self, patience: Duration) -> Result<Response> {
        let Some(request) = self.request.try_clone() else {
            return Err(Failure::internal("a body that streams"));
        };
        let sent = tokio::time::timeout(patience, request.send()).await;
        let response = sent
            .map_err(|_| Failure::silent_service(&settings::told(&self.api.base)))?
            .map_err(|error| self.api.broken(&error))?;
        accepted(response).await
    }

    async fn again<T>(&self, once: impl AsyncFn() -> Result<T>) -> Result<T> {
        let repeatable = self.repeatable;
        let once = || once();
        once.retry(ExponentialBuilder::default().with_min_delay(Duration::from_millis(200)).with_max_times(3))
            .when(|failure: &Failure| match failure.again {
                Again::No => false,
                Again::Safe(pause) => pause.is_none_or(|pause| pause <= PAUSE_MOST),
                Again::Unknown => repeatable,
            })
            .adjust(|failure, pause| match failure.again {
                Again::Safe(Some(asked)) => pause.map(|_| asked),
                _ => pause,
            })
            .await
    }
}

/// An answer that is no refusal.
async fn accepted(response: Response) -> Result<Response> {
    if response.status().is_success() {
        return Ok(response);
    }
    let (status, headers) = (response.status(), response.headers().clone());
    let body = response.text().await.unwrap_or_default();
    Err(Failure::answered(status, &headers, &body))
}
