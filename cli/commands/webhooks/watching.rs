//! Events that follow from runs, made here from what the API says of them: for machines that the service cannot reach.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::listen::Forwarder;
use crate::{Result, api::Api, failure::Again};

/// How often runs are asked for.
const EVERY: Duration = Duration::from_secs(2);

/// The workspace's runs, watched.
pub(super) struct Watch<'a> {
    api: &'a Api,
    wanted: &'a [&'a str],
    secret: &'a str,
    /// Runs that have not ended, or that were over before this began.
    known: BTreeSet<String>,
    running: BTreeSet<String>,
    is_first: bool,
}

impl<'a> Watch<'a> {
    /// What can be known from runs.
    pub(super) const KNOWS: [&'static str; 4] =
        ["run.completed", "run.failed", "persona.created", "persona.updated"];

    /// Watches for events of these kinds.
    pub(super) fn begun(api: &'a Api, wanted: &'a [&'a str], secret: &'a str) -> Self {
        Self { api, wanted, secret, known: BTreeSet::new(), running: BTreeSet::new(), is_first: true }
    }

    /// Goes on until something fails for good.
    pub(super) async fn run(mut self, forwarder: &Forwarder<'_>) -> Result<()> {
        loop {
            match self.look().await {
                Ok(ended) => {
                    for run in ended {
                        self.told(&run, forwarder).await?;
                    }
                }
                Err(failure) if failure.again == Again::No => return Err(failure),
                Err(_) => {}
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// The runs that have ended since the last look, oldest first.
    async fn look(&mut self) -> Result<Vec<Value>> {
        let list = self.api.get(&["runs"]).query("limit", Some(100)).value().await?;
        let mut ended = Vec::new();
        let mut missing = std::mem::take(&mut self.running);
        for run in list["data"].as_array().into_iter().flatten().rev() {
            let id = run["id"].as_str().unwrap_or_default().to_owned();
            let was_running = missing.remove(&id);
            if !is_over(run) {
                self.running.insert(id);
            } else if was_running || (!self.is_first && !self.known.contains(&id)) {
                ended.push(run.clone());
                self.known.insert(id);
            } else {
                self.known.insert(id);
            }
        }
        // Those that newer runs have pushed off the page.
        for id in missing {
            let run = self.api.get(&["runs", &id]).value().await?;
            if is_over(&run) {
                ended.push(run);
            } else {
                self.running.insert(id);
            }
        }
        self.is_first = false;
        // Identifiers sort by time, so the oldest go first; none of them comes again.
        while self.known.len() > 1000 {
            self.known.pop_first();
        }
        Ok(ended)
    }

    async fn told(&self, run: &Value, forwarder: &Forwarder<'_>) -> Result<()> {
        let workspace = self.api.get(&["workspace"]).value().await?["id"].clone();
        for (kind, data) in self.events(run).await? {
            let id = event_id(run["id"].as_str().unwrap_or_default(), kind);
            let event = json!({
                "id": id, "type": kind, "created_at": run["completed_at"], "workspace_id": workspace, "data": data,
            });
            forwarder.make(&event, self.secret).await?;
        }
        Ok(())
    }

    /// What follows from the end of a run.
    async fn events(&self, run: &Value) -> Result<Vec<(&'static str, Value)>> {
        let is_completed = run["status"] == "completed";
        let made = &run["output_ref"];
        let of = |object: &str| if made["object"] == object { made["id"].clone() } else { Value::Null };
        let persona = of("persona");
        let mut data = json!({"run_id": run["id"], "persona_id": persona});
        for key in ["kind", "status", "conversation_id", "replay_of", "cost_usd", "error"] {
            data[key] = run[key].clone();
        }
        data["message_id"] = of("message");
        let mut events = vec![(if is_completed { "run.completed" } else { "run.failed" }, data)];
        let change = match run["kind"].as_str() {
            Some("persona.create") => Some("persona.created"),
            Some("persona.refine") => Some("persona.updated"),
            _ => None,
        };
        if let (Some(change), Some(persona), true) =
            (change, persona.as_str(), is_completed && run["replay"].is_null())
        {
            match self.api.get(&["personas", persona]).value().await {
                Ok(document) => events.push((change, about(&document, run))),
                Err(failure) if failure.code.as_deref() == Some("resource.not_found") => {}
                Err(failure) => return Err(failure),
            }
        }
        events.retain(|(kind, _)| self.wanted.contains(kind));
        Ok(events)
    }
}

fn is_over(run: &Value) -> bool {
    matches!(run["status"].as_str(), Some("completed" | "failed" | "cancelled"))
}

fn about(persona: &Value, run: &Value) -> Value {
    json!({
        "persona_id": persona["id"], "slug": persona["slug"], "name": persona["identity"]["name"],
        "version": persona["version"], "visibility": persona["visibility"], "language": persona["language"],
        "run_id": run["id"],
    })
}

/// The same for the same event, so that a receiver that remembers ids takes it once.
fn event_id(run: &str, kind: &str) -> String {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let digest = Sha256::digest(format!("{run} {kind}"));
    let letters = digest.iter().take(22).map(|byte| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]));
    std::iter::once("evt_".to_owned()).chain(letters.map(String::from)).collect()
}
