//! As the API's paths.
mod conversations;
mod marketplace;
mod openai;
mod personas;
mod pipelines;
mod runs;
mod workspace;
