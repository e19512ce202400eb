//! Admission: a key is checked and a token taken from its workspace's bucket, in one conditional update.
//!
//! `KEY#<sha256>` says once and for all to which workspace a key belongs, and never changes: a process reads it once.
//! What can change is one small item of the workspace's: its live keys, its bucket, and what every call must know. A key
//! that is not in it is refused, so a revocation holds from the next request on.
//!
//! The bucket is a true token bucket without `min` or `max`, which update expressions lack. The item holds
//! `next_at`, when the next token may be taken, and `full_at`, when the bucket is full again, both microseconds.
//! While the bucket is not full, taking a token adds one interval (`step`) to both. A full bucket restarts from now.
//! Which of the two holds is guessed from what this process saw last; a wrong guess costs a second request. A process
//! that has seen nothing yet takes its first token from either kind; what a full bucket then has too much, its next call
//! takes back.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{LazyLock, Mutex},
};

use aws_sdk_dynamodb::{
    operation::update_item::{UpdateItemError, UpdateItemOutput},
    types::{ReturnValue, ReturnValuesOnConditionCheckFailure},
};
use backon::Retryable;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{Store, contention, from_item, is_contended, number, primary_key, storage};
use crate::{
    Usd,
    config::Setting,
    error::{Code, Error, Result},
    id::{KeyId, WorkspaceId},
    key::{ApiKey, Caller, Mode, Plan, Scope},
    tenant::Tenant,
};

/// Most keys that this process remembers.
const REMEMBERED: usize = 4_096;

static KNOWN: LazyLock<Mutex<HashMap<String, Known>>> = LazyLock::new(Mutex::default);

/// What a process knows of a key from earlier calls.
#[derive(Debug, Clone, Copy)]
struct Known {
    owner: KeyOwner,
    /// When the workspace's bucket is full; `None` before the first call.
    full_at: Option<i64>,
}

/// Whose key it is: written with the key, and never changed.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct KeyOwner {
    pub(super) workspace_id: WorkspaceId,
    pub(super) key_id: KeyId,
}

/// What every call must know of its workspace.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Admission {
    pub(super) workspace_id: WorkspaceId,
    pub(super) mode: Mode,
    pub(super) plan: Plan,
    pub(super) pipeline: String,
    pub(super) api_version: String,
    /// Monthly cap, micro-dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) cap_micros: Option<i64>,
    /// By the key's id.
    pub(super) keys: BTreeMap<String, LiveKey>,
    next_at: i64,
    full_at: i64,
    step: i64,
    span_less_step: i64,
    burst: i64,
}

/// A key that may be used; short names, because the item is written at every call.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct LiveKey {
    /// When it ends, milliseconds since the epoch.
    #[serde(rename = "x")]
    pub(super) ends_millis: i64,
    #[serde(rename = "s")]
    pub(super) scopes: Vec<Scope>,
}

impl LiveKey {
    pub(super) fn is_admin_at(&self, millis: i64) -> bool {
        self.ends_millis > millis && self.scopes.contains(&Scope::Admin)
    }
}

impl Admission {
    /// That of a new workspace: a full bucket and no key.
    pub(super) fn new(workspace: &super::workspaces::Workspace) -> Self {
        let rate = workspace.plan.rate();
        let step = rate.interval_micros();
        Self {
            workspace_id: workspace.id,
            mode: workspace.mode,
            plan: workspace.plan,
            pipeline: workspace.pipeline.clone(),
            api_version: workspace.api_version.clone(),
            cap_micros: workspace.monthly_budget_micros,
            keys: BTreeMap::new(),
            next_at: 0,
            full_at: 0,
            step,
            span_less_step: step * (i64::from(rate.burst) - 2),
            burst: i64::from(rate.burst),
        }
    }
}

/// State of the workspace's bucket after this call.
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

/// What is guessed of a bucket.
#[derive(Debug, Clone, Copy)]
enum Bucket {
    Full,
    Draining,
    Unknown,
}

impl Bucket {
    fn guess(known: &Known, now: i64) -> Self {
        match known.full_at {
            None => Self::Unknown,
            Some(full_at) if full_at < now => Self::Full,
            Some(_) => Self::Draining,
        }
    }

    const fn update(self) -> &'static str {
        match self {
            Self::Full => "SET next_at = :now - span_less_step, full_at = :now + step",
            Self::Draining | Self::Unknown => "SET next_at = next_at + step, full_at = full_at + step",
        }
    }

    const fn condition(self) -> &'static str {
        match self {
            Self::Full => "full_at < :now",
            Self::Draining => "full_at >= :now AND next_at <= :now",
            Self::Unknown => "next_at <= :now",
        }
    }
}

pub(super) const SORT_KEY: &str = "ADMISSION";

/// A partition of its own: it is written at every call.
pub(super) fn partition(tenant: &Tenant) -> String {
    format!("WS#{}#ADMISSION", tenant.workspace())
}

/// Does not begin with a workspace: it is what tells the workspace.
pub(super) fn owner_partition(hash: &str) -> String {
    format!("KEY#{hash}")
}

