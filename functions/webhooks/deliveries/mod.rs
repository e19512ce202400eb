//! `/v1/webhooks/{webhook}/deliveries`.

pub mod list;
pub mod redeliver;
