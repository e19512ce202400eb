//! The queues. At least once, unordered: whoever receives a message must expect it twice, late, or forged.
#![expect(clippy::disallowed_methods, reason = "this is the one place that talks to SQS")]

use std::time::Duration;

use aws_sdk_sqs::{
    Client,
    config::{retry::RetryConfig, timeout::TimeoutConfig},
    error::{DisplayErrorContext, ProvideErrorMetadata},
    types::SendMessageBatchRequestEntry,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    config::Setting,
    error::{Error, Result},
    id::{DeliveryId, EventId, RunId, WebhookId, WorkspaceId},
    tenant::Tenant,
};

/// After this a message that failed comes again.
const AGAIN: Duration = Duration::from_secs(5);
/// SQS holds a message back for so long, at most.
pub const LATEST: Duration = Duration::from_mins(15);

/// What one queue carries. The queue's policy lets only this system write to it; a body of another shape is refused.
pub trait Message: Serialize + DeserializeOwned {
    /// The queue's URL.
    const QUEUE: Setting;
    /// What it is, for the log.
    const WHAT: &'static str;

    /// In whose name the work is done.
    fn tenant(&self) -> Tenant;

    /// Reads a message.
    fn parse(body: &str) -> Result<Self> {
        // Where it is wrong, not what stands there: anybody's words have no place in the log.
        serde_json::from_str(body).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            Error::internal(format!("not {}: line {line}, column {column}", Self::WHAT))
        })
    }
}

/// Work for a worker: one step of one run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StepMessage {
    workspace: WorkspaceId,
    /// The run.
    pub run: RunId,
    /// The step's name.
    pub step: String,
}

impl StepMessage {
    /// Work in the tenant's name.
    pub fn new(tenant: &Tenant, run: RunId, step: impl Into<String>) -> Self {
        Self { workspace: tenant.workspace(), run, step: step.into() }
    }
}

impl Message for StepMessage {
    const QUEUE: Setting = Setting::StepsQueueUrl;
    const WHAT: &'static str = "a step message";

    fn tenant(&self) -> Tenant {
        Tenant::of(self.workspace)
    }
}

/// An event that webhooks are to be told of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventMessage {
    workspace: WorkspaceId,
    /// The event.
    pub event: EventId,
}

impl EventMessage {
    /// An event of the tenant's.
    pub fn new(tenant: &Tenant, event: EventId) -> Self {
        Self { workspace: tenant.workspace(), event }
    }
}

impl Message for EventMessage {
    const QUEUE: Setting = Setting::EventsQueueUrl;
    const WHAT: &'static str = "an event message";

    fn tenant(&self) -> Tenant {
        Tenant::of(self.workspace)
    }
}

/// One delivery, to be tried once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeliveryMessage {
    workspace: WorkspaceId,
    /// Where it goes.
    pub webhook: WebhookId,
    /// The delivery.
    pub delivery: DeliveryId,
}

impl DeliveryMessage {
    /// A delivery of the tenant's.
    pub fn new(tenant: &Tenant, webhook: WebhookId, delivery: DeliveryId) -> Self {
        Self { workspace: tenant.workspace(), webhook, delivery }
    }
}

impl Message for DeliveryMessage {
    const QUEUE: Setting = Setting::DeliveriesQueueUrl;
    const WHAT: &'static str = "a delivery message";

    fn tenant(&self) -> Tenant {
        Tenant::of(self.workspace)
    }
}

/// The sending end.
#[derive(Debug, Clone)]
pub struct Queue {
    client: Client,
}

impl Queue {
    /// A queue on the account and region (or endpoint) of `aws`.
    pub fn new(aws: &aws_config::SdkConfig) -> Self {
        let config = aws_sdk_sqs::config::Builder::from(aws)
            .retry_config(
                RetryConfig::standard().with_max_attempts(4).with_initial_backoff(Duration::from_millis(30)),
            )
            .timeout_config(
                TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(5)).build(),
            )
            .build();
        Self { client: Client::from_conf(config) }
    }

    /// Lets a message that failed come again soon, and not only after the queue's visibility timeout, which is made
    /// for the longest step: what fails each time reaches the dead-letter queue within minutes.
    pub async fn again_soon(&self, queue: Setting, receipt: &str) -> Result<()> {
        let url = queue.read()?;
        let change = self.client.change_message_visibility().queue_url(url).receipt_handle(receipt);
        let answer = change.visibility_timeout(AGAIN.as_secs() as i32).send().await;
        answer.map(|_| ()).map_err(|error| Error::internal(format!("SQS: {}", DisplayErrorContext(&error))))
    }

    /// Sends messages, ten a request; all or an error (those sent may then come twice, which is harmless).
    pub async fn send<M: Message>(&self, messages: &[M]) -> Result<()> {
        self.send_later(messages, Duration::ZERO).await
    }

    /// The same, each to be received after a pause of its own.
    pub async fn send_each<M: Message>(&self, messages: &[(M, Duration)]) -> Result<()> {
        let each: Vec<_> = messages.iter().map(|(message, pause)| (message, *pause)).collect();
        self.send_all(&each).await
    }

    /// The same, to be received after a pause: whole seconds, rounded up, at most [`LATEST`].
    pub async fn send_later<M: Message>(&self, messages: &[M], pause: Duration) -> Result<()> {
        let each: Vec<_> = messages.iter().map(|message| (message, pause)).collect();
        self.send_all(&each).await
    }

    async fn send_all<M: Message>(&self, messages: &[(&M, Duration)]) -> Result<()> {
        let url = M::QUEUE.read()?;
        for batch in messages.chunks(10) {
            let entries = batch
                .iter()
                .enumerate()
                .map(|(position, (message, pause))| {
                    SendMessageBatchRequestEntry::builder()
                        .id(position.to_string())
                        .delay_seconds(pause.as_secs_f64().ceil().min(LATEST.as_secs_f64()) as i32)
                        .message_body(serde_json::to_string(message).map_err(Error::internal)?)
                        .build()
                        .map_err(Error::internal)
                })
                .collect::<Result<Vec<_>>>()?;
            let answer =
                self.client.send_message_batch().queue_url(&url).set_entries(Some(entries)).send().await;
            let answer = answer.map_err(|error| {
                let code = error.code().unwrap_or("no answer").to_owned();
                Error::internal(format!("SQS: {code}: {}", DisplayErrorContext(&error)))
            })?;
            if let Some(failed) = answer.failed().first() {
                return Err(Error::internal(format!("SQS refused a message: {}", failed.code())));
            }
        }
        Ok(())
    }
}
