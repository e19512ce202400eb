//! `make bench`: the numbers this service promises, measured against a running stack, as a table. A number that is
//! missed is marked in the table and fails nothing: times depend on the machine.
//!
//! `infra/local exec … -- cargo bench -p tests [-- first-byte requests runs load chat drift idempotency slugs rate webhooks
//! marketplace init cli]`: see the Makefile.
#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::panic,
    reason = "a report prints, and fails by panicking"
)]

mod chat;
mod cli;
mod drift;
mod figures;
mod first_byte;
mod idempotency;
mod init;
mod load;
mod logs;
mod marketplace;
mod rate;
mod requests;
mod runs;
mod webhooks;

use std::{env, fs, path::PathBuf, time::Duration};

use figures::{Row, table};
use tests::support::provider::Provider;

/// What every persona here is made from.
const BRIEF: &str = "A 66-year-old chef from Sydney who collects vintage cars";

/// What the provider takes for an answer, from the request's last byte to its own.
const ANSWER: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() {
    let wanted: Vec<String> = env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let wants = |part: &str| wanted.is_empty() || wanted.iter().any(|name| name == part);
    let mut rows: Vec<Row> = Vec::new();
    if wants("first-byte") {
        rows.extend(first_byte::measure().await);
    }
    if wants("requests") {
        rows.extend(requests::measure().await);
    }
    if wants("runs") || wants("load") || wants("chat") {
        let port = env::var("BENCH_PROVIDER_PORT").ok().and_then(|port| port.parse().ok());
        let port =
            port.expect("BENCH_PROVIDER_PORT: the port of the provider that the stack is configured with");
        let provider = Provider::start(port, ANSWER).await.expect("the port of the provider");
        if wants("runs") {
            rows.extend(runs::measure(&provider).await);
        }
        if wants("load") {
            rows.extend(load::measure(&provider).await);
        }
        if wants("chat") {
            rows.extend(chat::measure(port).await);
        }
    }
    if wants("drift") {
        rows.extend(drift::measure().await);
    }
    if wants("idempotency") {
        rows.extend(idempotency::measure().await);
    }
    if wants("slugs") {
        rows.extend(idempotency::slugs().await);
    }
    if wants("rate") {
        rows.extend(rate::measure().await);
    }
    if wants("webhooks") {
        rows.extend(webhooks::measure().await);
    }
    if wants("marketplace") {
        rows.extend(marketplace::measure().await);
    }
    if wants("init") {
        rows.extend(init::measure().await);
    }
    if wants("cli") {
        rows.extend(cli::measure().await);
    }
    println!("\n{}\n{}", machine(), table(&rows));
}

/// Where the functions of the stack are.
fn binaries_of_stack() -> PathBuf {
    env::var("PERSONA_BINARIES").expect("PERSONA_BINARIES: use `make bench`").into()
}

/// How busy the machine was, without which no time means anything.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default().to_owned();
    let build = if binaries_of_stack().ends_with("release") { "release" } else { "unoptimised" };
    format!("{cores} cores, load average {load} at the end, {build} build.\n")
}

/// The ids of this stack's processes of a function: they alone have its name and know this stack's emulator.
pub(crate) fn processes(function: &str) -> Vec<String> {
    let endpoint = env::var("AWS_ENDPOINT_URL").expect("AWS_ENDPOINT_URL: use `make bench`");
    let endpoint = format!("AWS_ENDPOINT_URL={endpoint}\0");
    let is_one = |process: &PathBuf| {
        let named = fs::read_link(process.join("exe")).is_ok_and(|binary| binary.ends_with(function));
        named && fs::read_to_string(process.join("environ")).is_ok_and(|known| known.contains(&endpoint))
    };
    let all = fs::read_dir("/proc").expect("/proc: this part needs Linux").filter_map(Result::ok);
    let ours = all.map(|entry| entry.path()).filter(is_one);
    ours.filter_map(|path| Some(path.file_name()?.to_str()?.to_owned())).collect()
}
