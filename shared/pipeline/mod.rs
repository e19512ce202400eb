//! Pipelines as data, the prompts of their steps, and the reader of what models answer.
//!
//! A pipeline is a graph of steps in `pipelines/*.yaml`; prompts are templates in `prompts/*.j2`; the shape of each
//! answer comes from the schemas of the layers (`schemas/layers`) or of the step (`schemas/steps`).

mod graph;
mod hostile;
pub mod json_stream;
mod output;
mod own;
mod prompt;
mod shorten;

use std::{collections::BTreeMap, fmt, sync::OnceLock};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use hostile::OwnPrompt;
pub use output::{fitted, validate_output};
pub use own::{named, read, resolve};
pub(crate) use prompt::write_as_data;

use crate::{
    error::Detail,
    persona::{Field, Layer, digest, field, schema},
    provider::Role,
};

/// The pipeline of a request that names none.
pub const DEFAULT: &str = "default";
/// The pipeline of a refinement that names none.
pub const REFINE: &str = "refine";
/// The step that fills custom fields, and its prompt.
const FILLING: &str = "custom_fields";

/// `pipelines/*.yaml`, as `build.rs` writes them.
const BUILT_IN: [&str; 4] = [
    include_str!(concat!(env!("OUT_DIR"), "/default.json")),
    include_str!(concat!(env!("OUT_DIR"), "/fast.json")),
    include_str!(concat!(env!("OUT_DIR"), "/strict-audit.json")),
    include_str!(concat!(env!("OUT_DIR"), "/refine.json")),
];

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Reads the facts that the brief fixes, and whether it asks for harm.
    IntentParse,
    /// Reads an instruction: which layers of a finished persona it touches, and whether it asks for harm.
    Plan,
    /// Writes layers.
    Draft,
    /// Writes layers of a finished persona again, as an instruction asks; those that the plan names.
    Rewrite,
    /// Writes what no layer holds, in a shape of the workspace's own, for the steps behind it to build on.
    Note,
    /// Reads layers and reports findings.
    Audit,
    /// Rewrites layers by an audit's findings.
    Revise,
    /// Looks for contradictions, by rules and by the judge.
    ConsistencyCheck,
    /// Rewrites the layers that the check found wanting.
    Repair,
    /// Fills the workspace's own fields from the finished layers. Put in where a workspace has such fields; no definition
    /// has one.
    CustomFields,
    /// Makes slug, fingerprint and digest; calls no model.
    Finalize,
}

impl Kind {
    /// The name in definitions.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::IntentParse => "intent_parse",
            Self::Plan => "plan",
            Self::Draft => "draft",
            Self::Rewrite => "rewrite",
            Self::Note => "note",
            Self::Audit => "audit",
            Self::Revise => "revise",
            Self::ConsistencyCheck => "consistency_check",
            Self::Repair => "repair",
            Self::CustomFields => "custom_fields",
            Self::Finalize => "finalize",
        }
    }

    /// Whether the step's answer is layers, keyed by their names.
    pub const fn writes_layers(self) -> bool {
        matches!(self, Self::Draft | Self::Rewrite | Self::Revise | Self::Repair)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What must exist for a step to be worth a call; without it the step is skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// The consistency check found violations.
    Violations,
    /// The audit that the step needs has findings.
    Findings,
    /// The plan names one of the step's layers.
    Planned,
}

/// One step of a pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Unique within the pipeline.
    pub name: String,
    /// What it does.
    pub kind: Kind,
    /// The steps that must end first.
    #[serde(default)]
    pub needs: Vec<String>,
    /// What it writes (draft, revise, rewrite) or reads (audit); a repair learns it from the check.
    #[serde(default)]
    pub layers: Vec<Layer>,
    /// Which of the configured models answers; `None` where no model is called.
    #[serde(default)]
    pub role: Option<Role>,
    /// The template's name; `None` where no model is called.
    #[serde(default)]
    pub prompt: Option<String>,
    /// The most tokens an English answer may take; other languages get half as many again.
    #[serde(default)]
    pub max_tokens: u32,
    /// 0 to 2.
    #[serde(default)]
    pub temperature: f32,
    /// Whether a consistency check asks the judge after the rules.
    #[serde(default = "yes")]
    pub judge: bool,
    /// When the step is worth a call; `None` is always.
    #[serde(default)]
    pub when: Option<When>,
    /// The JSON Schema of a note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<Value>,
}

const fn yes() -> bool {
    true
}

impl Step {
    /// Whether the step calls a model when it is not skipped.
    pub const fn calls_model(&self) -> bool {
        match self.kind {
            Kind::Finalize => false,
            Kind::ConsistencyCheck => self.judge,
            _ => true,
        }
    }
}

