//! Calls that are made once: what was answered to an `Idempotency-Key`, kept for a day.
//!
//! A claim names the run that the call makes before it makes it. Whoever takes over the claim of a process that died
//! makes the same run, or finds it made.

use aws_sdk_dynamodb::{
    operation::update_item::UpdateItemError,
    primitives::Blob,
    types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Store, from_item, number, primary_key, storage, text};
use crate::{
    config::Setting,
    error::{Error, Result},
    id::RunId,
    key::hex,
    tenant::Tenant,
};

/// How long the answer to a caller's own key is kept, seconds.
pub const KEPT_SECONDS: i64 = 24 * 60 * 60;
/// Compressed answers above this are not kept: an item has 400 KB.
const BYTES_MOST: usize = 380_000;

/// A key and what came with it.
#[derive(Debug, Clone)]
pub struct Once {
    /// The caller's own key, or one that was derived from the call.
    pub key: String,
    /// SHA-256 of method, path, query and body.
    pub fingerprint: String,
    /// How long the key is remembered, seconds.
    pub kept_seconds: i64,
}

/// An answer at rest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// HTTP status.
    pub status: u16,
    /// Headers of the answer's own.
    pub headers: Vec<(String, String)>,
    /// What its body is.
    pub form: KeptForm,
    /// The body; of a run's events, none: they are in the run.
    pub body: String,
}

/// What an answer's body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeptForm {
    /// JSON.
    Json,
    /// Our YAML.
    Yaml,
    /// Nothing.
    Empty,
    /// The events of the run that the claim names.
    Events,
    /// A stream that ended, as text.
    Stream,
}

/// What came of claiming a key.
#[derive(Debug)]
pub enum OnceClaim {
    /// It is this call's, which makes this run if it makes one.
    Won(RunId),
    /// It was answered.
    Answered(RunId, Box<Kept>),
    /// The first call goes on, with this run if it makes one; none where others claim and give back all the time.
    InProgress(Option<RunId>),
    /// It came with something else.
    Other,
}

#[derive(Debug, Deserialize)]
struct Record {
    fingerprint: String,
    #[serde(default)]
    run: RunId,
    #[serde(default)]
    answer: Option<String>,
    #[serde(default, deserialize_with = "packed")]
    body: Vec<u8>,
    expires_at: i64,
}

fn packed<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    super::bytes::deserialize(deserializer)
}

fn partition(tenant: &Tenant, key: &str) -> String {
    format!("WS#{}#ONCE#{}", tenant.workspace(), hex(&Sha256::digest(key.as_bytes())))
}

const SORT_KEY: &str = "ONCE";

impl Store {
    /// Takes the key for this call until `lease_millis`.
    pub async fn claim_once(
        &self,
        tenant: &Tenant,
        once: &Once,
        now_millis: i64,
        lease_millis: i64,
    ) -> Result<OnceClaim> {
        let now = now_millis / 1_000;
        for _ in 0..2 {
            let answer = self
                .once_update(tenant, once)?
                .update_expression(
                    "SET fingerprint = :fingerprint, lease = :lease, expires_at = :kept, run = if_not_exists(run, :run)",
                )
                .condition_expression(
                    "attribute_not_exists(pk) OR (attribute_not_exists(answer) AND lease < :now AND fingerprint = :fingerprint AND expires_at > :seconds)",
                )
                .expression_attribute_values(":fingerprint", text(&once.fingerprint))
                .expression_attribute_values(":lease", number(lease_millis))
                .expression_attribute_values(":now", number(now_millis))
                .expression_attribute_values(":seconds", number(now))
                .expression_attribute_values(":kept", number(now + once.kept_seconds))
                .expression_attribute_values(":run", text(RunId::new().to_string()))
                .return_values(ReturnValue::AllNew)
                .send()
                .await;
            let error = match answer {
                Ok(output) => {
                    let record: Record = from_item(output.attributes.unwrap_or_default())?;
                    return Ok(OnceClaim::Won(record.run));
                }
                Err(error) => error,
            };
            let Some(UpdateItemError::ConditionalCheckFailedException(failed)) = error.as_service_error()
            else {
                return Err(storage(error));
            };
            let Some(item) = failed.item().cloned() else { continue };
            let record: Record = from_item(item)?;
            if record.expires_at <= now {
                self.forget_once(tenant, once, record.expires_at).await?;
                continue;
            }
            return claimed_before(record, once);
        }
        Ok(OnceClaim::InProgress(None))
    }

