//! The queue of steps. At least once, unordered: whoever receives a message must expect it twice, late, or forged.
#![expect(clippy::disallowed_methods, reason = "this is the one place that talks to SQS")]

use std::time::Duration;

use aws_sdk_sqs::{
    Client,
    config::{retry::RetryConfig, timeout::TimeoutConfig},
    error::{DisplayErrorContext, ProvideErrorMetadata},
    types::SendMessageBatchRequestEntry,
};
use serde::{Deserialize, Serialize};

use crate::{
    config::Setting,
    error::{Error, Result},
    id::{RunId, WorkspaceId},
    tenant::Tenant,
};

/// After this a message that failed comes again.
const AGAIN: Duration = Duration::from_secs(5);

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

    /// Reads a message. The queue's policy lets only this system write to it; a body of another shape is refused.
    pub fn parse(body: &str) -> Result<Self> {
        // Where it is wrong, not what stands there: anybody's words have no place in the log.
        serde_json::from_str(body).map_err(|error| {
            Error::internal(format!("not a step message: line {}, column {}", error.line(), error.column()))
        })
    }

    /// In whose name the work is done.
    pub fn tenant(&self) -> Tenant {
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
    pub async fn again_soon(&self, receipt: &str) -> Result<()> {
        let url = Setting::StepsQueueUrl.read()?;
        let change = self.client.change_message_visibility().queue_url(url).receipt_handle(receipt);
        let answer = change.visibility_timeout(AGAIN.as_secs() as i32).send().await;
        answer.map(|_| ()).map_err(|error| Error::internal(format!("SQS: {}", DisplayErrorContext(&error))))
    }

    /// Sends messages, ten a request; all or an error (those sent may then come twice, which is harmless).
    pub async fn send(&self, messages: &[StepMessage]) -> Result<()> {
        self.send_later(messages, Duration::ZERO).await
    }

    /// The same, to be received after a pause; SQS takes whole seconds, at most 900.
    pub async fn send_later(&self, messages: &[StepMessage], pause: Duration) -> Result<()> {
        let url = Setting::StepsQueueUrl.read()?;
        for batch in messages.chunks(10) {
            let entries = batch
                .iter()
                .enumerate()
                .map(|(position, message)| {
                    SendMessageBatchRequestEntry::builder()
                        .id(position.to_string())
                        .delay_seconds(pause.as_secs().min(900) as i32)
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
