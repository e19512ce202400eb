//! From a card, or from our own document, to a new persona.

use serde_json::{Map, Value, json};

use super::{
    Card, KEPT, OWN, Spec,
    derive::{self, derive},
    export::{HOMES, export, places_digest},
};
use crate::{
    error::{Code, Detail, Error, Result},
    id::{PersonaId, WorkspaceId},
    moderation::{self, Opinions},
    persona::{
        Field, Fingerprint, Layer, Layers, digest,
        document::{self, Beginning, Moment},
        field,
        settings::{self, EXTENSIONS},
    },
};

/// What the caller wants besides what the card says.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// The language that the card is in.
    pub language: Option<String>,
    /// The persona's address.
    pub slug: Option<String>,
}

/// What an import comes to: all of a persona but its id, its place and its time.
#[derive(Debug, Clone, PartialEq)]
pub struct Imported {
    layers: Layers,
    language: String,
    intent: String,
    custom_fields: Value,
    metadata: Value,
    /// The slug that the document had, or that the caller wants.
    pub slug: Option<String>,
}

/// Longest intent, in characters.
const INTENT_MOST: usize = 4_000;

/// Whether a card or a document of ours has custom fields: [`import`] must know those of the workspace then.
pub fn has_custom_fields(body: &Value) -> bool {
    let places = ["/custom_fields".to_owned(), format!("/data/extensions/{OWN}/custom_fields")];
    places.iter().filter_map(|place| body.pointer(place)?.as_object()).any(|fields| !fields.is_empty())
}

/// Reads a card or a document of ours. Nothing is kept of what is refused. `fields` are the workspace's; what it requires
/// is not asked of an import, which has what it comes with.
///
/// # Errors
/// `request.invalid` with every problem, `moderation.intent_blocked` where the policy's rules block its texts.
pub fn import(body: Value, wishes: &Wishes, fields: &[Field]) -> Result<Imported> {
    let mut problems: Vec<Detail> = Vec::new();
    problems.extend(wishes.language.as_deref().and_then(settings::language_problem));
    problems.extend(wishes.slug.as_deref().and_then(settings::slug_problem));
    Error::invalid_all(problems)?;
    let is_ours = body.get("spec").is_none() && body.get("soul").is_some();
    let mut imported =
        if is_ours { of_document(&body, fields)? } else { of_card(Card::read(body)?, wishes, fields)? };
    if wishes.slug.is_some() {
        imported.slug.clone_from(&wishes.slug);
    }
    Ok(imported)
}

/// Refuses what the policy's rules block; no model is asked.
fn gate(text: &str) -> Result<()> {
    let decision = moderation::gate(text, &Opinions::default());
    moderation::blocked(&decision, "card").map_or(Ok(()), Err)
}

fn of_document(body: &Value, fields: &[Field]) -> Result<Imported> {
    let stranger = |key: &&String| {
        !document::is_editable(key)
            && ![
                "id",
                "object",
                "version",
                "workspace_id",
                "intent",
                "consistency",
                "lineage",
                "created_at",
                "updated_at",
                "published_at",
            ]
            .contains(&key.as_str())
    };
    let strangers = body.as_object().into_iter().flatten().map(|(key, _)| key).filter(stranger);
    let mut problems: Vec<Detail> = strangers
        .map(|key| {
            let shown: String = key.chars().take(60).collect();
            Detail::new(
                format!("/{}", crate::persona::schema::escaped(key)),
                format!("\"{shown}\" is not a field of a persona; leave it out."),
            )
        })
        .collect();
    let text = |key: &str| body.get(key).and_then(Value::as_str).map(str::to_owned);
    let language = text("language").unwrap_or_else(|| "en".to_owned());
    let slug = text("slug");
    problems.extend(settings::language_problem(&language));
    problems.extend(slug.as_deref().and_then(settings::slug_problem));
    let found = layers(body, "", &mut problems);
    let custom_fields = pairs(body, "custom_fields", &mut problems);
    let metadata = pairs(body, "metadata", &mut problems);
    problems.extend(field::value_problems(fields, &custom_fields));
    problems.extend(settings::metadata_problems(&metadata, true));
    Error::invalid_all(problems)?;
    let layers = found.ok_or_else(|| Error::internal("layers without problems that are none"))?;
    let intent = text("intent").filter(|text| !text.trim().is_empty());
    let intent = intent.unwrap_or_else(|| layers.identity.summary.clone());
    gate(&format!("{intent}\n{}\n{}", layers.history.backstory, layers.identity.summary))?;
    Ok(Imported {
        intent: intent.chars().take(INTENT_MOST).collect(),
        layers,
        language,
        custom_fields: custom_fields.into(),
        metadata: metadata.into(),
        slug,
    })
}

fn layers(of: &Value, prefix: &str, problems: &mut Vec<Detail>) -> Option<Layers> {
    let kept = of.as_object().into_iter().flatten().filter(|(key, _)| key.parse::<Layer>().is_ok());
    let kept: Map<String, Value> = kept.map(|(key, value)| (key.clone(), value.clone())).collect();
    match Layers::from_value(&Value::Object(kept)) {
        Ok(layers) => Some(layers),
        Err(more) => {
            problems.extend(more.into_iter().map(|mut problem| {
                problem.pointer = format!("{prefix}{}", problem.pointer);
                problem
            }));
            None
        }
    }
}

