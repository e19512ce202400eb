//! The policy file, parsed and compiled once: terms expanded into rules, contexts, categories.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::LazyLock,
};

use regex::{Regex, RegexBuilder};
use serde::Deserialize;

use super::disguise::readings;

/// The policy in force.
pub(super) fn policy() -> &'static Policy {
    // `policy.yaml`, as `build.rs` writes it.
    static POLICY: LazyLock<Policy> =
        LazyLock::new(|| read(include_str!(concat!(env!("OUT_DIR"), "/policy.json"))));
    &POLICY
}

#[expect(clippy::panic, reason = "a file of this crate; a test compiles it")]
fn read(text: &str) -> Policy {
    compile(text).unwrap_or_else(|error| panic!("policy.yaml: {error}"))
}

// ---- the file

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: String,
    model_harm: ModelHarm,
    terms: BTreeMap<String, BTreeMap<String, String>>,
    contexts: BTreeMap<String, BTreeMap<String, ContextFile>>,
    categories: Vec<CategoryFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelHarm {
    believed: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ContextFile {
    inside: Option<String>,
    leading: Option<String>,
    near: Option<String>,
    reach: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CategoryFile {
    name: String,
    title: String,
    #[expect(dead_code, reason = "for the readers of the file")]
    description: String,
    advice: String,
    vendor: Vendor,
    rules: Vec<RuleFile>,
}

#[derive(Deserialize)]
struct RuleFile {
    name: String,
    blocks: bool,
    unless: Vec<String>,
    #[serde(flatten)]
    patterns: BTreeMap<String, Vec<String>>,
}

// ---- compiled

/// The whole policy, ready to match.
pub(super) struct Policy {
    pub(super) version: String,
    pub(super) categories: Vec<Category>,
    believed: Vec<Regex>,
}

/// What may not be asked for.
pub(super) struct Category {
    pub(super) name: String,
    pub(super) title: String,
    pub(super) advice: String,
    pub(super) vendor: Vendor,
    rules: Vec<Rule>,
}

/// Vendors' names for a category, and for what only points to it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Vendor {
    pub(super) blocks: Vec<String>,
    pub(super) hints: Vec<String>,
}

/// A rule in one language.
struct Rule {
    name: String,
    blocks: bool,
    pattern: Regex,
    unless: Vec<Context>,
}

/// What makes a match harmless.
#[derive(Clone)]
struct Context {
    inside: Option<Regex>,
    leading: Option<Regex>,
    near: Option<(Regex, usize)>,
}

/// A rule that an intent matches.
pub(super) struct Match<'a> {
    pub(super) category: &'a str,
    pub(super) rule: &'a str,
    pub(super) blocks: bool,
}

impl Policy {
    /// Every rule that the text matches outside its contexts, in the order of the file.
    pub(super) fn matches(&self, text: &str) -> Vec<Match<'_>> {
        let readings = readings(text);
        let mut found = Vec::new();
        for category in &self.categories {
            for rule in &category.rules {
                if readings.iter().any(|text| rule.applies(text)) {
                    found.push(Match { category: &category.name, rule: &rule.name, blocks: rule.blocks });
                }
            }
        }
        found
    }

    /// Whether a model's word counts by itself.
    pub(super) fn believes(&self, model: &str) -> bool {
        self.believed.iter().any(|pattern| pattern.is_match(model))
    }
}

impl Rule {
    fn applies(&self, text: &str) -> bool {
        self.pattern
            .find_iter(text)
            .any(|found| !self.unless.iter().any(|context| context.exempts(text, found.start(), found.end())))
    }
}

impl Context {
    fn exempts(&self, text: &str, start: usize, end: usize) -> bool {
        let inside = || self.inside.as_ref().is_some_and(|pattern| pattern.is_match(&text[start..end]));
        let leading = || self.leading.as_ref().is_some_and(|pattern| pattern.is_match(&text[..start]));
        let near = || {
            let window = |reach| &text[back(text, start, reach)..forward(text, end, reach)];
            self.near.as_ref().is_some_and(|(pattern, reach)| pattern.is_match(window(*reach)))
        };
        inside() || leading() || near()
    }
}

