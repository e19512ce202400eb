//! What the functions of this stack have logged.

use std::{env, fs, path::PathBuf};

use serde_json::Value;

/// The lines with this message, in order.
pub(crate) fn lines(message: &str) -> Vec<Value> {
    let folder = env::var("PERSONA_LOGS").expect("PERSONA_LOGS: use `make bench`");
    let log = fs::read(PathBuf::from(folder).join("cargo-lambda.log")).expect("the functions' log");
    let log = String::from_utf8_lossy(&log);
    let read = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    read.filter(|line| line["message"] == message).collect()
}
