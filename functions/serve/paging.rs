//! Pages of lists: limit and cursor in, the next cursor out. A cursor is bound to workspace, route and filters.

use persona::{Result, app::App, cursor, key::Caller};
use serde_json::Value;

use super::{Call, Reply};
use crate::Route;

/// Which page a call asks for.
pub struct Paging<'a> {
    app: &'a App,
    scope: cursor::Scope<'a>,
    /// The position after which the page begins.
    pub after: Option<String>,
    /// Objects on a page.
    pub limit: usize,
}

impl<'a> Paging<'a> {
    /// Reads `limit` and `cursor`; `filters` is what `Query::filters` gives.
    pub async fn of<B>(app: &'a App, call: &'a Call<B>, route: &Route, filters: &'a str) -> Result<Self> {
        Self::at(app, &call.caller, route.bin, filters, call.query.get("cursor"), call.query.limit()?).await
    }

    /// A page of `list` from `cursor` on.
    pub async fn at(
        app: &'a App,
        caller: &'a Caller,
        list: &'a str,
        filters: &'a str,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Self> {
        let scope = cursor::Scope { tenant: caller.tenant(), route: list, filters };
        let after = match cursor {
            Some(text) => Some(cursor::open(app.signing_key().await?, &scope, text)?),
            None => None,
        };
        Ok(Self { app, scope, after, limit })
    }

    /// The page, with the cursor of the next one where there is more.
    pub async fn reply(&self, data: Vec<Value>, next: Option<&str>) -> Result<Reply> {
        Ok(Reply::list(data, self.cursor(next).await?))
    }

    /// The cursor that goes on behind a position, where there is more.
    pub async fn cursor(&self, next: Option<&str>) -> Result<Option<String>> {
        let Some(position) = next else { return Ok(None) };
        Ok(Some(cursor::sign(self.app.signing_key().await?, &self.scope, position)))
    }
}
