//! Whether a persona agrees with itself and with its brief: pure rules over all layers, the judge's findings
//! verified, tidying before, and the last-resort mending after. No clock, no model, no I/O.

mod ages;
mod brief;
mod facts;
mod judge;
mod kept;
mod mend;
mod names;
mod normalise;
mod number_words;
mod spoken;
pub(crate) mod text;
mod values;

use serde::{Deserialize, Serialize};

pub use brief::facts_from_brief;
pub use facts::{Age, Facts, merge};
pub use judge::{Contradiction, Verified, verify};
pub use mend::{Mended, mend};
pub use normalise::normalise;
pub use spoken::{language_of, reads_as};

use crate::{
    error::{Code, Detail, Error},
    persona::{Layer, Layers},
};

/// A persona with what it is held to.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// The persona.
    pub layers: &'a Layers,
    /// What it is held to.
    pub terms: Terms<'a>,
}

/// What a persona is held to.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// The language its lines must be in, ISO-639-1.
    pub language: &'a str,
    /// What the brief fixes; [`Facts::default`] where a caller's own edit prevails over the brief.
    pub facts: &'a Facts,
    /// Problems of `custom_fields`, found by their own schemas; pointers begin with `/custom_fields`.
    pub custom_fields: &'a [Detail],
    /// The current calendar year.
    pub now_year: i32,
}

/// A rule by its public name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Every value is within its schema: weights, lengths, counts.
    ValuesInRange,
    /// The timeline fits the age, runs forward, and its years fit the present.
    AgesFitTimeline,
    /// One name for the persona, everywhere, and no one else bears it.
    NamesAgree,
    /// What the brief fixes is so.
    FactsKept,
    /// Greeting and samples are in the declared language.
    LanguageKept,
    /// Nothing of `never_says` is said.
    NeverSaysUnsaid,
    /// Custom fields are valid by their own schemas.
    CustomFieldsValid,
    /// The judge found no contradiction between layers.
    LayersAgree,
}

impl Rule {
    /// The public name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ValuesInRange => "values_in_range",
            Self::AgesFitTimeline => "ages_fit_timeline",
            Self::NamesAgree => "names_agree",
            Self::FactsKept => "facts_kept",
            Self::LanguageKept => "language_kept",
            Self::NeverSaysUnsaid => "never_says_unsaid",
            Self::CustomFieldsValid => "custom_fields_valid",
            Self::LayersAgree => "layers_agree",
        }
    }
}

/// Two places that cannot both be right, or one that breaks its terms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// The rule that is broken.
    pub check: Rule,
    /// JSON Pointer to the place to repair.
    pub pointer: String,
    /// The other place, where there is one in the persona.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<String>,
    /// What conflicts, citing and quoting both sides.
    pub message: String,
    /// The layers to draft again.
    pub layers: Vec<Layer>,
}

/// The outcome of one rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// The rule.
    pub name: Rule,
    /// Whether nothing breaks it.
    pub passed: bool,
    /// What was found, in one line.
    pub detail: String,
}

/// What a check of a persona found. `score` and `checks` are the persona's own `consistency`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The share of passed checks, 0 to 1, in hundredths.
    pub score: f64,
    /// Every rule that was applied.
    pub checks: Vec<Check>,
    /// Every conflict.
    pub violations: Vec<Violation>,
}

/// Applies every rule to the whole persona.
pub fn check(subject: &Subject<'_>) -> Report {
    let Subject { layers, terms } = subject;
    let mut report = Report { score: 1.0, checks: Vec::new(), violations: Vec::new() };
    report.add(Rule::ValuesInRange, "Every value is within its schema.", values::check(layers));
    report.add(
        Rule::AgesFitTimeline,
        &format!("{} moments fit an age of {}.", layers.history.timeline.len(), layers.identity.age),
        ages::check(layers, terms),
    );
    report.add(
        Rule::NamesAgree,
        &format!("{} is so called everywhere.", text::quoted(&layers.identity.name)),
        names::check(layers),
    );
    let fixed = terms.facts.lines().len();
    report.add(
        Rule::FactsKept,
        &format!("{fixed} facts of the brief are kept."),
        kept::check(layers, terms.facts),
    );
    report.add(
        Rule::LanguageKept,
        &format!("Greeting and samples read as \"{}\".", terms.language),
        spoken::language(layers, terms.language),
    );
    report.add(
        Rule::NeverSaysUnsaid,
        &format!("None of {} phrases is said.", layers.voice.never_says.len()),
        spoken::never_says(layers, terms.language),
    );
    let custom = terms.custom_fields.iter().map(custom_field).collect();
    report.add(Rule::CustomFieldsValid, "Every custom field is valid.", custom);
    report
}

fn custom_field(problem: &Detail) -> Violation {
    Violation {
        check: Rule::CustomFieldsValid,
        pointer: problem.pointer.clone(),
        other: None,
        message: problem.message.clone(),
        layers: Vec::new(),
    }
}

impl Report {
    /// Whether nothing is wrong.
    pub fn passed(&self) -> bool {
        self.violations.is_empty()
    }

    /// The report with the judge's verified findings as one more check.
    #[must_use]
    pub fn with_judged(mut self, verified: Verified) -> Self {
        let agreed = match verified.dropped {
            0 => "The judge found no contradiction.".to_owned(),
            dropped => {
                format!("The judge found no contradiction that the text bears out ({dropped} dropped).")
            }
        };
        self.add(Rule::LayersAgree, &agreed, verified.violations);
        self
    }

    /// The layers to draft again, in the order of the contract.
    pub fn layers_to_repair(&self) -> Vec<Layer> {
        let named = |layer: &Layer| self.violations.iter().any(|violation| violation.layers.contains(layer));
        Layer::ALL.into_iter().filter(named).collect()
    }

    /// Each violation as a detail of an error.
    pub fn details(&self) -> Vec<Detail> {
        self.violations
            .iter()
            .map(|violation| Detail::new(violation.pointer.clone(), violation.message.clone()))
            .collect()
    }

    /// `persona.schema_violation` with every violation; `None` when nothing is wrong.
    pub fn error(&self) -> Option<Error> {
        let first = self.violations.first()?;
        let message = match self.violations.len() {
            1 => format!("The persona contradicts itself: {}", first.message),
            count => format!("The persona contradicts itself in {count} places, first: {}", first.message),
        };
        Some(Error::new(Code::SchemaViolation, message).with_details(self.details()))
    }

    fn add(&mut self, name: Rule, when_passed: &str, violations: Vec<Violation>) {
        let detail = match violations.as_slice() {
            [] => when_passed.to_owned(),
            [only] => only.message.clone(),
            [first, rest @ ..] => format!("{} And {} more.", first.message, rest.len()),
        };
        self.checks.push(Check { name, passed: violations.is_empty(), detail });
        self.violations.extend(violations);
        let passed = self.checks.iter().filter(|check| check.passed).count();
        self.score = (passed as f64 / self.checks.len() as f64 * 100.0).round() / 100.0;
    }
}

#[cfg(test)]
mod tests;
