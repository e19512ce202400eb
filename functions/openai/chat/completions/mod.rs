//! `/v1/openai/chat/completions`.

pub mod create;
