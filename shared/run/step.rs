//! What each kind of step does between claim and commit.

use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use super::{
    FIELDS, Run, RunKind, StepStatus,
    engine::Engine,
    events::EventBody,
    ledger::{FieldSink, Halt, Ledger, LostFlag, RunPurse, halted, write_events},
    refining,
};
use crate::{
    consistency::{self, Contradiction, Facts, Mended, Report, Subject, Terms},
    error::{Code, Detail, Error},
    key::Mode,
    moderation::{self, ModelOpinion, Opinions},
    persona::{Field, Fingerprint, Layer, Layers, digest, document, field, slug},
    pipeline::{
        Kind, Pipeline, Step, When, fitted,
        json_stream::{LayerStream, complete_json, deltas_between},
        validate_output,
    },
    provider::{Ask, CompletionRequest, ModerationVerdict, Role, Sink, Source, sandbox},
    store::{
        personas::{Edition, PersonaEntry, Visibility},
        runs::{EventLog, Held, RunData, RunResult},
    },
    webhook,
};

/// A step in a worker's hands.
pub(super) struct Work<'a> {
    pub(super) engine: &'a Engine<'a>,
    pub(super) run: &'a Run,
    pub(super) held: &'a Held,
    pub(super) pipeline: &'a Pipeline,
    pub(super) step: &'a Step,
    pub(super) data: &'a RunData,
    pub(super) log: &'a mut EventLog,
    pub(super) ledger: &'a mut Ledger,
    /// Fields already sent by an earlier attempt, applied to `{}`.
    pub(super) sent: Value,
    /// Fields that closed last and are written with the step's end.
    pub(super) unwritten: Vec<EventBody>,
    /// Vendors, the sandbox, or the recording of the run that is repeated.
    pub(super) source: &'a dyn Source,
}

/// What a step came to.
pub(super) struct Outcome {
    pub(super) status: StepStatus,
    pub(super) output: Value,
    /// Events before `step.completed`.
    pub(super) events: Vec<EventBody>,
    /// Present when the step ends the run; with the events that follow `step.completed`.
    pub(super) ending: Option<(RunResult, EventBody)>,
}

impl Outcome {
    pub(super) fn done(output: Value) -> Self {
        Self { status: StepStatus::Completed, output, events: Vec::new(), ending: None }
    }

    pub(super) fn skipped() -> Self {
        Self { status: StepStatus::Skipped, output: json!({}), events: Vec::new(), ending: None }
    }
}

