//! `GET /v1/usage`: what the workspace's runs and embeddings have used, by day, kind or key.

use std::collections::BTreeMap;

use persona::{
    Error, Result,
    app::App,
    config::Setting,
    key::Scope,
    store::usage::{DayUsage, Used},
};
use serde_json::{Value, json};
use time::{Date, Duration, macros::format_description};

use crate::{
    Form, Route,
    serve::{Call, Reply},
};

/// The route.
pub const ROUTE: Route = Route {
    bin: "usage-get",
    method: "GET",
    path: "/v1/usage",
    summary: "Read what runs and embeddings have used, from one day to another.",
    scope: Scope::Read,
    streaming: false,
    query: &["from", "to", "group_by"],
    headers: &[],
    body: None,
    answers: &[(200, Form::Object("usage"))],
    errors: &[],
    settings: &[Setting::WorkspacesTable],
};

/// Days that one call may ask for.
const DAYS_MOST: i64 = 92;
/// Days that are told when none are named.
const DAYS_DEFAULT: i64 = 30;

/// What makes a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    Day,
    Kind,
    Key,
}

impl Group {
    const ALL: [(&'static str, Self); 3] = [("day", Self::Day), ("kind", Self::Kind), ("key", Self::Key)];

    fn read(text: Option<&str>) -> Result<Self> {
        let Some(text) = text else { return Ok(Self::Day) };
        let found = Self::ALL.into_iter().find(|(name, _)| *name == text);
        found.map(|(_, group)| group).ok_or_else(|| {
            let shown: String = text.chars().take(40).collect();
            Error::invalid("group_by", format!("\"{shown}\" is no group. Use one of day, kind, key."))
        })
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Kind => "kind",
            Self::Key => "key",
        }
    }

    fn of(self, usage: &DayUsage) -> String {
        match self {
            Self::Day => usage.day.clone(),
            Self::Kind => usage.kind.clone(),
            Self::Key => usage.key.to_string(),
        }
    }
}

/// Sums of the days asked for, in groups and together.
pub async fn handle(app: App, call: Call) -> Result<Reply> {
    let today = app.clock().now().date();
    let (from, to) = days(call.query.get("from"), call.query.get("to"), today)?;
    let group = Group::read(call.query.get("group_by"))?;
    let usage = app.store().await.usage(call.caller.tenant(), &shown(from), &shown(to)).await?;
    let mut groups: BTreeMap<String, Used> = BTreeMap::new();
    for day in &usage {
        let sum = groups.entry(group.of(day)).or_default();
        *sum = sum.plus(day.used);
    }
    let total = usage.iter().fold(Used::default(), |sum, day| sum.plus(day.used));
    let data: Vec<Value> = groups.into_iter().map(|(name, used)| with_name(group, &name, used)).collect();
    Ok(Reply::json(
        200,
        json!({
            "object": "usage", "from": shown(from), "to": shown(to), "group_by": group.name(),
            "data": data, "total": sums(total),
        }),
    ))
}

fn sums(used: Used) -> Value {
    json!({
        "runs": used.runs, "unfinished_runs": used.unfinished, "embeddings": used.embeddings,
        "tokens": {"in": used.tokens_in, "out": used.tokens_out}, "cost_usd": used.cost,
    })
}

fn with_name(group: Group, name: &str, used: Used) -> Value {
    let mut object = sums(used);
    object["group"] = json!(name);
    object[group.name()] = json!(name);
    object
}

fn shown(day: Date) -> String {
    day.format(format_description!("[year]-[month]-[day]")).unwrap_or_default()
}

fn day(name: &str, text: &str) -> Result<Date> {
    Date::parse(text, format_description!("[year]-[month]-[day]")).map_err(|_| {
        let shown: String = text.chars().take(40).collect();
        Error::invalid(name, format!("\"{shown}\" is no day. Write it as 2026-11-27 (UTC)."))
    })
}

/// From one day to another, both included; the last [`DAYS_DEFAULT`] where none are named.
fn days(from: Option<&str>, to: Option<&str>, today: Date) -> Result<(Date, Date)> {
    let to = to.map_or(Ok(today), |text| day("to", text))?;
    let earliest = to.checked_sub(Duration::days(DAYS_DEFAULT - 1)).unwrap_or(Date::MIN);
    let from = from.map_or(Ok(earliest), |text| day("from", text))?;
    let count = (to - from).whole_days() + 1;
    if count < 1 {
        return Err(Error::invalid("from", format!("from ({}) is after to ({}).", shown(from), shown(to))));
    }
    if count > DAYS_MOST {
        let message = format!("from and to are {count} days apart; at most {DAYS_MOST} are told at once.");
        return Err(Error::invalid("from", message));
    }
    Ok((from, to))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
    use time::macros::date;

    use super::*;

    #[test]
    fn days_are_read_bounded_and_named_when_wrong() {
        let today = date!(2026 - 11 - 27);
        assert_eq!(days(None, None, today).unwrap(), (date!(2026 - 10 - 29), today));
        let one = days(Some("2026-11-01"), Some("2026-11-01"), today).unwrap();
        assert_eq!(one, (date!(2026 - 11 - 01), date!(2026 - 11 - 01)));
        for (from, to, param) in [
            (Some("yesterday"), None, "from"),
            (None, Some("2026-02-30"), "to"),
            (Some("2026-11-28"), None, "from"),
            (Some("2026-01-01"), None, "from"),
        ] {
            assert_eq!(days(from, to, today).unwrap_err().param.as_deref(), Some(param), "{from:?} {to:?}");
        }
    }
}
