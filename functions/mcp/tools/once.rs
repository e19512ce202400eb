//! Calls that cost are made once: an agent that lost an answer asks again, and must not pay again.
//!
//! Hosts send no Idempotency-Key, so one is derived of what was called: key, tool, arguments. It is remembered for as long
//! as a lost answer is asked for, not for a day: the same words may be meant again later. No answer is kept with it, only the
//! run that the call makes; the second call is answered from that, and waits for it where it goes on. A caller's own
//! Idempotency-Key, on the HTTP request, takes the derived one's place.

use std::time::Duration;

use persona::{
    Error, Result,
    error::Code,
    id::RunId,
    key::hex,
    persona::digest,
    run::{Origin, Run, RunStatus},
    store::idempotency::{Once, OnceClaim},
};
use rmcp::model::{CallToolResult, MetaObject};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Calling;

/// A run is begun within so many looks at it, or the process that was to begin it has died.
const LOOKS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(500);
/// In the result's `_meta`: that it is the answer of an earlier call.
const REPLAYED: &str = "dev.persona/replayed";

/// What makes two calls the same.
pub(super) struct Sameness<'a> {
    pub tool: &'a str,
    /// Whether the same arguments under another id of JSON-RPC are another call: the next turn of a conversation may say
    /// the words of the last.
    pub by_id: bool,
    /// How long a call is remembered from its beginning.
    pub remembered: Duration,
}

/// What a call is to do.
pub(super) enum Made {
    /// Make the run that the origin names.
    First(Origin),
    /// Answer with what this run came to, or comes to.
    Before(Box<Run>),
}

impl Calling {
    fn derived(&self, sameness: &Sameness<'_>) -> Once {
        let id = if sameness.by_id { self.id.as_str() } else { "" };
        let key = self.server.caller.key_id.to_string();
        let arguments = digest::of_value(&Value::Object(self.arguments.clone()));
        let mut hash = Sha256::new();
        for part in [key.as_str(), sameness.tool, arguments.as_str(), id] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let fingerprint = hex(&hash.finalize());
        // A blank is in no Idempotency-Key that a caller can send.
        let key = format!("mcp tools/call {fingerprint}");
        Once { key, fingerprint, kept_seconds: sameness.remembered.as_secs() as i64 }
    }

    /// Makes the call, or answers with what the same call has made. One request to the store, before anything is made.
    pub(super) async fn once(
        &self,
        sameness: Sameness<'_>,
        make: impl AsyncFnOnce(Made) -> Result<CallToolResult>,
    ) -> Result<CallToolResult> {
        let mut origin = self.server.origin.clone();
        if self.server.keyed {
            return make(Made::First(origin)).await;
        }
        let once = self.derived(&sameness);
        let (store, tenant) = (self.server.app.store().await, self.server.caller.tenant());
        loop {
            let now = self.server.app.clock().epoch_millis();
            let until = now + sameness.remembered.as_millis() as i64;
            match store.claim_once(tenant, &once, now, until).await? {
                OnceClaim::Won(run) => {
                    origin.run = run;
                    let made = make(Made::First(origin)).await;
                    // A call in vain may be made again. After a fault of ours the run may go on: then it is found.
                    if made.as_ref().is_err_and(|error| error.code != Code::Internal) {
                        store.release_once(tenant, &once, run, true).await?;
                    }
                    return made;
                }
                OnceClaim::InProgress(None) => tokio::time::sleep(PAUSE).await,
                OnceClaim::InProgress(Some(run)) | OnceClaim::Answered(run, _) => {
                    match self.made_before(run).await? {
                        Some(run) => return make(Made::Before(Box::new(run))).await.map(replayed),
                        None => store.release_once(tenant, &once, run, true).await?,
                    }
                }
                OnceClaim::Other => return Err(Error::internal("a derived key stands for two calls")),
            }
        }
    }

    /// The run of an earlier call, unless it failed or was never begun.
    async fn made_before(&self, run: RunId) -> Result<Option<Run>> {
        let (store, tenant) = (self.server.app.store().await, self.server.caller.tenant());
        for _ in 0..LOOKS {
            if let Some(run) = store.run(tenant, run).await? {
                return Ok(Some(run).filter(|run| run.status != RunStatus::Failed));
            }
            tokio::time::sleep(PAUSE).await;
        }
        Ok(None)
    }
}

fn replayed(mut result: CallToolResult) -> CallToolResult {
    let meta: &mut MetaObject = result.meta.get_or_insert_default();
    meta.insert(REPLAYED.to_owned(), true.into());
    result
}
