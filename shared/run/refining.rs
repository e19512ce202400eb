//! What is particular to a run that edits a persona: it begins with the persona's layers, and what its plan does not
//! name it leaves as it is, to the byte.

use serde_json::{Value, json};

use super::{
    events::EventBody,
    ledger::Halt,
    step::{Outcome, Work},
};
use crate::{
    consistency::Report,
    error::{Code, Error},
    persona::{
        Layer, Layers,
        document::{self, Moment},
    },
    pipeline::Kind,
    provider::sandbox,
    store::{personas::PersonaEntry, runs::RunResult},
    webhook,
};

/// The layers that the run begins with; none where it makes a persona.
pub(super) fn base(input: &Value) -> Value {
    if input["persona"].is_object() { input["persona"].clone() } else { json!({}) }
}

/// The layers that may change.
pub(super) fn allowed(input: &Value) -> Vec<Layer> {
    let named = serde_json::from_value::<Vec<Layer>>(input["layers"].clone());
    named.unwrap_or_else(|_| Layer::ALL.to_vec())
}

/// What was sent, over what was there.
pub(super) fn overlaid(mut base: Value, sent: &Value) -> Value {
    for (layer, value) in sent.as_object().into_iter().flatten() {
        match value.as_object() {
            Some(fields) => {
                for (field, value) in fields {
                    base[layer.as_str()][field.as_str()] = value.clone();
                }
            }
            None => base[layer.as_str()] = value.clone(),
        }
    }
    base
}

/// Layers with those that may not change as they were.
pub(super) fn restored(layers: Layers, before: &Value, may_change: impl Fn(Layer) -> bool) -> Layers {
    let mut all = layers.to_value();
    for layer in Layer::ALL.into_iter().filter(|layer| !may_change(*layer)) {
        all[layer.as_str()] = before[layer.as_str()].clone();
    }
    Layers::from_value(&all).unwrap_or(layers)
}

