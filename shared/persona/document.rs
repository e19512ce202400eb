//! The persona document as callers edit it: what may change, what must stay, and what a change comes to. Pure: where
//! documents are kept, and who may edit them, is not known here.

use serde_json::{Map, Value, json};

use super::{
    Field, Fingerprint, Layer, Layers,
    digest::{self, canonical},
    field,
    schema::escaped,
    settings,
};
use crate::{
    consistency::{self, Facts, Subject, Terms},
    error::{Code, Detail, Error, Result},
    id::{PersonaId, WorkspaceId},
    key::Mode,
    provider::sandbox,
};

/// What an edit may change besides the layers.
const SETTINGS: [&str; 5] = ["slug", "visibility", "language", "custom_fields", "metadata"];
/// Who may see it, as callers write it.
const VISIBILITIES: [&str; 3] = ["private", "workspace", "public"];
/// The most bytes of a document as JSON: it is one item of the store, which holds 400 KB.
pub const BYTES_MOST: usize = 300_000;

/// What an edit asks for: valid by every schema, not yet checked for contradictions.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    layers: Layers,
    /// The keys of [`SETTINGS`].
    settings: Map<String, Value>,
}

/// What an edited document is held to that it does not say itself.
#[derive(Debug, Clone, Copy)]
pub struct Moment<'a> {
    /// When it is edited, RFC 3339.
    pub at: &'a str,
    /// Of the workspace: in test mode the sandbox writes English where it does not know the language.
    pub mode: Mode,
}

/// Whether an edit may change this key.
pub fn is_editable(key: &str) -> bool {
    SETTINGS.contains(&key) || key.parse::<Layer>().is_ok()
}

/// How a body edits a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edit {
    /// The whole editable document anew. Slug, visibility and language that are left out stay; custom fields and metadata
    /// that are left out are gone. What cannot be edited may be there as it is.
    Replace,
    /// A JSON Merge Patch (RFC 7396).
    Merge,
}

impl Edit {
    /// What the edit asks for. `fields` are those of the workspace; they are not asked for where the edit leaves custom
    /// fields as they are, see [`Edit::changes_fields`].
    ///
    /// # Errors
    /// `request.invalid` with every problem at once.
    pub fn proposed(self, current: &Value, body: &Value, fields: &[Field]) -> Result<Proposal> {
        let Some(given) = body.as_object() else { return Err(no_object()) };
        read(current, given, self.wanted(current, given), fields)
    }

    /// Whether custom fields differ after the edit: what stays is valid, since no field in use is changed or deleted.
    pub fn changes_fields(self, current: &Value, body: &Value) -> bool {
        let none = json!({});
        body.as_object().is_some_and(|given| {
            let wanted = self.wanted(current, given);
            !field::is_same(&current["custom_fields"], wanted.get("custom_fields").unwrap_or(&none))
        })
    }

    fn wanted(self, current: &Value, given: &Map<String, Value>) -> Map<String, Value> {
        match self {
            Self::Replace => replaced(current, given),
            Self::Merge => patched(current, given),
        }
    }
}

fn replaced(current: &Value, given: &Map<String, Value>) -> Map<String, Value> {
    let mut wanted = Map::new();
    for key in ["slug", "visibility", "language"] {
        wanted.insert(key.to_owned(), current[key].clone());
    }
    for key in ["custom_fields", "metadata"] {
        wanted.insert(key.to_owned(), json!({}));
    }
    wanted.extend(given.iter().filter(|(key, _)| is_editable(key)).map(|(k, v)| (k.clone(), v.clone())));
    wanted
}

fn patched(current: &Value, given: &Map<String, Value>) -> Map<String, Value> {
    let mut wanted = Value::Object(editable(current));
    let edits: Map<_, _> =
        given.iter().filter(|(key, _)| is_editable(key)).map(|(k, v)| (k.clone(), v.clone())).collect();
    merge(&mut wanted, &Value::Object(edits));
    let mut wanted = wanted.as_object().cloned().unwrap_or_default();
    for key in ["custom_fields", "metadata"] {
        wanted.entry(key).or_insert_with(|| json!({}));
    }
    wanted
}

