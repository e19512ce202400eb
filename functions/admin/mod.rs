//! The administrator's functions: never on the HTTP API.

pub mod create_workspace;
