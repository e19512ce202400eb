//! `POST /v1/personas/{persona}/publish`: a snapshot of a persona in the marketplace.

use std::time::Duration;

use persona::{
    Error, Result,
    app::App,
    config::Setting,
    error::Code,
    key::Scope,
    marketplace::{self, Listing, Published},
};
use serde_json::{Map, Value};

use super::access;
use crate::{
    Form, Route,
    serve::{Call, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "personas-publish",
    method: "POST",
    path: "/v1/personas/{persona}/publish",
    summary: "Publish a persona's current version to the marketplace.",
    scope: Scope::Write,
    streaming: false,
    query: &[],
    headers: &[],
    body: Some(include_str!("request.json")),
    answers: &[(200, Form::Object("listing")), (201, Form::Object("listing"))],
    errors: &[Code::IntentBlocked, Code::PreconditionFailed, Code::SchemaViolation],
    settings: &[
        Setting::WorkspacesTable,
        Setting::PersonasTable,
        Setting::WebhooksTable,
        Setting::MarketplaceTable,
        Setting::EventsQueueUrl,
        Setting::ProvidersSecret,
    ],
};

/// Edits in between are met this often.
const TRIES: u32 = 12;

/// 201 for a new listing; 200 where the listing shows this version now, or did already.
pub async fn handle(app: App, call: Call<Map<String, Value>>) -> Result<Reply> {
    for tried in 0..TRIES {
        let entry = access::find(&app, &call.caller, call.path("persona"), None).await?;
        let reply =
            |status: u16, listing: &Listing| Reply::json(status, listing.to_object(call.caller.workspace()));
        let (status, listing) = match marketplace::publish(&app, &call.caller, &entry, &call.body).await? {
            Published::New(listing) => (201, listing),
            Published::Anew(listing) => (200, listing),
            Published::Already(listing) => return Ok(reply(200, &listing)),
            Published::Overtaken => {
                tokio::time::sleep(Duration::from_millis(u64::from(tried) * 15)).await;
                continue;
            }
        };
        let path = format!("/v1/marketplace/personas/{}", listing.id);
        let reply = reply(status, &listing);
        return Ok(if status == 201 { reply.with_header("location", path) } else { reply });
    }
    Err(Error::new(
        Code::PreconditionFailed,
        format!("The persona was changed {TRIES} times while it was to be published. Publish it again."),
    ))
}
