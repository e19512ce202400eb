//! Custom fields: what a workspace adds to its personas, each held to a JSON Schema of the workspace's own. Pure: where
//! definitions are kept, and who uses them, is not known here.

mod guard;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    digest::{self, canonical},
    schema::{self, escaped},
};
use crate::error::Detail;

/// Most fields of a workspace: a persona that uses all of them is still written in one transaction.
pub const FIELDS_MOST: usize = 50;
/// Most bytes of all schemas of a workspace: those that a persona uses stand in the input of its run.
pub const SCHEMAS_BYTES_MOST: usize = 64 * 1024;
/// Longest name, in characters.
const NAME_MOST: usize = 40;
/// Most bytes of a persona's custom fields as JSON: they are part of a document, and of a run's input.
const VALUES_BYTES_MOST: usize = 100_000;
/// Problems of one value that are told; a hostile value could have one for each of its bytes.
const PROBLEMS_MOST: usize = 20;

/// What a field's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldType {
    /// A text.
    String,
    /// Any number.
    Number,
    /// A whole number.
    Integer,
    /// True or false.
    Boolean,
    /// One of the schema's `enum`.
    Enum,
    /// A list.
    Array,
    /// An object.
    Object,
}

impl FieldType {
    /// The keyword `type` of the field's schema; an enumeration has none.
    const fn keyword(self) -> Option<&'static str> {
        match self {
            Self::String => Some("string"),
            Self::Number => Some("number"),
            Self::Integer => Some("integer"),
            Self::Boolean => Some("boolean"),
            Self::Array => Some("array"),
            Self::Object => Some("object"),
            Self::Enum => None,
        }
    }

    fn holds(self, value: &Value) -> bool {
        match self {
            Self::String => value.is_string(),
            Self::Number => value.is_number(),
            Self::Integer => value.as_f64().is_some_and(|number| number.fract() == 0.0),
            Self::Boolean => value.is_boolean(),
            Self::Array => value.is_array(),
            Self::Object => value.is_object(),
            Self::Enum => value.is_string() || value.is_number() || value.is_boolean(),
        }
    }
}

/// A field as its workspace defines it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Field {
    /// What personas call it.
    pub name: String,
    /// What its values are.
    #[serde(rename = "type")]
    pub kind: FieldType,
    /// JSON Schema 2020-12; `None` where the type says enough.
    #[serde(default)]
    pub schema: Option<Value>,
    /// Whether a new persona must have it.
    #[serde(default)]
    pub required: bool,
    /// Whether the pipeline fills it where the caller does not.
    #[serde(default)]
    pub generate: bool,
}

impl Field {
    /// Everything wrong with the definition; pointers into the body that it came in.
    pub fn problems(&self) -> Vec<Detail> {
        let mut problems: Vec<Detail> = name_problem(&self.name).into_iter().collect();
        match &self.schema {
            Some(schema) => {
                let guarded = guard::problems(schema);
                if guarded.is_empty() {
                    problems.extend(self.disagreements(schema));
                }
                problems.extend(guarded);
            }
            None if self.kind == FieldType::Enum => {
                let message = "A field of type enum needs its values: send schema.enum.";
                problems.push(Detail::new("/schema", message));
            }
            None => {}
        }
        if problems.is_empty()
            && let Err(why) = guard::compiled(&self.own_schema())
        {
            problems.push(Detail::new("/schema", why));
        }
        problems
    }

    /// Where the schema says something else than the type.
    fn disagreements(&self, schema: &Value) -> Vec<Detail> {
        let mut problems = Vec::new();
        let kind = serde_json::to_value(self.kind).unwrap_or_default();
        let kind = kind.as_str().unwrap_or_default();
        if let Some(said) = schema.get("type")
            && self.kind.keyword().is_none_or(|keyword| said != keyword)
        {
            let message = format!(
                "schema.type is {said}, but the field is of type {kind}. Leave schema.type out, or let it say the same."
            );
            problems.push(Detail::new("/schema/type", message));
        }
        let values = schema.get("enum").and_then(Value::as_array);
        if self.kind == FieldType::Enum && values.is_none_or(Vec::is_empty) {
            let message = "A field of type enum needs its values: let schema.enum be a list of them.";
            problems.push(Detail::new("/schema/enum", message));
        }
        for (at, value) in values.into_iter().flatten().enumerate() {
            if !self.kind.holds(value) {
                let message = format!("{} is no value of a field of type {kind}.", schema::quoted(value));
                problems.push(Detail::new(format!("/schema/enum/{at}"), message));
            }
        }
        problems
    }

