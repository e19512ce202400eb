//! As the API's paths.
mod auth;
mod conversations;
mod idempotency;
mod keys;
mod limits;
mod marketplace;
mod mcp;
mod openai;
mod personas;
mod pipelines;
mod runs;
mod schema;
mod usage;
mod webhooks;
mod workspace;
