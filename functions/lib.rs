//! The catalogue: every route and every worker, and what each needs. The `[[bin]]` list, the cargo-lambda router,
//! `template.yaml` and `docs/openapi.json` are held equal to it by `catalogue_test.rs`.

pub mod admin;
pub mod conversations;
pub mod fallback;
pub mod keys;
pub mod marketplace;
pub mod mcp;
pub mod openai;
pub mod personas;
pub mod pipelines;
pub mod runs;
pub mod schema;
pub mod serve;
pub mod tools;
pub mod usage;
pub mod webhooks;
pub mod workers;
pub mod workspace;

#[cfg(test)]
mod catalogue_test;
#[cfg(test)]
mod openapi;

use persona::{config::Setting, error::Code, key::Scope};

/// One route of the API and the Lambda behind it.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// Name of the binary.
    pub bin: &'static str,
    /// HTTP method.
    pub method: &'static str,
    /// Path with `{parameters}`.
    pub path: &'static str,
    /// One line for the documentation.
    pub summary: &'static str,
    /// What a key needs to call it.
    pub scope: Scope,
    /// Whether the answer may be a stream.
    pub streaming: bool,
    /// Query values that it reads; any other is 400.
    pub query: &'static [&'static str],
    /// Headers that it reads, besides those of every route.
    pub headers: &'static [&'static str],
    /// The JSON Schema of its body; `None` where it reads none.
    pub body: Option<&'static str>,
    /// How it answers when all is well.
    pub answers: &'static [(u16, Form)],
    /// How it fails, besides what every route refuses.
    pub errors: &'static [Code],
    /// What its environment must have.
    pub settings: &'static [Setting],
}

/// The body of an answer; objects bear the names of their schemas in shared/schemas/objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One object.
    Object(&'static str),
    /// A page of objects.
    List(&'static str),
    /// One object as YAML.
    Yaml(&'static str),
    /// Server-sent events of a run.
    Events,
    /// Server-sent chunks of a completion, as OpenAI's clients read them.
    Chunks,
    /// Server-sent messages of the Model Context Protocol.
    Messages,
    /// Nothing.
    Nothing,
}

impl Form {
    /// The media type.
    pub const fn media(self) -> &'static str {
        match self {
            Self::Object(_) | Self::List(_) => "application/json",
            Self::Yaml(_) => "application/yaml",
            Self::Nothing => "",
            Self::Events | Self::Chunks | Self::Messages => "text/event-stream",
        }
    }
}

/// A Lambda without a route.
#[derive(Debug, Clone, Copy)]
pub struct Worker {
    /// Name of the binary.
    pub bin: &'static str,
    /// One line for the documentation.
    pub summary: &'static str,
    /// What its environment must have.
    pub settings: &'static [Setting],
}

/// Every route.
pub const ROUTES: &[&Route] = &[
    &personas::create::ROUTE,
    &personas::list::ROUTE,
    &personas::get::ROUTE,
    &personas::update::ROUTE,
    &personas::patch::ROUTE,
    &personas::delete::ROUTE,
    &personas::versions::ROUTE,
    &personas::refine::ROUTE,
    &personas::import::ROUTE,
    &personas::export::ROUTE,
    &personas::publish::ROUTE,
    &personas::unpublish::ROUTE,
    &runs::list::ROUTE,
    &runs::get::ROUTE,
    &runs::events::ROUTE,
    &runs::cancel::ROUTE,
    &runs::replay::ROUTE,
    &runs::diff::ROUTE,
    &workspace::get::ROUTE,
    &workspace::update::ROUTE,
    &usage::get::ROUTE,
    &keys::create::ROUTE,
    &keys::list::ROUTE,
    &keys::rotate::ROUTE,
    &keys::revoke::ROUTE,
    &pipelines::list::ROUTE,
    &pipelines::get::ROUTE,
    &pipelines::update::ROUTE,
    &pipelines::delete::ROUTE,
    &schema::fields::create::ROUTE,
    &schema::fields::list::ROUTE,
    &schema::fields::delete::ROUTE,
    &marketplace::list::ROUTE,
    &marketplace::get::ROUTE,
    &marketplace::install::ROUTE,
    &marketplace::delete::ROUTE,
    &conversations::create::ROUTE,
    &conversations::list::ROUTE,
    &conversations::get::ROUTE,
    &conversations::delete::ROUTE,
    &conversations::messages::create::ROUTE,
    &conversations::messages::list::ROUTE,
    &conversations::drift::ROUTE,
    &tools::list::ROUTE,
    &openai::chat::completions::create::ROUTE,
    &openai::embeddings::create::ROUTE,
    &openai::models::list::ROUTE,
    &openai::models::get::ROUTE,
    &mcp::call::ROUTE,
    &webhooks::create::ROUTE,
    &webhooks::list::ROUTE,
    &webhooks::get::ROUTE,
    &webhooks::patch::ROUTE,
    &webhooks::delete::ROUTE,
    &webhooks::rotate_secret::ROUTE,
    &webhooks::test::ROUTE,
    &webhooks::deliveries::list::ROUTE,
    &webhooks::deliveries::redeliver::ROUTE,
];

/// Every other Lambda.
pub const WORKERS: &[&Worker] = &[
    &fallback::WORKER,
    &workers::steps::WORKER,
    &workers::webhook_fanout::WORKER,
    &workers::webhook_deliveries::WORKER,
    &workers::reaper::WORKER,
    &admin::create_workspace::WORKER,
];