/// A valid pipeline: its graph has no cycle, every layer is drafted once, and every prompt exists. Read back as it was
/// kept with a run, it is not checked again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pipeline {
    /// What a request calls it by.
    pub name: String,
    /// Counts up with every change.
    pub version: u32,
    /// One sentence about it.
    pub description: String,
    /// SHA-256 over the definition and the texts of its prompts and schemas; 64 hexadecimal digits.
    pub digest: String,
    /// The steps in the order of the definition.
    pub steps: Vec<Step>,
    /// The workspace's own prompts, by the names that steps call them; they go before the service's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub prompts: BTreeMap<String, OwnPrompt>,
    /// The digest that it had before a step for custom fields was put in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
}

/// The definition as it is written, not yet checked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Definition {
    name: String,
    version: u32,
    description: String,
    steps: Vec<Step>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    prompts: BTreeMap<String, OwnPrompt>,
}

impl Pipeline {
    /// Reads a definition in YAML.
    ///
    /// # Errors
    /// Every problem at once, with pointers into the definition.
    pub fn from_yaml(yaml: &str) -> Result<Self, Vec<Detail>> {
        let value: Value = serde_saphyr::from_str(yaml)
            .map_err(|error| vec![Detail::new("", format!("The definition is not YAML: {error}"))])?;
        Self::from_value(&value)
    }

    /// Reads a definition given as JSON.
    ///
    /// # Errors
    /// Every problem at once, with pointers into the definition.
    pub fn from_value(value: &Value) -> Result<Self, Vec<Detail>> {
        let problems = schema::validate_with(definition_schema(), "", value);
        if !problems.is_empty() {
            return Err(problems);
        }
        let definition =
            Definition::deserialize(value).map_err(|error| vec![Detail::new("", error.to_string())])?;
        let mut problems = graph::problems(&definition.steps, &definition.prompts);
        for (name, prompt) in &definition.prompts {
            problems.extend(prompt.problems(&format!("/prompts/{}", schema::escaped(name))));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let digest = digest_of(&definition);
        let Definition { name, version, description, steps, prompts } = definition;
        Ok(Self { name, version, description, digest, steps, prompts, base: None })
    }

    /// The built-in pipeline of that name.
    pub fn built_in(name: &str) -> Option<&'static Self> {
        Self::all_built_in().iter().find(|pipeline| pipeline.name == name)
    }

    /// `default`, `fast` and `strict-audit`, which make personas, and `refine`, which edits them.
    #[expect(clippy::panic, reason = "files of this crate; a test reads each of them")]
    pub fn all_built_in() -> &'static [Self] {
        static ALL: OnceLock<Vec<Pipeline>> = OnceLock::new();
        ALL.get_or_init(|| {
            let read = |json: &str| {
                let value: Value = serde_json::from_str(json).unwrap_or_default();
                Self::from_value(&value)
                    .unwrap_or_else(|problems| panic!("a built-in pipeline is wrong: {problems:?}"))
            };
            BUILT_IN.into_iter().map(read).collect()
        })
    }

    /// Whether it is one that comes with the service, as it comes.
    pub fn is_built_in(&self) -> bool {
        Self::built_in(&self.name).is_some_and(|built_in| built_in.digest == self.digest)
    }

    /// The pipeline with a step before its end that fills these fields; its digest tells.
    #[must_use]
    pub fn with_fields(&self, fields: &[Field]) -> Self {
        let mut pipeline = self.clone();
        let Some(end) = pipeline.steps.iter().position(|step| step.kind == Kind::Finalize) else {
            return pipeline;
        };
        let filling = Step {
            name: FILLING.to_owned(),
            kind: Kind::CustomFields,
            needs: std::mem::replace(&mut pipeline.steps[end].needs, vec![FILLING.to_owned()]),
            layers: Vec::new(),
            role: Some(Role::Draft),
            prompt: Some(FILLING.to_owned()),
            max_tokens: field::max_tokens(fields),
            temperature: 0.7,
            judge: true,
            when: None,
            schema: None,
        };
        let texts: serde_json::Map<_, _> =
            prompt::texts(FILLING).into_iter().map(|(name, text)| (name.to_owned(), text.into())).collect();
        pipeline.digest = digest::of_value(&json!({
            "pipeline": self.digest, "step": filling, "prompts": texts, "fields": fields,
        }));
        pipeline.base = Some(self.digest.clone());
        pipeline.steps.insert(end, filling);
        pipeline
    }

    /// The step of that name.
    pub fn step(&self, name: &str) -> Option<&Step> {
        self.steps.iter().find(|step| step.name == name)
    }

    /// Whether it edits a finished persona, and does not make one.
    pub fn refines(&self) -> bool {
        self.step_of_kind(Kind::Plan).is_some()
    }

    /// The one step of a kind that occurs once: `intent_parse`, `plan`, `consistency_check`, `repair`, `finalize`.
    pub fn step_of_kind(&self, kind: Kind) -> Option<&Step> {
        self.steps.iter().find(|step| step.kind == kind)
    }

    /// The step that drafts `layer`, or rewrites it.
    pub fn drafted_by(&self, layer: Layer) -> Option<&Step> {
        let writes = |step: &&Step| matches!(step.kind, Kind::Draft | Kind::Rewrite);
        self.steps.iter().filter(writes).find(|step| step.layers.contains(&layer))
    }
}

