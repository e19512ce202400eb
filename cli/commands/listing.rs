//! Lists: as many pages as are wanted, as rows or as the API's list.

use clap::Args;
use serde_json::{Value, json};

use crate::{
    Result,
    api::{Api, Call},
    screen::Screen,
};

/// How much of a list.
#[derive(Args)]
pub(crate) struct Extent {
    /// So many at most
    #[arg(long, default_value_t = 20, value_name = "N")]
    limit: usize,
    /// All there are
    #[arg(long, conflicts_with = "limit")]
    all: bool,
}

/// A column: its heading, and where its value stands in an object.
pub(crate) type Column = (&'static str, &'static str);

/// Reads a list, and prints it by these columns. `asked` makes the call that reads it.
pub(crate) async fn print<'a>(
    screen: &Screen,
    api: &'a Api,
    extent: &Extent,
    columns: &[Column],
    asked: impl Fn(&'a Api) -> Call<'a>,
) -> Result<()> {
    let most = if extent.all { usize::MAX } else { extent.limit };
    let list = read(api, most, asked).await?;
    if screen.is_json() {
        return screen.json_line(&list);
    }
    let headings: Vec<&str> = columns.iter().map(|(heading, _)| *heading).collect();
    let objects = list["data"].as_array().map(Vec::as_slice).unwrap_or_default();
    screen.rows(&headings, &objects.iter().map(|object| row(object, columns)).collect::<Vec<_>>())?;
    if list["has_more"] == true && screen.is_terminal() {
        screen.hint("there are more: --all, or a higher --limit");
    }
    Ok(())
}

/// Up to `most` objects, in the shape of the API's lists.
pub(crate) async fn read<'a>(
    api: &'a Api,
    most: usize,
    asked: impl Fn(&'a Api) -> Call<'a>,
) -> Result<Value> {
    let mut objects: Vec<Value> = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let wanted = (most - objects.len()).min(100);
        let mut page =
            asked(api).query("limit", Some(wanted.max(1))).query("cursor", cursor.as_ref()).value().await?;
        if let Some(data) = page["data"].as_array_mut() {
            objects.append(data);
        }
        cursor = page["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() || objects.len() >= most {
            objects.truncate(most);
            page["data"] = json!(objects);
            return Ok(page);
        }
    }
}

fn row(object: &Value, columns: &[Column]) -> Vec<String> {
    columns.iter().map(|(_, pointer)| cell(object.pointer(pointer))).collect()
}

/// A value as a cell.
pub(crate) fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) if items.iter().all(Value::is_string) => {
            items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",")
        }
        Some(other) => other.to_string(),
    }
}
