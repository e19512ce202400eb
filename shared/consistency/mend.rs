//! What `repair` does before it asks the model, and once more after: small deterministic changes that make a rule
//! hold, each told. Next to nothing is invented, no schema is left, and what cannot be mended so is not touched.

use serde::{Deserialize, Serialize};

use super::{
    Report, Rule, Subject, Terms, Violation, ages::Calendar, check, names, normalise::sort_timeline, spoken,
    text::quoted,
};
use crate::persona::{Layers, Moment, Voice};

/// The least numbers of items that the schemas allow.
const LEAST_MOMENTS: usize = 3;
const LEAST_RELATIONS: usize = 2;
const LEAST_NEVER_SAYS: usize = 1;
const LEAST_SAMPLES: usize = 6;
const LEAST_CATCHPHRASES: usize = 1;
const LEAST_VOCABULARY: usize = 4;

/// More changes than any persona can need; a bound on the work.
const MOST_CHANGES: usize = 64;

/// A change that mending made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mended {
    /// The rule that now holds there.
    pub check: Rule,
    /// JSON Pointer to what was changed, as it was before.
    pub pointer: String,
    /// What was changed and why.
    pub message: String,
}

/// Makes the rules hold where a small change does, and says what it changed. Check again afterwards: what is
/// left (the wrong language, a custom field, the judge's findings) is beyond mending.
pub fn mend(layers: &mut Layers, terms: &Terms<'_>) -> Vec<Mended> {
    let mut mended = keep_facts(layers, terms);
    for _ in 0..MOST_CHANGES {
        let report = check(&Subject { layers, terms: *terms });
        let Some((better, change)) =
            report.violations.iter().find_map(|v| improved(layers, terms, &report, v))
        else {
            break;
        };
        *layers = better;
        mended.push(change);
    }
    mended
}

/// The layers with one violation mended, if that leaves fewer of them and breaks no schema.
fn improved(
    layers: &Layers,
    terms: &Terms<'_>,
    report: &Report,
    violation: &Violation,
) -> Option<(Layers, Mended)> {
    let mut better = layers.clone();
    let message = match violation.check {
        Rule::AgesFitTimeline => mend_timeline(&mut better, terms, violation)?,
        Rule::NamesAgree => mend_names(&mut better, violation)?,
        Rule::NeverSaysUnsaid => mend_never_says(&mut better, terms, violation)?,
        Rule::FactsKept if violation.pointer == "/identity/summary" => mend_summary(&mut better)?,
        Rule::ValuesInRange => mend_weights(&mut better)?,
        _ => return None,
    };
    let after = check(&Subject { layers: &better, terms: *terms });
    let change = Mended { check: violation.check, pointer: violation.pointer.clone(), message };
    (after.violations.len() < report.violations.len()).then_some((better, change))
}

// ---- facts

/// Sets the fields of `identity` that break a fact of the brief to that fact.
fn keep_facts(layers: &mut Layers, terms: &Terms<'_>) -> Vec<Mended> {
    let report = check(&Subject { layers, terms: *terms });
    let broken = report.violations.iter().filter(|v| v.check == Rule::FactsKept);
    broken.filter_map(|violation| keep_fact(layers, terms, violation)).collect()
}

fn keep_fact(layers: &mut Layers, terms: &Terms<'_>, violation: &Violation) -> Option<Mended> {
    let field = violation.pointer.strip_prefix("/identity/")?;
    let mut kept = layers.clone();
    let facts = terms.facts;
    let (was, is) = match field {
        "age" => {
            let age = facts.age?.nearest(kept.identity.age);
            let was = std::mem::replace(&mut kept.identity.age, age);
            (was.to_string(), age.to_string())
        }
        "name" => {
            let was = kept.identity.name.clone();
            rename(&mut kept, facts.name.as_deref()?);
            (quoted(&was), quoted(&kept.identity.name))
        }
        "pronouns" => replaced(&mut kept.identity.pronouns, facts.pronouns.as_deref()?),
        "occupation" => replaced(&mut kept.identity.occupation, facts.occupation.as_deref()?),
        "residence" => replaced(&mut kept.identity.residence, facts.residence.as_deref()?),
        _ => return None,
    };
    if !super::values::check(&kept).is_empty() {
        return None;
    }
    *layers = kept;
    Some(Mended {
        check: Rule::FactsKept,
        pointer: violation.pointer.clone(),
        message: format!("{} was {was} and is now {is}, as the brief says.", violation.pointer),
    })
}

