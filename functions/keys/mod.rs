//! `/v1/keys`: the workspace's keys, for its administrators.
pub mod create;
pub mod list;
pub mod revoke;
pub mod rotate;

use persona::{
    Error, Result,
    app::App,
    id::KeyId,
    key::{ApiKey, Caller},
    store::keys::KeyRecord,
};
use serde_json::json;

use crate::serve::Reply;

/// The key of a path.
async fn find(app: &App, caller: &Caller, id: KeyId) -> Result<KeyRecord> {
    let found = app.store().await.key(caller.tenant(), id).await?;
    found.ok_or_else(|| Error::not_found("key", &id.to_string()))
}

/// A new key with its secret, which is in no other answer: not even in the same one, told again.
fn shown_once(app: &App, record: &KeyRecord, secret: &ApiKey) -> Reply {
    let masked = record.to_object(app.clock().epoch_millis());
    let mut object = masked.clone();
    object["secret"] = json!(secret.reveal());
    Reply::json(201, object).kept_as(masked).with_header("location", format!("/v1/keys/{}", record.id))
}