    /// What its values are held to: the schema with the type in it, and every reference replaced by what it names.
    pub fn own_schema(&self) -> Value {
        let mut own = Map::new();
        if let Some(keyword) = self.kind.keyword() {
            own.insert("type".to_owned(), keyword.into());
        }
        if let Some(Value::Object(given)) = self.schema.as_ref().map(guard::without_references) {
            own.extend(given);
        }
        Value::Object(own)
    }

    /// SHA-256 over the definition; 64 hexadecimal digits.
    pub fn digest(&self) -> String {
        digest::of_value(&json!(self))
    }

    /// Whether a creation must heed it although the caller does not name it.
    pub const fn is_heeded(&self) -> bool {
        self.required || self.generate
    }

    /// Whether a value is one of the field's.
    pub fn allows(&self, value: &Value) -> bool {
        self.value_problems(value).is_empty()
    }

    fn value_problems(&self, value: &Value) -> Vec<Detail> {
        let prefix = format!("/custom_fields/{}", escaped(&self.name));
        match guard::compiled(&self.own_schema()) {
            Ok(validator) => schema::problems(&validator, &prefix, value, PROBLEMS_MOST),
            Err(why) => vec![Detail::new(prefix, why)],
        }
    }
}

fn name_problem(name: &str) -> Option<Detail> {
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    let rest = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    (!first || !rest || name.len() > NAME_MOST).then(|| {
        let shown: String = name.chars().take(60).collect();
        let message = format!(
            "\"{shown}\" is not a name. Use 1 to {NAME_MOST} lower-case letters, digits and underscores, a letter first."
        );
        Detail::new("/name", message)
    })
}

/// The digest of what creations must heed; `None` where there is nothing.
pub fn heeded(fields: &[Field]) -> Option<String> {
    let mut told: Vec<String> = fields.iter().filter(|field| field.is_heeded()).map(Field::digest).collect();
    told.sort_unstable();
    (!told.is_empty()).then(|| digest::of_value(&json!(told)))
}

/// Every custom field that the workspace has not registered, or whose value its schema does not allow.
pub fn value_problems(fields: &[Field], values: &Map<String, Value>) -> Vec<Detail> {
    let bytes: usize = values.iter().map(|(name, value)| name.len() + value.to_string().len()).sum();
    if bytes > VALUES_BYTES_MOST {
        let message = format!(
            "The custom fields have {bytes} bytes; at most {VALUES_BYTES_MOST} are kept. Shorten them."
        );
        return vec![Detail::new("/custom_fields", message)];
    }
    let one = |(name, value): (&String, &Value)| match fields.iter().find(|field| field.name == *name) {
        Some(field) => field.value_problems(value),
        None => vec![unregistered(name)],
    };
    values.iter().flat_map(one).collect()
}

fn unregistered(name: &str) -> Detail {
    let shown: String = name.chars().take(60).collect();
    Detail::new(
        format!("/custom_fields/{}", escaped(name)),
        format!(
            "The custom field \"{shown}\" is not registered. Register it through POST /v1/schema/fields, or leave it out."
        ),
    )
}

/// The required fields that a new persona has not, and that no pipeline fills.
pub fn missing(fields: &[Field], values: &Map<String, Value>) -> Vec<Detail> {
    let lacks = |field: &&Field| field.required && !field.generate && !values.contains_key(&field.name);
    let told = |field: &Field| {
        Detail::new(
            format!("/custom_fields/{}", field.name),
            format!("The custom field \"{}\" is missing; this workspace requires it.", field.name),
        )
    };
    fields.iter().filter(lacks).map(told).collect()
}

