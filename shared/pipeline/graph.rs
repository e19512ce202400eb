//! A pipeline's graph: what makes it valid, which steps are ready, and which path is the longest.

use std::collections::{BTreeMap, BTreeSet};

use super::{FILLING, Kind, OwnPrompt, Pipeline, Step, When, output, prompt};
use crate::{
    error::Detail,
    persona::{Layer, field},
};

impl Pipeline {
    /// The steps that may begin: all they need is in `done`, and they are not. In the order of the definition.
    pub fn ready_after<'a>(&'a self, done: &'a BTreeSet<String>) -> impl Iterator<Item = &'a Step> {
        self.steps.iter().filter(move |step| {
            !done.contains(&step.name) && step.needs.iter().all(|need| done.contains(need))
        })
    }

    /// How many steps each step waits for, at the start.
    pub fn unmet_needs(&self) -> BTreeMap<&str, usize> {
        self.steps.iter().map(|step| (step.name.as_str(), step.needs.len())).collect()
    }

    /// The steps that wait for `name`.
    pub fn dependants<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Step> {
        self.steps.iter().filter(move |step| step.needs.iter().any(|need| need == name))
    }

    /// Every step that must have ended before the named one, its needs' needs included.
    pub fn ancestors(&self, name: &str) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        let mut open: Vec<&str> = vec![name];
        while let Some(next) = open.pop() {
            for need in self.step(next).into_iter().flat_map(|step| &step.needs) {
                if found.insert(need.as_str()) {
                    open.push(need);
                }
            }
        }
        found
    }

    /// The chain of steps with the most model calls, first step first. Steps that may be skipped count as
    /// no call; a run in which none is repaired takes as long as this chain.
    pub fn critical_path(&self) -> Vec<&Step> {
        let mut longest: BTreeMap<&str, (usize, Option<&str>)> = BTreeMap::new();
        for step in in_order(&self.steps) {
            let before = step
                .needs
                .iter()
                .filter_map(|need| Some((longest.get(need.as_str())?.0, need.as_str())))
                .reduce(|best, other| if other.0 > best.0 { other } else { best });
            let own = usize::from(step.calls_model() && step.when.is_none());
            let calls = before.map_or(0, |(calls, _)| calls) + own;
            longest.insert(&step.name, (calls, before.map(|(_, name)| name)));
        }
        let mut path = Vec::new();
        let mut at = self.step_of_kind(Kind::Finalize);
        while let Some(step) = at {
            path.push(step);
            at = longest.get(step.name.as_str()).and_then(|(_, before)| self.step((*before)?));
        }
        path.reverse();
        path
    }
}

/// Everything wrong with the graph, with pointers into the definition.
pub(super) fn problems(steps: &[Step], prompts: &BTreeMap<String, OwnPrompt>) -> Vec<Detail> {
    let mut problems = Vec::new();
    problems.extend(names_and_needs(steps));
    problems.extend(cycle(steps));
    for (at, step) in steps.iter().enumerate() {
        problems.extend(step_problems(at, step, prompts));
    }
    problems.extend(purpose_problems(steps));
    problems.extend(layer_problems(steps));
    problems.extend(once_problems(steps));
    if problems.is_empty() {
        problems.extend(order_problems(steps));
    }
    problems
}

fn names_and_needs(steps: &[Step]) -> Vec<Detail> {
    let mut problems = Vec::new();
    let mut seen = BTreeSet::new();
    for (at, step) in steps.iter().enumerate() {
        if !seen.insert(&step.name) {
            problems.push(Detail::new(
                format!("/steps/{at}/name"),
                format!("Two steps are called \"{}\"; names are unique.", step.name),
            ));
        }
        let mut needed = BTreeSet::new();
        for (number, need) in step.needs.iter().enumerate() {
            let pointer = format!("/steps/{at}/needs/{number}");
            if !steps.iter().any(|other| other.name == *need) {
                problems.push(Detail::new(pointer, format!("There is no step \"{need}\".")));
            } else if !needed.insert(need) {
                problems.push(Detail::new(pointer, format!("\"{need}\" is needed twice.")));
            }
        }
    }
    problems
}

