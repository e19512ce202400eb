//! Who is a member of which workspace. A membership belongs to an address until somebody signs in with it, verified; from
//! then on to that person, whoever gets the address later.
//!
//! The membership itself lies with the workspace; what a person or an address may look up leads there and decides nothing.

use aws_sdk_dynamodb::{
    operation::update_item::UpdateItemError,
    types::{ConditionCheck, Delete, Put, TransactWriteItem, Update},
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use super::forgotten;
use crate::{
    auth::{Email, GUESSES_MOST, Person, SIGN_IN_SECONDS},
    clock::timestamp,
    config::Setting,
    error::{Error, Result},
    id::WorkspaceId,
    key::Scope,
    store::{
        Refused, Store, from_item, number, primary_key, sort_key, storage, text, to_attribute, to_item,
        workspaces,
    },
    tenant::Tenant,
};

/// A membership.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Member {
    /// By which the administrator knows them.
    pub email: Email,
    /// What keys that they get may do; `admin` is everything.
    pub scopes: Vec<Scope>,
    /// The digest of the person; `None` until somebody signed in with the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub updated_at: String,
}

/// A workspace that somebody may act in, because they are a member of it.
#[derive(Debug, Clone)]
pub struct Entered {
    /// The proof.
    pub tenant: Tenant,
    /// What they may do there.
    pub scopes: Vec<Scope>,
    /// The workspace.
    pub workspace: workspaces::Workspace,
    /// The membership, by the digest of its address.
    member: String,
}

/// Leads from an address, or from a person, to a membership.
#[derive(Serialize, Deserialize)]
struct Pointer {
    member: String,
}

fn members_partition(tenant: &Tenant) -> String {
    format!("WS#{}#MEMBERS", tenant.workspace())
}

fn email_partition(email: &str) -> String {
    format!("AUTH#EMAIL#{email}")
}

fn person_partition(person: &str) -> String {
    format!("AUTH#PERSON#{person}")
}

fn pointer_key(tenant: &Tenant) -> String {
    format!("WS#{}", tenant.workspace())
}

fn workspace_of(sort_key: &str) -> Option<WorkspaceId> {
    sort_key.strip_prefix("WS#")?.parse().ok()
}

// ---- the administrator's

impl Store {
    /// Makes somebody a member, or changes what they may do.
    pub async fn set_member(
        &self,
        tenant: &Tenant,
        email: &Email,
        scopes: &[Scope],
        now: OffsetDateTime,
    ) -> Result<()> {
        let (table, digest) = (Setting::WorkspacesTable.read()?, email.digest());
        let update = Update::builder()
            .table_name(&table)
            .set_key(Some(primary_key(&members_partition(tenant), &digest)))
            .update_expression(
                "SET email = :email, scopes = :scopes, updated_at = :now, created_at = if_not_exists(created_at, :now)",
            )
            .expression_attribute_values(":email", text(email.as_str()))
            .expression_attribute_values(":scopes", to_attribute(&scopes)?)
            .expression_attribute_values(":now", text(timestamp(now)))
            .build()
            .map_err(Error::internal)?;
        let pointer = put(&table, &email_partition(&digest), tenant, &digest)?;
        let writes = vec![TransactWriteItem::builder().update(update).build(), pointer];
        self.transact(writes).await.map_err(Refused::into_error)
    }

    /// Ends a membership, and every key that it got its member. A second time changes nothing.
    pub async fn remove_member(&self, tenant: &Tenant, email: &Email, now: OffsetDateTime) -> Result<()> {
        let (table, digest) = (Setting::WorkspacesTable.read()?, email.digest());
        let member: Option<Member> =
            self.get(Setting::WorkspacesTable, &members_partition(tenant), &digest).await?;
        let person = member.and_then(|member| member.person);
        let mut writes = vec![
            delete(&table, &members_partition(tenant), &digest)?,
            delete(&table, &email_partition(&digest), &pointer_key(tenant))?,
        ];
        if let Some(person) = &person {
            writes.push(delete(&table, &person_partition(person), &pointer_key(tenant))?);
        }
        self.transact(writes).await.map_err(Refused::into_error)?;
        for key in self.keys_of(tenant, person.as_deref().unwrap_or_default()).await? {
            self.end_key(tenant, &key, now, false).await?;
        }
        Ok(())
    }

    /// Every member of a workspace.
    pub async fn members(&self, tenant: &Tenant) -> Result<Vec<Member>> {
        self.range(Setting::WorkspacesTable, &members_partition(tenant), " ", "~").await
    }
}

fn put(table: &str, pk: &str, tenant: &Tenant, member: &str) -> Result<TransactWriteItem> {
    let pointer = Pointer { member: member.to_owned() };
    let put = Put::builder()
        .table_name(table)
        .set_item(Some(to_item(pk, &pointer_key(tenant), &pointer)?))
        .build()
        .map_err(Error::internal)?;
    Ok(TransactWriteItem::builder().put(put).build())
}

fn delete(table: &str, pk: &str, sk: &str) -> Result<TransactWriteItem> {
    crate::store::runs::delete(Delete::builder().table_name(table).set_key(Some(primary_key(pk, sk))))
}

