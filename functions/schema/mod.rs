//! Routes of `/v1/schema`.

pub mod fields;