fn cycle(steps: &[Step]) -> Option<Detail> {
    let ordered: BTreeSet<&str> = in_order(steps).into_iter().map(|step| step.name.as_str()).collect();
    let waiting: Vec<_> =
        steps.iter().map(|step| step.name.as_str()).filter(|name| !ordered.contains(name)).collect();
    // From any of them, back along its needs, one comes to a step that one has met already: from there on it is a circle.
    let mut path = vec![*waiting.first()?];
    let circle = loop {
        let needs =
            steps.iter().find(|step| Some(&step.name.as_str()) == path.last()).map(|step| &step.needs)?;
        let next = needs.iter().map(String::as_str).find(|need| waiting.contains(need))?;
        if let Some(met) = path.iter().position(|name| *name == next) {
            break path.split_off(met);
        }
        path.push(next);
    };
    let named: Vec<&str> = waiting.into_iter().filter(|name| circle.contains(name)).collect();
    Some(Detail::new("/steps", format!("These steps wait for each other: {}.", named.join(", "))))
}

/// The steps, each after those it needs; those on a cycle, or behind one, are left out. A need that no step
/// has the name of counts as met.
fn in_order(steps: &[Step]) -> Vec<&Step> {
    let known: BTreeSet<&str> = steps.iter().map(|step| step.name.as_str()).collect();
    let mut done: BTreeSet<&str> = BTreeSet::new();
    let mut ordered = Vec::new();
    let mut rest: Vec<&Step> = steps.iter().collect();
    loop {
        let met = |need: &String| done.contains(need.as_str()) || !known.contains(need.as_str());
        let (ready, waiting): (Vec<&Step>, Vec<&Step>) =
            rest.into_iter().partition(|step| step.needs.iter().all(met));
        if ready.is_empty() {
            return ordered;
        }
        done.extend(ready.iter().map(|step| step.name.as_str()));
        ordered.extend(ready);
        rest = waiting;
    }
}

/// What a step of its kind must have, and must not.
fn step_problems(at: usize, step: &Step, prompts: &BTreeMap<String, OwnPrompt>) -> Vec<Detail> {
    let mut problems = Vec::new();
    let mut wrong = |field: &str, message: String| {
        problems.push(Detail::new(format!("/steps/{at}/{field}"), message));
    };
    let name = &step.name;
    if step.calls_model() {
        match &step.prompt {
            Some(prompt)
                if prompt == FILLING || !prompts.contains_key(prompt) && prompt::texts(prompt).is_empty() =>
            {
                wrong("prompt", format!("There is no prompt \"{prompt}\"."));
            }
            Some(_) => {}
            None => wrong("prompt", format!("\"{name}\" calls a model and needs a prompt.")),
        }
        if step.role.is_none() {
            wrong("role", format!("\"{name}\" calls a model and needs a role."));
        }
        if step.max_tokens == 0 {
            wrong("max_tokens", format!("\"{name}\" calls a model and needs max_tokens."));
        }
        if step.kind != Kind::Note && output::schema_texts(step).is_empty() {
            wrong("kind", format!("A step of kind {} has no schema.", step.kind));
        }
    }
    match (&step.schema, step.kind == Kind::Note) {
        (None, true) => {
            wrong("schema", format!("\"{name}\" is a note and needs a schema: what it is to say."));
        }
        (Some(_), false) => {
            wrong("schema", format!("A step of kind {} has a schema of its own; leave it out.", step.kind));
        }
        _ => {}
    }
    if name == FILLING {
        wrong("name", format!("\"{FILLING}\" is the step that fills custom fields; choose another name."));
    }
    let names_layers = matches!(step.kind, Kind::Draft | Kind::Rewrite | Kind::Audit | Kind::Revise);
    if names_layers && step.layers.is_empty() {
        wrong("layers", format!("A step of kind {} names its layers.", step.kind));
    }
    if !names_layers && !step.layers.is_empty() {
        wrong("layers", format!("A step of kind {} names no layers.", step.kind));
    }
    let fits = match step.when {
        None => true,
        Some(When::Violations) => step.kind == Kind::Repair,
        Some(When::Findings) => step.kind == Kind::Revise,
        Some(When::Planned) => step.kind == Kind::Rewrite,
    };
    if !fits {
        wrong(
            "when",
            "violations goes with a repair, findings with a revise, planned with a rewrite.".to_owned(),
        );
    }
    if let Some(schema) = &step.schema {
        problems.extend(field::schema_problems(schema, "object", &format!("/steps/{at}/schema")));
    }
    problems
}

/// Whether these steps edit a finished persona.
fn refines(steps: &[Step]) -> bool {
    steps.iter().any(|step| matches!(step.kind, Kind::Plan | Kind::Rewrite))
}