fn replaced(field: &mut String, fact: &str) -> (String, String) {
    let was = std::mem::replace(field, fact.to_owned());
    (quoted(&was), quoted(fact))
}

/// Gives the persona another name, also where texts call it by the whole old one.
fn rename(layers: &mut Layers, name: &str) {
    let old = std::mem::replace(&mut layers.identity.name, name.to_owned());
    if old.chars().count() < 3 {
        return;
    }
    let voice = &mut layers.voice;
    let history = &mut layers.history;
    let texts = [
        &mut layers.identity.summary,
        &mut layers.identity.appearance,
        &mut history.backstory,
        &mut voice.greeting,
        &mut layers.scenario.situation,
        &mut layers.scenario.setting,
    ];
    let others = voice
        .samples
        .iter_mut()
        .map(|sample| &mut sample.line)
        .chain(history.timeline.iter_mut().flat_map(|moment| [&mut moment.event, &mut moment.effect]))
        .chain(layers.relations.iter_mut().map(|other| &mut other.description));
    for text in texts.into_iter().chain(others) {
        if text.contains(&old) {
            *text = text.replace(&old, name);
        }
    }
}

/// Puts the persona's age in the place of the one that its summary states in digits.
fn mend_summary(layers: &mut Layers) -> Option<String> {
    let age = layers.identity.age.to_string();
    let summary = &mut layers.identity.summary;
    let digits: String =
        summary.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    if digits.is_empty() {
        return None;
    }
    *summary = summary.replacen(&digits, &age, 1);
    Some(format!("/identity/summary said {digits} and now says {age}, which is /identity/age."))
}

// ---- values

fn mend_weights(layers: &mut Layers) -> Option<String> {
    let soul = &mut layers.soul;
    let traits = &mut soul.traits;
    let all = soul.values.iter_mut().map(|value| &mut value.weight).chain([
        &mut traits.openness,
        &mut traits.conscientiousness,
        &mut traits.extraversion,
        &mut traits.agreeableness,
        &mut traits.neuroticism,
    ]);
    let mut off = all.filter(|weight| !(0.0..=1.0).contains(*weight));
    let weight = off.find(|weight| weight.is_finite())?;
    let was = *weight;
    *weight = weight.clamp(0.0, 1.0);
    Some(format!("A weight of {was} is now {weight}, within 0 to 1."))
}

// ---- timeline

fn mend_timeline(layers: &mut Layers, terms: &Terms<'_>, violation: &Violation) -> Option<String> {
    let mut place = violation.pointer.strip_prefix("/history/timeline/")?.split('/');
    let at: usize = place.next()?.parse().ok()?;
    let message = match place.next() {
        Some("age") => mend_age(layers, at),
        Some("year") => mend_year(layers, terms, at),
        _ => format!(
            "/history/timeline was not in order and now runs earliest first, from /history/timeline/{at} on."
        ),
    };
    let birth = Calendar::of(layers, terms).birth();
    sort_timeline(&mut layers.history.timeline, birth);
    Some(message)
}

/// A moment beyond the persona's age goes, or, where the schema needs it, happens now.
fn mend_age(layers: &mut Layers, at: usize) -> String {
    let age = layers.identity.age;
    let timeline = &mut layers.history.timeline;
    let then = timeline[at].age.unwrap_or_default();
    if timeline.len() > LEAST_MOMENTS {
        let gone = timeline.remove(at);
        return format!(
            "{} was at age {then}, beyond /identity/age {age}, and is gone.",
            quoted(&gone.event)
        );
    }
    let moment = &mut timeline[at];
    (moment.age, moment.year) = (Some(age), None);
    format!("{} was at age {then}, beyond /identity/age, and is now at {age}.", quoted(&moment.event))
}

/// A year that does not fit goes where an age dates the moment; else the moment goes, or happens now.
fn mend_year(layers: &mut Layers, terms: &Terms<'_>, at: usize) -> String {
    let age = layers.identity.age;
    let timeline = &mut layers.history.timeline;
    let year = timeline[at].year.unwrap_or_default();
    let Moment { age: then, event, .. } = &timeline[at];
    if let Some(then) = then {
        let message =
            format!("{} keeps age {then}; its year {year}, which did not fit, is gone.", quoted(event));
        timeline[at].year = None;
        return message;
    }
    if timeline.len() > LEAST_MOMENTS {
        let gone = timeline.remove(at);
        return format!("{} was in {year}, outside the persona's life, and is gone.", quoted(&gone.event));
    }
    let moment = &mut timeline[at];
    let told = if year > terms.now_year { age } else { 0 };
    (moment.age, moment.year) = (Some(told), None);
    format!("{} was in {year}, outside the persona's life, and is now at age {told}.", quoted(&moment.event))
}

