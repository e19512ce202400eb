//! Routes of `/v1/personas`.

pub mod access;
pub mod create;
pub mod delete;
pub mod get;
pub mod list;
