//! Routes of `/v1/personas`.

pub mod access;
pub mod create;
pub mod delete;
pub(crate) mod editing;
pub mod export;
pub mod get;
pub mod import;
pub mod list;
pub mod patch;
pub mod publish;
pub mod refine;
pub mod unpublish;
pub mod update;
pub mod versions;
