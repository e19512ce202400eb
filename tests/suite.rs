//! One binary for all black-box tests.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test fails by panicking"
)]

mod cli;
mod clients;
mod contract;
mod disturbed;
mod providers;
mod routes;
