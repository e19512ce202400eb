//! `GET /v1/personas/{persona}/export`: a persona as a character card, or as our YAML.

use persona::{
    Result,
    app::App,
    card::{self, Format, Spec},
    config::Setting,
    key::Scope,
    persona::yaml,
};

use super::{access, editing};
use crate::{
    Form, Route,
    serve::{Call, Payload, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "personas-export",
    method: "GET",
    path: "/v1/personas/{persona}/export",
    summary: "Export a persona as a character card V2 or V3, or as YAML.",
    scope: Scope::Read,
    streaming: false,
    query: &["format", "version"],
    headers: &[],
    body: None,
    answers: &[(200, Form::Object("card")), (200, Form::Yaml("persona"))],
    errors: &[],
    settings: &[Setting::WorkspacesTable, Setting::PersonasTable],
};

/// A card V3 unless another form is asked for.
pub async fn handle(app: App, call: Call) -> Result<Reply> {
    let format = call.query.one_of("format", "card_v2, card_v3, yaml")?.unwrap_or(Format::CardV3);
    let version = call.query.number("version")?;
    let entry = access::find(&app, &call.caller, call.path("persona"), version).await?;
    let document = entry.document()?;
    let (payload, ending) = match format {
        Format::CardV2 => (Payload::Json(card::export(&document, Spec::V2)), "json"),
        Format::CardV3 => (Payload::Json(card::export(&document, Spec::V3)), "json"),
        Format::Yaml => (Payload::Yaml(yaml::to_yaml(&document)?), "yaml"),
    };
    let file = format!("attachment; filename=\"{}.{ending}\"", entry.slug);
    Ok(Reply::new(200, payload)
        .with_header("content-disposition", file)
        .with_header("etag", editing::etag(entry.version)))
}