/// Whoever ends the membership at the same moment either finds the key, or there is none.
pub(super) fn still_member(entered: &Entered, person: &str) -> Result<TransactWriteItem> {
    let check = ConditionCheck::builder()
        .table_name(Setting::WorkspacesTable.read()?)
        .set_key(Some(primary_key(&members_partition(&entered.tenant), &entered.member)))
        .condition_expression("person = :person")
        .expression_attribute_values(":person", text(person))
        .build()
        .map_err(Error::internal)?;
    Ok(TransactWriteItem::builder().condition_check(check).build())
}

// ---- the person's

impl Store {
    /// Somebody has signed in: memberships of their address that are nobody's yet become theirs.
    pub async fn recognise(&self, person: &Person, now: OffsetDateTime) -> Result<()> {
        let Some(email) = &person.email else { return Ok(()) };
        let (digest, table) = (email.digest(), Setting::WorkspacesTable.read()?);
        for (sk, _) in self.pointers(&email_partition(&digest)).await? {
            let Some(workspace) = workspace_of(&sk) else { continue };
            // An administrator has made this address a member of it.
            let tenant = Tenant::of(workspace);
            let bind = Update::builder()
                .table_name(&table)
                .set_key(Some(primary_key(&members_partition(&tenant), &digest)))
                .update_expression("SET person = :person, updated_at = :now")
                .condition_expression("attribute_exists(pk) AND attribute_not_exists(person)")
                .expression_attribute_values(":person", text(person.digest()))
                .expression_attribute_values(":now", text(timestamp(now)))
                .build()
                .map_err(Error::internal)?;
            let pointer = put(&table, &person_partition(&person.digest()), &tenant, &digest)?;
            match self.transact(vec![TransactWriteItem::builder().update(bind).build(), pointer]).await {
                // Somebody's already, this person's or another's; or ended meanwhile.
                Ok(()) | Err(Refused::Conditions(_)) => {}
                Err(refused) => return Err(refused.into_error()),
            }
        }
        Ok(())
    }

    /// The workspaces that somebody is a member of, by name.
    pub async fn memberships(&self, person: &Person) -> Result<Vec<Entered>> {
        let mut entered = Vec::new();
        for (sk, pointer) in self.pointers(&person_partition(&person.digest())).await? {
            if let Some(workspace) = workspace_of(&sk) {
                entered.extend(self.follow(person, workspace, &pointer).await?);
            }
        }
        entered.sort_by(|one, other| {
            let order = |entered: &Entered| (entered.workspace.name.to_lowercase(), entered.workspace.id);
            order(one).cmp(&order(other))
        });
        Ok(entered)
    }

    /// A workspace, if somebody is a member of it at this moment.
    pub async fn enter(&self, person: &Person, workspace: WorkspaceId) -> Result<Option<Entered>> {
        let (pk, sk) = (person_partition(&person.digest()), pointer_key(&Tenant::of(workspace)));
        let pointer: Option<Pointer> = self.get(Setting::WorkspacesTable, &pk, &sk).await?;
        match pointer {
            Some(pointer) => self.follow(person, workspace, &pointer).await,
            None => Ok(None),
        }
    }

    /// The membership that a pointer leads to, if it is there and this person's.
    async fn follow(
        &self,
        person: &Person,
        workspace: WorkspaceId,
        pointer: &Pointer,
    ) -> Result<Option<Entered>> {
        let tenant = Tenant::of(workspace);
        let keys = vec![
            primary_key(&members_partition(&tenant), &pointer.member),
            primary_key(&workspaces::partition(&tenant), "WORKSPACE"),
        ];
        let (mut member, mut found): (Option<Member>, Option<workspaces::Workspace>) = (None, None);
        for item in self.batch_items(Setting::WorkspacesTable, keys).await? {
            if sort_key(&item) == "WORKSPACE" {
                found = Some(from_item(item)?);
            } else {
                member = Some(from_item(item)?);
            }
        }
        let member = member.filter(|member| member.person.as_deref() == Some(&person.digest()));
        let (Some(membership), Some(workspace)) = (member, found) else { return Ok(None) };
        let member = pointer.member.clone();
        Ok(Some(Entered { tenant, scopes: membership.scopes, workspace, member }))
    }

    async fn pointers(&self, pk: &str) -> Result<Vec<(String, Pointer)>> {
        let items = self.items_of_range(Setting::WorkspacesTable, pk, "WS#", "WS#~", usize::MAX).await?;
        items.into_iter().map(|item| Ok((sort_key(&item), from_item(item)?))).collect()
    }

    /// Counts a wrong user code. `false` when this person has entered too many.
    pub async fn may_guess(&self, person: &Person, now: OffsetDateTime) -> Result<bool> {
        let window = now.unix_timestamp() / SIGN_IN_SECONDS;
        let answer = self
            .client
            .update_item()
            .table_name(Setting::WorkspacesTable.read()?)
            .set_key(Some(primary_key(&person_partition(&person.digest()), &format!("GUESSES#{window}"))))
            .update_expression("ADD guesses :one SET expires_at = :forgotten")
            .condition_expression("attribute_not_exists(pk) OR guesses < :most")
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":most", number(GUESSES_MOST))
            .expression_attribute_values(":forgotten", number(forgotten(now.unix_timestamp())))
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
}
