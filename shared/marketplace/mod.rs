//! The marketplace: what is published, what of a persona may be seen there, and what a copy is begun with. Pure, but for
//! `publish`, which brings it into the store.

pub mod publish;
pub mod search;
pub mod shelves;
pub mod words;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    error::{Detail, Error, Result},
    id::{ListingId, PersonaId, RevisionId, WorkspaceId},
    key::Mode,
    persona::{
        Layer, Layers,
        document::{self, Beginning, Moment},
    },
};

pub use publish::{Published, publish};
pub use search::{Search, Sort};

/// Characters of a title, at most.
pub const TITLE_MOST: usize = 120;
/// Characters of a summary, at most.
pub const SUMMARY_MOST: usize = 500;
/// Tags of a listing, at most.
pub const TAGS_MOST: usize = 8;
/// Characters of a tag, at most.
pub const TAG_MOST: usize = 32;

/// A public listing. Whose it is and what it was made from is known here and never shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    /// Identifier.
    pub id: ListingId,
    /// Live and test workspaces have a marketplace each.
    pub mode: Mode,
    /// The publishing workspace.
    pub owner: WorkspaceId,
    /// The published persona.
    pub persona_id: PersonaId,
    /// Its version that was published.
    pub persona_version: u64,
    /// What the publisher wants said in the place of the persona's own.
    pub wording: Wording,
    /// What it is called.
    pub title: String,
    /// What it is.
    pub summary: String,
    /// What it is counted among.
    pub tags: Vec<String>,
    /// Language of the persona.
    pub language: String,
    /// Counts up with every publication that changes it.
    pub version: u64,
    /// The snapshot that it shows.
    pub snapshot: RevisionId,
    /// The places on shelves that lead to it; others are leftovers.
    pub shelving: RevisionId,
    /// The popularity that those were written with.
    pub step: u16,
    /// Workspaces that have installed it, without its own.
    pub installs: u64,
    /// First published, RFC 3339.
    pub created_at: String,
    /// Published with its present content, RFC 3339.
    pub updated_at: String,
}

impl Listing {
    /// The words that it is found by.
    pub fn words(&self) -> Vec<words::Word> {
        words::of_listing(&self.title, &self.tags, &self.summary, &self.language)
    }

    /// Its tags as they compare, each once.
    pub fn compared_tags(&self) -> Vec<String> {
        let mut tags: Vec<String> = Vec::new();
        for tag in self.tags.iter().map(|tag| words::tag(tag)) {
            if !tag.is_empty() && !tags.contains(&tag) {
                tags.push(tag);
            }
        }
        tags
    }

    /// The public object, as `caller` sees it: they are told whether it is their own.
    pub fn to_object(&self, caller: WorkspaceId) -> Value {
        json!({
            "id": self.id, "object": "listing", "title": self.title, "summary": self.summary, "tags": self.tags,
            "language": self.language, "version": self.version, "installs": self.installs,
            "owned": self.owner == caller, "created_at": self.created_at, "updated_at": self.updated_at,
        })
    }
}

/// That a persona stands in the marketplace, as the persona itself knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publication {
    /// Where.
    pub listing: ListingId,
    /// Which publication it was: tells this one from the next, as the version tells edits apart.
    pub revision: RevisionId,
    /// RFC 3339; the persona's `published_at`.
    pub at: String,
}

/// What the publisher wants said; what is left out is the persona's own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wording {
    /// In the place of the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// In the place of the identity's summary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// In the place of no tags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
}

impl Wording {
    /// The wording after a publication with this body: what it leaves out stays, and null is the persona's own again.
    ///
    /// # Errors
    /// `request.invalid` with every problem.
    pub fn with(&self, body: &Map<String, Value>) -> Result<Self> {
        let mut problems = Vec::new();
        let mut text = |name: &str, kept: &Option<String>, most: usize| match body.get(name) {
            None => kept.clone(),
            Some(Value::String(text)) => told(text, &format!("/{name}"), most, &mut problems),
            Some(_) => None,
        };
        let title = text("title", &self.title, TITLE_MOST);
        let summary = text("summary", &self.summary, SUMMARY_MOST);
        let tags = match body.get("tags") {
            None => self.tags.clone(),
            Some(Value::Array(given)) => Some(tags(given, &mut problems)),
            Some(_) => None,
        };
        Error::invalid_all(problems)?;
        Ok(Self { title, summary, tags })
    }

    /// Title, summary and tags of a listing of this persona.
    fn over(&self, document: &Value) -> (String, String, Vec<String>) {
        let own =
            |pointer: &str| document.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        (
            self.title.clone().unwrap_or_else(|| own("/identity/name")),
            self.summary.clone().unwrap_or_else(|| own("/identity/summary")),
            self.tags.clone().unwrap_or_default(),
        )
    }
}

