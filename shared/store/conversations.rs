//! Conversations at rest: the header, its list entry, its messages. A turn is three writes: the claim, the beginning
//! with the user's message, and the end with everything else; each is one request.

use aws_sdk_dynamodb::{
    operation::update_item::UpdateItemError,
    types::{Delete, ReturnValue, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Item, Page, Refused, Store, from_item, number, primary_key,
    runs::{Begun, EventLog, Opening, delete, month_writes, put, put_new, refused_begin},
    storage, text, to_attribute, to_item,
};
use crate::{
    config::Setting,
    conversation::{Conversation, Message, Summary},
    drift::Smoothed,
    error::{Error, Result},
    id::{ConversationId, PersonaId, RunId},
    run::{Run, events::EventBody},
    tenant::Tenant,
};

/// A conversation in the list: the header without what grows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ConversationEntry {
    /// The conversation.
    pub id: ConversationId,
    /// Whom it is with.
    pub persona_id: PersonaId,
}

/// What came of claiming a conversation for a turn.
#[derive(Debug)]
pub enum TurnClaim {
    /// It is this turn's.
    Won(Box<Conversation>),
    /// Another turn is in flight, until this time at most (milliseconds since the epoch).
    Busy(i64),
    /// It is with another persona, or not for this key's eyes.
    Other(Box<Conversation>),
    /// There is no such conversation.
    Unknown,
}

/// Whom a turn expects; what does not match is told apart from what does not exist.
#[derive(Debug, Clone, Copy)]
pub struct Expected {
    /// The persona, where the caller names it by id.
    pub persona: Option<PersonaId>,
    /// The caller's key, unless it may see everything.
    pub viewer: Option<crate::id::KeyId>,
}

/// Who is to speak; checked in the transaction that begins the turn.
#[derive(Debug, Clone, Copy)]
pub struct Speaker<'a> {
    /// The persona.
    pub persona: PersonaId,
    /// Its slug, where the caller calls it by one.
    pub slug: Option<&'a str>,
}

/// What came of beginning a turn; unless its run began, nothing was written.
#[derive(Debug, PartialEq, Eq)]
pub enum TurnBegun {
    /// As its run did.
    Run(Begun),
    /// The persona was deleted.
    PersonaGone,
    /// The persona has another slug.
    OtherSlug,
}

/// What the end of a turn writes.
#[derive(Debug)]
pub struct TurnEnd<'a> {
    /// The run as it ended.
    pub run: &'a Run,
    /// Every event after those of the beginning.
    pub events: &'a [EventBody],
    /// The exchanges of each step, as JSON.
    pub recordings: &'a [(&'a str, Value)],
    /// The run's output, any JSON.
    pub output: &'a Value,
    /// The persona's message; none when the turn failed.
    pub message: Option<&'a Message>,
    /// The moving average after the turn.
    pub smoothed: &'a Smoothed,
    /// New notes on what has left the window.
    pub summary: Option<&'a Summary>,
    /// Further writes of the same transaction.
    pub also: Vec<TransactWriteItem>,
}

fn partition(tenant: &Tenant, conversation: ConversationId) -> String {
    format!("WS#{}#CONV#{conversation}", tenant.workspace())
}

fn messages_partition(tenant: &Tenant, conversation: ConversationId) -> String {
    format!("WS#{}#CONV#{conversation}#MESSAGES", tenant.workspace())
}

fn list_partition(tenant: &Tenant) -> String {
    format!("WS#{}#CONVS", tenant.workspace())
}

fn message_key(number: u64) -> String {
    format!("{number:010}")
}

/// The keys of the last `most` messages up to number `through`.
pub(super) fn latest_message_keys(
    tenant: &Tenant,
    id: ConversationId,
    through: u64,
    most: usize,
) -> Vec<Item> {
    let from = (through + 1).saturating_sub(most as u64).max(1);
    let pk = messages_partition(tenant, id);
    (from..=through).map(|number| primary_key(&pk, &message_key(number))).collect()
}

impl Store {
    /// Writes a new conversation.
    pub async fn create_conversation(&self, tenant: &Tenant, conversation: &Conversation) -> Result<()> {
        let table = Setting::ConversationsTable.read()?;
        let entry = ConversationEntry { id: conversation.id, persona_id: conversation.persona_id };
        let writes = vec![
            put_new(&table, to_item(&partition(tenant, conversation.id), "CONV", conversation)?)?,
            put(&table, to_item(&list_partition(tenant), &conversation.id.to_string(), &entry)?)?,
        ];
        self.transact(writes).await.map_err(Refused::into_error)
    }

    /// The header.
    pub async fn conversation(&self, tenant: &Tenant, id: ConversationId) -> Result<Option<Conversation>> {
        self.get(Setting::ConversationsTable, &partition(tenant, id), "CONV").await
    }

