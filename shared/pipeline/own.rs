//! Pipelines of a workspace's own: how one is read, and which pipeline a name means to a workspace.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::Pipeline;
use crate::{
    app::App,
    error::{Detail, Error, Result},
    tenant::Tenant,
};

/// Most steps; the service's own have 26 at most.
const STEPS_MOST: usize = 40;
/// Most bytes of a definition as JSON: it is kept with every run that follows it.
const BYTES_MOST: usize = 64 * 1024;
/// Longest name.
const NAME_MOST: usize = 40;
/// What answers say of a pipeline and nobody decides; it may come back in a body.
const SAID: [&str; 6] = ["object", "version", "digest", "built_in", "created_at", "updated_at"];

/// Whether a pipeline could have this name.
pub(crate) fn is_name(name: &str) -> bool {
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    let rest = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    first && rest && name.len() <= NAME_MOST
}

fn name_problem(name: &str) -> Option<Detail> {
    let shown: String = name.chars().take(60).collect();
    if Pipeline::built_in(name).is_some() {
        let message = format!("\"{shown}\" is one of the service's own pipelines; choose another name.");
        return Some(Detail::new("/name", message));
    }
    (!is_name(name)).then(|| {
        let message = format!(
            "\"{shown}\" is not a name. Use 1 to {NAME_MOST} lower-case letters, digits and hyphens, a letter first."
        );
        Detail::new("/name", message)
    })
}

/// What a workspace wants its pipeline `name` to be.
///
/// # Errors
/// `request.invalid` with every problem at once.
pub fn read(name: &str, version: u32, body: &Value) -> Result<Pipeline> {
    match Pipeline::own(name, version, body) {
        Ok(pipeline) => Ok(pipeline),
        Err(problems) => {
            Error::invalid_all(problems)?;
            Err(Error::internal("a pipeline was refused without a problem"))
        }
    }
}

impl Pipeline {
    /// Reads what a workspace wants its pipeline `name` to be. A pipeline as it is answered is read, too: what nobody
    /// decides is left aside, and so is what a step says by `null`.
    ///
    /// # Errors
    /// Every problem at once, with pointers into the body.
    fn own(name: &str, version: u32, body: &Value) -> Result<Self, Vec<Detail>> {
        let Some(given) = body.as_object() else {
            return Err(vec![Detail::new(
                "",
                "The body is not an object. Send the pipeline's description and steps.",
            )]);
        };
        let bytes = body.to_string().len();
        if bytes > BYTES_MOST {
            let message = format!("The pipeline has {bytes} bytes; at most {BYTES_MOST} are allowed.");
            return Err(vec![Detail::new("", message)]);
        }
        let mut problems: Vec<Detail> = name_problem(name).into_iter().collect();
        if let Some(said) = given.get("name").filter(|said| *said != name) {
            let message =
                format!("The body's name is {said}, the path's is \"{name}\". Leave it out of the body.");
            problems.push(Detail::new("/name", message));
        }
        let steps = given.get("steps").and_then(Value::as_array).map_or(0, Vec::len);
        if steps > STEPS_MOST {
            let message = format!("There are {steps} steps; at most {STEPS_MOST} are allowed.");
            problems.push(Detail::new("/steps", message));
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Self::from_value(&Value::Object(definition(name, version, given)))
    }

    /// The pipeline as it was before fields were put in.
    #[must_use]
    pub fn without_fields(&self) -> Self {
        let mut pipeline = self.clone();
        let Some(digest) = pipeline.base.take() else { return pipeline };
        pipeline.digest = digest;
        if let Some(at) = pipeline.steps.iter().position(|step| step.name == super::FILLING) {
            let filling = pipeline.steps.remove(at);
            for step in pipeline.steps.iter_mut().filter(|step| step.needs == [super::FILLING]) {
                step.needs.clone_from(&filling.needs);
            }
        }
        pipeline
    }
}

fn definition(name: &str, version: u32, given: &Map<String, Value>) -> Map<String, Value> {
    let mut definition: Map<String, Value> = given
        .iter()
        .filter(|(key, _)| !SAID.contains(&key.as_str()))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    definition.insert("name".to_owned(), name.into());
    definition.insert("version".to_owned(), version.into());
    for step in definition.get_mut("steps").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(step) = step.as_object_mut() {
            step.retain(|key, value| !(value.is_null() || key == "max_tokens" && *value == 0));
        }
    }
    definition
}

/// The service's own pipeline of a name, among those that edit personas or those that make them.
fn fitting(name: &str, refines: bool) -> Option<&'static Pipeline> {
    Pipeline::built_in(name).filter(|pipeline| pipeline.refines() == refines)
}

/// The service's own pipeline of a name, among those that edit personas or those that make them.
///
/// # Errors
/// `request.invalid` that names those there are.
pub fn named(name: &str, refines: bool) -> Result<&'static Pipeline> {
    fitting(name, refines).ok_or_else(|| unknown(name, refines))
}

/// The pipeline that a name means to a workspace: one of the service's own, which takes no request to the store, or one
/// of the workspace's.
///
/// # Errors
/// `request.invalid` that names those there are.
pub async fn resolve(
    app: &App,
    tenant: &Tenant,
    name: &str,
    refines: bool,
) -> Result<Cow<'static, Pipeline>> {
    if let Some(pipeline) = fitting(name, refines) {
        return Ok(Cow::Borrowed(pipeline));
    }
    if Pipeline::built_in(name).is_none()
        && is_name(name)
        && let Some(row) = app.store().await.pipeline_row(tenant, name).await?
    {
        let pipeline = row.pipeline()?;
        if pipeline.refines() == refines {
            return Ok(Cow::Owned(pipeline));
        }
    }
    Err(unknown(name, refines))
}

