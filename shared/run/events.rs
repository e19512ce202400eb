//! A run's events: contiguous, numbered from 1, ended by exactly one terminal event.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    Error, Usd,
    id::{ConversationId, MessageId, RunId},
};

/// Most events that one item of the log holds; a reader that resumes within an item looks this far back.
pub const BATCH_AT_MOST: usize = 64;

/// From which item of the log to read, and how many at most, to have the first `most` events after the one numbered
/// `after`. An item is named by its first event: one that holds later events too begins less than a batch before
/// them, and each item up to `after` that is read on the way holds one event at least.
pub fn items_after(after: u64, most: usize) -> (u64, usize) {
    let back = (BATCH_AT_MOST as u64 - 1).min(after);
    (after + 1 - back, most.saturating_add(back as usize))
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EventBody {
    /// The event's name, such as `layer.delta`.
    pub event: String,
    /// Its data.
    pub data: Value,
}

/// What happened, and as which number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// The run's sequence number, from 1 without gaps.
    pub seq: u64,
    /// What happened.
    #[serde(flatten)]
    pub body: EventBody,
    /// RFC 3339.
    pub created_at: String,
}

impl Event {
    /// The object of the JSON form.
    pub fn to_object(&self) -> Value {
        json!({"id": self.seq, "object": "event", "event": self.body.event, "data": self.body.data, "created_at": self.created_at})
    }
}

impl EventBody {
    fn new(event: &str, data: Value) -> Self {
        Self { event: event.to_owned(), data }
    }

    /// The first event.
    pub fn run_started(run: RunId, step: &str) -> Self {
        Self::new("run.started", json!({"run_id": run, "step": step}))
    }

    /// A worker began a step.
    pub fn step_started(step: &str) -> Self {
        Self::new("step.started", json!({"step": step}))
    }

    /// A field is known.
    pub fn layer_delta(path: &str, value: &Value) -> Self {
        Self::new("layer.delta", json!({"path": path, "value": value}))
    }

    /// A step ended well.
    pub fn step_completed(step: &str, tokens: u64, cost: Usd) -> Self {
        Self::new("step.completed", json!({"step": step, "tokens": tokens, "cost_usd": cost}))
    }

    /// The consistency check has judged.
    pub fn check_completed(score: f64, violations: &Value) -> Self {
        Self::new("check.completed", json!({"score": score, "violations": violations}))
    }

    /// The persona begins to answer.
    pub fn message_started(message: MessageId, run: RunId, conversation: Option<ConversationId>) -> Self {
        Self::new(
            "message.started",
            json!({"message_id": message, "run_id": run, "conversation_id": conversation, "role": "assistant"}),
        )
    }

    /// More of the answer.
    pub fn message_delta(piece: &str) -> Self {
        Self::new("message.delta", json!({"delta": piece}))
    }

    /// A tool is called; the arguments are the model's.
    pub fn tool_called(call: &str, tool: &str, arguments: &str) -> Self {
        Self::new("tool.called", json!({"call_id": call, "tool": tool, "arguments": arguments}))
    }

    /// A tool has answered.
    pub fn tool_completed(call: &str, tool: &str, results: usize) -> Self {
        Self::new("tool.completed", json!({"call_id": call, "tool": tool, "results": results}))
    }

    /// The answer was measured.
    pub fn drift_scored(drift: &Value, coherence: f64) -> Self {
        Self::new("drift.scored", json!({"drift": drift, "coherence": coherence}))
    }

    /// The answer is whole, and kept.
    pub fn message_completed(message: Value) -> Self {
        Self::new("message.completed", message)
    }

    /// The end: the persona is there. `data` carries `persona_id` and `total_cost_usd`, and more where it helps.
    pub fn run_completed(data: Value) -> Self {
        Self::new("run.completed", data)
    }

    /// The end: it failed.
    pub fn run_failed(error: &Error) -> Self {
        Self::new("run.failed", error.envelope(None))
    }

    /// The end: its owner cancelled it.
    pub fn run_cancelled() -> Self {
        Self::new("run.cancelled", json!({}))
    }

    /// Whether the log ends here.
    pub fn is_terminal(&self) -> bool {
        matches!(self.event.as_str(), "run.completed" | "run.failed" | "run.cancelled")
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// Logs as they come: an event an item where a model is slow, whole batches where it is quick.
    fn sizes() -> impl Strategy<Value = Vec<u64>> {
        let (single, batch) = (Just(1_u64), 1..=BATCH_AT_MOST as u64);
        prop_oneof![vec(single, 1..400), vec(prop_oneof![9 => single, 1 => batch], 1..400)]
    }

    proptest! {
        #[test]
        fn the_items_read_hold_the_first_events_after_any_event(
            sizes in sizes(),
            after in 0_u64..600,
            most in 1_usize..120,
        ) {
            let mut next = 1;
            let items = sizes.into_iter().map(|size| {
                next += size;
                next - size..next
            });
            let items: Vec<_> = items.collect();
            let (from, count) = items_after(after, most);
            let read = items.iter().filter(|item| item.start >= from).take(count);
            let found: Vec<u64> = read.cloned().flatten().filter(|seq| *seq > after).take(most).collect();
            let wanted: Vec<u64> = (after + 1..next).take(most).collect();
            prop_assert_eq!(found, wanted);
        }
    }
}
