//! As the API's paths.
mod conversations;
mod openai;
mod personas;
mod pipelines;
mod runs;
mod webhooks;
mod workspace;
