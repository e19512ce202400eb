//! Publishing: a snapshot of a persona's current version, written whole before one transaction shows it.

use serde_json::{Map, Value};

use super::{Listing, Publication, Snapshot, Wording, shelves};
use crate::{
    app::App,
    error::{Detail, Error, Result},
    id::RevisionId,
    key::{Caller, Mode},
    moderation::{self, Opinions},
    persona::document::Moment,
    provider::{OpenPurse, Role, Source},
    store::personas::{PersonaEntry, Visibility},
    webhook,
};

/// What came of a publication.
#[derive(Debug)]
pub enum Published {
    /// It is a new listing.
    New(Listing),
    /// The listing shows it now, in the place of what it showed.
    Anew(Listing),
    /// The listing showed just that already; nothing changed.
    Already(Listing),
    /// The persona or its listing was changed meanwhile; nothing is published.
    Overtaken,
}

/// Publishes the persona as it was read.
///
/// # Errors
/// `request.invalid` where it is not public or the wording does not fit, `moderation.intent_blocked` where the policy
/// blocks what it says, `persona.schema_violation` where it contradicts itself.
pub async fn publish(
    app: &App,
    caller: &Caller,
    persona: &PersonaEntry,
    body: &Map<String, Value>,
) -> Result<Published> {
    public(persona)?;
    let (store, tenant, document) = (app.store().await, caller.tenant(), persona.document()?);
    let current = match &persona.publication {
        Some(publication) => store.listing(caller.mode, publication.listing).await?,
        None => None,
    };
    let wording =
        current.as_ref().map_or_else(Wording::default, |listing| listing.wording.clone()).with(body)?;
    let (title, summary, tags) = wording.over(&document);
    if let Some(current) = &current
        && current.persona_version == persona.version
        && (&current.title, &current.summary, &current.tags) == (&title, &summary, &tags)
    {
        store.clear_leftovers(current.mode, current.id).await?;
        return Ok(Published::Already(current.clone()));
    }
    let at = app.clock().timestamp();
    let snapshot = Snapshot::of(&document, Moment { at: &at, mode: caller.mode })?;
    let texts = Texts::of(&title, &summary, &tags, snapshot.layers());
    gate(app, caller.mode, &texts).await?;
    let revision = RevisionId::new();
    let listing = Listing {
        id: match &current {
            Some(current) => current.id,
            None => store.reserve_listing(tenant, persona.id).await?,
        },
        mode: caller.mode,
        owner: caller.workspace(),
        persona_id: persona.id,
        persona_version: persona.version,
        wording,
        title,
        summary,
        tags,
        language: persona.language.clone(),
        version: current.as_ref().map_or(1, |current| current.version + 1),
        snapshot: revision,
        shelving: revision,
        step: shelves::step(current.as_ref().map_or(0, |current| current.installs)),
        installs: current.as_ref().map_or(0, |current| current.installs),
        created_at: current.as_ref().map_or_else(|| at.clone(), |current| current.created_at.clone()),
        updated_at: at.clone(),
    };
    store.shelve(&listing, Some(&snapshot)).await?;
    let told = webhook::Event::persona_published(persona, &listing.id.to_string(), &at);
    let publication = Publication { listing: listing.id, revision, at };
    let shown = store.show(tenant, persona, &publication, &listing, current.as_ref(), &told).await?;
    if shown {
        webhook::announce(app, tenant, &[told]).await;
    }
    if let Err(error) = store.clear_leftovers(listing.mode, listing.id).await {
        // Nobody finds a leftover; the next publication clears them again.
        tracing::warn!(error.code = %error.code, error.source = error.source_chain(), "leftovers of a listing stay");
    }
    if !shown {
        return Ok(Published::Overtaken);
    }
    Ok(if current.is_some() { Published::Anew(listing) } else { Published::New(listing) })
}

fn public(persona: &PersonaEntry) -> Result<()> {
    let is = match persona.visibility {
        Visibility::Public => return Ok(()),
        Visibility::Workspace => "workspace",
        Visibility::Private => "private",
    };
    let message = format!(
        "The persona \"{}\" is of visibility \"{is}\"; only \"public\" ones can be published. PATCH it with {{\"visibility\":\"public\"}}, then publish it.",
        persona.slug
    );
    Err(Error::invalid("visibility", message))
}

/// Everything that a listing says, each text with its pointer.
#[derive(Debug)]
struct Texts(Vec<(String, String)>);

/// Lists of what a persona does not do or say. They name harm in order to refuse it.
const REFUSALS: [&str; 4] =
    ["/boundaries/refuses/", "/boundaries/deflects/", "/soul/moral_lines/", "/voice/never_says/"];

impl Texts {
    fn of(title: &str, summary: &str, tags: &[String], layers: &Value) -> Self {
        let mut texts =
            vec![("/title".to_owned(), title.to_owned()), ("/summary".to_owned(), summary.to_owned())];
        texts.extend(tags.iter().enumerate().map(|(at, tag)| (format!("/tags/{at}"), tag.clone())));
        collect("", layers, &mut texts);
        Self(texts)
    }

    fn claimed(&self) -> impl Iterator<Item = &(String, String)> {
        self.0.iter().filter(|(pointer, _)| !REFUSALS.iter().any(|list| pointer.starts_with(list)))
    }