/// Everything wrong with an edit of custom fields. A required field may not be taken away; a persona from before it was
/// registered may go on without it.
pub fn edit_problems(
    fields: &[Field],
    before: &Map<String, Value>,
    after: &Map<String, Value>,
) -> Vec<Detail> {
    let mut problems = value_problems(fields, after);
    let lost = |field: &&Field| {
        field.required && before.contains_key(&field.name) && !after.contains_key(&field.name)
    };
    problems.extend(fields.iter().filter(lost).map(|field| {
        Detail::new(
            format!("/custom_fields/{}", field.name),
            format!("The custom field \"{}\" is required; it can be changed, not taken away.", field.name),
        )
    }));
    problems
}

/// Everything that a caller's schema of values of one type may not be; pointers begin with `at`.
pub fn schema_problems(schema: &Value, keyword: &str, at: &str) -> Vec<Detail> {
    let mut problems = guard::problems(schema);
    if problems.is_empty() && schema.get("type").is_none_or(|said| said != keyword) {
        problems.push(Detail::new("/schema/type", format!("Let the schema's type be \"{keyword}\".")));
    }
    if problems.is_empty()
        && let Err(why) = guard::compiled(schema)
    {
        problems.push(Detail::new("/schema", why));
    }
    let moved = |problem: Detail| {
        let rest = problem.pointer.strip_prefix("/schema").unwrap_or_default();
        Detail::new(format!("{at}{rest}"), problem.message)
    };
    problems.into_iter().map(moved).collect()
}

/// A caller's schema as a model is given it: what every vendor's decoder knows of it.
pub fn plain_schema(schema: &Value) -> Value {
    guard::plain(&guard::without_references(schema))
}

/// Every problem of a model's answer by a caller's schema.
pub fn problems_by(schema: &Value, answer: &Value) -> Vec<Detail> {
    match guard::compiled(schema) {
        Ok(validator) => schema::problems(&validator, "", answer, PROBLEMS_MOST),
        Err(why) => vec![Detail::new("", why)],
    }
}

/// What a model is asked for: these fields, under `custom_fields`. Of their schemas only what every vendor's decoder
/// knows; the rest is told in the prompt, and checked afterwards.
pub fn prompt_schema(fields: &[Field]) -> Value {
    let properties: Map<String, Value> =
        fields.iter().map(|field| (field.name.clone(), guard::plain(&field.own_schema()))).collect();
    let names: Vec<&String> = fields.iter().map(|field| &field.name).collect();
    let inner = json!({
        "type": "object", "properties": properties, "required": names, "additionalProperties": false,
    });
    json!({
        "type": "object", "properties": {"custom_fields": inner}, "required": ["custom_fields"],
        "additionalProperties": false,
    })
}

/// Every problem of a model's answer.
pub fn answer_problems(fields: &[Field], answer: &Value) -> Vec<Detail> {
    let Some(values) = answer["custom_fields"].as_object() else {
        return vec![Detail::new("/custom_fields", "\"custom_fields\" is missing; it is required.")];
    };
    let lacks = |field: &&Field| !values.contains_key(&field.name);
    let mut problems: Vec<Detail> = fields
        .iter()
        .filter(lacks)
        .map(|field| {
            let message = format!("\"{}\" is missing; it is required.", field.name);
            Detail::new(format!("/custom_fields/{}", field.name), message)
        })
        .collect();
    problems.extend(value_problems(fields, values));
    problems
}

/// The most tokens that a model may take for these fields.
pub fn max_tokens(fields: &[Field]) -> u32 {
    let one = |field: &Field| match field.kind {
        FieldType::Array | FieldType::Object => 600,
        FieldType::String => 200,
        _ => 40,
    };
    fields.iter().map(one).sum::<u32>().clamp(100, 6_000)
}

/// Whether two sets of custom fields say the same.
pub fn is_same(before: &Value, after: &Value) -> bool {
    canonical(before) == canonical(after)
}

/// One more persona that has a field, or one less.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// The field.
    pub name: String,
    /// Its definition, where it is to be had: what was checked by another must not be written.
    pub digest: Option<String>,
}

