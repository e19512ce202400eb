//! Keys: authentication and rate limiting in one conditional update.
//!
//! The bucket is a true token bucket without `min` or `max`, which update expressions lack. The item holds
//! `next_at`, when the next token may be taken, and `full_at`, when the bucket is full again, both microseconds.
//! While the bucket is not full, taking a token adds one interval (`step`) to both. A full bucket restarts from now.
//! Which of the two holds is guessed from what this process saw last; a wrong guess costs a second request.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex},
};

use aws_sdk_dynamodb::{
    operation::update_item::{UpdateItemError, UpdateItemOutput},
    types::{Put, ReturnValue, ReturnValuesOnConditionCheckFailure, TransactWriteItem},
};
use backon::Retryable;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{Item, Store, contention, from_item, is_contended, number, primary_key, storage, text, to_item};
use crate::{
    clock::{days, timestamp},
    config::Setting,
    error::{Code, Error, Result},
    id::{KeyId, WorkspaceId},
    key::{ApiKey, Caller, LIFETIME_DAYS, Mode, Plan, Scope},
    tenant::Tenant,
};

/// Most keys whose bucket this process remembers; the guess is worth little beyond.
const REMEMBERED: usize = 4_096;

static LAST_FULL_AT: LazyLock<Mutex<HashMap<String, i64>>> = LazyLock::new(Mutex::default);

/// A key at rest.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct KeyItem {
    workspace_id: WorkspaceId,
    key_id: KeyId,
    name: String,
    masked: String,
    mode: Mode,
    plan: Plan,
    scopes: Vec<Scope>,
    created_at: String,
    /// Milliseconds since the epoch.
    expires_millis: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revoked_at: Option<String>,
    next_at: i64,
    full_at: i64,
    step: i64,
    span_less_step: i64,
    burst: i64,
}

/// State of the caller's bucket after this call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// The bucket's size.
    pub limit: u32,
    /// Calls left now.
    pub remaining: u32,
    /// Seconds until the bucket is full.
    pub reset_seconds: u32,
}

/// Why a call was not admitted.
#[derive(Debug)]
pub enum Denied {
    /// The key is not good.
    Key(Error),
    /// The bucket is empty.
    Empty(Allowance, Error),
}

/// A new key's public half.
#[derive(Debug, Clone, Serialize)]
pub struct NewKey {
    /// Public id.
    pub id: KeyId,
    /// What the owner calls it.
    pub name: String,
    /// `pk_live_…wXyZ`.
    pub masked: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub expires_at: String,
}

impl Store {
    /// Authenticates `key` and takes a token from its bucket.
    pub async fn admit(&self, key: &ApiKey, now: OffsetDateTime) -> Result<(Caller, Allowance), Denied> {
        let hash = key.hash();
        let now_micros = (now.unix_timestamp_nanos() / 1_000) as i64;
        let mut full = guess_full(&hash, now_micros);
        for _ in 0..3 {
            match self.take_token(&hash, now_micros, full).await.map_err(Denied::Key)? {
                Ok(item) => {
                    remember(&hash, item.full_at);
                    return Ok((caller(&item), allowance(&item, now_micros)));
                }
                Err(None) => return Err(Denied::Key(unknown_key())),
                Err(Some(item)) => {
                    refuse_dead(&item, now_micros).map_err(Denied::Key)?;
                    let is_full = item.full_at < now_micros;
                    if !is_full && item.next_at > now_micros {
                        return Err(empty(&item, now_micros));
                    }
                    full = is_full;
                }
            }
        }
        // Others changed the bucket between each of our tries: it is contended, which is what a limit is for.
        Err(Denied::Key(
            Error::new(Code::RateLimitExceeded, "Too many calls at once. Retry in a second.")
                .with_retry_after(1),
        ))
    }

    /// `Err(item)` when a condition failed, with the item as it is; `Err(None)` when there is none.
    async fn take_token(
        &self,
        hash: &str,
        now: i64,
        full: bool,
    ) -> Result<std::result::Result<KeyItem, Option<KeyItem>>> {
        let (update, condition) = if full {
            ("SET next_at = :now - span_less_step, full_at = :now + step", "full_at < :now")
        } else {
            ("SET next_at = next_at + step, full_at = full_at + step", "full_at >= :now AND next_at <= :now")
        };
        let condition =
            format!("{condition} AND expires_millis > :now_millis AND attribute_not_exists(revoked_at)");
        let table = Setting::WorkspacesTable.read()?;
        let send = || async {
            self.client
                .update_item()
                .table_name(&table)
                .set_key(Some(primary_key(&partition(hash), "KEY")))
                .update_expression(update)
                .condition_expression(&condition)
                .expression_attribute_values(":now", number(now))
                .expression_attribute_values(":now_millis", number(now / 1_000))
                .return_values(ReturnValue::AllNew)
                .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
                .send()
                .await
        };
        let answer = send.retry(contention()).when(is_contended).await;
        settle(answer)
    }

