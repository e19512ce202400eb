//! Beginning a conversation.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Conversation, DriftPolicy};
use crate::{
    Usd, app::App, drift::Smoothed, error::Result, id::ConversationId, key::Caller,
    store::personas::PersonaEntry,
};

/// Body of `POST /v1/chat/conversations`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Begin {
    /// The persona's id or slug.
    pub persona_id: String,
    /// What the caller calls it.
    #[serde(default)]
    pub title: Option<String>,
    /// The caller's own pairs of strings.
    #[serde(default)]
    pub metadata: Map<String, Value>,
    /// What is done about drift.
    #[serde(default)]
    pub drift_policy: DriftPolicy,
}

/// Begins a conversation with this version of a persona, which stays its own whatever becomes of the persona.
pub async fn begin(
    app: &App,
    caller: &Caller,
    persona: &PersonaEntry,
    private: bool,
    body: Begin,
) -> Result<Conversation> {
    let now = app.clock().timestamp();
    let conversation = Conversation {
        id: ConversationId::new(),
        persona_id: persona.id,
        persona_version: persona.version,
        title: body.title,
        metadata: Value::Object(body.metadata).to_string(),
        drift_policy: body.drift_policy,
        private,
        created_by: caller.key_id,
        last_message: 0,
        turns: 0,
        cost: Usd::ZERO,
        summary: None,
        smoothed: Smoothed::default(),
        busy_run: None,
        busy_until: 0,
        created_at: now.clone(),
        updated_at: now,
    };
    app.store().await.create_conversation(caller.tenant(), &conversation).await?;
    Ok(conversation)
}
