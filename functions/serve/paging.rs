//! Pages of lists: limit and cursor in, the next cursor out. A cursor is bound to workspace, route and filters.

use persona::{Result, app::App, cursor};
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
        let limit = call.query.limit()?;
        let scope = cursor::Scope { tenant: call.caller.tenant(), route: route.bin, filters };
        let after = match call.query.get("cursor") {
            Some(text) => Some(cursor::open(app.signing_key().await?, &scope, text)?),
            None => None,
        };
        Ok(Self { app, scope, after, limit })
    }

    /// The page, with the cursor of the next one where there is more.
    pub async fn reply(&self, data: Vec<Value>, next: Option<&str>) -> Result<Reply> {
        let next = match next {
            Some(position) => Some(cursor::sign(self.app.signing_key().await?, &self.scope, position)),
            None => None,
        };
        Ok(Reply::list(data, next))
    }
}
