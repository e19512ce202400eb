//! Fakes that are real things made small.

pub mod injections;
pub mod provider;
pub mod runs;
