//! `/v1/tools`.

pub mod list;
