//! `/v1/personas`.
mod create;
mod read;
