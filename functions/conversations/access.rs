//! Finding a conversation, and who may see it.

use persona::{Error, Result, app::App, conversation::Conversation, id::ConversationId, key::Caller};

/// The conversation with this id; 404 when it is unknown, deleted, or not for this key's eyes.
pub(crate) async fn find(app: &App, caller: &Caller, id: ConversationId) -> Result<Conversation> {
    let found = app.store().await.conversation(caller.tenant(), id).await?;
    found
        .filter(|conversation| may_see(caller, conversation))
        .ok_or_else(|| Error::not_found("conversation", &id.to_string()))
}

/// One with a private persona is for the key that began it and for admin keys.
pub(crate) fn may_see(caller: &Caller, conversation: &Conversation) -> bool {
    !conversation.private || conversation.created_by == caller.key_id || caller.is_admin()
}
