//! A completion's body: OpenAI's parameters, those that we honour and those that change nothing. The schema
//! (`request.json`) refuses all others by name; here is what a schema cannot say.

use persona::{
    Error, Result,
    conversation::turn::{Complete, Whom},
    error::Detail,
    persona::schema,
    provider::{OutputSchema, Tool, ToolChoice},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::messages::{Heard, Said, heard};

/// The body. `null` is as good as silence; what is missing here the schema allows and nobody reads.
#[derive(Debug, Clone, Deserialize)]
pub struct Body {
    /// A persona's id or slug, and perhaps a version.
    pub model: String,
    messages: Vec<Said>,
    #[serde(default)]
    stream: Option<bool>,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
    #[serde(default)]
    max_tokens: Option<u32>,
    #[serde(default)]
    max_completion_tokens: Option<u32>,
    #[serde(default)]
    temperature: Option<f32>,
    #[serde(default)]
    top_p: Option<f32>,
    #[serde(default)]
    seed: Option<u64>,
    #[serde(default)]
    stop: Option<Stop>,
    #[serde(default)]
    response_format: Option<ResponseFormat>,
    #[serde(default)]
    tools: Option<Vec<Offered>>,
    #[serde(default)]
    tool_choice: Option<Choice>,
    #[serde(default)]
    parallel_tool_calls: Option<bool>,
}

#[derive(Debug, Clone, Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: Option<bool>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Stop {
    One(String),
    Several(Vec<String>),
}

#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ResponseFormat {
    Text,
    JsonObject,
    JsonSchema { json_schema: NamedSchema },
}

#[derive(Debug, Clone, Deserialize)]
struct NamedSchema {
    name: String,
    #[serde(default)]
    schema: Option<Value>,
}

#[derive(Debug, Clone, Deserialize)]
struct Offered {
    function: Function,
}

#[derive(Debug, Clone, Deserialize)]
struct Function {
    name: String,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    parameters: Option<Value>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Choice {
    Word(Word),
    Named { function: Named },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Auto,
    None,
    Required,
}

#[derive(Debug, Clone, Deserialize)]
struct Named {
    name: String,
}

impl Body {
    /// Whether a stream ends with the usage.
    pub(super) fn tells_usage(&self) -> bool {
        self.stream_options.as_ref().is_some_and(|options| options.include_usage == Some(true))
    }

    /// Functions called at once, at most.
    pub(super) fn calls_at_most(&self) -> usize {
        if self.parallel_tool_calls == Some(false) { 1 } else { usize::MAX }
    }

    /// The question that it asks.
    pub(super) fn asked(&self, whom: Whom) -> Result<Complete> {
        let mut problems = Vec::new();
        let Heard { before, message, after, notes } = heard(&self.messages, &mut problems);
        let schema = self.schema(&mut problems);
        let tool_choice = self.tool_choice(&mut problems);
        Error::invalid_all(problems)?;
        Ok(Complete {
            whom,
            before,
            message,
            after,
            notes,
            max_tokens: self.max_completion_tokens.or(self.max_tokens),
            temperature: self.temperature,
            top_p: self.top_p,
            seed: self.seed,
            stop: self.stop(),
            schema,
            tools: self.offered().iter().map(tool).collect(),
            tool_choice,
            stream: self.stream == Some(true),
        })
    }

    fn stop(&self) -> Vec<String> {
        let stop = match &self.stop {
            None => Vec::new(),
            Some(Stop::One(text)) => vec![text.clone()],
            Some(Stop::Several(texts)) => texts.clone(),
        };
        stop.into_iter().filter(|text| !text.is_empty()).collect()
    }

    fn offered(&self) -> &[Offered] {
        self.tools.as_deref().unwrap_or_default()
    }

    /// The shape of the answer. A schema that cannot be one is told here, before a model is asked to follow it.
    fn schema(&self, problems: &mut Vec<Detail>) -> Option<OutputSchema> {
        let any = || json!({"type": "object"});
        let (name, schema) = match self.response_format.as_ref()? {
            ResponseFormat::Text => return None,
            ResponseFormat::JsonObject => ("answer".to_owned(), any()),
            ResponseFormat::JsonSchema { json_schema: NamedSchema { name, schema } } => {
                (name.replace('-', "_"), schema.clone().unwrap_or_else(any))
            }
        };
        let at = "/response_format/json_schema/schema";
        if schema["type"] != "object" {
            problems
                .push(Detail::new(at, "The schema's type is not \"object\". Put the value into an object."));
        } else if let Some(why) = schema::unusable(&schema) {
            problems.push(Detail::new(at, why));
        }
        Some(OutputSchema { name, schema })
    }

