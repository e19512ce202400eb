//! How a run that makes a persona is shown: its steps and the fields of its layers as they become known.

use std::{collections::BTreeSet, time::Duration};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use crate::{
    events::RunEvent,
    screen::{DIM, GREEN, Screen, columns, shortened, visible},
};

/// What is shown of a run on its way. When it is dropped, its moving line is gone.
pub(crate) struct Progress<'a> {
    screen: &'a Screen,
    bar: ProgressBar,
    running: BTreeSet<String>,
    done: usize,
}

impl<'a> Progress<'a> {
    /// Shows nothing yet. On a terminal one line moves; elsewhere there are lines, and with `--json` nothing.
    pub(crate) fn new(screen: &'a Screen) -> Self {
        let target = if screen.is_live() && !screen.is_json() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}") {
            bar.set_style(style);
        }
        Self { screen, bar, running: BTreeSet::new(), done: 0 }
    }

    /// Shows an event.
    pub(crate) fn show(&mut self, event: &RunEvent) {
        match event.event.as_str() {
            "run.started" => {
                self.line(&format!("{DIM}run{DIM:#}  {}", visible(event.text("run_id"))));
                self.bar.enable_steady_tick(Duration::from_millis(100));
            }
            "step.started" => {
                self.running.insert(event.text("step").to_owned());
            }
            "layer.delta" => self.line(&field(event, self.screen.is_live())),
            "step.completed" => {
                self.running.remove(event.text("step"));
                self.done += 1;
                let tokens = event.data["tokens"].as_u64().unwrap_or_default();
                let line =
                    format!("{GREEN}✓{GREEN:#} {}  {DIM}{tokens} tokens{DIM:#}", visible(event.text("step")));
                self.line(&line);
            }
            "check.completed" => {
                let violations = event.data["violations"].as_array().map_or(0, Vec::len);
                if violations > 0 {
                    self.line(&format!("{DIM}consistency{DIM:#}  {violations} to repair"));
                }
            }
            _ => {}
        }
        let running: Vec<&str> = self.running.iter().map(String::as_str).collect();
        self.bar.set_message(visible(&format!("{}  {} done", running.join(", "), self.done)));
    }

    fn line(&self, text: &str) {
        if self.screen.is_json() {
            return;
        }
        self.bar.suspend(|| self.screen.note(text));
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A field of a layer on one line: cut to the terminal's width, whole elsewhere.
fn field(event: &RunEvent, is_live: bool) -> String {
    let path = event.text("path");
    let value = match &event.data["value"] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let room = if is_live { columns().saturating_sub(path.chars().count() + 4) } else { usize::MAX };
    format!("  {DIM}{}{DIM:#}  {}", visible(path), visible(&shortened(&value, room)))
}
