//! `chat_with_<persona>`: a turn of `POST /v1/chat/conversations/{conversation}/messages`, in a conversation that the
//! caller names, or that the call begins.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use futures_util::StreamExt;
use persona::{
    Error, Result,
    conversation::{self, Begin, DriftPolicy, turn},
    error::Code,
    id::ConversationId,
    run::{Origin, Run, Tail},
    store::personas::Visibility,
};
use rmcp::model::{CallToolResult, ContentBlock};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    CHAT, Calling,
    once::{Made, Sameness},
    unknown,
};
use crate::{
    conversations::speaking::{self, Speaking},
    personas::access,
};

/// An answer is remembered as long as clients wait for one.
const REMEMBERED: Duration = Duration::from_mins(5);
/// Words that come together are told together.
const TOGETHER: Duration = Duration::from_millis(100);

#[derive(Deserialize)]
struct ChatWith {
    message: String,
    conversation_id: Option<String>,
}

impl Calling {
    pub(super) async fn chat_with(&self, persona: String) -> Result<CallToolResult> {
        let said: ChatWith = self.read()?;
        // Before a conversation is begun for it.
        turn::check(&said.message)?;
        let sameness = Sameness {
            tool: &format!("{CHAT}{persona}"),
            by_id: said.conversation_id.is_some(),
            remembered: REMEMBERED,
        };
        self.once(sameness, async |made| match made {
            Made::First(origin) => self.said(&persona, said, origin).await,
            Made::Before(run) => self.heard_again(&run).await,
        })
        .await
    }

    async fn said(&self, persona: &str, said: ChatWith, origin: Origin) -> Result<CallToolResult> {
        let conversation = match &said.conversation_id {
            Some(id) => id.parse().map_err(|_| Error::not_found("conversation", id))?,
            None => self.begun(persona).await?,
        };
        let say = turn::Say {
            persona_id: said.conversation_id.is_some().then(|| persona.to_owned()),
            message: said.message,
            tools: Vec::new(),
            stream: self.progress.is_wanted(),
            budget_usd: None,
            seed: None,
        };
        let (app, caller) = (&self.server.app, &self.server.caller);
        let turn = match turn::begin(app, caller, conversation, say, origin).await {
            Ok(turn) => turn,
            Err(error) => return Err(self.about(persona, error).await),
        };
        let spoken =
            if self.progress.is_wanted() { self.heard(turn).await? } else { speaking::whole(turn).await? };
        Ok(result(spoken.to_object()))
    }

    /// A conversation of its own.
    async fn begun(&self, name: &str) -> Result<ConversationId> {
        let (app, caller) = (&self.server.app, &self.server.caller);
        let found = access::find(app, caller, name, None).await;
        let persona = found.map_err(|error| self.unknown(name, error))?;
        let private = persona.visibility == Visibility::Private;
        let begin = Begin {
            persona_id: name.to_owned(),
            title: None,
            metadata: Map::new(),
            drift_policy: DriftPolicy::default(),
        };
        Ok(conversation::begin(app, caller, &persona, private, begin).await?.id)
    }

    fn unknown(&self, name: &str, error: Error) -> Error {
        if error.code == Code::NotFound { unknown(&format!("{CHAT}{name}")) } else { error }
    }

    /// A conversation with somebody else is a mistake in conversation_id, unless the tool itself is unknown to this caller.
    async fn about(&self, persona: &str, error: Error) -> Error {
        if error.param.as_deref() != Some("persona_id") {
            return error;
        }
        match access::find(&self.server.app, &self.server.caller, persona, None).await {
            Ok(_) => {
                let message = "The conversation is with another character. Leave conversation_id out to begin one, or call that character's tool.";
                Error::invalid("conversation_id", message)
            }
            Err(missing) => self.unknown(persona, missing),
        }
    }

    /// Lets the turn speak, and passes on its words as they come.
    async fn heard(&self, turn: turn::Turn) -> Result<turn::Spoken> {
        let run = turn.run();
        let (events, end) = Speaking::begin(turn, Duration::ZERO).await?.parts();
        let mut events = pin!(events);
        self.progress.tell(0, None, format!("{run} has begun")).await;
        let (mut told, mut words, mut since) = (0, String::new(), Instant::now());
        while let Some(event) = events.next().await {
            words.push_str(event.body.data["delta"].as_str().unwrap_or_default());
            let is_last = event.body.event != "message.delta";
            if !words.is_empty() && (is_last || since.elapsed() >= TOGETHER) {
                told += words.chars().count();
                self.progress.tell(told, None, std::mem::take(&mut words)).await;
                since = Instant::now();
            }
        }
        end.await
    }
}

impl Calling {
    /// What the turn of an earlier call came to; waits for its end where it goes on.
    async fn heard_again(&self, run: &Run) -> Result<CallToolResult> {
        let (app, tenant) = (&self.server.app, *self.server.caller.tenant());
        self.progress.tell(0, None, format!("{} is waited for", run.id)).await;
        let mut tail = Tail::new(app.clone(), tenant, run.id, 0);
        while let Some(event) = tail.next().await? {
            if event.body.event == "message.completed" {
                return Ok(result(event.body.data));
            }
        }
        let ended = app.store().await.run(&tenant, run.id).await?;
        let failed = ended.and_then(|run| run.stored_error()).map(Error::from);
        let cancelled = || Error::new(Code::ConversationBusy, "The turn was cancelled. Say it again.");
        Err(failed.unwrap_or_else(cancelled).with_run(run.id))
    }
}

/// The character's words, then for hosts that read no structured content the rest as text.
fn result(spoken: Value) -> CallToolResult {
    let words = spoken["content"].as_str().unwrap_or_default().to_owned();
    let mut rest = spoken.clone();
    if let Some(rest) = rest.as_object_mut() {
        rest.shift_remove("content");
    }
    let mut result = CallToolResult::structured(spoken);
    result.content = vec![ContentBlock::text(words), ContentBlock::text(rest.to_string())];
    result
}
