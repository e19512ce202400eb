//! `DELETE /v1/marketplace/personas/{listing}`: the owner takes a listing off.

use persona::{Result, app::App, config::Setting, error::Code, key::Scope};

use super::{id, unknown};
use crate::{
    Form, Route,
    personas::unpublish,
    serve::{Call, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "marketplace-delete",
    method: "DELETE",
    path: "/v1/marketplace/personas/{listing}",
    summary: "Take a listing of this workspace off the marketplace; installed copies stay.",
    scope: Scope::Write,
    streaming: false,
    query: &[],
    headers: &[],
    body: None,
    answers: &[(200, Form::Object("deletion"))],
    errors: &[Code::PreconditionFailed],
    settings: &[Setting::WorkspacesTable, Setting::PersonasTable, Setting::MarketplaceTable],
};

/// For the publishing workspace. To any other the listing is nothing that could be deleted: 404, as for one that is not.
pub async fn handle(app: App, call: Call) -> Result<Reply> {
    let id = id(&call)?;
    let gone = || unknown(call.path("listing"));
    let listing = app.store().await.listing(call.caller.mode, id).await?.ok_or_else(gone)?;
    if listing.owner != call.caller.workspace() {
        return Err(gone());
    }
    let persona = listing.persona_id.to_string();
    let was = unpublish::withdraw(&app, &call.caller, &persona).await.map_err(|error| match error.code {
        // It went with its persona meanwhile.
        Code::NotFound => gone(),
        _ => error,
    })?;
    match was.publication {
        Some(publication) if publication.listing == id => {
            Ok(Reply::json(200, serde_json::json!({"id": id, "object": "listing", "deleted": true})))
        }
        _ => Err(gone()),
    }
}