    fn tool_choice(&self, problems: &mut Vec<Detail>) -> ToolChoice {
        let mut wrong = |message: String| problems.push(Detail::new("/tool_choice", message));
        match &self.tool_choice {
            None | Some(Choice::Word(Word::Auto)) => ToolChoice::Auto,
            Some(Choice::Word(Word::None)) => ToolChoice::None,
            Some(Choice::Word(Word::Required)) => {
                if self.offered().is_empty() {
                    wrong("A tool is required, and tools offers none.".to_owned());
                }
                ToolChoice::Required
            }
            Some(Choice::Named { function: Named { name } }) => {
                if !self.offered().iter().any(|offered| offered.function.name == *name) {
                    wrong(format!("\"{name}\" is not one of the tools."));
                }
                ToolChoice::Named(name.clone())
            }
        }
    }
}

fn tool(offered: &Offered) -> Tool {
    let Function { name, description, parameters } = offered.function.clone();
    Tool {
        name,
        description: description.unwrap_or_default(),
        parameters: parameters.unwrap_or_else(|| json!({"type": "object", "properties": {}})),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use persona::{id::PersonaId, persona::schema::validate_with};

    use super::*;

    fn question(more: &Value) -> Value {
        let mut body = json!({"model": "ada", "messages": [{"role": "user", "content": "Hello"}]});
        for (key, value) in more.as_object().unwrap() {
            body[key] = value.clone();
        }
        body
    }

    /// What the schema or the reader refuses, by parameter; `None` when it is read.
    fn refused(more: &Value) -> Option<String> {
        let body = question(more);
        let schema: Value = serde_json::from_str(super::super::ROUTE.body.unwrap()).unwrap();
        let problems = validate_with(&schema, "", &body);
        if let Some(problem) = problems.first() {
            return Some(problem.pointer.clone());
        }
        let whom = Whom::Alone { persona: PersonaId::new(), version: 1 };
        let asked = serde_json::from_value::<Body>(body).unwrap().asked(whom);
        asked.err().map(|error| error.details[0].pointer.clone())
    }

    #[test]
    fn what_clients_send_by_default_is_taken() {
        let tool = json!({"type": "function", "function": {"name": "look", "strict": true}});
        for more in [
            json!({"n": 1, "stream": false, "logprobs": false, "frequency_penalty": 0, "presence_penalty": 0.0, "logit_bias": {}}),
            json!({"temperature": null, "top_p": null, "stop": null, "tools": null, "tool_choice": null, "n": null, "seed": null}),
            json!({"stream": true, "stream_options": {"include_usage": true, "include_obfuscation": false}}),
            json!({"store": true, "metadata": {"a": "b"}, "user": "u", "service_tier": "auto", "safety_identifier": "s"}),
            json!({"parallel_tool_calls": true, "tools": [tool], "tool_choice": "required", "modalities": ["text"]}),
            json!({"tools": [tool], "tool_choice": {"type": "function", "function": {"name": "look"}}}),
            json!({"tools": [], "tool_choice": "auto"}),
            json!({"response_format": {"type": "text"}, "stop": ["a", "b"], "max_completion_tokens": 9, "seed": 7}),
            json!({"response_format": {"type": "json_object"}}),
            json!({"response_format": {"type": "json_schema", "json_schema": {
                "name": "point", "strict": true, "schema": {"type": "object", "properties": {}, "additionalProperties": false},
            }}}),
        ] {
            assert_eq!(refused(&more), None, "{more}");
        }
    }

    #[test]
    fn what_would_change_the_answer_and_is_not_built_is_refused_by_name() {
        let tool = json!({"type": "function", "function": {"name": "look"}});
        for (more, param) in [
            (json!({"n": 2}), "/n"),
            (json!({"logprobs": true}), "/logprobs"),
            (json!({"top_logprobs": 3}), "/top_logprobs"),
            (json!({"audio": {"voice": "alloy"}}), "/audio"),
            (json!({"modalities": ["text", "audio"]}), "/modalities"),
            (json!({"functions": []}), "/functions"),
            (json!({"function_call": "auto"}), "/function_call"),
            (json!({"frequency_penalty": 0.5}), "/frequency_penalty"),
            (json!({"logit_bias": {"50256": -100}}), "/logit_bias"),
            (json!({"reasoning_effort": "low"}), "/reasoning_effort"),
            (json!({"web_search_options": {}}), "/web_search_options"),
            (json!({"temperature": 3}), "/temperature"),
            (json!({"messages": []}), "/messages"),
            (json!({"tool_choice": "required"}), "/tool_choice"),
            (
                json!({"tools": [tool], "tool_choice": {"type": "function", "function": {"name": "go"}}}),
                "/tool_choice",
            ),
            (json!({"tools": [{"type": "custom", "custom": {"name": "x"}}]}), "/tools/0/type"),
            (json!({"stop": ["a", "b", "c", "d", "e"]}), "/stop"),
        ] {
            let refused = refused(&more).unwrap_or_default();
            assert!(refused.starts_with(param), "{more}: {refused}");
        }
    }

    #[test]
    fn a_schema_that_is_none_is_refused_before_a_model_reads_it() {
        for schema in
            [json!({"type": "array"}), json!({"type": "object", "properties": {"a": {"type": "nonsense"}}})]
        {
            let format = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}});
            let refused = refused(&json!({"response_format": format}));
            assert_eq!(refused.as_deref(), Some("/response_format/json_schema/schema"));
        }
    }
}