/// The document as it stands, as a proposal to build on.
///
/// # Errors
/// `internal.error` if what is kept is not valid.
pub fn as_it_is(current: &Value) -> Result<Proposal> {
    let wanted = editable(current);
    let mut problems = Vec::new();
    proposal(wanted, &mut problems)
        .ok_or_else(|| Error::internal(format!("a stored persona is invalid: {problems:?}")))
}

fn no_object() -> Error {
    Error::new(Code::RequestInvalid, "The body is not an object. Send the persona's fields by their names.")
}

fn editable(document: &Value) -> Map<String, Value> {
    let all = document.as_object().into_iter().flatten();
    all.filter(|(key, _)| is_editable(key)).map(|(key, value)| (key.clone(), value.clone())).collect()
}

/// RFC 7396.
fn merge(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Some(target) = target.as_object_mut() else { return };
    for (key, value) in patch {
        if value.is_null() {
            target.shift_remove(key);
        } else {
            merge(target.entry(key).or_insert(Value::Null), value);
        }
    }
}

fn read(
    current: &Value,
    given: &Map<String, Value>,
    wanted: Map<String, Value>,
    fields: &[Field],
) -> Result<Proposal> {
    let mut problems: Vec<Detail> =
        given.iter().filter_map(|(key, value)| untouchable(current, key, value)).collect();
    let (before, after) = (&current["custom_fields"], wanted.get("custom_fields"));
    if let Some(after) = after.filter(|after| !field::is_same(before, after)).and_then(Value::as_object) {
        let none = Map::new();
        problems.extend(field::edit_problems(fields, before.as_object().unwrap_or(&none), after));
    }
    let proposal = proposal(wanted, &mut problems);
    Error::invalid_all(problems)?;
    proposal.ok_or_else(|| Error::internal("an edit without problems that is no persona"))
}

/// Why a key may not be there with this value; nothing where it may.
fn untouchable(current: &Value, key: &str, value: &Value) -> Option<Detail> {
    let pointer = format!("/{}", escaped(key));
    if is_editable(key) {
        return None;
    }
    match current.get(key) {
        None => {
            let shown: String = key.chars().take(60).collect();
            Some(Detail::new(pointer, format!("\"{shown}\" is not a field of a persona; leave it out.")))
        }
        Some(kept) if canonical(kept) == canonical(value) => None,
        Some(kept) => {
            let message = format!(
                "\"{key}\" cannot be edited: it is {}, not {}. Leave it out, or send it as GET gives it now.",
                clipped(kept),
                clipped(value)
            );
            Some(Detail::new(pointer, message))
        }
    }
}

fn clipped(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 60 { text } else { text.chars().take(60).chain("…".chars()).collect() }
}

/// Validates all of it; `None` where a problem was added.
fn proposal(wanted: Map<String, Value>, problems: &mut Vec<Detail>) -> Option<Proposal> {
    let before = problems.len();
    let mut settings = Map::new();
    let mut layers = Map::new();
    for (key, value) in wanted {
        if SETTINGS.contains(&key.as_str()) {
            settings.insert(key, value)
        } else {
            layers.insert(key, value)
        };
    }
    problems.extend(settings_problems(&settings));
    match Layers::from_value(&Value::Object(layers)) {
        Ok(layers) if problems.len() == before => Some(Proposal { layers, settings }),
        Ok(_) => None,
        Err(more) => {
            problems.extend(more);
            None
        }
    }
}