    /// One page of conversations, newest first.
    pub async fn conversations(
        &self,
        tenant: &Tenant,
        after: Option<&str>,
        limit: usize,
        keep: impl Fn(&ConversationEntry) -> bool,
    ) -> Result<Page<Conversation>> {
        let page: Page<ConversationEntry> =
            self.page(Setting::ConversationsTable, &list_partition(tenant), after, limit, keep).await?;
        let keys = page.items.iter().map(|(_, entry)| primary_key(&partition(tenant, entry.id), "CONV"));
        let mut headers: Vec<Conversation> = self.batch(Setting::ConversationsTable, keys.collect()).await?;
        headers.sort_by_key(|conversation| std::cmp::Reverse(conversation.id));
        let items = headers.into_iter().map(|header| (header.id.to_string(), header)).collect();
        Ok(Page { items, next: page.next })
    }

    /// One page of messages, newest first.
    pub async fn messages(
        &self,
        tenant: &Tenant,
        id: ConversationId,
        after: Option<&str>,
        limit: usize,
        keep: impl Fn(&Message) -> bool,
    ) -> Result<Page<Message>> {
        self.page(Setting::ConversationsTable, &messages_partition(tenant, id), after, limit, keep).await
    }

    /// The last messages up to number `through`, oldest first: one request, whatever the conversation's length.
    pub async fn latest_messages(
        &self,
        tenant: &Tenant,
        id: ConversationId,
        through: u64,
        most: usize,
    ) -> Result<Vec<Message>> {
        if through == 0 {
            return Ok(Vec::new());
        }
        let answer = self
            .client
            .query()
            .table_name(Setting::ConversationsTable.read()?)
            .key_condition_expression("pk = :pk AND sk <= :through")
            .expression_attribute_values(":pk", text(messages_partition(tenant, id)))
            .expression_attribute_values(":through", text(message_key(through)))
            .scan_index_forward(false)
            .consistent_read(true)
            .limit(most as i32)
            .send()
            .await
            .map_err(storage)?;
        let items = answer.items.unwrap_or_default().into_iter().rev();
        items.map(from_item).collect()
    }

