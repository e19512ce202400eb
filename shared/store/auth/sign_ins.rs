//! Sign-ins on their way through a browser, by the state that the provider gives back.

use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::forgotten;
use crate::{
    auth::{Asked, Person, SIGN_IN_SECONDS},
    config::Setting,
    error::{Error, Result},
    store::{Refused, Store, runs::put_new, text, to_item},
};

/// A sign-in from its beginning to the person's decision.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SignIn {
    /// Who waits for the decision.
    pub destination: Destination,
    /// What they asked for.
    pub asked: Asked,
    /// How far it is.
    pub stage: Stage,
    /// The digest of the ticket in the browser's cookie: another browser cannot go on with it.
    pub browser: String,
    /// What the identity token must repeat.
    pub nonce: String,
    /// What proves to the provider that it was us who asked.
    pub verifier: String,
    /// Who came back from the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<Person>,
    /// When it is too late, seconds since the epoch.
    pub ends_at: i64,
}

/// Who waits for a person's decision.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Destination {
    /// A program on the person's machine, listening there.
    Loopback {
        /// Where it listens.
        redirect_uri: String,
        /// What it wants to see again.
        state: Option<String>,
        /// What it will prove itself by.
        challenge: String,
    },
    /// A device elsewhere, which asks from time to time.
    Device {
        /// The user code, as far as the person has entered one.
        user_code: Option<String>,
        /// The digest of the device code that it stands for; `None` until it was found.
        device: Option<String>,
    },
}

/// How far a sign-in is; it never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The person is at the provider.
    Begun,
    /// The provider's answer is being looked at; it is looked at once.
    Returned,
    /// The person is known and has to decide.
    Identified,
    /// The person has agreed.
    Approved,
    /// The person has not, or the provider has refused.
    Denied,
}

impl Stage {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Returned => "returned",
            Self::Identified => "identified",
            Self::Approved => "approved",
            Self::Denied => "denied",
        }
    }
}

const SORT_KEY: &str = "SIGN_IN";

fn partition(state: &str) -> String {
    format!("AUTH#SIGN_IN#{state}")
}

impl SignIn {
    /// Seconds since the epoch at which a sign-in that begins now ends.
    pub fn end(now: OffsetDateTime) -> i64 {
        now.unix_timestamp() + SIGN_IN_SECONDS
    }
}

#[derive(Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    sign_in: &'a SignIn,
    expires_at: i64,
}

fn item(state: &str, sign_in: &SignIn) -> Result<crate::store::Item> {
    to_item(&partition(state), SORT_KEY, &Row { sign_in, expires_at: forgotten(sign_in.ends_at) })
}

impl Store {
    /// Remembers a sign-in under the digest of its state.
    pub async fn begin_sign_in(&self, state: &str, sign_in: &SignIn) -> Result<()> {
        let put = put_new(&Setting::WorkspacesTable.read()?, item(state, sign_in)?)?;
        self.transact(vec![put]).await.map_err(Refused::into_error)
    }

    /// The sign-in of this state.
    pub async fn sign_in(&self, state: &str) -> Result<Option<SignIn>> {
        self.get(Setting::WorkspacesTable, &partition(state), SORT_KEY).await
    }

    /// Changes a sign-in, if it is at `from` still. Of two that do so at once, one fails.
    pub async fn advance_sign_in(&self, state: &str, from: Stage, sign_in: &SignIn) -> Result<bool> {
        self.advance_with(state, from, sign_in, Vec::new()).await
    }

    /// The same, together with what follows from it.
    pub(super) async fn advance_with(
        &self,
        state: &str,
        from: Stage,
        sign_in: &SignIn,
        more: Vec<TransactWriteItem>,
    ) -> Result<bool> {
        let put = Put::builder()
            .table_name(Setting::WorkspacesTable.read()?)
            .set_item(Some(item(state, sign_in)?))
            .condition_expression("stage = :from")
            .expression_attribute_values(":from", text(from.as_str()))
            .build()
            .map_err(Error::internal)?;
        let mut writes = vec![TransactWriteItem::builder().put(put).build()];
        writes.extend(more);
        match self.transact(writes).await {
            Ok(()) => Ok(true),
            Err(Refused::Conditions(_)) => Ok(false),
            Err(refused) => Err(refused.into_error()),
        }
    }
}