/// A text as it is kept: trimmed, within its bound.
fn told(text: &str, pointer: &str, most: usize, problems: &mut Vec<Detail>) -> Option<String> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let characters = text.chars().count();
    if (1..=most).contains(&characters) {
        return Some(text);
    }
    let message = match characters {
        0 => "The text is blank. Leave it out for the persona's own.".to_owned(),
        _ => format!("The text has {characters} characters; at most {most} are allowed. Shorten it."),
    };
    problems.push(Detail::new(pointer, message));
    None
}

/// Tags, each once, whoever wrote it in capitals.
fn tags(given: &[Value], problems: &mut Vec<Detail>) -> Vec<String> {
    let (mut kept, mut known): (Vec<String>, Vec<String>) = (Vec::new(), Vec::new());
    for (at, tag) in given.iter().enumerate() {
        let pointer = format!("/tags/{at}");
        let Some(tag) = told(tag.as_str().unwrap_or_default(), &pointer, TAG_MOST, problems) else {
            continue;
        };
        let compared = words::tag(&tag);
        if compared.is_empty() {
            problems.push(Detail::new(
                pointer,
                format!("\"{tag}\" has no letter and no digit; nobody could search for it."),
            ));
        } else if !known.contains(&compared) {
            known.push(compared);
            kept.push(tag);
        }
    }
    if given.len() > TAGS_MOST {
        let message = format!("There are {} tags; at most {TAGS_MOST} are allowed.", given.len());
        problems.push(Detail::new("/tags", message));
    }
    kept
}

/// What of a persona is published: its character. Not its brief, its runs, its custom fields or its metadata, and not
/// whose it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    language: String,
    /// The eight layers by name.
    layers: Value,
    consistency: Value,
    digest: Value,
    fingerprint: Value,
    simulated: bool,
}

impl Snapshot {
    /// The snapshot of a document. Its consistency is found anew, because what was found at its creation may quote the brief.
    ///
    /// # Errors
    /// `persona.schema_violation` where the layers contradict each other.
    pub fn of(document: &Value, moment: Moment<'_>) -> Result<Self> {
        let kept: Map<String, Value> =
            Layer::ALL.iter().map(|layer| (layer.to_string(), document[layer.as_str()].clone())).collect();
        let layers = Value::Object(kept);
        let read = Layers::from_value(&layers)
            .map_err(|problems| Error::internal(format!("a stored persona is invalid: {problems:?}")))?;
        let language = document["language"].as_str().unwrap_or_default().to_owned();
        let lineage = &document["lineage"];
        Ok(Self {
            consistency: document::checked(&read, &language, moment)?,
            language,
            layers,
            digest: lineage["digest"].clone(),
            fingerprint: lineage["fingerprint"].clone(),
            simulated: lineage["simulated"] == true,
        })
    }

    /// The character, as the marketplace shows it.
    pub fn to_object(&self) -> Value {
        let mut object = json!({"language": self.language});
        for (layer, value) in self.layers.as_object().into_iter().flatten() {
            object[layer.as_str()] = value.clone();
        }
        object["consistency"] = self.consistency.clone();
        object["simulated"] = self.simulated.into();
        object
    }

    /// The eight layers by name.
    pub fn layers(&self) -> &Value {
        &self.layers
    }

    /// The first version of a copy in another workspace. It names the listing and its version, nothing before them; its
    /// brief is the listing's summary.
    ///
    /// # Errors
    /// `request.payload_too_large` where it would not fit the store.
    pub fn copied(&self, listing: &Listing, copy: &Copied<'_>) -> Result<Value> {
        Beginning {
            id: copy.id,
            workspace: copy.workspace,
            slug: copy.slug,
            visibility: &copy.visibility,
            at: copy.at,
            language: &self.language,
            intent: &listing.summary,
            layers: &self.layers,
            custom_fields: json!({}),
            metadata: json!({}),
            consistency: self.consistency.clone(),
            forked_from: json!({"listing_id": listing.id, "version": listing.version}),
            digest: self.digest.clone(),
            fingerprint: self.fingerprint.clone(),
            simulated: self.simulated,
        }
        .document()
    }
}

/// What a copy gets in its new workspace.
#[derive(Debug, Clone)]
pub struct Copied<'a> {
    /// Its identifier.
    pub id: PersonaId,
    /// The installing workspace.
    pub workspace: WorkspaceId,
    /// Its address there.
    pub slug: &'a str,
    /// Who may see it, as callers write it.
    pub visibility: Value,
    /// When, RFC 3339.
    pub at: &'a str,
}

