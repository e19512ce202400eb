//! What a process shares between calls: clients, made on first use. Cheap to clone.

use std::sync::Arc;

use aws_config::SdkConfig;
use tokio::sync::OnceCell;

use crate::{
    auth,
    clock::{Clock, SystemClock},
    config::Setting,
    error::{Error, Result},
    key::Mode,
    provider::{Config, Router},
    queue::Queue,
    store::Store,
    webhook::Courier,
};

/// Lazy clients; a function pays only for what it uses and fails only for what it itself lacks.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    clock: Box<dyn Clock>,
    aws: OnceCell<SdkConfig>,
    store: OnceCell<Store>,
    queue: OnceCell<Queue>,
    sandbox: OnceCell<Router>,
    models: OnceCell<Router>,
    signing_key: OnceCell<Vec<u8>>,
    webhooks_key: OnceCell<Vec<u8>>,
    courier: OnceCell<Courier>,
    sign_in: OnceCell<auth::Config>,
    sign_in_provider: OnceCell<auth::Provider>,
}

impl Default for App {
    fn default() -> Self {
        Self::new(Box::new(SystemClock))
    }
}

impl App {
    /// An app that lives by `clock`.
    pub fn new(clock: Box<dyn Clock>) -> Self {
        Self(Arc::new(Inner {
            clock,
            aws: OnceCell::new(),
            store: OnceCell::new(),
            queue: OnceCell::new(),
            sandbox: OnceCell::new(),
            models: OnceCell::new(),
            signing_key: OnceCell::new(),
            webhooks_key: OnceCell::new(),
            courier: OnceCell::new(),
            sign_in: OnceCell::new(),
            sign_in_provider: OnceCell::new(),
        }))
    }

    /// The clock.
    pub fn clock(&self) -> &dyn Clock {
        self.0.clock.as_ref()
    }

    async fn aws(&self) -> &SdkConfig {
        self.0.aws.get_or_init(aws_config::load_from_env).await
    }

    /// Storage.
    pub async fn store(&self) -> &Store {
        self.0.store.get_or_init(|| async { Store::new(self.aws().await) }).await
    }

    /// The queues.
    pub async fn queue(&self) -> &Queue {
        self.0.queue.get_or_init(|| async { Queue::new(self.aws().await) }).await
    }

    /// The models that answer in `mode`: the sandbox for test, the configured ones for live.
    pub async fn models(&self, mode: Mode) -> Result<&Router> {
        if mode == Mode::Test {
            return Ok(self.0.sandbox.get_or_init(|| async { Router::sandbox() }).await);
        }
        self.0
            .models
            .get_or_try_init(|| async {
                let document = self.secret(Setting::ProvidersSecret).await?;
                Config::parse(&document).map(Router::from_config).map_err(Error::internal)
            })
            .await
    }

    /// The key that signs cursors.
    pub async fn signing_key(&self) -> Result<&[u8]> {
        let key = self.0.signing_key.get_or_try_init(|| self.key(Setting::SigningSecret)).await?;
        Ok(key)
    }

    /// The key that the secrets of webhooks are derived from.
    pub async fn webhooks_key(&self) -> Result<&[u8]> {
        let key = self.0.webhooks_key.get_or_try_init(|| self.key(Setting::WebhooksSecret)).await?;
        Ok(key)
    }

    /// Carries events to webhooks.
    pub async fn courier(&self) -> Result<&Courier> {
        self.0.courier.get_or_try_init(|| async { Courier::new() }).await
    }

    /// Who signs people in.
    ///
    /// # Errors
    /// [`auth::Reason::NotSetUp`] where the operator has said nothing of it.
    pub async fn sign_in(&self) -> auth::Result<&auth::Config> {
        self.0
            .sign_in
            .get_or_try_init(|| async {
                let document = self.secret(Setting::SignInSecret).await?;
                auth::Config::parse(&document).map_err(Error::internal)?.ok_or_else(auth::not_set_up)
            })
            .await
    }

    /// The identity provider; it is discovered once.
    pub async fn sign_in_provider(&self) -> auth::Result<&auth::Provider> {
        let config = self.sign_in().await?;
        self.0.sign_in_provider.get_or_try_init(|| auth::Provider::discover(config)).await
    }

    /// The `key` in a secret that the deployment generates.
    async fn key(&self, setting: Setting) -> Result<Vec<u8>> {
        let (secret, name) = (self.secret(setting).await?, setting.variable());
        let value: serde_json::Value =
            serde_json::from_str(&secret).map_err(|_| Error::internal(format!("{name} is not JSON")))?;
        let key = value["key"].as_str().filter(|key| key.len() >= 16);
        let none = || Error::internal(format!("{name} has no \"key\" of 16 characters or more"));
        key.map(|key| key.as_bytes().to_vec()).ok_or_else(none)
    }

    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads secrets")]
    async fn secret(&self, setting: Setting) -> Result<String> {
        let client = aws_sdk_secretsmanager::Client::new(self.aws().await);
        let answer = client.get_secret_value().secret_id(setting.read()?).send().await;
        let answer = answer.map_err(|error| {
            Error::internal(format!(
                "{}: {}",
                setting.variable(),
                aws_sdk_secretsmanager::error::DisplayErrorContext(&error)
            ))
        })?;
        answer
            .secret_string
            .ok_or_else(|| Error::internal(format!("{} names a secret without text", setting.variable())))
    }
}