// ---- names

/// A relation with the persona's own name goes, or, where the schema needs it, is called what it is; a text that
/// uses another name uses the persona's.
fn mend_names(layers: &mut Layers, violation: &Violation) -> Option<String> {
    if violation.pointer.starts_with("/relations/") {
        let at = names::own_relations(layers).next()?;
        if layers.relations.len() <= LEAST_RELATIONS {
            let other = layers.relations.get_mut(at)?;
            let was = std::mem::replace(&mut other.name, other.relation.clone());
            return Some(format!(
                "The relation {} bore the persona's own name, {}, and is now called by what it is.",
                quoted(&other.relation),
                quoted(&was)
            ));
        }
        let gone = layers.relations.remove(at);
        return Some(format!(
            "The relation {} ({}) bore the persona's own name and is gone.",
            quoted(&gone.name),
            quoted(&gone.relation)
        ));
    }
    let claimed = names::claimed_at(layers, &violation.pointer)?;
    let name = layers.identity.name.clone();
    let text = match violation.pointer.as_str() {
        "/identity/summary" => &mut layers.identity.summary,
        "/history/backstory" => &mut layers.history.backstory,
        "/voice/greeting" => &mut layers.voice.greeting,
        line => {
            let at: usize = line.strip_prefix("/voice/samples/")?.strip_suffix("/line")?.parse().ok()?;
            &mut layers.voice.samples.get_mut(at)?.line
        }
    };
    *text = text.replace(&claimed, &name);
    Some(format!(
        "{} called the persona {} and now says {}.",
        violation.pointer,
        quoted(&claimed),
        quoted(&name)
    ))
}

// ---- never_says

/// What no persona says. Stands in for a forbidden phrase that this one says all the time.
fn unsaid(language: &str) -> &'static str {
    match language {
        "de" => "als KI",
        "es" | "pt" => "como IA",
        "fr" => "en tant qu'IA",
        "tr" => "bir yapay zekâ olarak",
        _ => "as an AI",
    }
}

/// The forbidden phrase goes; where it is the only one, what says it does, or else another phrase takes its place.
fn mend_never_says(layers: &mut Layers, terms: &Terms<'_>, violation: &Violation) -> Option<String> {
    let said = spoken::all_said(layers, terms.language)
        .into_iter()
        .find(|said| said.pointer == violation.pointer)?;
    let voice = &mut layers.voice;
    if voice.never_says.len() > LEAST_NEVER_SAYS {
        let gone = voice.never_says.remove(said.entry);
        return Some(format!(
            "/voice/never_says forbade {}, which {} says; it is gone.",
            quoted(&gone),
            said.pointer
        ));
    }
    if !drop_line(voice, &said.pointer) {
        let stand_in = unsaid(terms.language);
        let was = std::mem::replace(voice.never_says.get_mut(said.entry)?, stand_in.to_owned());
        return Some(format!(
            "/voice/never_says forbade {}, which {} says; it now forbids {}.",
            quoted(&was),
            said.pointer,
            quoted(stand_in)
        ));
    }
    Some(format!(
        "{} said {}, which /voice/never_says forbids; it is gone.",
        said.pointer,
        quoted(&said.text)
    ))
}

/// Takes the line at `pointer` out of its list, where the schema can do without it.
fn drop_line(voice: &mut Voice, pointer: &str) -> bool {
    let mut place = pointer.split('/').skip(2);
    let list = place.next();
    let Some(at) = place.next().and_then(|at| at.parse::<usize>().ok()) else { return false };
    match list {
        Some("samples") if voice.samples.len() > LEAST_SAMPLES => drop(voice.samples.remove(at)),
        Some("catchphrases") if voice.catchphrases.len() > LEAST_CATCHPHRASES => {
            drop(voice.catchphrases.remove(at));
        }
        Some("vocabulary") if voice.vocabulary.len() > LEAST_VOCABULARY => drop(voice.vocabulary.remove(at)),
        _ => return false,
    }
    true
}