/// A pipeline makes personas or edits them: the kinds of the one have no place in the other.
fn purpose_problems(steps: &[Step]) -> Vec<Detail> {
    let refines = refines(steps);
    let stranger = |kind: Kind| match kind {
        Kind::IntentParse | Kind::Draft | Kind::Audit | Kind::Revise => refines,
        _ => false,
    };
    let wrong = |(at, step): (usize, &Step)| {
        let message = format!("A pipeline that edits personas has no step of kind {}.", step.kind);
        stranger(step.kind).then(|| Detail::new(format!("/steps/{at}/kind"), message))
    };
    steps.iter().enumerate().filter_map(wrong).collect()
}

fn layer_problems(steps: &[Step]) -> Vec<Detail> {
    let mut problems = Vec::new();
    let (kind, verb) = if refines(steps) { (Kind::Rewrite, "rewritten") } else { (Kind::Draft, "drafted") };
    for layer in Layer::ALL {
        let drafts = steps.iter().filter(|step| step.kind == kind).flat_map(|step| &step.layers);
        match drafts.filter(|drafted| **drafted == layer).count() {
            1 => {}
            0 => problems.push(Detail::new("/steps", format!("No step {kind}s the layer {layer}."))),
            _ => {
                problems.push(Detail::new("/steps", format!("The layer {layer} is {verb} more than once.")));
            }
        }
    }
    problems
}

fn once_problems(steps: &[Step]) -> Vec<Detail> {
    let mut problems = Vec::new();
    let first = if refines(steps) { Kind::Plan } else { Kind::IntentParse };
    for kind in [first, Kind::ConsistencyCheck, Kind::Repair, Kind::Finalize] {
        match steps.iter().filter(|step| step.kind == kind).count() {
            1 => {}
            0 => problems
                .push(Detail::new("/steps", format!("There is no step of kind {kind}; one is needed."))),
            count => problems
                .push(Detail::new("/steps", format!("{count} steps are of kind {kind}; one is allowed."))),
        }
    }
    problems
}

/// Which kinds must come before which; asked only of a graph that is otherwise sound.
fn order_problems(steps: &[Step]) -> Vec<Detail> {
    let mut problems = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        let before = ancestors(steps, step);
        let mut lacks = |what: String| {
            problems.push(Detail::new(
                format!("/steps/{at}/needs"),
                format!("\"{}\" must come after {what}, directly or through other steps.", step.name),
            ));
        };
        for other in steps {
            if must_precede(other, step) && !before.contains(other.name.as_str()) {
                lacks(format!("\"{}\"", other.name));
            }
        }
        let audited = before.iter().any(|name| {
            steps.iter().any(|s| {
                s.name == **name && s.kind == Kind::Audit && step.layers.iter().all(|l| s.layers.contains(l))
            })
        });
        if step.kind == Kind::Revise && !audited {
            lacks("an audit of its layers".to_owned());
        }
    }
    problems
}

fn must_precede(first: &Step, second: &Step) -> bool {
    let shares_layer = || first.layers.iter().any(|layer| second.layers.contains(layer));
    match (first.kind, second.kind) {
        (first, second) if first == second => false,
        (Kind::IntentParse | Kind::Plan, _) | (_, Kind::Finalize) => true,
        (Kind::Draft, Kind::Audit | Kind::Revise) => shares_layer(),
        (Kind::Draft | Kind::Revise | Kind::Rewrite, Kind::ConsistencyCheck)
        | (Kind::ConsistencyCheck, Kind::Repair) => true,
        _ => false,
    }
}