fn pairs(of: &Value, key: &str, problems: &mut Vec<Detail>) -> Map<String, Value> {
    match of.get(key) {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(pairs)) => pairs.clone(),
        Some(_) => {
            problems.push(Detail::new(format!("/{key}"), format!("\"{key}\" is not an object.")));
            Map::new()
        }
    }
}

fn of_card(card: Card, wishes: &Wishes, fields: &[Field]) -> Result<Imported> {
    let texts: Vec<String> = ["name", "description", "personality", "scenario", "first_mes", "mes_example"]
        .iter()
        .map(|field| derive::plain(&card, card.text(field)))
        .collect();
    gate(&texts.join("\n"))?;
    let ours = card
        .whole
        .pointer(&format!("/data/extensions/{OWN}"))
        .filter(|own| own["layers"].is_object())
        .cloned();
    let told = ours.as_ref().and_then(|own| own["language"].as_str()).map(str::to_owned);
    let language = wishes.language.clone().or(told).unwrap_or_else(|| derive::language_of(&card).to_owned());
    let derived = derive(&card, &language).ok_or_else(|| Error::internal("a card made no layers"))?;
    let intent: String =
        texts.get(1).filter(|text| !text.is_empty()).unwrap_or(&texts[0]).chars().take(INTENT_MOST).collect();
    let mut imported = Imported {
        layers: derived.layers.clone(),
        language,
        intent,
        custom_fields: json!({}),
        metadata: json!({}),
        slug: None,
    };
    let mut unstated = derived.unstated;
    if let Some(own) = ours {
        let told = own["unstated"].as_array().into_iter().flatten().filter_map(Value::as_str);
        unstated = told.map(str::to_owned).collect();
        take_own(&mut imported, &own, &card, &derived.layers, fields)?;
    }
    keep(&mut imported, &card, &unstated);
    Ok(imported)
}

/// The layers that ride in a card, and over them what its texts say that have been edited since.
fn take_own(
    imported: &mut Imported,
    own: &Value,
    card: &Card,
    derived: &Layers,
    fields: &[Field],
) -> Result<()> {
    let prefix = format!("/data/extensions/{OWN}");
    let mut problems: Vec<Detail> = Vec::new();
    let found = layers(&own["layers"], &format!("{prefix}/layers"), &mut problems);
    let custom_fields = pairs(own, "custom_fields", &mut problems);
    let mut metadata = pairs(own, "metadata", &mut problems);
    problems.extend(settings::language_problem(&imported.language));
    problems.extend(field::value_problems(fields, &custom_fields));
    problems.extend(settings::metadata_problems(&metadata, false));
    Error::invalid_all(problems)?;
    let mut all = found.ok_or_else(|| Error::internal("layers without problems that are none"))?.to_value();
    let derived = derived.to_value();
    for (field, places) in HOMES {
        let text = card.data().get(field).cloned().unwrap_or_default();
        if own["texts"][field].as_str().is_some_and(|kept| kept != digest::of_value(&text)) {
            for place in places {
                if let (Some(into), Some(from)) = (all.pointer_mut(place), derived.pointer(place)) {
                    *into = from.clone();
                }
            }
        }
    }
    imported.layers = Layers::from_value(&all).map_err(|problems| {
        Error::new(Code::RequestInvalid, "The card's texts do not fit its layers.").with_details(problems)
    })?;
    if let Some(intent) = own["intent"].as_str().filter(|text| !text.trim().is_empty()) {
        imported.intent = intent.chars().take(INTENT_MOST).collect();
    }
    if let Some(extensions) = own["extensions"].as_object().filter(|extensions| !extensions.is_empty()) {
        metadata.insert(EXTENSIONS.to_owned(), Value::Object(extensions.clone()));
    }
    imported.custom_fields = custom_fields.into();
    imported.metadata = metadata.into();
    Ok(())
}

/// Keeps the card as it came, unless it is one of ours that says nothing more than the layers do.
fn keep(imported: &mut Imported, card: &Card, unstated: &[String]) {
    let mut document = imported.layers.to_value();
    document["metadata"] = imported.metadata.clone();
    let fresh = Card { spec: card.spec, whole: export(&document, card.spec) };
    let bare = card.bare();
    if fresh.bare() == bare {
        return;
    }
    let fields: Map<String, Value> = HOMES
        .iter()
        .map(|(field, places)| ((*field).to_owned(), places_digest(&document, places).into()))
        .collect();
    imported.metadata[EXTENSIONS][KEPT] = json!({"card": bare, "fields": fields, "unstated": unstated});
}

impl Imported {
    /// The persona's name.
    pub fn name(&self) -> &str {
        &self.layers.identity.name
    }

    /// The first version of the new persona.
    ///
    /// # Errors
    /// `persona.schema_violation` with every contradiction, `request.payload_too_large` where it would not fit the store.
    pub fn document(
        &self,
        id: PersonaId,
        workspace: WorkspaceId,
        slug: &str,
        visibility: &Value,
        moment: Moment<'_>,
    ) -> Result<Value> {
        let consistency = document::checked(&self.layers, &self.language, moment)?;
        Beginning {
            id,
            workspace,
            slug,
            visibility,
            at: moment.at,
            language: &self.language,
            intent: &self.intent,
            layers: &self.layers.to_value(),
            custom_fields: self.custom_fields.clone(),
            metadata: self.metadata.clone(),
            consistency,
            forked_from: Value::Null,
            digest: digest::digest(&self.language, &self.layers).into(),
            fingerprint: json!(Fingerprint::of(&self.layers.voice, &self.language)),
            simulated: false,
        }
        .document()
    }
}

impl Spec {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V2, Self::V3];
}
