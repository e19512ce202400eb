//! As the API's paths.
mod conversations;
mod personas;
mod pipelines;
mod runs;
mod workspace;
