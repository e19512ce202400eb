//! `/v1/usage`.
pub mod get;
