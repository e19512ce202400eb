//! What people have granted, until it becomes a key: once. A grant that is redeemed again ends the key that it made.

use aws_sdk_dynamodb::{
    operation::update_item::UpdateItemError,
    types::{TransactWriteItem, Update},
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::{Entered, SignIn, Stage, forgotten, people::still_member};
use crate::{
    auth::{CODE_SECONDS, Grant, Ticket},
    config::Setting,
    error::{Error, Result},
    id::KeyId,
    key::ApiKey,
    store::{
        Store,
        keys::{KeyDraft, KeyRecord, SignedIn},
        number, primary_key,
        runs::put_new,
        storage, text, to_item,
    },
    tenant::Tenant,
};

/// Where a grant lies: under a code, or with the device that asked for it.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    pub(super) kind: &'static str,
    pub(super) digest: &'a str,
}

impl<'a> Place<'a> {
    /// Under the digest of an authorization code.
    pub const fn code(digest: &'a str) -> Self {
        Self { kind: "CODE", digest }
    }

    /// With the device of this device code's digest.
    pub const fn device(digest: &'a str) -> Self {
        Self { kind: "DEVICE", digest }
    }

    pub(super) fn partition(self) -> String {
        format!("AUTH#{}#{}", self.kind, self.digest)
    }
}

/// A code, and what must come with it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Redeemed {
    /// What was granted.
    pub grant: Grant,
    /// Where the code was sent.
    pub redirect_uri: String,
    /// What its verifier must fit.
    pub challenge: String,
    /// When it is too late, seconds since the epoch.
    pub ends_at: i64,
    expires_at: i64,
}

impl Store {
    /// The person agrees: the sign-in is over, and the code stands for what was granted. `false` when it was over already.
    pub async fn approve_with_code(
        &self,
        state: &str,
        sign_in: &SignIn,
        code: &Ticket,
        (redirect_uri, challenge): (&str, &str),
        grant: &Grant,
        now: OffsetDateTime,
    ) -> Result<bool> {
        let ends_at = now.unix_timestamp() + CODE_SECONDS;
        let (redirect_uri, challenge) = (redirect_uri.to_owned(), challenge.to_owned());
        let grant = grant.clone();
        let redeemed = Redeemed { grant, redirect_uri, challenge, ends_at, expires_at: forgotten(ends_at) };
        let place = Place::code(&code.digest()).partition();
        let put = put_new(&Setting::WorkspacesTable.read()?, to_item(&place, "CODE", &redeemed)?)?;
        let approved = SignIn { stage: Stage::Approved, ..sign_in.clone() };
        self.advance_with(state, Stage::Identified, &approved, vec![put]).await
    }

    /// What a code stands for.
    pub async fn code(&self, digest: &str) -> Result<Option<Redeemed>> {
        self.get(Setting::WorkspacesTable, &Place::code(digest).partition(), "CODE").await
    }

    /// Takes a grant for the key of this id; `false` when it was taken before.
    pub async fn claim_grant(&self, place: Place<'_>, key: KeyId) -> Result<bool> {
        let answer = self
            .client
            .update_item()
            .table_name(Setting::WorkspacesTable.read()?)
            .set_key(Some(primary_key(&place.partition(), place.kind)))
            .update_expression("SET key_id = :key")
            .condition_expression("attribute_exists(pk) AND attribute_not_exists(key_id)")
            .expression_attribute_values(":key", text(key.to_string()))
            .send()
            .await;
        match answer {
            Ok(_) => Ok(true),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(false),
                _ => Err(storage(error)),
            },
        }
    }

    /// The key of a grant that this call has claimed, where the person was found to be a member. `None` when that is so no
    /// more, or when somebody else has tried to redeem it in the meantime.
    pub async fn redeem_grant(
        &self,
        place: Place<'_>,
        entered: &Entered,
        draft: &KeyDraft,
        (key, person): (KeyId, &str),
        now: OffsetDateTime,
    ) -> Result<Option<(KeyRecord, ApiKey)>> {
        let unspoilt = Update::builder()
            .table_name(Setting::WorkspacesTable.read()?)
            .set_key(Some(primary_key(&place.partition(), place.kind)))
            .update_expression("SET redeemed_at = :now")
            .condition_expression("attribute_not_exists(replayed_at)")
            .expression_attribute_values(":now", number(now.unix_timestamp()))
            .build()
            .map_err(Error::internal)?;
        let more =
            vec![TransactWriteItem::builder().update(unspoilt).build(), still_member(entered, person)?];
        self.create_key_of(&entered.tenant, draft, &SignedIn { id: key, person }, more, now).await
    }

    /// Somebody redeems a grant again, so one of the two is not who it was given to: the key that it has made ends, and
    /// if it is about to make one, it makes none.
    pub async fn spoil_grant(&self, place: Place<'_>, now: OffsetDateTime) -> Result<()> {
        #[derive(Deserialize)]
        struct Claimed {
            grant: Grant,
            key_id: KeyId,
        }
        let answer = self
            .client
            .update_item()
            .table_name(Setting::WorkspacesTable.read()?)
            .set_key(Some(primary_key(&place.partition(), place.kind)))
            .update_expression("SET replayed_at = :now")
            .condition_expression("attribute_exists(key_id)")
            .expression_attribute_values(":now", number(now.unix_timestamp()))
            .return_values(aws_sdk_dynamodb::types::ReturnValue::AllNew)
            .send()
            .await
            .map_err(storage)?;
        let claimed: Claimed = crate::store::from_item(answer.attributes.unwrap_or_default())?;
        // The grant was written after its membership was checked.
        let tenant = Tenant::of(claimed.grant.workspace_id);
        if let Some(record) = self.key(&tenant, claimed.key_id).await? {
            self.end_key(&tenant, &record, now, false).await?;
        }
        Ok(())
    }

    /// Ends a key that somebody got by signing in, for whoever holds it. `false` when it was made in another way; a key
    /// that is unknown, or has ended, needs no more.
    pub async fn end_signed_in(&self, secret: &ApiKey, now: OffsetDateTime) -> Result<bool> {
        let Some(owner) = self.key_owner(secret).await? else { return Ok(true) };
        // Who holds a key of the workspace acts in its name.
        let tenant = Tenant::of(owner.workspace_id);
        let Some(record) = self.key(&tenant, owner.key_id).await? else { return Ok(true) };
        if record.signed_in_by.is_none() {
            return Ok(false);
        }
        self.end_key(&tenant, &record, now, false).await?;
        Ok(true)
    }
}
