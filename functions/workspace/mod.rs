//! Routes of `/v1/workspace`.

pub mod get;
