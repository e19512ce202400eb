//! `GET /v1/marketplace/personas/{listing}`: a listing with its whole character.

use persona::{Result, app::App, config::Setting, key::Scope};

use super::{id, unknown};
use crate::{
    Form, Route,
    serve::{Call, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "marketplace-get",
    method: "GET",
    path: "/v1/marketplace/personas/{listing}",
    summary: "Read a listing with the character that it shows.",
    scope: Scope::Read,
    streaming: false,
    query: &[],
    headers: &[],
    body: None,
    answers: &[(200, Form::Object("listing"))],
    errors: &[],
    settings: &[Setting::WorkspacesTable, Setting::MarketplaceTable],
};

/// Two storage requests: the key's, and the listing's.
pub async fn handle(app: App, call: Call) -> Result<Reply> {
    let found = app.store().await.listing_and_snapshot(call.caller.mode, id(&call)?).await?;
    let (listing, snapshot) = found.ok_or_else(|| unknown(call.path("listing")))?;
    let mut object = listing.to_object(call.caller.workspace());
    object["persona"] = snapshot.to_object();
    Ok(Reply::json(200, object))
}
