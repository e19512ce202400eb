//! `/v1/openai/chat`.

pub mod completions;