fn settings_problems(settings: &Map<String, Value>) -> Vec<Detail> {
    let mut problems = Vec::new();
    let text = |key: &str| settings.get(key).and_then(Value::as_str);
    let object = |key: &str| settings.get(key).and_then(Value::as_object);
    let mut wrong_type = |key: &str, wanted: &str| {
        let found = settings.get(key).map_or("missing".to_owned(), |value| format!("{value}, not {wanted}"));
        problems.push(Detail::new(format!("/{key}"), format!("\"{key}\" is {found}.")));
    };
    for key in ["slug", "visibility", "language"] {
        if text(key).is_none() {
            wrong_type(key, "a text");
        }
    }
    for key in ["custom_fields", "metadata"] {
        if object(key).is_none() {
            wrong_type(key, "an object");
        }
    }
    problems.extend(text("slug").and_then(settings::slug_problem));
    problems.extend(text("language").and_then(settings::language_problem));
    if let Some(other) = text("visibility").filter(|text| !VISIBILITIES.contains(text)) {
        let shown: String = other.chars().take(40).collect();
        let message = format!("\"{shown}\" is not one of {}.", VISIBILITIES.join(", "));
        problems.push(Detail::new("/visibility", message));
    }
    problems
        .extend(object("metadata").into_iter().flat_map(|pairs| settings::metadata_problems(pairs, true)));
    problems
}

impl Proposal {
    /// The proposal with other layers.
    #[must_use]
    pub fn with_layers(mut self, layers: Layers) -> Self {
        self.layers = layers;
        self
    }

    /// The next version of the document; `None` where the edit changes nothing. Where layers, language or custom fields
    /// change, the whole is held to the rules again; the caller's own words prevail over the brief.
    ///
    /// # Errors
    /// `persona.schema_violation` with every contradiction, `request.payload_too_large` where it would not fit the store.
    pub fn applied(&self, current: &Value, moment: Moment<'_>) -> Result<Option<Value>> {
        let mut next = current.clone();
        for (key, value) in &self.settings {
            next[key.as_str()] = value.clone();
        }
        for (layer, value) in self.layers.to_value().as_object().into_iter().flatten() {
            next[layer.as_str()] = value.clone();
        }
        let changed = changed_keys(current, &next);
        if changed.is_empty() {
            return Ok(None);
        }
        let language = next["language"].as_str().unwrap_or_default().to_owned();
        let means = |key: &String| !["slug", "visibility", "metadata"].contains(&key.as_str());
        if changed.iter().any(means) {
            next["consistency"] = checked(&self.layers, &language, moment)?;
            next["lineage"]["digest"] = digest::digest(&language, &self.layers).into();
            next["lineage"]["fingerprint"] = json!(Fingerprint::of(&self.layers.voice, &language));
        }
        next["version"] = (current["version"].as_u64().unwrap_or_default() + 1).into();
        next["updated_at"] = moment.at.into();
        fits(&next)?;
        Ok(Some(next))
    }
}

/// A persona that no run makes: an import, or a copy from the marketplace.
#[derive(Debug, Clone)]
pub struct Beginning<'a> {
    /// Its identifier.
    pub id: PersonaId,
    /// Whose it is.
    pub workspace: WorkspaceId,
    /// Its address.
    pub slug: &'a str,
    /// Who may see it, as callers write it.
    pub visibility: &'a Value,
    /// When it is begun, RFC 3339.
    pub at: &'a str,
    /// Language of its texts.
    pub language: &'a str,
    /// Its brief.
    pub intent: &'a str,
    /// The eight layers by name, valid.
    pub layers: &'a Value,
    /// Workspace-defined fields.
    pub custom_fields: Value,
    /// The caller's own pairs.
    pub metadata: Value,
    /// What [`checked`] found.
    pub consistency: Value,
    /// The listing that it is a copy of, or null.
    pub forked_from: Value,
    /// Of language and layers.
    pub digest: Value,
    /// Of the voice.
    pub fingerprint: Value,
    /// Whether the sandbox wrote it.
    pub simulated: bool,
}