impl Work<'_> {
    /// Which layers the instruction touches, of those that may change.
    pub(super) async fn plan(&mut self) -> Result<Outcome, Halt> {
        let instruction = self.text_of("instruction").to_owned();
        let (answered, decision) = self.gated(&instruction, "instruction").await?;
        let allowed = allowed(&self.data.input);
        let named = answered["layers"].as_array().into_iter().flatten();
        let named: Vec<Layer> = named.filter_map(|name| serde_json::from_value(name.clone()).ok()).collect();
        let planned: Vec<Layer> =
            Layer::ALL.into_iter().filter(|layer| named.contains(layer) && allowed.contains(layer)).collect();
        Ok(Outcome::done(json!({"planned": planned, "harm": answered["harm"], "moderation": decision})))
    }

    /// Writes the planned ones of the step's layers again.
    pub(super) async fn rewrite(&mut self) -> Result<Outcome, Halt> {
        let plan = self.pipeline.step_of_kind(Kind::Plan);
        let output = plan.and_then(|step| self.data.outputs.get(&step.name));
        let output = output.ok_or_else(|| Error::internal("no plan to rewrite by"))?;
        let planned: Vec<Layer> =
            serde_json::from_value(output["planned"].clone()).map_err(Error::internal)?;
        let layers: Vec<Layer> =
            self.step.layers.iter().copied().filter(|layer| planned.contains(layer)).collect();
        if layers.is_empty() {
            return Ok(Outcome::skipped());
        }
        let request = self.pipeline.render(self.step, &self.inputs(&layers))?;
        let written = self.ask(request, &layers).await?;
        Ok(Outcome::done(json!({"layers": written})))
    }

    /// The end: the next version of the persona, if it is still the one that was read. What has no part in the layers
    /// (slug, visibility, metadata) may have been edited meanwhile, and stays as it is now.
    pub(super) async fn refined(
        &self,
        layers: Layers,
        report: &Report,
        output_digest: String,
        events: Vec<EventBody>,
    ) -> Result<Outcome, Halt> {
        let (run, engine) = (self.run, self.engine);
        let before = engine.store.persona(&engine.tenant, run.persona_id, None).await?;
        let before =
            before.ok_or_else(|| Halt::Failed(Error::not_found("persona", &run.persona_id.to_string())))?;
        let current = before.document()?;
        if current["lineage"]["digest"] != self.data.input["digest"] {
            return Err(Halt::Failed(self.stale(&before)));
        }
        let at = engine.clock.timestamp();
        let moment = Moment { at: &at, mode: run.mode };
        let proposal = document::as_it_is(&current)?.with_layers(layers);
        let next = proposal.applied(&current, moment).map_err(Halt::Failed)?;
        let (document, changed, writes, told) = match next {
            None => (current, Vec::new(), Vec::new(), Vec::new()),
            Some(mut next) => {
                next["consistency"] = json!({"score": report.score, "checks": report.checks});
                let lineage = &mut next["lineage"];
                lineage["run_id"] = json!(run.id);
                lineage["pipeline"] = json!(run.pipeline);
                lineage["seed"] = json!(run.seed);
                lineage["replay_of"] = Value::Null;
                let simulated = |step: &super::StepState| step.provider.as_deref() == Some(sandbox::NAME);
                lineage["simulated"] =
                    (lineage["simulated"] == true || run.steps.values().any(simulated)).into();
                let after = before.next(&next)?;
                let edition = self.edition(&current, &next);
                let writes = engine.store.edit_writes(&engine.tenant, &before, &after, &edition)?;
                let told =
                    vec![webhook::Event::persona_updated(&after, &edition.changed, edition.run_id, &at)];
                (next, edition.changed, writes, told)
            }
        };
        let version = document["version"].as_u64().unwrap_or(1);
        let ended = EventBody::run_completed(json!({
            "persona_id": run.persona_id, "total_cost_usd": run.cost, "slug": document["slug"],
            "digest": output_digest, "version": version, "changed": changed,
        }));
        let mut outcome = Outcome::done(json!({"document": document, "digest": output_digest}));
        outcome.events = events;
        let result =
            RunResult { output_digest, output_version: Some(version), replay_matches: None, writes, told };
        outcome.ending = Some((result, ended));
        Ok(outcome)
    }

    fn stale(&self, now: &PersonaEntry) -> Error {
        let began = self.data.input["persona_version"].as_u64().unwrap_or_default();
        Error::new(
            Code::PreconditionFailed,
            format!(
                "The persona was edited while it was refined: the run began with version {began}, and version {} has other layers. Nothing was changed; send the instruction again.",
                now.version
            ),
        )
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

    use super::*;
    use crate::persona::layers_for_tests;

    #[test]
    fn what_was_sent_lies_over_what_was_there() {
        let base = json!({"identity": {"name": "Ada", "age": 4}, "relations": [1, 2]});
        let sent = json!({"identity": {"age": 5}, "relations": [3], "scenario": {"setting": "s"}});
        assert_eq!(
            overlaid(base, &sent),
            json!({"identity": {"name": "Ada", "age": 5}, "relations": [3], "scenario": {"setting": "s"}})
        );
    }

    #[test]
    fn layers_that_may_not_change_come_back_as_they_were() {
        let before = layers_for_tests();
        let mut changed = before.clone();
        changed["identity"]["age"] = json!(70);
        changed["soul"]["wound"] = json!("Another.");
        let changed = Layers::from_value(&changed).unwrap();
        let restored = restored(changed, &before, |layer| layer == Layer::Identity).to_value();
        assert_eq!((&restored["identity"]["age"], &restored["soul"]), (&json!(70), &before["soul"]));
    }

    #[test]
    fn all_layers_may_change_where_none_are_named() {
        assert_eq!(allowed(&json!({"layers": null})), Layer::ALL);
        assert_eq!(allowed(&json!({"layers": ["voice"]})), [Layer::Voice]);
    }
}