    /// Takes the conversation for one turn and numbers the user's message.
    pub async fn claim_turn(
        &self,
        tenant: &Tenant,
        id: ConversationId,
        run: RunId,
        expected: Expected,
        now: i64,
        until: i64,
    ) -> Result<TurnClaim> {
        let mut condition = "attribute_exists(pk) AND busy_until < :now".to_owned();
        let mut update = self
            .client
            .update_item()
            .table_name(Setting::ConversationsTable.read()?)
            .set_key(Some(primary_key(&partition(tenant, id), "CONV")))
            .update_expression("SET busy_run = :run, busy_until = :until ADD last_message :one")
            .expression_attribute_values(":run", text(run.to_string()))
            .expression_attribute_values(":until", number(until))
            .expression_attribute_values(":now", number(now))
            .expression_attribute_values(":one", number(1))
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        if let Some(persona) = expected.persona {
            condition.push_str(" AND persona_id = :persona");
            update = update.expression_attribute_values(":persona", text(persona.to_string()));
        }
        if let Some(key) = expected.viewer {
            condition.push_str(" AND (#private = :no OR created_by = :key)");
            update = update
                .expression_attribute_names("#private", "private")
                .expression_attribute_values(":no", to_attribute(&false)?)
                .expression_attribute_values(":key", text(key.to_string()));
        }
        match update.condition_expression(condition).send().await {
            Ok(output) => Ok(TurnClaim::Won(Box::new(from_item(output.attributes.unwrap_or_default())?))),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                    let Some(item) = failed.item().cloned() else { return Ok(TurnClaim::Unknown) };
                    Ok(refused(from_item(item)?, expected))
                }
                _ => Err(storage(error)),
            },
        }
    }

    /// Begins a claimed turn: the run and the user's message, before any model is asked.
    pub async fn begin_turn(
        &self,
        tenant: &Tenant,
        opening: &Opening<'_>,
        said: Option<(ConversationId, &Message)>,
        speaker: Option<Speaker<'_>>,
    ) -> Result<TurnBegun> {
        let mut writes = self.opening_writes(tenant, opening)?;
        let month_at = writes.len();
        writes.extend(month_writes(tenant, opening)?);
        let checked_at = writes.len();
        if let Some(Speaker { persona, slug }) = speaker {
            writes.push(self.speaker_check(tenant, persona, slug)?);
        }
        if let Some((id, message)) = said {
            let key = message_key(message.number);
            let table = Setting::ConversationsTable.read()?;
            writes.push(put(&table, to_item(&messages_partition(tenant, id), &key, message)?)?);
        }
        match self.transact(writes).await {
            Ok(()) => Ok(TurnBegun::Run(Begun::Yes)),
            Err(Refused::Conditions(failed)) if failed.iter().any(|(at, _)| *at < checked_at) => {
                refused_begin(&failed, month_at..month_at, month_at).map(TurnBegun::Run)
            }
            Err(Refused::Conditions(failed)) if failed.iter().any(|(at, _)| *at == checked_at) => {
                let still_is = failed.into_iter().any(|(at, item)| at == checked_at && item.is_some());
                Ok(if still_is { TurnBegun::OtherSlug } else { TurnBegun::PersonaGone })
            }
            Err(refused) => Err(refused.into_error()),
        }
    }

    /// Ends a turn, in one transaction: message, run, events, recordings, and the conversation free again. `false`
    /// when the run was ended by another, such as its owner.
    pub async fn end_turn(
        &self,
        log: &mut EventLog,
        conversation: Option<ConversationId>,
        end: TurnEnd<'_>,
    ) -> Result<bool> {
        let tenant = log.tenant();
        let mut writes = self.closing_writes(log, &end)?;
        if let Some(id) = conversation {
            writes.push(self.header_update(&tenant, id, &end)?);
            if let Some(message) = end.message {
                let key = message_key(message.number);
                let item = to_item(&messages_partition(&tenant, id), &key, message)?;
                writes.push(put(&Setting::ConversationsTable.read()?, item)?);
            }
        }
        writes.extend(end.also);
        self.unless_changed(writes).await
    }

    fn header_update(
        &self,
        tenant: &Tenant,
        id: ConversationId,
        end: &TurnEnd<'_>,
    ) -> Result<TransactWriteItem> {
        let mut set = vec!["updated_at = :at", "busy_until = :free"];
        let mut add = vec!["cost :cost"];
        let mut update = Update::builder()
            .table_name(Setting::ConversationsTable.read()?)
            .set_key(Some(primary_key(&partition(tenant, id), "CONV")))
            .condition_expression("busy_run = :run")
            .expression_attribute_values(":run", text(end.run.id.to_string()))
            .expression_attribute_values(":at", text(&end.run.updated_at))
            .expression_attribute_values(":free", number(0))
            .expression_attribute_values(":cost", number(end.run.cost.micros()));
        if let Some(message) = end.message {
            set.extend(["last_message = :last", "smoothed = :smoothed"]);
            add.push("turns :one");
            update = update
                .expression_attribute_values(":last", number(message.number))
                .expression_attribute_values(":smoothed", to_attribute(end.smoothed)?)
                .expression_attribute_values(":one", number(1));
        }
        if let Some(summary) = end.summary {
            set.push("summary = :summary");
            update = update.expression_attribute_values(":summary", to_attribute(summary)?);
        }
        let expression = format!("SET {} REMOVE busy_run ADD {}", set.join(", "), add.join(", "));
        let update = update.update_expression(expression).build().map_err(Error::internal)?;
        Ok(TransactWriteItem::builder().update(update).build())
    }

    /// Frees a conversation whose turn wrote nothing, or whose run was ended by another.
    pub async fn release_turn(&self, tenant: &Tenant, id: ConversationId, run: RunId) -> Result<()> {
        let answer = self
            .client
            .update_item()
            .table_name(Setting::ConversationsTable.read()?)
            .set_key(Some(primary_key(&partition(tenant, id), "CONV")))
            .condition_expression("busy_run = :run")
            .update_expression("SET busy_until = :free REMOVE busy_run")
            .expression_attribute_values(":run", text(run.to_string()))
            .expression_attribute_values(":free", number(0))
            .send()
            .await;
        match answer {
            Ok(_) => Ok(()),
            Err(error)
                if error
                    .as_service_error()
                    .is_some_and(UpdateItemError::is_conditional_check_failed_exception) =>
            {
                Ok(())
            }
            Err(error) => Err(storage(error)),
        }
    }

    /// Deletes a conversation: first what makes it findable, then its messages. `false` when it is gone already.
    pub async fn delete_conversation(&self, tenant: &Tenant, id: ConversationId) -> Result<bool> {
        let table = Setting::ConversationsTable.read()?;
        let header = Delete::builder()
            .table_name(&table)
            .set_key(Some(primary_key(&partition(tenant, id), "CONV")))
            .condition_expression("attribute_exists(pk)");
        let entry = Delete::builder()
            .table_name(&table)
            .set_key(Some(primary_key(&list_partition(tenant), &id.to_string())));
        match self.transact(vec![delete(header)?, delete(entry)?]).await {
            Ok(()) => {}
            Err(Refused::Conditions(_)) => return Ok(false),
            Err(refused) => return Err(refused.into_error()),
        }
        self.delete_partition(Setting::ConversationsTable, &messages_partition(tenant, id)).await?;
        Ok(true)
    }
}

fn refused(conversation: Conversation, expected: Expected) -> TurnClaim {
    let other_persona = expected.persona.is_some_and(|persona| persona != conversation.persona_id);
    let unseen = expected.viewer.is_some_and(|key| conversation.private && key != conversation.created_by);
    if unseen {
        TurnClaim::Unknown
    } else if other_persona {
        TurnClaim::Other(Box::new(conversation))
    } else {
        TurnClaim::Busy(conversation.busy_until)
    }
}
