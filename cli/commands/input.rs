//! What commands read from files and from standard input.

use std::{
    fs,
    io::{self, IsTerminal, Read},
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{
    Result,
    failure::{Class, Failure},
    screen::Screen,
};

/// A file's bytes; `-` is standard input.
pub(crate) async fn bytes(path: &Path) -> Result<Vec<u8>> {
    if path == Path::new("-") {
        return standard_input()
            .await
            .map_err(|error| Failure::file(Path::new("standard input"), "read", &error));
    }
    fs::read(path).map_err(|error| Failure::file(path, "read", &error))
}

/// A file's text; `-` is standard input.
pub(crate) async fn text(path: &Path) -> Result<String> {
    let bytes = bytes(path).await?;
    String::from_utf8(bytes).map_err(|error| {
        let before = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = before.split(|byte| *byte == b'\n').count();
        Failure::usage(format!("{} is not UTF-8 text, line {line}.", path.display()))
    })
}

/// What is piped in, if anything is.
pub(crate) async fn piped() -> Result<Option<String>> {
    if io::stdin().is_terminal() { Ok(None) } else { text(Path::new("-")).await.map(Some) }
}

async fn standard_input() -> io::Result<Vec<u8>> {
    let read = tokio::task::spawn_blocking(|| {
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes)
    });
    read.await.map_err(io::Error::other)?
}

/// Writes a file, or to standard output where the path is `-` or missing.
pub(crate) fn write(screen: &Screen, path: Option<&PathBuf>, bytes: &[u8]) -> Result<()> {
    match path.filter(|path| *path != Path::new("-")) {
        None => screen.bytes(bytes),
        Some(path) => fs::write(path, bytes).map_err(|error| Failure::file(path, "written", &error)),
    }
}

/// A YAML text, read as the service reads it: words such as `no` and `007` are texts.
pub(crate) fn yaml<T: DeserializeOwned>(text: &str, name: &str) -> Result<T> {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        non_finite_float_policy: serde_saphyr::options::NonFiniteFloatPolicy::Reject,
        merge_keys: serde_saphyr::options::MergeKeyPolicy::AsOrdinary,
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let why = error.to_string();
        let why = why.lines().next().unwrap_or_default();
        let Some(place) = error.location() else {
            return Failure::new(
                Class::InvalidRequest,
                format!("{name} is not YAML that can be read: {why}."),
            );
        };
        let (line, column) = (place.line(), place.column());
        let shown = text.lines().nth((line as usize).saturating_sub(1)).unwrap_or_default();
        let pointer = " ".repeat((column as usize).saturating_sub(1)) + "^";
        Failure::new(
            Class::InvalidRequest,
            format!("{name} is not YAML that can be read, line {line}, column {column}: {why}."),
        )
        .with_details([format!("  {line:>4} | {shown}"), format!("       | {pointer}")])
    })
}

/// A JSON value of the command line.
pub(crate) fn json(text: &str, name: &str) -> Result<Value> {
    serde_json::from_str(text).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        Failure::usage(format!("{name} is not JSON, {place}."))
            .hint("quote it for the shell: '{\"key\": \"value\"}'")
    })
}