impl Beginning<'_> {
    /// The first version.
    ///
    /// # Errors
    /// `request.payload_too_large` where it would not fit the store.
    pub fn document(self) -> Result<Value> {
        let mut document = json!({
            "id": self.id, "object": "persona", "slug": self.slug, "version": 1, "workspace_id": self.workspace,
            "visibility": self.visibility, "language": self.language, "intent": self.intent,
        });
        for (layer, value) in self.layers.as_object().into_iter().flatten() {
            document[layer.as_str()] = value.clone();
        }
        document["custom_fields"] = self.custom_fields;
        document["metadata"] = self.metadata;
        document["consistency"] = self.consistency;
        document["lineage"] = json!({
            "run_id": null, "pipeline": null, "seed": null, "forked_from": self.forked_from, "replay_of": null,
            "digest": self.digest, "fingerprint": self.fingerprint, "simulated": self.simulated,
        });
        document["created_at"] = self.at.into();
        document["updated_at"] = self.at.into();
        document["published_at"] = Value::Null;
        fits(&document)?;
        Ok(document)
    }
}

/// Holds layers to the rules; the persona's `consistency`.
///
/// # Errors
/// `persona.schema_violation` with every contradiction.
pub fn checked(layers: &Layers, language: &str, moment: Moment<'_>) -> Result<Value> {
    let now_year = moment.at.get(..4).and_then(|year| year.parse().ok()).unwrap_or(2026);
    let language = sandbox::must_speak(moment.mode, language, layers);
    let terms = Terms { language, facts: &Facts::default(), custom_fields: &[], now_year };
    let report = consistency::check(&Subject { layers, terms });
    match report.error() {
        Some(error) => Err(error),
        None => Ok(json!({"score": report.score, "checks": report.checks})),
    }
}

/// Refuses a document that would not fit the store.
///
/// # Errors
/// `request.payload_too_large` that says how large it is.
pub fn fits(document: &Value) -> Result<()> {
    let bytes = document.to_string().len();
    if bytes <= BYTES_MOST {
        return Ok(());
    }
    Err(Error::new(
        Code::PayloadTooLarge,
        format!(
            "The persona would have {bytes} bytes; at most {BYTES_MOST} are kept. Shorten it, metadata.extensions first."
        ),
    ))
}