fn ancestors<'a>(steps: &'a [Step], step: &'a Step) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&str> = step.needs.iter().map(String::as_str).collect();
    while let Some(name) = open.pop() {
        if found.insert(name)
            && let Some(next) = steps.iter().find(|other| other.name == name)
        {
            open.extend(next.needs.iter().map(String::as_str));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

    use serde_json::{Value, json};

    use super::*;

    fn definition() -> Value {
        let pipeline = Pipeline::built_in("default").unwrap();
        let steps: Vec<Value> = pipeline
            .steps
            .iter()
            .map(|step| {
                let mut value = serde_json::to_value(step).unwrap();
                // Floats of 32 bits and absent options are not how a definition is written.
                value["temperature"] = json!(0.5);
                value
                    .as_object_mut()
                    .unwrap()
                    .retain(|key, value| !value.is_null() && (key != "max_tokens" || *value != json!(0)));
                value
            })
            .collect();
        json!({"name": "mine", "version": 1, "description": "d", "steps": steps})
    }

    fn told(value: &Value) -> Vec<String> {
        let problems = Pipeline::from_value(value).unwrap_err();
        problems.into_iter().map(|problem| format!("{} {}", problem.pointer, problem.message)).collect()
    }

    fn done(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn independent_layers_are_ready_together() {
        let pipeline = Pipeline::built_in("default").unwrap();
        let ready = |names: &[&str]| -> Vec<String> {
            pipeline.ready_after(&done(names)).map(|step| step.name.clone()).collect()
        };
        assert_eq!(ready(&[]), ["intent_parse"]);
        assert_eq!(ready(&["intent_parse"]), ["soul_draft"]);
        assert_eq!(
            ready(&["intent_parse", "soul_draft", "identity_draft"]),
            ["voice_draft", "history_draft", "relations_draft", "knowledge_draft", "boundaries_draft"]
        );
        assert_eq!(pipeline.unmet_needs()["consistency_check"], 5);
        assert_eq!(pipeline.dependants("identity_draft").count(), 5);
    }

    #[test]
    fn the_critical_path_is_the_chain_with_the_most_calls() {
        let calls = |name: &str| -> Vec<&str> {
            let path = Pipeline::built_in(name).unwrap().critical_path();
            path.into_iter()
                .filter(|s| s.calls_model() && s.when.is_none())
                .map(|s| s.name.as_str())
                .collect()
        };
        assert_eq!(
            calls("default"),
            ["intent_parse", "soul_draft", "identity_draft", "voice_draft", "consistency_check"]
        );
        assert_eq!(calls("fast"), ["intent_parse", "soul_draft", "voice_draft"]);
        assert_eq!(calls("strict-audit").len(), 8);
    }

    #[test]
    fn a_definition_survives_its_own_serialisation() {
        assert!(Pipeline::from_value(&definition()).is_ok());
    }

    #[test]
    fn a_cycle_names_the_steps_in_it() {
        let mut value = definition();
        value["steps"][1]["needs"] = json!(["identity_draft"]);
        assert!(
            told(&value)[0].starts_with("/steps These steps wait for each other: soul_draft, identity_draft")
        );
    }

    #[test]
    fn every_problem_of_a_graph_is_told_at_once() {
        let mut value = definition();
        value["steps"][2]["needs"] = json!(["soul_draft", "dream"]);
        value["steps"][3]["prompt"] = json!("no_such");
        value["steps"][4]["layers"] = json!(["voice"]);
        value["steps"][5]["name"] = json!("history_draft");
        value["steps"].as_array_mut().unwrap().pop();
        let told = told(&value);
        for expected in [
            "/steps/2/needs/1 There is no step \"dream\".",
            "/steps/3/prompt There is no prompt \"no_such\".",
            "/steps The layer voice is drafted more than once.",
            "/steps No step drafts the layer history.",
            "/steps/5/name Two steps are called \"history_draft\"; names are unique.",
            "/steps There is no step of kind finalize; one is needed.",
        ] {
            assert!(told.contains(&expected.to_owned()), "{expected} is not in {told:#?}");
        }
    }

    #[test]
    fn a_check_waits_for_every_draft() {
        let mut value = definition();
        value["steps"][8]["needs"] = json!(["voice_draft"]);
        let told = told(&value);
        assert_eq!(told.len(), 4 + 4, "{told:#?}"); // the check, and finalize through it
        assert!(told[0].contains("\"consistency_check\" must come after \"history_draft\""));
    }

    #[test]
    fn a_pipeline_that_edits_drafts_nothing() {
        let mut steps = Pipeline::built_in("refine").unwrap().steps.clone();
        steps[1].kind = Kind::Draft;
        let problems = problems(&steps, &BTreeMap::new());
        let told: Vec<&str> = problems.iter().map(|problem| problem.message.as_str()).collect();
        assert!(told.contains(&"A pipeline that edits personas has no step of kind draft."), "{told:?}");
        assert!(told.contains(&"No step rewrites the layer identity."), "{told:?}");
    }

    #[test]
    fn a_revision_waits_for_an_audit_of_its_layers() {
        let pipeline = Pipeline::built_in("strict-audit").unwrap();
        let mut steps = pipeline.steps.clone();
        let revise = steps.iter_mut().find(|step| step.name == "soul_revise").unwrap();
        revise.needs = vec!["soul_draft".to_owned()];
        let problems = problems(&steps, &BTreeMap::new());
        assert!(
            problems.iter().any(|problem| problem.message.contains("an audit of its layers")),
            "{problems:?}"
        );
    }

    #[test]
    fn the_ancestors_of_a_step_leave_its_siblings_out() {
        let before = Pipeline::built_in("default").unwrap().ancestors("voice_draft");
        assert_eq!(before.into_iter().collect::<Vec<_>>(), ["identity_draft", "intent_parse", "soul_draft"]);
    }
}