impl Store {
    /// Authenticates `key` and takes a token from its workspace's bucket. One request to the store; two where this process
    /// meets the key for the first time, or another has used the bucket in the meantime.
    pub async fn admit(&self, key: &ApiKey, now: OffsetDateTime) -> Result<(Caller, Allowance), Denied> {
        let hash = key.hash();
        let known = match known(&hash) {
            Some(known) => known,
            None => Known { owner: self.owner(&hash).await.map_err(Denied::Key)?, full_at: None },
        };
        let now_micros = (now.unix_timestamp_nanos() / 1_000) as i64;
        let mut bucket = Bucket::guess(&known, now_micros);
        for _ in 0..3 {
            match self.take_token(&known.owner, now_micros, bucket).await.map_err(Denied::Key)? {
                Ok(item) => {
                    remember(&hash, Known { full_at: Some(item.full_at), ..known });
                    let caller = caller(&item, &known.owner).map_err(Denied::Key)?;
                    return Ok((caller, allowance(&item, now_micros)));
                }
                Err(None) => return Err(Denied::Key(unknown_key())),
                Err(Some(item)) => {
                    refuse_dead(&item, &known.owner, key, now_micros).map_err(Denied::Key)?;
                    if item.next_at > now_micros {
                        remember(&hash, Known { full_at: Some(item.full_at), ..known });
                        return Err(empty(&item, now_micros));
                    }
                    bucket = if item.full_at < now_micros { Bucket::Full } else { Bucket::Draining };
                }
            }
        }
        // Others changed the bucket between each of our tries: it is contended, which is what a limit is for.
        Err(Denied::Key(
            Error::new(Code::RateLimitExceeded, "Too many calls at once. Retry in a second.")
                .with_retry_after(1),
        ))
    }

    /// Whose a key is, whether or not it is live; `None` when it is nobody's.
    pub(super) async fn key_owner(&self, key: &ApiKey) -> Result<Option<KeyOwner>> {
        self.get(Setting::WorkspacesTable, &owner_partition(&key.hash()), "KEY").await
    }

    async fn owner(&self, hash: &str) -> Result<KeyOwner> {
        self.get(Setting::WorkspacesTable, &owner_partition(hash), "KEY").await?.ok_or_else(unknown_key)
    }

    /// `Err(item)` when a condition failed, with the item as it is; `Err(None)` when there is none.
    async fn take_token(
        &self,
        owner: &KeyOwner,
        now: i64,
        bucket: Bucket,
    ) -> Result<std::result::Result<Admission, Option<Admission>>> {
        let table = Setting::WorkspacesTable.read()?;
        let pk = partition(&Tenant::of(owner.workspace_id));
        let condition = format!("{} AND #keys.#key.x > :now_millis", bucket.condition());
        let send = || async {
            self.client
                .update_item()
                .table_name(&table)
                .set_key(Some(primary_key(&pk, SORT_KEY)))
                .update_expression(bucket.update())
                .condition_expression(&condition)
                .expression_attribute_names("#keys", "keys")
                .expression_attribute_names("#key", owner.key_id.to_string())
                .expression_attribute_values(":now", number(now))
                .expression_attribute_values(":now_millis", number(now / 1_000))
                .return_values(ReturnValue::AllNew)
                .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
                .send()
                .await
        };
        settle(send.retry(contention()).when(is_contended).await)
    }

    /// What every call knows of this workspace, as it is now.
    pub(super) async fn admission(&self, tenant: &Tenant) -> Result<Admission> {
        self.get(Setting::WorkspacesTable, &partition(tenant), SORT_KEY)
            .await?
            .ok_or_else(|| Error::internal("a workspace without admission"))
    }
}

fn settle(
    answer: std::result::Result<UpdateItemOutput, aws_sdk_dynamodb::error::SdkError<UpdateItemError>>,
) -> Result<std::result::Result<Admission, Option<Admission>>> {
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

fn known(hash: &str) -> Option<Known> {
    KNOWN.lock().ok()?.get(hash).copied()
}

fn remember(hash: &str, known: Known) {
    if let Ok(mut seen) = KNOWN.lock() {
        if seen.len() >= REMEMBERED {
            seen.clear();
        }
        seen.insert(hash.to_owned(), known);
    }
}

fn unknown_key() -> Error {
    Error::new(Code::InvalidKey, "The API key is unknown. Check that it was copied whole.")
}

fn refuse_dead(item: &Admission, owner: &KeyOwner, key: &ApiKey, now_micros: i64) -> Result<()> {
    let message = match item.keys.get(&owner.key_id.to_string()) {
        None => format!("The API key {} was revoked, or it has expired. Create another one.", key.masked()),
        Some(live) if live.ends_millis <= now_micros / 1_000 => format!(
            "The API key {} has expired: keys end 90 days after creation at the latest, and when the grace of a rotation is over. Create another one.",
            key.masked()
        ),
        Some(_) => return Ok(()),
    };
    Err(Error::new(Code::InvalidKey, message))
}

fn caller(item: &Admission, owner: &KeyOwner) -> Result<Caller> {
    let live = item.keys.get(&owner.key_id.to_string());
    let live = live.ok_or_else(|| Error::internal("a key was admitted that is not there"))?;
    Ok(Caller {
        tenant: Tenant::of(item.workspace_id),
        key_id: owner.key_id,
        mode: item.mode,
        plan: item.plan,
        scopes: live.scopes.clone(),
        expires_at_millis: live.ends_millis,
        pipeline: item.pipeline.clone(),
        monthly_budget: item.cap_micros.map(Usd::from_micros),
    })
}

fn allowance(item: &Admission, now: i64) -> Allowance {
    // A bucket that was full has one token less, whichever way it was taken.
    let was_full = item.full_at < now;
    let left = match (was_full, item.next_at > now) {
        (true, _) => item.burst - 1,
        (false, true) => 0,
        (false, false) => (now - item.next_at) / item.step.max(1) + 1,
    };
    let until_full = if was_full { item.step } else { item.full_at - now };
    Allowance {
        limit: item.burst as u32,
        remaining: left.clamp(0, item.burst) as u32,
        reset_seconds: seconds_up(until_full),
    }
}

fn empty(item: &Admission, now: i64) -> Denied {
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
