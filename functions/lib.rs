//! The catalogue: every route and every worker, and what each needs. The `[[bin]]` list, the cargo-lambda router,
//! `template.yaml` and `docs/openapi.json` are held equal to it by `catalogue_test.rs`.

pub mod admin;
pub mod auth;
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

/// One route of the API, called with a key, and the Lambda behind it.
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

/// A route that is called without a key, because it is how people get one: an endpoint of OAuth or a page. It reads a query
/// or a form, never JSON, and fails in OAuth's words or in a page, never in the envelope; it has no Idempotency-Key.
#[derive(Debug, Clone, Copy)]
pub struct OpenRoute {
    /// Name of the binary.
    pub bin: &'static str,
    /// HTTP method.
    pub method: &'static str,
    /// Path.
    pub path: &'static str,
    /// One line for the documentation.
    pub summary: &'static str,
    /// Who it speaks to.
    pub speaks: Speaks,
    /// Values that it reads of the query (GET) or of the form (POST), and whether they must be there. Others are ignored.
    pub fields: &'static [(&'static str, bool)],
    /// How it answers when all is well.
    pub answers: &'static [(u16, Form)],
    /// What its environment must have.
    pub settings: &'static [Setting],
}

/// Who an open route speaks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaks {
    /// OAuth clients: JSON.
    OAuth,
    /// People: pages.
    Pages,
}

/// What every endpoint has, with a key or without.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint {
    /// Name of the binary.
    pub bin: &'static str,
    /// HTTP method.
    pub method: &'static str,
    /// Path with `{parameters}`.
    pub path: &'static str,
}

/// Every endpoint of the API.
pub fn endpoints() -> impl Iterator<Item = Endpoint> {
    let keyed = ROUTES.iter().map(|route| route.endpoint());
    keyed.chain(OPEN_ROUTES.iter().map(|route| route.endpoint()))
}

impl Route {
    /// What every endpoint has.
    pub const fn endpoint(&self) -> Endpoint {
        Endpoint { bin: self.bin, method: self.method, path: self.path }
    }
}

impl OpenRoute {
    /// What every endpoint has.
    pub const fn endpoint(&self) -> Endpoint {
        Endpoint { bin: self.bin, method: self.method, path: self.path }
    }
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
    /// A page for people.
    Page,
    /// Nothing but where to go on.
    Redirect,
    /// Nothing.
    Nothing,
}

impl Form {
    /// The media type.
    pub const fn media(self) -> &'static str {
        match self {
            Self::Object(_) | Self::List(_) => "application/json",
            Self::Yaml(_) => "application/yaml",
            Self::Events | Self::Chunks | Self::Messages => "text/event-stream",
            Self::Page => "text/html",
            Self::Redirect | Self::Nothing => "",
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

/// Every route that is called with a key.
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

/// Every route that is called without one.
pub const OPEN_ROUTES: &[&OpenRoute] = &[
    &auth::metadata::ROUTE,
    &auth::authorize::ROUTE,
    &auth::callback::ROUTE,
    &auth::approval::ROUTE,
    &auth::approve::ROUTE,
    &auth::device_page::ROUTE,
    &auth::device::ROUTE,
    &auth::token::ROUTE,
    &auth::revoke::ROUTE,
];

/// Every other Lambda.
pub const WORKERS: &[&Worker] = &[
    &fallback::WORKER,
    &workers::steps::WORKER,
    &workers::webhook_fanout::WORKER,
    &workers::webhook_deliveries::WORKER,
    &workers::reaper::WORKER,
    &admin::create_workspace::WORKER,
    &admin::members::WORKER,
];
