//! `persona usage`: what runs have used.

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::listing;
use crate::{Result, arguments::Session};

/// What runs have used, by day, kind or key.
#[derive(Args)]
pub(crate) struct Usage {
    /// The first day (UTC), such as 2026-11-01
    #[arg(long, value_name = "DAY")]
    from: Option<String>,
    /// The last day
    #[arg(long, value_name = "DAY")]
    to: Option<String>,
    /// What makes a row
    #[arg(long, value_enum, default_value = "day")]
    group_by: Group,
}

/// What makes a row.
#[derive(Clone, Copy, ValueEnum)]
enum Group {
    Day,
    Kind,
    Key,
}

impl Usage {
    /// Shows it.
    pub(crate) async fn run(self, session: &Session<'_>) -> Result<()> {
        let (api, screen) = (session.api()?, session.screen);
        let group = self.group_by.to_possible_value().map(|group| group.get_name().to_owned());
        let call = api
            .get(&["usage"])
            .query("from", self.from)
            .query("to", self.to)
            .query("group_by", group.as_ref());
        let usage = call.value().await?;
        if screen.is_json() {
            return screen.json_line(&usage);
        }
        let groups = usage["data"].as_array().into_iter().flatten();
        let mut rows: Vec<Vec<String>> =
            groups.map(|used| row(&listing::cell(used.get("group")), used)).collect();
        rows.push(row("total", &usage["total"]));
        let heading = group.as_deref().unwrap_or("group");
        screen.rows(&[heading, "runs", "unfinished", "tokens in", "tokens out", "usd"], &rows)
    }
}

fn row(name: &str, used: &Value) -> Vec<String> {
    let cells = ["/runs", "/unfinished_runs", "/tokens/in", "/tokens/out", "/cost_usd"];
    let cells = cells.iter().map(|pointer| listing::cell(used.pointer(pointer)));
    std::iter::once(name.to_owned()).chain(cells).collect()
}