impl Work<'_> {
    /// Does the step.
    pub(super) async fn perform(&mut self) -> Result<Outcome, Halt> {
        let mut outcome = match self.step.kind {
            Kind::IntentParse => self.parse_intent().await,
            Kind::Plan => self.plan().await,
            Kind::Draft => self.draft().await,
            Kind::Note => self.note().await,
            Kind::Rewrite => self.rewrite().await,
            Kind::Audit => self.audit().await,
            Kind::Revise => self.revise().await,
            Kind::ConsistencyCheck => self.check().await,
            Kind::Repair => self.repair().await,
            Kind::CustomFields => self.fill_fields().await,
            Kind::Finalize => self.finalize().await,
        }?;
        outcome.events.splice(0..0, self.unwritten.drain(..));
        Ok(outcome)
    }

    pub(super) fn text_of(&self, field: &str) -> &str {
        self.data.input[field].as_str().unwrap_or_default()
    }

    /// What the caller said: the brief, or the instruction of a refinement.
    fn said(&self) -> &str {
        self.text_of(if self.refines() { "instruction" } else { "intent" })
    }

    pub(super) fn refines(&self) -> bool {
        self.run.kind == RunKind::PersonaRefine
    }

    /// Whether the sandbox was asked to fail in this way; only in test mode.
    fn triggered(&self, trigger: sandbox::Trigger) -> bool {
        self.run.mode == Mode::Test && sandbox::trigger(self.said()) == Some(trigger)
    }

    /// The layers that the steps before this one wrote; the later step in the pipeline's order wins. A sibling that
    /// happens to have ended already does not count: the prompt must not depend on who was faster.
    /// A refinement begins with the layers of the persona.
    fn layers_so_far(&self) -> Value {
        let mut layers = refining::base(&self.data.input);
        let before = self.pipeline.ancestors(&self.step.name);
        let writers = self.pipeline.steps.iter().filter(|step| step.kind.writes_layers());
        for step in writers.filter(|step| before.contains(step.name.as_str())) {
            let written = self.data.outputs.get(&step.name).and_then(|output| output["layers"].as_object());
            for (layer, value) in written.into_iter().flatten() {
                layers[layer] = value.clone();
            }
        }
        layers
    }

    pub(super) fn inputs(&self, layers: &[Layer]) -> Value {
        let parsed =
            self.pipeline.step_of_kind(Kind::IntentParse).and_then(|step| self.data.outputs.get(&step.name));
        let mut inputs = json!({
            "step": self.step.name,
            "layers": layers,
            "intent": self.said(),
            "language": self.text_of("language"),
            "seed": self.run.seed,
            "facts": parsed.map_or(json!({}), |output| output["facts"].clone()),
            "requirements": parsed.map_or(json!([]), |output| output["requirements"].clone()),
            "persona": self.layers_so_far(),
        });
        let notes = self.notes();
        if !notes.is_empty() {
            inputs["notes"] = notes.into();
        }
        if self.refines() {
            inputs["instruction"] = self.said().into();
            inputs["allowed"] = json!(refining::allowed(&self.data.input));
            inputs["before"] = refining::base(&self.data.input);
        }
        inputs
    }

    pub(super) async fn ask(&mut self, request: CompletionRequest, layers: &[Layer]) -> Result<Value, Halt> {
        self.ask_for(request, Wanted::Layers(layers)).await
    }

    async fn ask_for(&mut self, mut request: CompletionRequest, wanted: Wanted<'_>) -> Result<Value, Halt> {
        if !self.source.offers(request.role) {
            request.role = fallback_role(request.role);
        }
        let kind = self.step.kind;
        let read = |text: &str| complete_json(text).map(|answer| wanted.fitted(kind, answer));
        let validate = |text: &str| {
            let problems = match read(text) {
                Ok(answer) => wanted.problems(kind, &answer),
                Err(error) => vec![Detail::new("", error.to_string())],
            };
            if problems.is_empty() { Ok(()) } else { Err(problems) }
        };
        let lost = LostFlag::default();
        let (engine, ledger) = (self.engine, &*self.ledger);
        let purse = RunPurse { engine, run: self.run, held: self.held, ledger, lost: &lost };
        let (outgoing, incoming) = mpsc::unbounded_channel();
        for event in self.unwritten.drain(..) {
            outgoing.send(event).map_err(Error::internal)?;
        }
        let fields = LayerStream::new();
        let asked = wanted.paths();
        let mut sink = FieldSink { sent: &mut self.sent, fields, asked, outgoing, lost: &lost };
        let source = self.source;
        let asking = async {
            let listens = kind.writes_layers() || kind == Kind::CustomFields;
            let listener = listens.then_some(&mut sink as &mut dyn Sink);
            let ask = Ask { request: &request, validate: &validate, purse: &purse, sink: listener };
            let answered = source.answer(ask).await;
            // The last field has been handed on: the writing ends.
            drop(sink);
            answered
        };
        let (answered, written) = tokio::join!(asking, write_events(engine, self.log, incoming, &lost));
        match answered {
            Ok(answer) => {
                self.ledger.note(answer.exchanges);
                self.unwritten =
                    written.map_err(|error| if lost.is_raised() { Halt::Lost } else { error.into() })?;
                read(&answer.content.text).map_err(|error| Halt::Retry(Error::internal(error)))
            }
            Err(mut unanswered) => {
                self.ledger.note(std::mem::take(&mut unanswered.exchanges));
                // The asking ends too when its fields cannot be written; the reason is with the writer.
                match written {
                    Err(error) if !lost.is_raised() => Err(error.into()),
                    _ => Err(halted(unanswered, &lost)),
                }
            }
        }
    }

    async fn parse_intent(&mut self) -> Result<Outcome, Halt> {
        let intent = self.said().to_owned();
        let (answered, decision) = self.gated(&intent, "intent").await?;
        let harm = answered["harm"].as_str().unwrap_or("none");
        let told: Facts = serde_json::from_value(answered["facts"].clone()).map_err(Error::internal)?;
        let facts = consistency::merge(&intent, &consistency::facts_from_brief(&intent), &told);
        let requirements = requirements(&answered["requirements"]);
        Ok(Outcome::done(
            json!({"facts": facts, "requirements": requirements, "harm": harm, "moderation": decision}),
        ))
    }

    /// The answer of the step that reads what the caller said, once nothing blocks that: rules, the model, the vendor.
    pub(super) async fn gated(
        &mut self,
        said: &str,
        param: &str,
    ) -> Result<(Value, moderation::Decision), Halt> {
        // What the rules block needs no model's opinion.
        refuse_blocked(&moderation::gate(said, &Opinions::default()), param)?;
        let request = self.pipeline.render(self.step, &self.inputs(&[]))?;
        let answered = self.ask(request, &[]).await?;
        let harm = answered["harm"].as_str().unwrap_or("none");
        let asked = self.ledger.last_asked();
        let vendor = self.vendor_verdict(said).await?;
        let opinions =
            Opinions { model: Some(ModelOpinion { model: &asked, harm }), vendor: vendor.as_ref() };
        let decision = moderation::gate(said, &opinions);
        refuse_blocked(&decision, param)?;
        Ok((answered, decision))
    }

    /// The provider's moderation, where that role is configured; its outage does not stop a run, the rules remain.
    async fn vendor_verdict(&mut self, intent: &str) -> Result<Option<ModerationVerdict>, Halt> {
        if !self.source.offers(Role::Moderate) {
            return Ok(None);
        }
        let lost = LostFlag::default();
        let purse = RunPurse {
            engine: self.engine,
            run: self.run,
            held: self.held,
            ledger: &*self.ledger,
            lost: &lost,
        };
        let answered = self.source.moderate(intent, &purse).await;
        match answered {
            Ok(answer) => {
                self.ledger.note(answer.exchanges);
                Ok(Some(answer.content))
            }
            Err(mut unanswered) => {
                self.ledger.note(std::mem::take(&mut unanswered.exchanges));
                match halted(unanswered, &lost) {
                    Halt::Failed(error) if error.code == Code::ProviderUnavailable => Ok(None),
                    halt => Err(halt),
                }
            }
        }
    }

    async fn draft(&mut self) -> Result<Outcome, Halt> {
        let layers = self.step.layers.clone();
        let request = self.pipeline.render(self.step, &self.inputs(&layers))?;
        let written = self.ask(request, &layers).await?;
        Ok(Outcome::done(json!({"layers": written})))
    }

    /// What the notes before this step say, by their names.
    fn notes(&self) -> Map<String, Value> {
        let before = self.pipeline.ancestors(&self.step.name);
        let notes = self.pipeline.steps.iter().filter(|step| step.kind == Kind::Note);
        let notes = notes.filter(|step| before.contains(step.name.as_str()));
        notes
            .filter_map(|step| Some((step.name.clone(), self.data.outputs.get(&step.name)?["note"].clone())))
            .collect()
    }

    async fn note(&mut self) -> Result<Outcome, Halt> {
        let schema = self.step.schema.clone().unwrap_or_default();
        let request = self.pipeline.render(self.step, &self.inputs(&[]))?;
        let note = self.ask_for(request, Wanted::Note(&schema)).await?;
        Ok(Outcome::done(json!({"note": note})))
    }

    async fn audit(&mut self) -> Result<Outcome, Halt> {
        let layers = self.step.layers.clone();
        let request = self.pipeline.render(self.step, &self.inputs(&layers))?;
        let findings = self.ask(request, &[]).await?;
        Ok(Outcome::done(findings))
    }

    async fn revise(&mut self) -> Result<Outcome, Halt> {
        let findings: Vec<Value> = self
            .step
            .needs
            .iter()
            .filter_map(|need| self.data.outputs.get(need)?["findings"].as_array().cloned())
            .flatten()
            .collect();
        if findings.is_empty() && self.step.when == Some(When::Findings) {
            return Ok(Outcome::skipped());
        }
        let layers = self.step.layers.clone();
        let mut inputs = self.inputs(&layers);
        inputs["findings"] = findings.into();
        let request = self.pipeline.render(self.step, &inputs)?;
        let written = self.ask(request, &layers).await?;
        Ok(Outcome::done(json!({"layers": written})))
    }

    fn facts(&self) -> Facts {
        self.pipeline
            .step_of_kind(Kind::IntentParse)
            .and_then(|step| self.data.outputs.get(&step.name))
            .and_then(|output| serde_json::from_value(output["facts"].clone()).ok())
            .unwrap_or_default()
    }

    fn whole(&self, layers: &Value) -> Result<Layers, Halt> {
        let mut whole = Layers::from_value(layers).map_err(|problems| {
            Halt::Failed(
                Error::new(Code::SchemaViolation, "The persona does not match its schemas.")
                    .with_details(problems),
            )
        })?;
        consistency::normalise(&mut whole);
        if self.refines() {
            let written = self.written();
            whole = refining::restored(whole, layers, |layer| written.contains(&layer));
        }
        Ok(whole)
    }

    /// The layers that steps before this one have written.
    pub(super) fn written(&self) -> Vec<Layer> {
        let before = self.pipeline.ancestors(&self.step.name);
        let outputs = self.data.outputs.iter().filter(|(step, _)| before.contains(step.as_str()));
        let layers = outputs.filter_map(|(_, output)| output["layers"].as_object()).flatten();
        layers.filter_map(|(layer, _)| layer.parse().ok()).collect()
    }

    fn report(&self, layers: &Layers) -> Report {
        let (facts, fields) = (self.facts(), self.field_problems());
        consistency::check(&Subject { layers, terms: self.terms(&facts, &fields, layers) })
    }

    fn terms<'f>(&'f self, facts: &'f Facts, fields: &'f [Detail], layers: &Layers) -> Terms<'f> {
        let spoken = sandbox::must_speak(self.run.mode, self.text_of("language"), layers);
        Terms { language: spoken, facts, custom_fields: fields, now_year: self.engine.year_of(self.run) }
    }

    /// The custom fields that the persona will have, as they were defined when the run began.
    pub(super) fn fields(&self) -> Vec<Field> {
        serde_json::from_value(self.data.input[FIELDS].clone()).unwrap_or_default()
    }

    /// The custom fields known so far: what the caller gave, and what was filled.
    fn custom_fields(&self) -> Map<String, Value> {
        let mut values = self.data.input["custom_fields"].as_object().cloned().unwrap_or_default();
        let filled = self.pipeline.step_of_kind(Kind::CustomFields);
        let filled = filled.and_then(|step| self.data.outputs.get(&step.name)?["custom_fields"].as_object());
        values.extend(filled.cloned().unwrap_or_default());
        values
    }

    /// Fills the fields that the workspace wants filled and the caller has left out, from the finished layers.
    async fn fill_fields(&mut self) -> Result<Outcome, Halt> {
        let given = self.custom_fields();
        let mut fields = self.fields();
        fields.retain(|field| field.generate && !given.contains_key(&field.name));
        if fields.is_empty() {
            return Ok(Outcome::skipped());
        }
        let mut inputs = self.inputs(&[]);
        inputs["persona"] = self.whole(&self.layers_so_far())?.to_value();
        inputs[FIELDS] = json!(fields);
        let request = self.pipeline.render(self.step, &inputs)?;
        let written = self.ask_for(request, Wanted::Fields(&fields)).await?;
        Ok(Outcome::done(json!({"custom_fields": written["custom_fields"]})))
    }

    fn field_problems(&self) -> Vec<Detail> {
        field::value_problems(&self.fields(), &self.custom_fields())
    }

    async fn check(&mut self) -> Result<Outcome, Halt> {
        let layers = self.whole(&self.layers_so_far())?;
        let mut report = self.report(&layers);
        let mut contradictions = Vec::new();
        let asks = self.step.judge && self.source.offers(Role::Judge);
        if asks {
            contradictions = self.judge(&layers).await?;
            report = report.with_judged(consistency::verify(&contradictions, &layers));
        }
        let violations = json!(report.details());
        let mut outcome =
            Outcome::done(json!({"report": report, "judged": asks, "contradictions": contradictions}));
        outcome.events.push(EventBody::check_completed(report.score, &violations));
        Ok(outcome)
    }

    async fn judge(&mut self, layers: &Layers) -> Result<Vec<Contradiction>, Halt> {
        let mut inputs = self.inputs(&[]);
        inputs["persona"] = layers.to_value();
        let request = self.pipeline.render(self.step, &inputs)?;
        let found = self.ask(request, &[]).await?;
        Ok(serde_json::from_value(found["contradictions"].clone()).map_err(Error::internal)?)
    }

    /// What the judge found, as far as the text still bears it out.
    fn judged(&self, report: Report, layers: &Layers) -> Result<Report, Halt> {
        let checked = self.pipeline.step_of_kind(Kind::ConsistencyCheck);
        let output = checked.and_then(|step| self.data.outputs.get(&step.name));
        let output = output.ok_or_else(|| Error::internal("no consistency check to repair by"))?;
        let found: Vec<Contradiction> =
            serde_json::from_value(output["contradictions"].clone()).map_err(Error::internal)?;
        let judged = output["judged"] == true;
        Ok(if judged { report.with_judged(consistency::verify(&found, layers)) } else { report })
    }

    /// Makes the rules hold where a small change does: a word struck from a list, a namesake left out.
    /// In a refinement, only in layers that may change.
    fn mend(&self, layers: &mut Layers) -> Vec<Mended> {
        // The documented trigger of this failure must fail.
        if self.triggered(sandbox::Trigger::SchemaViolation) {
            return Vec::new();
        }
        let facts = self.facts();
        let before = layers.to_value();
        let mended = {
            let terms = self.terms(&facts, &[], layers);
            consistency::mend(layers, &terms)
        };
        if self.refines() {
            let allowed = refining::allowed(&self.data.input);
            *layers = refining::restored(layers.clone(), &before, |layer| allowed.contains(&layer));
        }
        mended
    }

    /// Small changes first; what they do not mend, the model writes again, once; what remains fails the run.
    async fn repair(&mut self) -> Result<Outcome, Halt> {
        let before = self.layers_so_far();
        let mut layers = self.whole(&before)?;
        if self.judged(self.report(&layers), &layers)?.passed() {
            return Ok(Outcome::skipped());
        }
        let mut mended = self.mend(&mut layers);
        let mut report = self.judged(self.report(&layers), &layers)?;
        if !report.passed() {
            let mut violated = report.layers_to_repair();
            if self.refines() {
                let allowed = refining::allowed(&self.data.input);
                violated.retain(|layer| allowed.contains(layer));
            }
            if violated.is_empty()
                && let Some(error) = report.error()
            {
                return Err(Halt::Failed(error));
            }
            let mut inputs = self.inputs(&violated);
            inputs["violations"] = json!(report.details());
            inputs["persona"] = layers.to_value();
            let request = self.pipeline.render(self.step, &inputs)?;
            let written = self.ask(request, &violated).await?;
            let mut all = layers.to_value();
            for (layer, value) in written.as_object().into_iter().flatten() {
                all[layer] = value.clone();
            }
            layers = self.whole(&all)?;
            mended.extend(self.mend(&mut layers));
            report = self.judged(self.report(&layers), &layers)?;
        }
        if let Some(error) = report.error() {
            return Err(Halt::Failed(error));
        }
        let changed: Map<String, Value> = layers
            .to_value()
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(layer, value)| before[layer.as_str()] != **value)
            .map(|(layer, value)| (layer.clone(), value.clone()))
            .collect();
        let mut outcome = Outcome::done(json!({"layers": changed, "mended": mended, "report": report}));
        outcome.events.push(EventBody::check_completed(report.score, &json!([])));
        Ok(outcome)
    }

    async fn finalize(&mut self) -> Result<Outcome, Halt> {
        let layers = self.whole(&self.layers_so_far())?;
        let report = self.judged(self.report(&layers), &layers)?;
        if let Some(error) = report.error() {
            return Err(Halt::Failed(error));
        }
        let language = self.text_of("language").to_owned();
        let output_digest = digest::digest(&language, &layers);
        let events = self.reconciled(&layers).await?;
        let total = self.run.cost;
        if self.run.is_exact_replay() {
            return Ok(self.replay_outcome(output_digest, events));
        }
        if self.refines() {
            return self.refined(layers, &report, output_digest, events).await;
        }
        let entry = self.persona(&layers, &report, &output_digest).await?;
        let document = entry.document()?;
        let edition = self.edition(&Value::Null, &document);
        let writes = self.engine.store.new_persona_writes(&self.engine.tenant, &entry, &edition)?;
        let told = vec![webhook::Event::persona_created(&entry, Some(self.run.id), &edition.created_at)];
        let ended = EventBody::run_completed(
            json!({"persona_id": entry.id, "total_cost_usd": total, "slug": entry.slug, "digest": output_digest}),
        );
        Ok(Outcome {
            status: StepStatus::Completed,
            output: json!({"document": document, "digest": output_digest}),
            events,
            ending: Some((
                RunResult { output_digest, output_version: Some(1), replay_matches: None, writes, told },
                ended,
            )),
        })
    }

    /// The deltas that make what was sent equal to what is kept.
    async fn reconciled(&mut self, layers: &Layers) -> Result<Vec<EventBody>, Halt> {
        let (mut sent, last) = self.engine.sent_so_far(self.run.id).await?;
        if self.refines() {
            sent = refining::overlaid(refining::base(&self.data.input), &sent);
        }
        // The end is written behind what was read here, or not at all.
        self.log.reach(last);
        let mut wanted = layers.to_value();
        let custom_fields = self.custom_fields();
        if !custom_fields.is_empty() {
            wanted["custom_fields"] = custom_fields.into();
        }
        Ok(deltas_between(&sent, &wanted)
            .iter()
            .map(|(path, value)| EventBody::layer_delta(path, value))
            .collect())
    }

    fn replay_outcome(&self, output_digest: String, events: Vec<EventBody>) -> Outcome {
        let expected = self.run.replay.as_ref().and_then(|replay| replay.expected_digest.clone());
        let matches = expected.as_deref() == Some(output_digest.as_str());
        let of = self.run.replay.as_ref().map(|replay| replay.of);
        let ended = EventBody::run_completed(json!({
            "persona_id": null, "total_cost_usd": self.run.cost, "digest": output_digest, "replay_of": of, "matches": matches,
        }));
        Outcome {
            status: StepStatus::Completed,
            output: json!({"digest": output_digest, "matches": matches}),
            events,
            ending: Some((
                RunResult {
                    output_digest,
                    output_version: None,
                    replay_matches: Some(matches),
                    writes: Vec::new(),
                    told: Vec::new(),
                },
                ended,
            )),
        }
    }

    async fn persona(
        &self,
        layers: &Layers,
        report: &Report,
        output_digest: &str,
    ) -> Result<PersonaEntry, Halt> {
        let run = self.run;
        let slug = match &run.slug {
            Some(slug) => slug.clone(),
            None => self.free_slug(&layers.identity.name).await?,
        };
        let now = self.engine.clock.timestamp();
        let visibility: Visibility =
            serde_json::from_value(self.data.input["visibility"].clone()).unwrap_or_default();
        let language = self.text_of("language").to_owned();
        let mut document = json!({
            "id": run.persona_id, "object": "persona", "slug": slug, "version": 1,
            "workspace_id": self.engine.tenant.workspace(), "visibility": visibility, "language": language,
            "intent": self.text_of("intent"),
        });
        for (layer, value) in layers.to_value().as_object().into_iter().flatten() {
            document[layer] = value.clone();
        }
        let metadata = &self.data.input["metadata"];
        document["custom_fields"] = self.custom_fields().into();
        document["metadata"] = if metadata.is_object() { metadata.clone() } else { json!({}) };
        document["consistency"] = json!({"score": report.score, "checks": report.checks});
        document["lineage"] = json!({
            "run_id": run.id, "pipeline": run.pipeline, "seed": run.seed, "forked_from": null,
            "replay_of": run.replay.as_ref().map(|replay| replay.of), "digest": output_digest,
            "fingerprint": Fingerprint::of(&layers.voice, &language),
            "simulated": run.steps.values().any(|step| step.provider.as_deref() == Some(sandbox::NAME)),
        });
        document["created_at"] = now.clone().into();
        document["updated_at"] = now.into();
        document["published_at"] = Value::Null;
        Ok(PersonaEntry::of(&document, run.created_by)?)
    }

    /// The record of the version that this run makes.
    pub(super) fn edition(&self, before: &Value, after: &Value) -> Edition {
        Edition {
            version: after["version"].as_u64().unwrap_or(1),
            created_by: self.run.created_by,
            run_id: Some(self.run.id),
            changed: document::changed_keys(before, after),
            created_at: after["updated_at"].as_str().unwrap_or_default().to_owned(),
        }
    }

    /// A slug from the name that no other persona of the workspace has; the transaction that writes it checks again.
    async fn free_slug(&self, name: &str) -> Result<String, Halt> {
        let tried = slug::candidates(name, self.run.persona_id);
        for slug in &tried {
            if self.engine.store.slug_is_free(&self.engine.tenant, slug, self.run.persona_id).await? {
                return Ok(slug.clone());
            }
        }
        Ok(tried.last().cloned().unwrap_or_default())
    }
}