    /// Keeps the answer, unless another has taken the claim over.
    pub async fn keep_once(&self, tenant: &Tenant, once: &Once, run: RunId, kept: &Kept) -> Result<()> {
        let body = zstd::encode_all(kept.body.as_bytes(), 3).map_err(Error::internal)?;
        if body.len() > BYTES_MOST {
            return Err(Error::internal("an answer is too long to be kept for its Idempotency-Key"));
        }
        let answer =
            serde_json::to_string(&Kept { body: String::new(), ..kept.clone() }).map_err(Error::internal)?;
        let update = self
            .once_update(tenant, once)?
            .update_expression("SET answer = :answer, body = :body")
            .condition_expression("run = :run AND attribute_not_exists(answer)")
            .expression_attribute_values(":answer", text(answer))
            .expression_attribute_values(":body", AttributeValue::B(Blob::new(body)))
            .expression_attribute_values(":run", text(run.to_string()));
        ignoring_conditions(update.send().await)
    }

    /// Lets the next call with the key try again: at once, and with a run of its own if `anew`.
    pub async fn release_once(&self, tenant: &Tenant, once: &Once, run: RunId, anew: bool) -> Result<()> {
        let remove = if anew { " REMOVE run" } else { "" };
        let update = self
            .once_update(tenant, once)?
            .update_expression(format!("SET lease = :free{remove}"))
            .condition_expression("run = :run AND attribute_not_exists(answer)")
            .expression_attribute_values(":free", number(0))
            .expression_attribute_values(":run", text(run.to_string()));
        ignoring_conditions(update.send().await)
    }

    /// A record whose day is over, and that the table has not removed yet, begins anew.
    async fn forget_once(&self, tenant: &Tenant, once: &Once, expired: i64) -> Result<()> {
        let update = self
            .once_update(tenant, once)?
            .update_expression(
                "SET fingerprint = :fingerprint, lease = :free, expires_at = :later REMOVE answer, body, run",
            )
            .condition_expression("expires_at = :expired")
            .expression_attribute_values(":fingerprint", text(&once.fingerprint))
            .expression_attribute_values(":free", number(0))
            .expression_attribute_values(":later", number(expired + 10 * KEPT_SECONDS))
            .expression_attribute_values(":expired", number(expired));
        ignoring_conditions(update.send().await)
    }

    fn once_update(
        &self,
        tenant: &Tenant,
        once: &Once,
    ) -> Result<aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder> {
        Ok(self
            .client
            .update_item()
            .table_name(Setting::WorkspacesTable.read()?)
            .set_key(Some(primary_key(&partition(tenant, &once.key), SORT_KEY)))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld))
    }
}

fn claimed_before(record: Record, once: &Once) -> Result<OnceClaim> {
    if record.fingerprint != once.fingerprint {
        return Ok(OnceClaim::Other);
    }
    let Some(answer) = &record.answer else { return Ok(OnceClaim::InProgress(Some(record.run))) };
    let mut kept: Kept = serde_json::from_str(answer).map_err(Error::internal)?;
    let body = zstd::decode_all(record.body.as_slice()).map_err(Error::internal)?;
    kept.body = String::from_utf8(body).map_err(Error::internal)?;
    Ok(OnceClaim::Answered(record.run, Box::new(kept)))
}

fn ignoring_conditions<T>(
    answer: std::result::Result<T, aws_sdk_dynamodb::error::SdkError<UpdateItemError>>,
) -> Result<()> {
    match answer {
        Ok(_) => Ok(()),
        Err(error) => match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(()),
            _ => Err(storage(error)),
        },
    }
}
