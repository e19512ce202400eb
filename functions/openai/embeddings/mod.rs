//! `/v1/openai/embeddings`.

pub mod create;