/// What a model is asked to write.
#[derive(Clone, Copy)]
enum Wanted<'a> {
    /// These layers, or the answer of a step that writes none.
    Layers(&'a [Layer]),
    /// These custom fields.
    Fields(&'a [Field]),
    /// What a schema of the workspace's own says.
    Note(&'a Value),
}

impl Wanted<'_> {
    fn fitted(self, kind: Kind, answer: Value) -> Value {
        match self {
            Self::Layers(layers) => fitted(kind, layers, answer),
            Self::Fields(_) | Self::Note(_) => answer,
        }
    }

    fn problems(self, kind: Kind, answer: &Value) -> Vec<Detail> {
        match self {
            Self::Layers(layers) => validate_output(kind, layers, answer),
            Self::Fields(fields) => field::answer_problems(fields, answer),
            Self::Note(schema) => field::problems_by(schema, answer),
        }
    }

    fn paths(self) -> Vec<String> {
        match self {
            Self::Layers(layers) => layers.iter().map(ToString::to_string).collect(),
            Self::Fields(fields) => {
                fields.iter().map(|field| format!("custom_fields.{}", field.name)).collect()
            }
            Self::Note(_) => Vec::new(),
        }
    }
}

/// Fails the run over a decision that blocks, and keeps the decision.
fn refuse_blocked(decision: &moderation::Decision, param: &str) -> Result<(), Halt> {
    match moderation::blocked(decision, param) {
        Some(blocked) => Err(Halt::Refused(Box::new(blocked), json!({"moderation": decision}))),
        None => Ok(()),
    }
}

/// What the brief insists on, without what small models write where it insists on nothing.
fn requirements(told: &Value) -> Vec<&str> {
    let told = told.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::trim);
    let empty = ["", "null", "none", "n/a", "-", "harm:none", "harm: none"];
    told.filter(|text| !empty.contains(&text.to_lowercase().as_str())).collect()
}

/// The role that a step asks; one that is not configured falls back to drafting.
pub(super) const fn fallback_role(role: Role) -> Role {
    match role {
        Role::Judge | Role::Audit | Role::Chat => Role::Draft,
        other => other,
    }
}
