//! Fakes that are real things made small.

pub mod provider;
pub mod runs;
