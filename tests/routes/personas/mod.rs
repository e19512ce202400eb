//! `/v1/personas`.
mod create;
mod patch;
mod read;
mod refine;
mod update;
mod versions;
