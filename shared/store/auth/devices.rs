//! Devices that wait for a person to approve them elsewhere (RFC 8628).

use aws_sdk_dynamodb::{
    operation::update_item::UpdateItemError,
    types::{ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update},
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{Place, SignIn, Stage, forgotten};
use crate::{
    auth::{Asked, DEVICE_SECONDS, Grant, INTERVAL_SECONDS, UserCode},
    clock::millis,
    config::Setting,
    error::{Error, Result},
    store::{
        Refused, Store, from_item, number, primary_key, runs::put_new, storage, text, to_attribute, to_item,
    },
};

/// A device that waits.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Device {
    /// What it asked for.
    pub asked: Asked,
    /// What was decided.
    pub status: Decided,
    /// What was granted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grant: Option<Grant>,
    /// When it is too late, seconds since the epoch.
    pub ends_at: i64,
    /// Milliseconds that must lie between two of its questions.
    interval: i64,
    /// When it may ask next, milliseconds since the epoch.
    next_at: i64,
    expires_at: i64,
}

/// What a person has decided of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decided {
    /// Nothing yet.
    Pending,
    /// It may.
    Approved,
    /// It may not.
    Denied,
}

/// What a device is told.
#[derive(Debug)]
pub enum Polled {
    /// There is no such device.
    Unknown,
    /// It asks too often; from now on it has to wait longer.
    TooSoon,
    /// What is known of it.
    Known(Box<Device>),
}

#[derive(Serialize, Deserialize)]
struct Named {
    device: String,
    expires_at: i64,
}

const SORT_KEY: &str = "DEVICE";
/// Milliseconds that a device must wait longer each time that it asks too soon (RFC 8628 3.5).
const SLOWER: i64 = INTERVAL_SECONDS * 1_000;

fn user_code_partition(code: &UserCode) -> String {
    format!("AUTH#USER_CODE#{}", code.digest())
}

impl Device {
    /// Whether a person may still decide.
    pub fn is_open(&self, now: OffsetDateTime) -> bool {
        self.status == Decided::Pending && self.ends_at > now.unix_timestamp()
    }
}

impl Store {
    /// Remembers a device under the digest of its device code. `false` when another has the user code.
    pub async fn begin_device(
        &self,
        device: &str,
        user_code: &UserCode,
        asked: Asked,
        now: OffsetDateTime,
    ) -> Result<bool> {
        let table = Setting::WorkspacesTable.read()?;
        let ends_at = now.unix_timestamp() + DEVICE_SECONDS;
        let expires_at = forgotten(ends_at);
        let interval = INTERVAL_SECONDS * 1_000;
        let (status, grant) = (Decided::Pending, None);
        // The first question may come at once.
        let record = Device { asked, status, grant, ends_at, interval, next_at: millis(now), expires_at };
        let named = Named { device: device.to_owned(), expires_at };
        let writes = vec![
            put_new(&table, to_item(&Place::device(device).partition(), SORT_KEY, &record)?)?,
            put_new(&table, to_item(&user_code_partition(user_code), SORT_KEY, &named)?)?,
        ];
        match self.transact(writes).await {
            Ok(()) => Ok(true),
            Err(Refused::Conditions(_)) => Ok(false),
            Err(refused) => Err(refused.into_error()),
        }
    }

    /// The device of a device code's digest.
    pub async fn device(&self, device: &str) -> Result<Option<Device>> {
        self.get(Setting::WorkspacesTable, &Place::device(device).partition(), SORT_KEY).await
    }

    /// The digest of the device code that a user code stands for.
    pub async fn device_of(&self, user_code: &UserCode) -> Result<Option<String>> {
        let named: Option<Named> =
            self.get(Setting::WorkspacesTable, &user_code_partition(user_code), SORT_KEY).await?;
        Ok(named.map(|named| named.device))
    }

    /// A device asks how it stands.
    pub async fn poll_device(&self, device: &str, now: OffsetDateTime) -> Result<Polled> {
        let answer = self
            .device_update(device)?
            .update_expression("SET next_at = :now + #interval")
            .condition_expression("attribute_exists(pk) AND next_at <= :now")
            .expression_attribute_names("#interval", "interval")
            .expression_attribute_values(":now", number(millis(now)))
            .return_values(aws_sdk_dynamodb::types::ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        let error = match answer {
            Ok(output) => {
                return Ok(Polled::Known(Box::new(from_item(output.attributes.unwrap_or_default())?)));
            }
            Err(error) => error,
        };
        let Some(UpdateItemError::ConditionalCheckFailedException(failed)) = error.as_service_error() else {
            return Err(storage(error));
        };
        let Some(item) = failed.item().cloned() else { return Ok(Polled::Unknown) };
        let known: Device = from_item(item)?;
        if known.ends_at <= now.unix_timestamp() {
            // Nothing is left to wait for.
            return Ok(Polled::Known(Box::new(known)));
        }
        self.device_update(device)?
            .update_expression("SET #interval = #interval + :slower, next_at = :later + #interval")
            .expression_attribute_names("#interval", "interval")
            .expression_attribute_values(":slower", number(SLOWER))
            .expression_attribute_values(":later", number(millis(now) + SLOWER))
            .send()
            .await
            .map_err(storage)?;
        Ok(Polled::TooSoon)
    }

    fn device_update(
        &self,
        device: &str,
    ) -> Result<aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder> {
        Ok(self
            .client
            .update_item()
            .table_name(Setting::WorkspacesTable.read()?)
            .set_key(Some(primary_key(&Place::device(device).partition(), SORT_KEY))))
    }

    /// The person decides of a device: the sign-in is over, and the device will be told. `false` when either was over
    /// already.
    pub async fn decide_device(
        &self,
        state: &str,
        sign_in: &SignIn,
        device: &str,
        grant: Option<&Grant>,
        now: OffsetDateTime,
    ) -> Result<bool> {
        let (status, stage) = if grant.is_some() {
            (Decided::Approved, Stage::Approved)
        } else {
            (Decided::Denied, Stage::Denied)
        };
        let update = Update::builder()
            .table_name(Setting::WorkspacesTable.read()?)
            .set_key(Some(primary_key(&Place::device(device).partition(), SORT_KEY)))
            .update_expression(if grant.is_some() {
                "SET #status = :status, #grant = :grant"
            } else {
                "SET #status = :status"
            })
            .condition_expression("#status = :pending AND ends_at > :now")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":status", to_attribute(&status)?)
            .expression_attribute_values(":pending", text("pending"))
            .expression_attribute_values(":now", number(now.unix_timestamp()));
        let update = match grant {
            Some(grant) => update
                .expression_attribute_names("#grant", "grant")
                .expression_attribute_values(":grant", to_attribute(grant)?),
            None => update,
        };
        let update = update.build().map_err(Error::internal)?;
        let decided = SignIn { stage, ..sign_in.clone() };
        let writes = vec![TransactWriteItem::builder().update(update).build()];
        self.advance_with(state, Stage::Identified, &decided, writes).await
    }
}
