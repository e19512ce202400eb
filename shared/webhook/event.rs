//! What webhooks are told of. An event is written in the transaction that makes it true, as the text that is sent: every
//! attempt at every address has the same bytes.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    Usd,
    clock::Clock,
    conversation::Report,
    drift::DRIFTING,
    error::Error,
    id::{ConversationId, EventId, KeyId, MessageId, PersonaId, RunId, WorkspaceId},
    run::{Run, RunKind, RunStatus},
    store::personas::PersonaEntry,
    tenant::Tenant,
};

/// The kind of an event, as section 11 of the contract names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum EventType {
    /// A run ended well.
    #[serde(rename = "run.completed")]
    RunCompleted,
    /// A run ended with an error.
    #[serde(rename = "run.failed")]
    RunFailed,
    /// There is a new persona.
    #[serde(rename = "persona.created")]
    PersonaCreated,
    /// A persona has a new version.
    #[serde(rename = "persona.updated")]
    PersonaUpdated,
    /// A persona is gone.
    #[serde(rename = "persona.deleted")]
    PersonaDeleted,
    /// A persona is on the marketplace, or is there in another version.
    #[serde(rename = "persona.published")]
    PersonaPublished,
    /// The moving average of a conversation's drift went above its threshold.
    #[serde(rename = "conversation.drift_detected")]
    ConversationDriftDetected,
    /// A key ends within fourteen days.
    #[serde(rename = "key.expiring")]
    KeyExpiring,
    /// A share of the workspace's monthly budget is used up.
    #[serde(rename = "budget.threshold_reached")]
    BudgetThresholdReached,
}

/// Something that happened.
#[derive(Debug, Clone)]
pub struct Event {
    /// Identifier; the same at every address and every attempt.
    pub id: EventId,
    /// What kind of thing.
    pub kind: EventType,
    /// RFC 3339.
    pub created_at: String,
    data: Value,
    is_test: bool,
}

impl Event {
    /// A run has ended; `cost` is what it cost in all.
    pub fn run_ended(run: &Run, status: RunStatus, cost: Usd, error: Option<&Error>, at: &str) -> Self {
        let kind =
            if status == RunStatus::Completed { EventType::RunCompleted } else { EventType::RunFailed };
        // A run that was to make a persona names it from the start; it is none while nothing keeps it.
        let made =
            !run.is_exact_replay() && (status == RunStatus::Completed || run.kind != RunKind::PersonaCreate);
        let error = error.map(|error| {
            let mut told = error.envelope(None)["error"].clone();
            told["run_id"] = json!(run.id);
            told
        });
        let data = json!({
            "run_id": run.id, "kind": run.kind, "status": status, "persona_id": made.then_some(run.persona_id),
            "conversation_id": run.conversation_id, "message_id": run.message_id,
            "replay_of": run.replay.as_ref().map(|replay| replay.of), "cost_usd": cost, "error": error,
        });
        Self::at(at, kind, data)
    }

    /// There is a new persona, made by a run or imported.
    pub fn persona_created(persona: &PersonaEntry, run: Option<RunId>, at: &str) -> Self {
        let mut data = about(persona);
        data["run_id"] = json!(run);
        Self::at(at, EventType::PersonaCreated, data)
    }

    /// A persona has a new version; `changed` are the keys that differ.
    pub fn persona_updated(persona: &PersonaEntry, changed: &[String], run: Option<RunId>, at: &str) -> Self {
        let mut data = about(persona);
        (data["run_id"], data["changed"]) = (json!(run), json!(changed));
        Self::at(at, EventType::PersonaUpdated, data)
    }

    /// A persona was deleted, as it stood.
    pub fn persona_deleted(persona: &PersonaEntry, at: &str) -> Self {
        Self::at(at, EventType::PersonaDeleted, about(persona))
    }

    /// A persona was copied into a listing of the marketplace.
    pub fn persona_published(persona: &PersonaEntry, listing_id: &str, at: &str) -> Self {
        let mut data = about(persona);
        data["listing_id"] = listing_id.into();
        Self::at(at, EventType::PersonaPublished, data)
    }

    /// The average of a conversation's drift went above its threshold at this turn.
    pub fn drift_detected(
        conversation: ConversationId,
        persona: PersonaId,
        (run, message): (RunId, MessageId),
        report: &Report,
        at: &str,
    ) -> Self {
        let data = json!({
            "conversation_id": conversation, "persona_id": persona, "persona_version": report.persona_version,
            "run_id": run, "message_id": message, "drift": report.drift, "average": report.average,
            "threshold": DRIFTING,
        });
        Self::at(at, EventType::ConversationDriftDetected, data)
    }