/// How keys name a mode.
pub(crate) const fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Live => "live",
        Mode::Test => "test",
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::persona::layers_for_tests;

    pub(crate) fn listing() -> Listing {
        let revision = RevisionId::new();
        Listing {
            id: ListingId::new(),
            mode: Mode::Live,
            owner: WorkspaceId::new(),
            persona_id: PersonaId::new(),
            persona_version: 3,
            wording: Wording::default(),
            title: "Nermin Aksoy".to_owned(),
            summary: "A bookseller of Istanbul".to_owned(),
            tags: vec!["Slice of life".to_owned()],
            language: "en".to_owned(),
            version: 2,
            snapshot: revision,
            shelving: revision,
            step: 0,
            installs: 0,
            created_at: "2026-11-01T00:00:00.000Z".to_owned(),
            updated_at: "2026-11-02T00:00:00.000Z".to_owned(),
        }
    }

    fn document() -> Value {
        let mut document = json!({
            "id": "psn_1", "slug": "nermin", "version": 3, "workspace_id": "ws_secret", "language": "en",
            "intent": "a quartz brief", "custom_fields": {"mine": 1}, "metadata": {"mine": "2"},
            "lineage": {"run_id": "run_secret", "seed": 77, "digest": "d", "fingerprint": {"words": 1}, "simulated": true},
            "consistency": {"score": 1, "checks": [{"name": "brief", "passed": true, "detail": "it says a quartz brief"}]},
        });
        for (layer, value) in layers_for_tests().as_object().unwrap() {
            document[layer.as_str()] = value.clone();
        }
        document
    }

    const MOMENT: Moment<'static> = Moment { at: "2026-11-05T00:00:00.000Z", mode: Mode::Live };

    #[test]
    fn nothing_but_the_character_is_published() {
        let snapshot = Snapshot::of(&document(), MOMENT).unwrap();
        let told = snapshot.to_object();
        let keys: Vec<&String> = told.as_object().unwrap().keys().collect();
        assert_eq!(keys.len(), 11, "{keys:?}");
        let text = serde_json::to_string(&snapshot).unwrap() + &told.to_string();
        for private in ["quartz", "secret", "psn_1", "mine", "77"] {
            assert!(!text.contains(private), "{private}");
        }
        assert_eq!(told["soul"], layers_for_tests()["soul"]);
    }

    #[test]
    fn a_copy_names_its_listing_and_nothing_before_it() {
        let (snapshot, listing) = (Snapshot::of(&document(), MOMENT).unwrap(), listing());
        let (id, workspace) = (PersonaId::new(), WorkspaceId::new());
        let copy = Copied { id, workspace, slug: "nermin-2", visibility: json!("private"), at: MOMENT.at };
        let copy = snapshot.copied(&listing, &copy).unwrap();
        assert_eq!(copy["lineage"]["forked_from"], json!({"listing_id": listing.id, "version": 2}));
        assert_eq!(
            (&copy["version"], &copy["slug"], &copy["workspace_id"]),
            (&json!(1), &json!("nermin-2"), &json!(workspace))
        );
        assert_eq!(
            (&copy["voice"], &copy["intent"]),
            (&layers_for_tests()["voice"], &json!(listing.summary))
        );
        assert_eq!((&copy["lineage"]["run_id"], &copy["lineage"]["digest"]), (&Value::Null, &json!("d")));
    }

    fn with(wording: &Wording, body: &Value) -> Result<Wording> {
        wording.with(body.as_object().unwrap())
    }

    #[test]
    fn what_a_body_leaves_out_stays_and_null_is_the_personas_own() {
        let first = with(
            &Wording::default(),
            &json!({"title": "  The  Bookseller ", "tags": ["Noir", "noir", "Sea"]}),
        )
        .unwrap();
        assert_eq!(first.over(&document()).0, "The Bookseller");
        assert_eq!(first.tags.as_deref(), Some(["Noir".to_owned(), "Sea".to_owned()].as_slice()));
        let second = with(&first, &json!({"summary": "S"})).unwrap();
        assert_eq!(
            (&second.title, &second.tags, second.summary.as_deref()),
            (&first.title, &first.tags, Some("S"))
        );
        let third = with(&second, &json!({"title": null, "tags": null})).unwrap();
        let (title, summary, tags) = third.over(&document());
        assert_eq!(
            (title.as_str(), summary.as_str()),
            (document()["identity"]["name"].as_str().unwrap(), "S")
        );
        assert!(tags.is_empty());
    }

    #[test]
    fn every_problem_of_a_wording_is_told_at_once() {
        let body = json!({
            "title": " ", "summary": "x".repeat(501),
            "tags": ["a", "b", "c", "d", "e", "f", "?", "y".repeat(33), "i"],
        });
        let told = with(&Wording::default(), &body).unwrap_err().details;
        let pointers: Vec<&str> = told.iter().map(|problem| problem.pointer.as_str()).collect();
        assert_eq!(pointers, ["/title", "/summary", "/tags/6", "/tags/7", "/tags"]);
    }

    #[test]
    fn the_public_object_tells_the_owner_alone_that_it_is_theirs() {
        let listing = listing();
        assert_eq!(listing.to_object(listing.owner)["owned"], true);
        let seen = listing.to_object(WorkspaceId::new());
        assert_eq!(seen["owned"], false);
        let text = seen.to_string();
        for private in
            [listing.owner.to_string(), listing.persona_id.to_string(), listing.snapshot.to_string()]
        {
            assert!(!text.contains(&private), "{private}");
        }
    }
}