/// The editable keys that differ, in the order of the document.
pub fn changed_keys(before: &Value, after: &Value) -> Vec<String> {
    let keys = after.as_object().into_iter().flatten().map(|(key, _)| key);
    let differs = |key: &&String| canonical(&before[key.as_str()]) != canonical(&after[key.as_str()]);
    keys.filter(|key| is_editable(key)).filter(differs).cloned().collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

    use super::*;
    use crate::persona::layers_for_tests;

    fn document() -> Value {
        let mut document = json!({
            "id": "psn_1", "object": "persona", "slug": "nermin", "version": 3, "visibility": "private",
            "language": "en", "intent": "A bookseller",
        });
        for (layer, value) in layers_for_tests().as_object().unwrap() {
            document[layer.as_str()] = value.clone();
        }
        document["custom_fields"] = json!({});
        document["metadata"] = json!({"a": "b", "extensions": {"depth_prompt": {"depth": 4}}});
        document["consistency"] = json!({"score": 1.0, "checks": []});
        document["lineage"] = json!({"digest": "d", "fingerprint": {"commas": 0.1234}});
        document["updated_at"] = json!("2026-01-01T00:00:00.000Z");
        document
    }

    const MOMENT: Moment<'static> = Moment { at: "2026-11-05T00:00:00.000Z", mode: Mode::Live };

    fn pointers(result: Result<Proposal>) -> Vec<String> {
        result.unwrap_err().details.into_iter().map(|problem| problem.pointer).collect()
    }

    #[test]
    fn a_document_sent_back_as_it_came_changes_nothing() {
        let document = document();
        let proposal = Edit::Replace.proposed(&document, &document, &[]).unwrap();
        assert_eq!(proposal.applied(&document, MOMENT).unwrap(), None);
        let mut shuffled = Map::new();
        for (key, value) in document.as_object().unwrap().iter().rev() {
            shuffled.insert(key.clone(), value.clone());
        }
        shuffled["identity"]["age"] = json!(61.0);
        let proposal = Edit::Replace.proposed(&document, &Value::Object(shuffled), &[]).unwrap();
        assert_eq!(proposal.applied(&document, MOMENT).unwrap(), None);
    }

    #[test]
    fn an_edit_is_the_next_version_with_its_own_digest_and_check() {
        let before = document();
        let patch = json!({"identity": {"occupation": "binder"}, "metadata": {"a": null}});
        let after =
            Edit::Merge.proposed(&before, &patch, &[]).unwrap().applied(&before, MOMENT).unwrap().unwrap();
        assert_eq!((&after["version"], &after["updated_at"]), (&json!(4), &json!(MOMENT.at)));
        assert_eq!(after["identity"]["occupation"], "binder");
        assert_eq!(after["metadata"], json!({"extensions": {"depth_prompt": {"depth": 4}}}));
        assert_eq!(changed_keys(&before, &after), ["identity", "metadata"]);
        assert_ne!(after["lineage"]["digest"], "d");
        assert!(!after["consistency"]["checks"].as_array().unwrap().is_empty());
    }

    #[test]
    fn settings_alone_are_not_held_to_the_rules_again() {
        let before = document();
        let after = Edit::Merge
            .proposed(&before, &json!({"slug": "ada"}), &[])
            .unwrap()
            .applied(&before, MOMENT)
            .unwrap()
            .unwrap();
        assert_eq!((&after["slug"], &after["lineage"]["digest"]), (&json!("ada"), &json!("d")));
        assert_eq!(after["consistency"], before["consistency"]);
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let mut body = document();
        body["version"] = json!(2);
        body["colour"] = json!("red");
        body["slug"] = json!("No Slug");
        body["visibility"] = json!("secret");
        body["metadata"] = json!([]);
        body["identity"]["age"] = json!("old");
        body["soul"]["values"][0]["weight"] = json!(7);
        body.as_object_mut().unwrap().remove("voice");
        let mut told = pointers(Edit::Replace.proposed(&document(), &body, &[]));
        told.sort();
        assert_eq!(
            told,
            [
                "/colour",
                "/identity/age",
                "/metadata",
                "/slug",
                "/soul/values/0/weight",
                "/version",
                "/visibility",
                "/voice"
            ]
        );
        let mut told = pointers(Edit::Merge.proposed(
            &document(),
            &json!({"soul": null, "slug": null, "id": "psn_2"}),
            &[],
        ));
        told.sort();
        assert_eq!(told, ["/id", "/slug", "/soul"]);
        assert!(Edit::Replace.proposed(&document(), &json!([]), &[]).is_err());
    }

    #[test]
    fn a_contradiction_is_told_with_its_places() {
        let before = document();
        let proposal = Edit::Merge.proposed(&before, &json!({"identity": {"age": 30}}), &[]).unwrap();
        let error = proposal.applied(&before, MOMENT).unwrap_err();
        assert_eq!(error.code, Code::SchemaViolation);
        assert!(error.details.iter().any(|detail| detail.pointer.starts_with("/history/timeline/")));
    }

    #[test]
    fn what_would_not_fit_the_store_is_refused() {
        let before = document();
        let patch = json!({"metadata": {"extensions": {"lore": "x".repeat(BYTES_MOST)}}});
        let error = Edit::Merge.proposed(&before, &patch, &[]).unwrap().applied(&before, MOMENT).unwrap_err();
        assert_eq!(error.code, Code::PayloadTooLarge);
    }

    #[test]
    fn the_examples_of_rfc_7396() {
        for (target, patch, wanted) in [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (json!({"a": {"b": "c"}}), json!({"a": {"b": "d", "c": null}}), json!({"a": {"b": "d"}})),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!(["a", "b"]), json!(["c", "d"]), json!(["c", "d"])),
            (json!({"a": "b"}), json!(["c"]), json!(["c"])),
            (json!({"a": "foo"}), Value::Null, Value::Null),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
            (json!({}), json!({"a": {"bb": {"ccc": null}}}), json!({"a": {"bb": {}}})),
        ] {
            let mut merged = target.clone();
            merge(&mut merged, &patch);
            assert_eq!(merged, wanted, "{target} with {patch}");
        }
    }
}