    /// All that stands at a pointer or below it, a line each.
    fn below(&self, above: &str) -> String {
        let is_below = |pointer: &str| {
            pointer.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let texts: Vec<&str> =
            self.claimed().filter(|(pointer, _)| is_below(pointer)).map(|(_, text)| text.as_str()).collect();
        texts.join("\n")
    }

    /// Refuses the first that the policy's rules block.
    fn by_rules(&self) -> Result<()> {
        self.claimed()
            .find_map(|(pointer, text)| blocked(text, pointer, &Opinions::default()))
            .map_or(Ok(()), Err)
    }
}

fn collect(pointer: &str, value: &Value, texts: &mut Vec<(String, String)>) {
    match value {
        Value::String(text) => texts.push((pointer.to_owned(), text.clone())),
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                collect(&format!("{pointer}/{at}"), item, texts);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                collect(&format!("{pointer}/{name}"), field, texts);
            }
        }
        _ => {}
    }
}

/// What a creation asks of its intent is asked here of everything that would be shown: the policy's rules, then the
/// provider's moderation where one is configured. Its outage stops nothing, as there; the rules have spoken.
async fn gate(app: &App, mode: Mode, texts: &Texts) -> Result<()> {
    texts.by_rules()?;
    by_provider(app.models(mode).await?, texts).await
}

async fn by_provider(models: &dyn Source, texts: &Texts) -> Result<()> {
    if !models.offers(Role::Moderate) {
        return Ok(());
    }
    let Some(error) = flagged(models, "", &texts.below("")).await else { return Ok(()) };
    // The provider does not say where it stands, so the parts are asked about, which is rare.
    let mut parts: Vec<&str> = texts.0.iter().filter_map(|(pointer, _)| pointer.split('/').nth(1)).collect();
    parts.dedup();
    for part in parts {
        let pointer = format!("/{part}");
        if let Some(error) = flagged(models, &pointer, &texts.below(&pointer)).await {
            return Err(error);
        }
    }
    Err(error)
}

/// What the provider's moderation blocks in a text, if it answers.
async fn flagged(models: &dyn Source, pointer: &str, text: &str) -> Option<Error> {
    let answer = models.moderate(text, &OpenPurse).await.ok()?;
    blocked(text, pointer, &Opinions { model: None, vendor: Some(&answer.content) })
}

fn blocked(text: &str, pointer: &str, opinions: &Opinions<'_>) -> Option<Error> {
    let param = if pointer.is_empty() { "persona".to_owned() } else { pointer[1..].replace('/', ".") };
    let error = moderation::blocked(&moderation::gate(text, opinions), &param)?;
    let message = error.message.clone();
    Some(error.with_details(vec![Detail::new(pointer, message)]))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use async_trait::async_trait;
    use serde_json::json;

    use super::*;
    use crate::{
        Usd,
        error::Code,
        persona::layers_for_tests,
        provider::{Answer, Ask, ModerationVerdict, Purse, Unanswered},
    };

    /// A provider that flags one word, or is down.
    struct Moderator {
        word: Option<&'static str>,
    }

    fn down() -> Unanswered {
        let error = Box::new(Error::new(Code::ProviderUnavailable, "down"));
        Unanswered { error, diverged: false, cost: Usd::ZERO, exchanges: Vec::new() }
    }

    #[async_trait]
    impl Source for Moderator {
        fn offers(&self, role: Role) -> bool {
            role == Role::Moderate
        }

        async fn answer(&self, _: Ask<'_>) -> Result<Answer, Unanswered> {
            Err(down())
        }

        async fn embed(&self, _: &[String], _: &dyn Purse) -> Result<Answer<Vec<Vec<f32>>>, Unanswered> {
            Err(down())
        }

        async fn moderate(&self, text: &str, _: &dyn Purse) -> Result<Answer<ModerationVerdict>, Unanswered> {
            let word = self.word.ok_or_else(down)?;
            let flagged = if text.contains(word) { vec!["hate/threatening".to_owned()] } else { Vec::new() };
            Ok(Answer {
                content: ModerationVerdict { flagged },
                provider: "small".to_owned(),
                model: "m".to_owned(),
                cost: Usd::ZERO,
                exchanges: Vec::new(),
            })
        }
    }

    #[tokio::test]
    async fn what_the_provider_flags_is_blocked_in_its_part_and_its_outage_stops_nothing() {
        let layers = layers_for_tests();
        let texts = Texts::of("A bookseller", "The zorblat of the quay", &[], &layers);
        let error = by_provider(&Moderator { word: Some("zorblat") }, &texts).await.unwrap_err();
        assert_eq!((error.code, error.details[0].pointer.as_str()), (Code::IntentBlocked, "/summary"));
        assert!(by_provider(&Moderator { word: Some("blatzor") }, &texts).await.is_ok());
        assert!(by_provider(&Moderator { word: None }, &texts).await.is_ok());
    }

    #[test]
    fn harm_is_named_where_it_stands_and_a_refusal_of_it_is_none() {
        let harm = "She explains step by step how to build a pipe bomb";
        let mut layers = layers_for_tests();
        let texts = |title: &str, layers: &Value| Texts::of(title, "s", &["t".to_owned()], layers).by_rules();
        assert!(texts("A bookseller", &layers).is_ok());
        let error = texts(harm, &layers).unwrap_err();
        assert_eq!((error.code, error.param.as_deref()), (Code::IntentBlocked, Some("title")));
        layers["voice"]["samples"][1]["line"] = json!(harm);
        let error = texts("A bookseller", &layers).unwrap_err();
        assert_eq!(error.details[0].pointer, "/voice/samples/1/line");
        layers["voice"] = layers_for_tests()["voice"].clone();
        layers["boundaries"]["refuses"][0] = json!(harm);
        assert!(texts("A bookseller", &layers).is_ok());
    }
}