impl Use {
    /// These fields, to be had.
    pub fn of<'a>(fields: impl IntoIterator<Item = &'a Field>) -> Vec<Self> {
        let had = |field: &Field| Self { name: field.name.clone(), digest: Some(field.digest()) };
        fields.into_iter().map(had).collect()
    }

    /// These fields, to be had no longer.
    pub fn released<'a>(names: impl IntoIterator<Item = &'a String>) -> Vec<Self> {
        names.into_iter().map(|name| Self { name: name.clone(), digest: None }).collect()
    }

    /// What an edit from one set of custom fields to another has and releases.
    pub fn between(fields: &[Field], before: &Value, after: &Value) -> Vec<Self> {
        let names = |of: &Value| -> Vec<String> {
            of.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect()
        };
        let (before, after) = (names(before), names(after));
        let added =
            fields.iter().filter(|field| after.contains(&field.name) && !before.contains(&field.name));
        let mut uses = Self::of(added);
        uses.extend(Self::released(before.iter().filter(|name| !after.contains(name))));
        uses
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

    use super::*;

    fn field(value: Value) -> Field {
        serde_json::from_value(value).unwrap()
    }

    fn pointers(problems: Vec<Detail>) -> Vec<String> {
        problems.into_iter().map(|problem| problem.pointer).collect()
    }

    fn values(value: Value) -> Map<String, Value> {
        value.as_object().cloned().unwrap()
    }

    #[test]
    fn a_sound_definition_has_no_problems() {
        for sound in [
            json!({"name": "mood", "type": "string"}),
            json!({"name": "house", "type": "enum", "schema": {"enum": ["lion", "snake", 3, true]}}),
            json!({"name": "level", "type": "integer", "schema": {"type": "integer", "minimum": 1}}),
            json!({"name": "inventory", "type": "array", "schema": {
                "$defs": {"item": {"type": "object", "properties": {"name": {"type": "string", "pattern": "^[a-z ]+$"}}}},
                "items": {"$ref": "#/$defs/item"}, "maxItems": 10}}),
            json!({"name": "n_1", "type": "number", "schema": {"$schema": "https://json-schema.org/draft/2020-12/schema"}}),
        ] {
            assert_eq!(field(sound.clone()).problems(), [], "{sound}");
        }
    }

    #[test]
    fn each_problem_of_a_definition_is_told_where_it_is() {
        for (wrong, pointer) in [
            (json!({"name": "Mood!", "type": "string"}), "/name"),
            (json!({"name": "", "type": "string"}), "/name"),
            (json!({"name": "m".repeat(41), "type": "string"}), "/name"),
            (json!({"name": "m", "type": "enum"}), "/schema"),
            (json!({"name": "m", "type": "enum", "schema": {}}), "/schema/enum"),
            (json!({"name": "m", "type": "enum", "schema": {"enum": [{}]}}), "/schema/enum/0"),
            (json!({"name": "m", "type": "string", "schema": {"type": "integer"}}), "/schema/type"),
            (json!({"name": "m", "type": "string", "schema": {"enum": ["a", 1]}}), "/schema/enum/1"),
            (json!({"name": "m", "type": "string", "schema": {"minLength": "one"}}), "/schema/minLength"),
            (json!({"name": "m", "type": "string", "schema": {"pattern": "(a"}}), "/schema"),
            (json!({"name": "m", "type": "string", "schema": {"pattern": "(a)\\1"}}), "/schema"),
            (json!({"name": "m", "type": "object", "schema": true}), "/schema"),
        ] {
            assert_eq!(pointers(field(wrong.clone()).problems()), [pointer], "{wrong}");
        }
    }

    #[test]
    fn values_are_held_to_type_and_schema_and_names_to_those_registered() {
        let fields = [
            field(json!({"name": "level", "type": "integer", "schema": {"minimum": 1}})),
            field(json!({"name": "house", "type": "enum", "schema": {"enum": ["lion"]}})),
        ];
        assert_eq!(value_problems(&fields, &values(json!({"level": 3, "house": "lion"}))), []);
        let told = value_problems(&fields, &values(json!({"level": 0, "house": "owl", "a/b": 1})));
        assert_eq!(pointers(told), ["/custom_fields/level", "/custom_fields/house", "/custom_fields/a~1b"]);
        assert_eq!(value_problems(&fields, &values(json!({"level": 1.5}))).len(), 1);
    }

    #[test]
    fn what_a_workspace_requires_is_asked_of_creations_and_kept_by_edits() {
        let fields = [
            field(json!({"name": "house", "type": "string", "required": true})),
            field(json!({"name": "motto", "type": "string", "required": true, "generate": true})),
        ];
        let none = Map::new();
        assert_eq!(pointers(missing(&fields, &none)), ["/custom_fields/house"]);
        let before = values(json!({"house": "lion", "motto": "m"}));
        assert_eq!(
            pointers(edit_problems(&fields, &before, &none)),
            ["/custom_fields/house", "/custom_fields/motto"]
        );
        assert_eq!(edit_problems(&fields, &none, &none), []);
    }

    #[test]
    fn a_reference_means_what_it_names() {
        let field = field(json!({"name": "bag", "type": "array", "schema": {
            "$defs": {"item": {"type": "string", "maxLength": 3}}, "items": {"$ref": "#/$defs/item", "minLength": 1}}}));
        assert_eq!(field.problems(), []);
        assert_eq!(
            field.own_schema(),
            json!({"type": "array", "items": {"allOf": [{"type": "string", "maxLength": 3}, {"minLength": 1}]}})
        );
        let told = value_problems(std::slice::from_ref(&field), &values(json!({"bag": ["abc", "abcd", ""]})));
        assert_eq!(pointers(told), ["/custom_fields/bag/1", "/custom_fields/bag/2"]);
    }

    #[test]
    fn a_model_is_asked_for_every_field_and_held_to_each() {
        let fields = [
            field(
                json!({"name": "motto", "type": "string", "schema": {"pattern": "^[A-Z]", "maxLength": 80}}),
            ),
            field(json!({"name": "house", "type": "enum", "schema": {"enum": ["lion"], "title": "House"}})),
        ];
        let inner = prompt_schema(&fields)["properties"]["custom_fields"].clone();
        assert_eq!(inner["properties"], json!({"motto": {"type": "string"}, "house": {"enum": ["lion"]}}));
        assert_eq!(inner["required"], json!(["motto", "house"]));
        let good = json!({"custom_fields": {"motto": "Never late", "house": "lion"}});
        assert_eq!(answer_problems(&fields, &good), []);
        let wrong = json!({"custom_fields": {"motto": "never late", "mood": 1}});
        let mut told = pointers(answer_problems(&fields, &wrong));
        told.sort();
        assert_eq!(told, ["/custom_fields/house", "/custom_fields/mood", "/custom_fields/motto"]);
        assert_eq!(pointers(answer_problems(&fields, &json!({}))), ["/custom_fields"]);
    }

    #[test]
    fn an_edit_has_what_it_adds_and_releases_what_it_drops() {
        let fields = ["a", "b", "c"].map(|name| field(json!({"name": name, "type": "string"})));
        let uses = Use::between(&fields, &json!({"a": "1", "b": "1"}), &json!({"b": "2", "c": "1"}));
        assert_eq!(
            uses,
            [
                Use { name: "c".to_owned(), digest: Some(fields[2].digest()) },
                Use { name: "a".to_owned(), digest: None },
            ]
        );
    }

    #[test]
    fn what_creations_heed_is_known_by_its_digest_whatever_the_order() {
        let plain = field(json!({"name": "a", "type": "string"}));
        let required = field(json!({"name": "b", "type": "string", "required": true}));
        let generated = field(json!({"name": "c", "type": "string", "generate": true}));
        assert_eq!(heeded(std::slice::from_ref(&plain)), None);
        let one = heeded(&[plain.clone(), required.clone(), generated.clone()]);
        assert_eq!(one, heeded(&[generated, required.clone()]));
        assert_ne!(one, heeded(&[plain, required]));
    }

    #[test]
    fn the_size_of_all_values_is_bounded() {
        let field = field(json!({"name": "saga", "type": "string"}));
        let told = value_problems(&[field], &values(json!({"saga": "x".repeat(100_001)})));
        assert_eq!(pointers(told), ["/custom_fields"]);
    }

    #[test]
    fn a_value_with_endless_problems_is_told_of_some() {
        let field = field(json!({"name": "bag", "type": "array", "schema": {"items": {"type": "string"}}}));
        let many = json!({"bag": vec![1; 5_000]});
        assert_eq!(value_problems(&[field], &values(many)).len(), PROBLEMS_MOST);
    }
}
