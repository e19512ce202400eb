//! Fakes that are real things made small.

pub mod drift;
pub mod injections;
pub mod provider;
pub mod receiver;
pub mod runs;
pub mod sign_in;
pub mod storm;