fn definition_schema() -> &'static Value {
    static SCHEMA: OnceLock<Value> = OnceLock::new();
    SCHEMA.get_or_init(|| schema::parsed(include_str!("../schemas/pipeline.json")))
}

/// What can change what a pipeline asks of a model is in its digest.
fn digest_of(definition: &Definition) -> String {
    let prompts: serde_json::Map<_, _> = definition
        .steps
        .iter()
        .filter_map(|step| step.prompt.as_deref())
        .flat_map(prompt::texts)
        .map(|(name, text)| (name.to_owned(), text.into()))
        .collect();
    let schemas: serde_json::Map<_, _> = definition
        .steps
        .iter()
        .flat_map(output::schema_texts)
        .map(|(name, text)| (name.to_owned(), text.into()))
        .collect();
    digest::of_value(&json!({ "definition": definition, "prompts": prompts, "schemas": schemas }))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

    #[test]
    fn fields_are_filled_between_the_repair_and_the_end_and_the_digest_tells() {
        let field =
            |name: &str| serde_json::from_value::<Field>(json!({"name": name, "type": "string"})).unwrap();
        for base in Pipeline::all_built_in().iter().filter(|pipeline| !pipeline.refines()) {
            let filled = base.with_fields(&[field("motto")]);
            assert_eq!(filled.step(FILLING).unwrap().needs, ["repair"]);
            assert_eq!(filled.step("finalize").unwrap().needs, [FILLING]);
            assert_eq!(filled.steps.len(), base.steps.len() + 1);
            assert_ne!(filled.digest, base.digest);
            assert_ne!(filled.digest, base.with_fields(&[field("mood")]).digest);
            assert!(base.is_built_in() && !filled.is_built_in());
            let kept = serde_json::to_string(&filled).unwrap();
            assert_eq!(serde_json::from_str::<Pipeline>(&kept).unwrap(), filled);
        }
    }

    use super::*;

    #[test]
    fn the_built_in_pipelines_are_valid_and_differ() {
        let names: Vec<_> = Pipeline::all_built_in().iter().map(|p| p.name.as_str()).collect();
        assert_eq!(names, ["default", "fast", "strict-audit", "refine"]);
        let refining: Vec<_> = Pipeline::all_built_in().iter().filter(|p| p.refines()).collect();
        assert_eq!(refining, [Pipeline::built_in(REFINE).unwrap()]);
        let default = Pipeline::built_in(DEFAULT).unwrap();
        assert_eq!(default.digest.len(), 64);
        assert_ne!(default.digest, Pipeline::built_in("fast").unwrap().digest);
        assert_eq!(Pipeline::built_in("none"), None);
    }

    #[test]
    fn the_digest_changes_with_the_definition_and_only_with_it() {
        let default = Pipeline::built_in(DEFAULT).unwrap();
        let yaml = include_str!("../pipelines/default.yaml");
        let same = Pipeline::from_yaml(yaml).unwrap();
        let hotter = Pipeline::from_yaml(&yaml.replacen("temperature: 0.8", "temperature: 0.9", 1)).unwrap();
        let commented = Pipeline::from_yaml(&format!("# A comment.\n{yaml}")).unwrap();
        assert_eq!(same.digest, default.digest);
        assert_eq!(commented.digest, default.digest);
        assert_ne!(hotter.digest, default.digest);
    }

    #[test]
    fn a_definition_of_the_wrong_shape_is_told_every_problem() {
        let yaml = "name: Mine\nversion: 0\ndescription: d\nsteps:\n  - name: a\n    kind: dream\n    layers: [souls]\n";
        let pointers: Vec<_> =
            Pipeline::from_yaml(yaml).unwrap_err().into_iter().map(|problem| problem.pointer).collect();
        assert_eq!(pointers, ["/name", "/version", "/steps/0/kind", "/steps/0/layers/0"]);
        assert_eq!(Pipeline::from_yaml("a: [").unwrap_err().len(), 1);
    }
}
