//! `GET /v1/schema/fields`: the custom fields of the workspace.

use persona::{Result, app::App, config::Setting, key::Scope, store::fields::FieldRow};

use crate::{
    Form, Route,
    serve::{Call, Paging, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "fields-list",
    method: "GET",
    path: "/v1/schema/fields",
    summary: "List the workspace's custom fields.",
    scope: Scope::Read,
    streaming: false,
    query: &["limit", "cursor"],
    headers: &[],
    body: None,
    answers: &[(200, Form::List("field"))],
    errors: &[],
    settings: &[Setting::WorkspacesTable, Setting::PersonasTable, Setting::SigningSecret],
};

/// By name. There are so few that each page reads them all.
pub async fn handle(app: App, call: Call) -> Result<Reply> {
    let paging = Paging::of(&app, &call, &ROUTE, "").await?;
    let all = app.store().await.field_rows(call.caller.tenant()).await?;
    let objects: Vec<(String, _)> = all
        .iter()
        .filter(|row| paging.after.as_deref().is_none_or(|after| row.name() > after))
        .map(|row: &FieldRow| Ok((row.name().to_owned(), row.to_object()?)))
        .collect::<Result<_>>()?;
    let page = objects.get(..paging.limit).unwrap_or(&objects);
    let next = page.last().filter(|_| page.len() < objects.len()).map(|(name, _)| name.as_str());
    paging.reply(page.iter().map(|(_, object)| object.clone()).collect(), next).await
}