fn unknown(name: &str, refines: bool) -> Error {
    let known = Pipeline::all_built_in().iter().filter(|pipeline| pipeline.refines() == refines);
    let known: Vec<_> = known.map(|pipeline| pipeline.name.as_str()).collect();
    let shown: String = name.chars().take(60).collect();
    let what = if refines { "edits" } else { "makes" };
    Error::invalid(
        "pipeline",
        format!(
            "There is no pipeline \"{shown}\" that {what} personas. Use one of {}, or one of the workspace's own (GET /v1/pipelines).",
            known.join(", ")
        ),
    )
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

    use serde_json::json;

    use super::*;
    use crate::persona::Field;

    /// As `GET /v1/pipelines/{pipeline}` answers.
    fn answered(name: &str) -> Value {
        let mut value = json!(Pipeline::built_in(name).unwrap());
        value["object"] = json!("pipeline");
        value["built_in"] = json!(true);
        value.as_object_mut().unwrap().remove("name");
        value
    }

    fn told(body: &Value) -> Vec<String> {
        let problems = Pipeline::own("mine", 1, body).unwrap_err();
        problems.into_iter().map(|problem| format!("{} {}", problem.pointer, problem.message)).collect()
    }

    #[test]
    fn what_is_answered_is_read() {
        for pipeline in Pipeline::all_built_in() {
            let own = Pipeline::own("mine", 3, &answered(&pipeline.name)).unwrap();
            assert_eq!((own.name.as_str(), own.version, &own.steps), ("mine", 3, &pipeline.steps));
            let again = Pipeline::own("mine", 3, &json!(own)).unwrap();
            assert_eq!(again, own);
        }
    }

    #[test]
    fn names_of_the_service_and_others_than_the_paths_are_refused() {
        let body = answered("default");
        for name in ["default", "refine", "Mine", "", "a b", &"a".repeat(41)] {
            assert_eq!(Pipeline::own(name, 1, &body).unwrap_err()[0].pointer, "/name", "{name}");
        }
        let mut other = body;
        other["name"] = json!("yours");
        assert!(told(&other)[0].starts_with("/name The body's name is \"yours\""));
    }

    #[test]
    fn a_note_needs_a_schema_and_a_prompt_of_its_own_is_found() {
        let mut body = answered("default");
        let note = json!({"name": "research", "kind": "note", "needs": ["intent_parse"], "role": "draft", "prompt": "research", "max_tokens": 300});
        body["steps"].as_array_mut().unwrap().insert(1, note);
        body["steps"].as_array_mut().unwrap().last_mut().unwrap()["needs"] = json!(["repair", "research"]);
        let told_of = told(&body);
        assert!(
            told_of.iter().any(|told| told.starts_with("/steps/1/schema \"research\" is a note")),
            "{told_of:?}"
        );
        assert!(
            told_of.iter().any(|told| told.starts_with("/steps/1/prompt There is no prompt")),
            "{told_of:?}"
        );
        body["steps"][1]["schema"] =
            json!({"type": "object", "properties": {"trade": {"type": "string"}}, "required": ["trade"]});
        body["prompts"] = json!({"research": {"system": "You know trades.", "user": "{{ intent }}"}});
        let own = Pipeline::own("mine", 1, &body).unwrap();
        assert_eq!(own.steps[1].name, "research");
        body["steps"][1]["schema"] = json!({"type": "string"});
        assert!(told(&body)[0].starts_with("/steps/1/schema/type"), "{:?}", told(&body));
        body["steps"][1]["schema"] = json!({"type": "object", "$ref": "https://example.com"});
        assert!(told(&body)[0].starts_with("/steps/1/schema/$ref"), "{:?}", told(&body));
    }

    #[test]
    fn the_digest_tells_of_prompts() {
        let mut body = answered("default");
        body["prompts"] = json!({"draft": {"system": "s", "user": "{{ intent }}"}});
        let one = Pipeline::own("mine", 1, &body).unwrap();
        body["prompts"]["draft"]["user"] = json!("{{ lines }}");
        assert_ne!(one.digest, Pipeline::own("mine", 1, &body).unwrap().digest);
    }

    #[test]
    fn fields_that_were_put_in_come_out_again() {
        let field: Field = serde_json::from_value(json!({"name": "motto", "type": "string"})).unwrap();
        let base = Pipeline::own("mine", 1, &answered("strict-audit")).unwrap();
        let filled = base.with_fields(&[field]);
        assert_ne!(filled, base);
        assert_eq!(filled.without_fields(), base);
        assert_eq!(base.without_fields(), base);
    }

    #[test]
    fn too_many_steps_and_too_long_a_definition_are_refused() {
        let mut body = answered("default");
        let step = body["steps"][0].clone();
        body["steps"].as_array_mut().unwrap().extend(vec![step; 40]);
        assert!(told(&body)[0].contains("at most 40"));
        body["description"] = json!("x".repeat(70_000));
        assert!(told(&body)[0].contains("bytes"));
    }
}