    /// A key ends soon. `masked` is all that is told of its secret; `expires_at` is RFC 3339.
    pub fn key_expiring(key: KeyId, name: &str, masked: &str, expires_at: &str, at: &str) -> Self {
        let data = json!({"key_id": key, "name": name, "masked": masked, "expires_at": expires_at});
        Self::at(at, EventType::KeyExpiring, data)
    }

    /// Of the budget of `month` (`2026-11`), the share `threshold` (0 to 1) is spent.
    pub fn budget_threshold_reached(month: &str, threshold: f64, budget: Usd, spent: Usd, at: &str) -> Self {
        let data = json!({"month": month, "threshold": threshold, "budget_usd": budget, "spent_usd": spent});
        Self::at(at, EventType::BudgetThresholdReached, data)
    }

    /// What such an event looks like: the form is real, the objects are not. Its body says that it is a test.
    pub fn sample(kind: EventType, clock: &dyn Clock) -> Self {
        let at = clock.timestamp();
        let (persona, run) = (PersonaId::new(), RunId::new());
        let (conversation, message) = (ConversationId::new(), MessageId::new());
        let of_persona = json!({
            "persona_id": persona, "slug": "example", "name": "Example", "version": 1, "visibility": "workspace",
            "language": "en",
        });
        let of_run = json!({
            "run_id": run, "kind": "persona.create", "status": "completed", "persona_id": persona,
            "conversation_id": null, "message_id": null, "replay_of": null, "cost_usd": 0.0, "error": null,
        });
        let with = |mut data: Value, more: Value| {
            for (name, value) in more.as_object().into_iter().flatten() {
                data[name] = value.clone();
            }
            data
        };
        let data = match kind {
            EventType::RunCompleted => of_run,
            EventType::RunFailed => {
                let error = Error::internal("a sample").with_run(run).envelope(None)["error"].clone();
                with(of_run, json!({"status": "failed", "persona_id": null, "error": error}))
            }
            EventType::PersonaCreated => with(of_persona, json!({"run_id": run})),
            EventType::PersonaUpdated => with(of_persona, json!({"run_id": null, "changed": ["metadata"]})),
            EventType::PersonaDeleted => of_persona,
            EventType::PersonaPublished => {
                with(of_persona, json!({"listing_id": "lst_0352hlJa4GkymUp58g1CfP"}))
            }
            EventType::ConversationDriftDetected => json!({
                "conversation_id": conversation, "persona_id": persona, "persona_version": 1, "run_id": run,
                "message_id": message, "average": 0.6, "threshold": DRIFTING,
                "drift": {"voice": 0.7, "values": 0.2, "verdict": "drifting", "method": "local"},
            }),
            EventType::KeyExpiring => json!({
                "key_id": KeyId::new(), "name": "example", "masked": "pk_test_…wXyZ", "expires_at": at,
            }),
            EventType::BudgetThresholdReached => json!({
                "month": at.get(..7), "threshold": 0.8, "budget_usd": 10.0, "spent_usd": 8.0,
            }),
        };
        Self { is_test: true, ..Self::at(&at, kind, data) }
    }

    fn at(at: &str, kind: EventType, data: Value) -> Self {
        Self { id: EventId::new(), kind, created_at: at.to_owned(), data, is_test: false }
    }

    /// What is sent, to the byte.
    pub fn body(&self, tenant: &Tenant) -> String {
        let workspace: WorkspaceId = tenant.workspace();
        let mut body = json!({
            "id": self.id, "type": self.kind, "created_at": self.created_at, "workspace_id": workspace,
            "data": self.data,
        });
        if self.is_test {
            body["test"] = true.into();
        }
        body.to_string()
    }
}

/// What is told of a persona: enough to know which one, and whether to read it.
fn about(persona: &PersonaEntry) -> Value {
    let document = persona.document().unwrap_or_default();
    json!({
        "persona_id": persona.id, "slug": persona.slug, "name": document["identity"]["name"],
        "version": persona.version, "visibility": persona.visibility, "language": persona.language,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    #[test]
    fn every_kind_has_a_sample_that_says_it_is_one() {
        let tenant = Tenant::of(WorkspaceId::new());
        let kinds: Vec<EventType> = serde_json::from_value(json!([
            "run.completed",
            "run.failed",
            "persona.created",
            "persona.updated",
            "persona.deleted",
            "persona.published",
            "conversation.drift_detected",
            "key.expiring",
            "budget.threshold_reached",
        ]))
        .unwrap_or_default();
        assert_eq!(kinds.len(), 9);
        for kind in kinds {
            let body: Value =
                serde_json::from_str(&Event::sample(kind, &SystemClock).body(&tenant)).unwrap_or_default();
            assert_eq!((&body["type"], &body["test"]), (&json!(kind), &json!(true)));
            assert_eq!(body["workspace_id"], json!(tenant.workspace()));
            assert!(body["data"].is_object(), "{body}");
        }
    }
}
