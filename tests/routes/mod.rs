//! As the API's paths.
mod personas;
mod pipelines;
mod runs;
mod workspace;
