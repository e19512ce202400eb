//! Pipelines as data, the prompts of their steps, and the reader of what models answer.

pub mod json_stream;
