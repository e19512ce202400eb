//! What the OpenAI-compatible API offers besides personas: the configured embedding models, by their own names.

mod embeddings;

pub use embeddings::{Embed, Embedded, embed, embedding_models};
