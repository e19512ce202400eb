//! `persona runs`: every generation, followed, repeated, compared.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::{
    input,
    listing::{self, Column, Extent},
};
use crate::{
    Result,
    api::Api,
    arguments::Session,
    events::{Following, RunEvent},
    screen::{DIM, GREEN, RED, STRONG, Screen, columns, shortened, visible},
};

const COLUMNS: &[Column] = &[
    ("id", "/id"),
    ("kind", "/kind"),
    ("status", "/status"),
    ("usd", "/cost_usd"),
    ("pipeline", "/pipeline/name"),
    ("created", "/created_at"),
];

/// Runs of the workspace.
#[derive(Subcommand)]
pub(crate) enum Runs {
    /// Show them, newest first
    List(List),
    /// Read one
    Get {
        /// Its id
        run: String,
    },
    /// Follow a run's events until it ends
    Tail(Tail),
    /// Repeat a run
    Replay(Replay),
    /// Compare what two runs made
    Diff {
        /// The later run
        run: String,
        /// The earlier one
        against: String,
    },
    /// Stop a run
    Cancel {
        /// Its id
        run: String,
    },
}

/// Which runs.
#[derive(Args)]
pub(crate) struct List {
    /// Only of this kind, such as persona.create
    #[arg(long)]
    kind: Option<String>,
    /// Only with this status
    #[arg(long)]
    status: Option<String>,
    /// Only of this persona
    #[arg(long)]
    persona: Option<String>,
    /// Only of this conversation
    #[arg(long)]
    conversation: Option<String>,
    #[command(flatten)]
    extent: Extent,
}

/// A run to follow.
#[derive(Args)]
pub(crate) struct Tail {
    /// Its id
    run: String,
    /// Only events after this number
    #[arg(long, default_value_t = 0, value_name = "NUMBER")]
    after: u64,
}

/// A run to repeat.
#[derive(Args)]
pub(crate) struct Replay {
    /// Its id
    run: String,
    /// From its recordings, free and exact; or by asking the providers again
    #[arg(long, value_enum, default_value = "exact")]
    mode: Mode,
    /// What a fresh replay changes, as JSON
    #[arg(long, value_name = "JSON")]
    overrides: Option<String>,
}

/// How to repeat.
#[derive(Clone, Copy, ValueEnum)]
enum Mode {
    Exact,
    Fresh,
}

impl Runs {
    /// Does it.
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<()> {
        let (api, screen) = (session.api()?, session.screen);
        match self {
            Self::List(list) => {
                listing::print(screen, &api, &list.extent, COLUMNS, |api| {
                    api.get(&["runs"])
                        .query("kind", list.kind.as_ref())
                        .query("status", list.status.as_ref())
                        .query("persona", list.persona.as_ref())
                        .query("conversation", list.conversation.as_ref())
                })
                .await
            }
            Self::Get { run } => screen.object(&api.get(&["runs", &run]).value().await?),
            Self::Tail(tail) => follow(&api, screen, &tail.run, tail.after).await,
            Self::Replay(replay) => repeat(&api, screen, replay).await,
            Self::Diff { run, against } => {
                let diff = api.get(&["runs", &run, "diff"]).query("against", Some(against)).value().await?;
                differences(screen, &diff)
            }
            Self::Cancel { run } => {
                let cancelled = api.post(&["runs", &run, "cancel"]).value().await?;
                screen.done(&cancelled, format!("Cancelled {run}."))
            }
        }
    }
}

/// Prints each event as it comes; ends as the run does.
async fn follow(api: &Api, screen: &Screen, run: &str, after: u64) -> Result<()> {
    let mut events = Following::of(api, run, after);
    screen.begun(run);
    let mut last = None;
    while let Some(event) = events.next().await? {
        print(screen, &event)?;
        last = Some(event);
    }
    screen.finished();
    last.map_or(Ok(()), |event| event.verdict(run))
}

/// A line for people, cut to the terminal; for programs, number, name and data between tabs; or JSON.
fn print(screen: &Screen, event: &RunEvent) -> Result<()> {
    if screen.is_json() {
        return screen.line(event.to_json());
    }
    let RunEvent { id, event: name, data } = event;
    if !screen.is_terminal() {
        return screen.line(format_args!("{id}\t{name}\t{data}"));
    }
    let said = match (name.as_str(), &data["path"], &data["value"]) {
        ("layer.delta", Value::String(path), Value::String(text)) => format!("{path}  {text}"),
        ("layer.delta", Value::String(path), value) => format!("{path}  {value}"),
        _ => data.to_string(),
    };
    let said = visible(&shortened(&said, columns().saturating_sub(26)));
    let name = visible(name);
    screen.line(format_args!("{DIM}{id:>4}{DIM:#}  {STRONG}{name:<17}{STRONG:#}  {said}"))
}

async fn repeat(api: &Api, screen: &Screen, replay: Replay) -> Result<()> {
    let mode = if matches!(replay.mode, Mode::Exact) { "exact" } else { "fresh" };
    let mut body = json!({"mode": mode});
    if let Some(overrides) = &replay.overrides {
        body["overrides"] = input::json(overrides, "--overrides")?;
    }
    let call = api.post(&["runs", &replay.run, "replay"]).json(&body).header("Prefer", "respond-async");
    let begun = call.value().await?;
    let run = listing::cell(begun.get("id"));
    screen.note(format_args!("{DIM}run{DIM:#}  {run}"));
    screen.begun(&run);
    let mut events = Following::of(api, &run, 0);
    let mut last = None;
    while let Some(event) = events.next().await? {
        last = Some(event);
    }
    screen.finished();
    last.map_or(Ok(()), |event| event.verdict(&run))?;
    let ended = api.get(&["runs", &run]).value().await?;
    let told = match &ended["replay"] {
        Value::Null => run.clone(),
        outcome => format!("{run}\t{outcome}"),
    };
    screen.done(&ended, told)?;
    screen.hint(format_args!("compare: persona runs diff {run} {}", replay.run));
    Ok(())
}

/// Field by field, as it was and as it is.
fn differences(screen: &Screen, diff: &Value) -> Result<()> {
    if screen.is_json() {
        return screen.json_line(diff);
    }
    if diff["identical"] == true {
        screen.note("Nothing differs.");
        return Ok(());
    }
    for change in diff["changes"].as_array().into_iter().flatten() {
        screen.line(visible(&listing::cell(change.get("pointer"))))?;
        for (key, sign, style) in [("before", '-', RED), ("after", '+', GREEN)] {
            if let Some(value) = change.get(key) {
                screen
                    .line(format_args!("{style}{sign} {}{style:#}", visible(&listing::cell(Some(value)))))?;
            }
        }
    }
    Ok(())
}
