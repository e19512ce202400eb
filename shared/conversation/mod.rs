//! Conversations: a persona's version, pinned, and the messages between it and a caller. Types and rules;
//! `store::conversations` keeps them, `conversation::turn` moves them.

mod begin;
mod character;
mod memory;
mod prompt;
pub mod tools;
pub mod turn;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

pub use begin::{Begin, begin};
pub use character::Character;

use crate::{
    Usd,
    drift::{Drift, Smoothed},
    id::{ConversationId, KeyId, MessageId, PersonaId, RunId},
    money::micros,
};

/// What is done about drift.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftPolicy {
    /// It is measured.
    #[default]
    Observe,
    /// The next turn's prompt is anchored again once the moving average crosses the threshold.
    Reanchor,
    /// A turn that is out of character is tried once more before it is answered; turns that do not stream alone.
    Regenerate,
}

/// What is kept of messages that have left the window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The notes.
    pub text: String,
    /// Number of the last message that they cover.
    pub through: u64,
}

/// A conversation's header.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Conversation {
    /// Identifier.
    pub id: ConversationId,
    /// Whom it is with.
    pub persona_id: PersonaId,
    /// The version that speaks, from the first turn to the last.
    pub persona_version: u64,
    /// What the caller calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The caller's own pairs of strings, as JSON text.
    pub metadata: String,
    /// What is done about drift.
    pub drift_policy: DriftPolicy,
    /// Whether the persona was private when it began: then it is for the creating key and admin keys.
    pub private: bool,
    /// Whose key began it.
    pub created_by: KeyId,
    /// Number of the last message, from 1; 0 before the first.
    pub last_message: u64,
    /// Turns that ended well.
    pub turns: u64,
    /// What its turns cost.
    #[serde(with = "micros")]
    pub cost: Usd,
    /// What has left the window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,
    /// The moving average of drift.
    #[serde(default)]
    pub smoothed: Smoothed,
    /// The turn in flight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busy_run: Option<RunId>,
    /// Until when it is believed to live, milliseconds since the epoch.
    #[serde(default)]
    pub busy_until: i64,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub updated_at: String,
}

impl Conversation {
    /// The object of section 7 of the contract.
    pub fn to_object(&self) -> Value {
        json!({
            "id": self.id, "object": "conversation", "persona_id": self.persona_id,
            "persona_version": self.persona_version, "title": self.title,
            "metadata": serde_json::from_str::<Map<String, Value>>(&self.metadata).unwrap_or_default(),
            "drift_policy": self.drift_policy, "turns": self.turns, "cost_usd": self.cost,
            "drift": self.smoothed.to_object(), "created_at": self.created_at, "updated_at": self.updated_at,
        })
    }
}

/// Who said a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Author {
    /// The caller.
    User,
    /// The persona.
    Assistant,
}

/// A message.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Message {
    /// Identifier.
    pub id: MessageId,
    /// Its place in the conversation, from 1; numbers may be left out, never reused.
    pub number: u64,
    /// Who said it.
    pub role: Author,
    /// What was said.
    pub content: String,
    /// The turn that it belongs to.
    pub run_id: RunId,
    /// What the turn came to; on the persona's messages alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub report: Option<Report>,
    /// RFC 3339.
    pub created_at: String,
}

/// What a turn came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The version that spoke.
    pub persona_version: u64,
    /// How far it was from itself.
    pub drift: Drift,
    /// Relevance and agreement with earlier turns, 1 to 5.
    pub coherence: f64,
    /// Tools that were called, each once.
    pub tools_used: Vec<String>,
    /// Prompt tokens.
    pub tokens_in: u64,
    /// Completion tokens.
    pub tokens_out: u64,
    /// What it cost.
    #[serde(with = "micros")]
    pub cost: Usd,
    /// The moving average after this turn.
    pub average: f64,
    /// Whether the average went above its threshold, or settled again, at this turn.
    pub crossed: bool,
    /// Whether the first try was out of character and this is the second.
    #[serde(default)]
    pub regenerated: bool,
}

impl Message {
    /// The object of lists; the persona's messages carry their report.
    pub fn to_object(&self, conversation: ConversationId) -> Value {
        let mut object = json!({
            "id": self.id, "message_id": self.id, "object": "message", "conversation_id": conversation,
            "run_id": self.run_id, "role": self.role, "content": self.content, "created_at": self.created_at,
            "updated_at": self.created_at,
        });
        if let (Some(report), Some(fields)) = (&self.report, object.as_object_mut()) {
            fields.extend(report.fields());
        }
        object
    }
}

impl Report {
    fn fields(&self) -> Map<String, Value> {
        let value = json!({
            "persona_version": self.persona_version, "drift": self.drift, "coherence": self.coherence,
            "tools_used": self.tools_used, "tokens": {"in": self.tokens_in, "out": self.tokens_out},
            "cost_usd": self.cost, "regenerated": self.regenerated,
        });
        match value {
            Value::Object(fields) => fields,
            _ => Map::new(),
        }
    }
}
