//! The moderation gate: whether a character may be made at all. The policy is data (`policy.yaml`); its rules, the
//! provider's moderation verdict and the model's own word are weighed here. Pure: no call is made.

mod disguise;
mod policy;

use serde::{Deserialize, Serialize};

use crate::{
    error::{Code, Error},
    provider::ModerationVerdict,
};

use policy::{Policy, policy};

/// What `harm` says when nothing is wrong.
pub const NONE: &str = "none";

/// What others make of an intent, besides the rules.
#[derive(Debug, Clone, Copy, Default)]
pub struct Opinions<'a> {
    /// The `harm` that the model of `intent_parse` reports.
    pub model: Option<ModelOpinion<'a>>,
    /// What the provider's moderation flagged, where it is configured.
    pub vendor: Option<&'a ModerationVerdict>,
}

/// A model's word on an intent.
#[derive(Debug, Clone, Copy)]
pub struct ModelOpinion<'a> {
    /// `<provider>/<model>`: the policy says how far each is believed.
    pub model: &'a str,
    /// A category, or [`NONE`].
    pub harm: &'a str,
}

/// Whose word blocked an intent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// A rule of the policy.
    Policy,
    /// The provider's moderation.
    Provider,
    /// The model of `intent_parse`, believed alone.
    Model,
    /// Two hints that agree.
    Corroborated,
}

/// What was decided about an intent and on which grounds; the run records it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Whether the run may go on.
    pub allowed: bool,
    /// The category, where it may not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// The rule that blocked, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Whose word it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// Weak evidence, as `<source>:<category>`, whether or not it sufficed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
    /// The policy's version.
    pub policy: String,
}

/// The names of the categories, in the order of the policy: with [`NONE`] the values of `harm`.
pub fn categories() -> impl Iterator<Item = &'static str> {
    policy().categories.iter().map(|category| category.name.as_str())
}

/// Compiles the policy, which takes a fraction of a second of CPU once a process. Call it where there is time
/// to spare, such as beside the first model call; [`gate`] does it otherwise.
pub fn warm() {
    policy();
}

/// Decides about an intent (or a message). With [`Opinions::default`] the rules decide alone, which costs
/// nothing and can come before any model call.
pub fn gate(intent: &str, opinions: &Opinions<'_>) -> Decision {
    let policy = policy();
    let found = policy.matches(intent);
    let mut decision = Decision {
        allowed: true,
        category: None,
        rule: None,
        source: None,
        hints: Vec::new(),
        policy: policy.version.clone(),
    };
    let weighed = Weighed { policy, found: &found, opinions };
    decision.hints = weighed.hints().map(|(source, category)| format!("{source}:{category}")).collect();
    let blocked = weighed
        .by_rule()
        .or_else(|| weighed.by_vendor())
        .or_else(|| weighed.by_model())
        .or_else(|| weighed.by_agreement());
    if let Some((category, rule, source)) = blocked {
        decision.allowed = false;
        decision.category = Some(category.to_owned());
        decision.rule = rule.map(str::to_owned);
        decision.source = Some(source);
    }
    decision
}

/// What blocks: category, rule, source.
type Block<'a> = (&'a str, Option<&'a str>, Source);

struct Weighed<'a> {
    policy: &'a Policy,
    found: &'a [policy::Match<'a>],
    opinions: &'a Opinions<'a>,
}

impl<'a> Weighed<'a> {
    fn by_rule(&self) -> Option<Block<'a>> {
        let hit = self.found.iter().find(|hit| hit.blocks)?;
        Some((hit.category, Some(hit.rule), Source::Policy))
    }

    fn by_vendor(&self) -> Option<Block<'a>> {
        let flagged = &self.opinions.vendor?.flagged;
        let category =
            self.policy.categories.iter().find(|category| names_any(&category.vendor.blocks, flagged))?;
        Some((&category.name, None, Source::Provider))
    }

    fn by_model(&self) -> Option<Block<'a>> {
        let opinion = self.opinions.model.filter(|opinion| self.policy.believes(opinion.model))?;
        Some((self.category(opinion.harm)?, None, Source::Model))
    }

    /// Two kinds of weak evidence for one category.
    fn by_agreement(&self) -> Option<Block<'a>> {
        let hints: Vec<_> = self.hints().collect();
        let agreed = |category: &&str| hints.iter().filter(|(_, other)| other == category).count() >= 2;
        let category = self.policy.categories.iter().map(|category| category.name.as_str()).find(agreed)?;
        let rule = self.found.iter().find(|hit| hit.category == category).map(|hit| hit.rule);
        Some((category, rule, Source::Corroborated))
    }

    /// Each kind of weak evidence at most once a category.
    fn hints(&self) -> impl Iterator<Item = (&'static str, &'a str)> {
        let names = || self.policy.categories.iter();
        let ruled = names().filter(|category| self.found.iter().any(|hit| hit.category == category.name));
        let flagged = self.opinions.vendor.map_or(&[][..], |verdict| &verdict.flagged);
        let vendor = names().filter(move |category| names_any(&category.vendor.hints, flagged));
        let model = self.opinions.model.and_then(|opinion| self.category(opinion.harm));
        ruled
            .map(|category| ("rule", category.name.as_str()))
            .chain(vendor.map(|category| ("vendor", category.name.as_str())))
            .chain(model.map(|category| ("model", category)))
    }

    /// A category's name as the policy has it; `None` for [`NONE`] and whatever else a model makes up.
    fn category(&self, name: &str) -> Option<&'a str> {
        self.policy
            .categories
            .iter()
            .map(|category| category.name.as_str())
            .find(|known| *known == name.trim())
    }
}

fn names_any(names: &[String], flagged: &[String]) -> bool {
    names.iter().any(|name| flagged.iter().any(|flag| flag.eq_ignore_ascii_case(name)))
}

/// `moderation.intent_blocked` for a decision that blocks; `None` for one that allows. `param` is the field that
/// held the text, such as `intent`. The message names the category and what to do, never what matched.
pub fn blocked(decision: &Decision, param: &str) -> Option<Error> {
    let name = decision.category.as_deref().filter(|_| !decision.allowed)?;
    let known = policy().categories.iter().find(|category| category.name == name);
    let (title, advice) = known.map_or((name, ""), |category| (&category.title, &category.advice));
    let message = format!(
        "The {param} was blocked by the moderation policy in the category \"{name}\" ({title}). {advice} No drafting \
         model was called."
    );
    Some(Error::new(Code::IntentBlocked, message.replace("  ", " ")).with_param(param))
}

#[cfg(test)]
mod tests;
