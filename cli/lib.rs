//! The `persona` command line. It is a client of the public API and of nothing else: whatever it knows, any caller may.

mod api;
mod arguments;
mod commands;
mod document;
mod events;
mod failure;
mod hex;
mod progress;
mod screen;
mod secrets;
mod settings;

use std::process::ExitCode;

use clap::Parser;

use arguments::Arguments;
use failure::Failure;
use screen::Screen;

/// What every command returns.
type Result<T> = std::result::Result<T, Failure>;

/// Reads the command line, does what it says, and tells how it went.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let screen = Screen::new(arguments.global.json);
    let ended = screen.and_tell(run(arguments, &screen));
    ExitCode::from(ended)
}

fn run(arguments: Arguments, screen: &Screen) -> Result<()> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::internal)?;
    let ended = runtime.block_on(async {
        if arguments.command.ends_itself() {
            return arguments.run(screen).await;
        }
        tokio::select! {
            ended = arguments.run(screen) => ended,
            _ = tokio::signal::ctrl_c() => Err(Failure::interrupted(screen.unfinished())),
        }
    });
    // A read of standard input that nobody waits for any more would hold the process.
    runtime.shutdown_background();
    ended
}

/// What the API publishes of itself: whatever this program repeats of it is held equal to that.
#[cfg(test)]
fn published(schema: &str) -> serde_json::Value {
    let all: serde_json::Value =
        serde_json::from_str(include_str!("../docs/openapi.json")).unwrap_or_default();
    all["components"]["schemas"][schema]["properties"].clone()
}