    /// Writes items that make `key` usable in `tenant`; part of a larger transaction.
    pub(super) fn new_key(
        &self,
        tenant: &Tenant,
        key: &ApiKey,
        plan: Plan,
        draft: KeyDraft,
        now: OffsetDateTime,
    ) -> Result<(NewKey, Vec<TransactWriteItem>)> {
        let rate = plan.rate();
        let step = rate.interval_micros();
        let expires = now + days(draft.expires_in_days.unwrap_or(LIFETIME_DAYS));
        let item = KeyItem {
            workspace_id: tenant.workspace(),
            key_id: KeyId::new(),
            name: draft.name,
            masked: key.masked(),
            mode: key.mode(),
            plan,
            scopes: draft.scopes,
            created_at: timestamp(now),
            expires_millis: (expires.unix_timestamp_nanos() / 1_000_000) as i64,
            revoked_at: None,
            next_at: 0,
            full_at: 0,
            step,
            span_less_step: step * (i64::from(rate.burst) - 2),
            burst: i64::from(rate.burst),
        };
        let hash = key.hash();
        let pointer: Item = [("hash".to_owned(), text(&hash))]
            .into_iter()
            .chain(primary_key(&super::workspaces::partition(tenant), &format!("KEY#{}", item.key_id)))
            .collect();
        let table = Setting::WorkspacesTable.read()?;
        let puts = [to_item(&partition(&hash), "KEY", &item)?, pointer]
            .into_iter()
            .map(|item| {
                let put = Put::builder()
                    .table_name(&table)
                    .set_item(Some(item))
                    .condition_expression("attribute_not_exists(pk)")
                    .build()
                    .map_err(Error::internal)?;
                Ok(TransactWriteItem::builder().put(put).build())
            })
            .collect::<Result<Vec<_>>>()?;
        let shown = NewKey {
            id: item.key_id,
            name: item.name,
            masked: item.masked,
            scopes: item.scopes,
            created_at: item.created_at,
            expires_at: timestamp(expires),
        };
        Ok((shown, puts))
    }
}

/// What a new key is to be.
#[derive(Debug, Clone)]
pub struct KeyDraft {
    /// What the owner calls it.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Days until it ends; 90 when absent. Zero makes a key that has ended, for tests of that case.
    pub expires_in_days: Option<u64>,
}

/// The one partition that does not begin with a workspace: it is what tells the workspace.
fn partition(hash: &str) -> String {
    format!("KEY#{hash}")
}

fn settle(
    answer: std::result::Result<UpdateItemOutput, aws_sdk_dynamodb::error::SdkError<UpdateItemError>>,
) -> Result<std::result::Result<KeyItem, Option<KeyItem>>> {
    match answer {
        Ok(output) => Ok(Ok(from_item(output.attributes.unwrap_or_default())?)),
        Err(error) => match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                Ok(Err(failed.item().cloned().map(from_item).transpose()?))
            }
            _ => Err(storage(error)),
        },
    }
}

fn guess_full(hash: &str, now: i64) -> bool {
    LAST_FULL_AT.lock().ok().and_then(|seen| seen.get(hash).copied()).is_none_or(|full_at| full_at < now)
}

fn remember(hash: &str, full_at: i64) {
    if let Ok(mut seen) = LAST_FULL_AT.lock() {
        if seen.len() >= REMEMBERED {
            seen.clear();
        }
        seen.insert(hash.to_owned(), full_at);
    }
}

fn unknown_key() -> Error {
    Error::new(
        Code::InvalidKey,
        "The API key is unknown. Check that it was copied whole, and that it was not revoked.",
    )
}

fn refuse_dead(item: &KeyItem, now_micros: i64) -> Result<()> {
    if item.revoked_at.is_some() {
        return Err(Error::new(
            Code::InvalidKey,
            format!("The API key {} was revoked. Create another one.", item.masked),
        ));
    }
    if item.expires_millis <= now_micros / 1_000 {
        return Err(Error::new(
            Code::InvalidKey,
            format!(
                "The API key {} has expired: keys end 90 days after creation. Create another one.",
                item.masked
            ),
        ));
    }
    Ok(())
}

fn caller(item: &KeyItem) -> Caller {
    Caller {
        tenant: Tenant::of(item.workspace_id),
        key_id: item.key_id,
        mode: item.mode,
        plan: item.plan,
        scopes: item.scopes.clone(),
        expires_at_millis: item.expires_millis,
    }
}

fn allowance(item: &KeyItem, now: i64) -> Allowance {
    let left = if item.next_at > now { 0 } else { (now - item.next_at) / item.step.max(1) + 1 };
    let until_full = (item.full_at - now).max(0);
    Allowance {
        limit: item.burst as u32,
        remaining: left.clamp(0, item.burst) as u32,
        reset_seconds: seconds_up(until_full),
    }
}

fn empty(item: &KeyItem, now: i64) -> Denied {
    let wait = seconds_up((item.next_at - now).max(1));
    let per_minute = 60_000_000 / item.step.max(1);
    let error = Error::new(
        Code::RateLimitExceeded,
        format!(
            "The {} plan allows {per_minute} requests a minute and bursts of {}. Retry in {wait} s.",
            item.plan.as_str(),
            item.burst
        ),
    )
    .with_retry_after(wait);
    Denied::Empty(allowance(item, now), error)
}

/// Whole seconds, rounded up.
const fn seconds_up(micros: i64) -> u32 {
    ((micros + 999_999) / 1_000_000) as u32
}