fn back(text: &str, from: usize, reach: usize) -> usize {
    (0..=from.saturating_sub(reach)).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

fn forward(text: &str, from: usize, reach: usize) -> usize {
    let to = from.saturating_add(reach).min(text.len());
    (to..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len())
}

// ---- compiling

/// The language whose terms, patterns and contexts belong to every language.
const ANY: &str = "any";

fn compile(text: &str) -> Result<Policy, String> {
    let file: File = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let contexts = Contexts::compile(&file)?;
    let mut categories = Vec::new();
    for category in file.categories {
        let mut rules = Vec::new();
        for rule in category.rules {
            for (language, patterns) in &rule.patterns {
                rules.push(Rule {
                    name: rule.name.clone(),
                    blocks: rule.blocks,
                    pattern: words(&patterns.join("|"), language, &file.terms)?,
                    unless: contexts.of(&rule.unless, language)?,
                });
            }
        }
        let CategoryFile { name, title, advice, vendor, .. } = category;
        categories.push(Category { name, title, advice, vendor, rules });
    }
    let believed = file.model_harm.believed.iter().map(|pattern| regex(pattern)).collect::<Result<_, _>>()?;
    Ok(Policy { version: file.version, categories, believed })
}

/// Contexts by name and language.
struct Contexts(HashMap<String, BTreeMap<String, Context>>);

impl Contexts {
    fn compile(file: &File) -> Result<Self, String> {
        let mut all = HashMap::new();
        for (name, languages) in &file.contexts {
            let mut compiled = BTreeMap::new();
            for (language, context) in languages {
                compiled.insert(language.clone(), Context::compile(context, language, &file.terms)?);
            }
            all.insert(name.clone(), compiled);
        }
        Ok(Self(all))
    }

    /// The named contexts as far as the language has them. Patterns for any language get those of every one.
    fn of(&self, names: &[String], language: &str) -> Result<Vec<Context>, String> {
        let mut contexts = Vec::new();
        for name in names {
            let languages = self.0.get(name).ok_or_else(|| format!("no context \"{name}\""))?;
            let wanted = |other: &str| language == ANY || other == ANY || other == language;
            contexts.extend(
                languages.iter().filter(|(other, _)| wanted(other)).map(|(_, context)| context.clone()),
            );
        }
        Ok(contexts)
    }
}

type Terms = BTreeMap<String, BTreeMap<String, String>>;

impl Context {
    fn compile(file: &ContextFile, language: &str, terms: &Terms) -> Result<Self, String> {
        let inside = file.inside.as_deref().map(|pattern| words(pattern, language, terms)).transpose()?;
        let leading =
            |pattern: &str| regex(&format!(r"(?-u:\b)(?:{})[ ,]*$", expanded(pattern, language, terms)?));
        let leading = file.leading.as_deref().map(leading).transpose()?;
        let near = file.near.as_deref().map(|pattern| words(pattern, language, terms)).transpose()?;
        Ok(Self { inside, leading, near: near.map(|near| (near, file.reach.unwrap_or(80))) })
    }
}

/// A pattern from word start to word end.
fn words(pattern: &str, language: &str, terms: &Terms) -> Result<Regex, String> {
    regex(&format!(r"(?-u:\b)(?:{})(?-u:\b)", expanded(pattern, language, terms)?))
}

fn regex(pattern: &str) -> Result<Regex, String> {
    // Texts are folded: a word character is an ASCII one, which keeps the automata small.
    let ascii = pattern.replace(r"[\w", "[a-z0-9_").replace(r"\w", "[a-z0-9_]");
    RegexBuilder::new(&ascii).size_limit(8 << 20).build().map_err(|error| error.to_string())
}

/// A pattern with every `{term}` replaced, also within terms.
fn expanded(pattern: &str, language: &str, terms: &Terms) -> Result<String, String> {
    static REFERENCE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\{([a-z_]+)\}").ok());
    let reference = REFERENCE.as_ref().ok_or("the reference pattern does not compile")?;
    let mut text = pattern.to_owned();
    let mut seen = BTreeSet::new();
    while let Some(found) = reference.captures(&text) {
        let name = found[1].to_owned();
        let lookup = |language: &str| terms.get(language).and_then(|known| known.get(&name));
        let term = lookup(language)
            .or_else(|| lookup(ANY))
            .ok_or_else(|| format!("no term \"{name}\" for {language}"))?;
        if term.contains(&format!("{{{name}}}")) || !seen.insert(text.clone()) {
            return Err(format!("the term \"{name}\" contains itself"));
        }
        text = text.replace(&format!("{{{name}}}"), term);
    }
    Ok(text)
}
