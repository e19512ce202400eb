//! A persona as it lies in a file: the API's YAML, below a line that says which version it is of. Comments belong to
//! whoever wrote them and stay wherever the text around them may stay.

use std::collections::BTreeMap;

use serde_json::Value;
use sha2::{Digest, Sha256};
use similar::TextDiff;

use crate::{
    Result,
    commands::input,
    hex,
    screen::{CYAN, GREEN, RED, visible},
};

const WELCOME: &str = "# `persona personas push` sends what you change here; what others have changed meanwhile is not overwritten.";
const PULLED: &str = "# pulled: ";

/// A file, read.
#[derive(Debug)]
pub(crate) struct File {
    /// Its text, all of it.
    pub text: String,
    /// What it says.
    pub value: Value,
    /// The entity tag of the version that it was made from.
    pub etag: Option<String>,
    /// What it said then, as a digest.
    digest: Option<String>,
}

impl File {
    /// Reads a text; `name` is what errors call it.
    pub(crate) fn read(text: String, name: &str) -> Result<Self> {
        let value = input::yaml(&text, name)?;
        let pulled = text.lines().find_map(|line| line.strip_prefix(PULLED)).unwrap_or_default();
        let word = |key: &str| {
            let words = pulled.split_whitespace().find_map(|word| word.strip_prefix(key));
            words.map(str::to_owned)
        };
        let (etag, digest) = (word("etag="), word("values="));
        Ok(Self { text, value, etag, digest })
    }

    /// Whether its values, not only its comments, are other than they were when it was pulled, as far as can be told.
    pub(crate) fn is_edited(&self) -> bool {
        self.digest.as_deref() != Some(digest(&self.value).as_str())
    }

    /// A text of what it says.
    pub(crate) fn field(&self, key: &str) -> &str {
        self.value[key].as_str().unwrap_or_default()
    }
}

/// The text of a file: the API's YAML under its line, in which `mine`, an older text of the same persona, lives on.
pub(crate) fn file(yaml: &str, etag: &str, mine: Option<&str>) -> Result<String> {
    let value: Value = input::yaml(yaml, "The answer")?;
    let pulled = format!("{PULLED}etag={etag} values={}", digest(&value));
    let Some(mine) = mine else { return Ok(format!("{WELCOME}\n{pulled}\n{yaml}")) };
    let carried = carried(mine, yaml, &value);
    if !carried.lines().any(|line| line.starts_with(PULLED)) {
        return Ok(format!("{WELCOME}\n{pulled}\n{carried}"));
    }
    let lines = carried.lines().map(|line| if line.starts_with(PULLED) { pulled.as_str() } else { line });
    Ok(lines.fold(String::new(), |text, line| text + line + "\n"))
}

fn digest(value: &Value) -> String {
    hex::digits(&Sha256::digest(value.to_string().as_bytes())[..8])
}

/// `theirs`, with the texts of `mine` wherever both say the same. It says what `theirs` says, or it is `theirs`.
fn carried(mine: &str, theirs: &str, says: &Value) -> String {
    let Ok(said) = input::yaml::<Value>(mine, "the file") else { return theirs.to_owned() };
    let lines: Vec<&str> = mine.lines().collect();
    let new: Vec<&str> = theirs.lines().collect();
    let text = merged(&lines, &said, &new, says).iter().fold(String::new(), |text, line| text + line + "\n");
    if input::yaml::<Value>(&text, "the file").is_ok_and(|value| value == *says) {
        text
    } else {
        theirs.to_owned()
    }
}

/// A key's part of a mapping: comments and blank lines before it, the line of the key, and what follows.
#[derive(Default)]
struct Part<'a> {
    lead: Vec<&'a str>,
    lines: Vec<&'a str>,
}

/// Lines of a mapping whose keys all begin in one column.
fn merged<'a>(mine: &[&'a str], said: &Value, theirs: &[&'a str], says: &Value) -> Vec<&'a str> {
    let ((order, mut kept, tail), (new_order, mut new, _)) = (parts(mine), parts(theirs));
    let mut lines = Vec::new();
    let added = new_order.iter().filter(|key| !order.contains(key));
    for key in order.iter().chain(added) {
        let (old, Some(now)) = (kept.remove(key), new.remove(key)) else { continue };
        let Some(old) = old else {
            lines.extend(now.lead.into_iter().chain(now.lines));
            continue;
        };
        lines.extend(&old.lead);
        let (before, after) = (&said[*key], &says[*key]);
        if before == after {
            lines.extend(old.lines);
        } else if before.is_object() && after.is_object() && opens(&old.lines) && opens(&now.lines) {
            lines.push(old.lines[0]);
            lines.extend(merged(&old.lines[1..], before, &now.lines[1..], after));
        } else {
            lines.extend(now.lines);
        }
    }
    lines.extend(tail);
    lines
}

/// Whether a part is a key alone on its line, with a mapping below it.
fn opens(lines: &[&str]) -> bool {
    let first = lines.first().map_or("", |line| line.split(" #").next().unwrap_or_default().trim_end());
    first.ends_with(':') && lines.len() > 1
}

fn parts<'a>(lines: &[&'a str]) -> (Vec<&'a str>, BTreeMap<&'a str, Part<'a>>, Vec<&'a str>) {
    let column = lines.iter().find_map(|line| key(line).map(|_| indent(line))).unwrap_or_default();
    let (mut order, mut found, mut lead) = (Vec::new(), BTreeMap::<&str, Part<'_>>::new(), Vec::new());
    for line in lines {
        let begins = key(line).filter(|_| indent(line) == column);
        let last = order.last().and_then(|name| found.get_mut(name));
        match (begins, last) {
            (Some(name), _) => {
                order.push(name);
                found.insert(name, Part { lead: std::mem::take(&mut lead), lines: vec![line] });
            }
            // Comments and blanks wait for what follows them: a key of this mapping, or more of the part before.
            _ if is_aside(line) => lead.push(*line),
            (None, Some(part)) => {
                part.lines.append(&mut lead);
                part.lines.push(line);
            }
            (None, None) => lead.push(line),
        }
    }
    (order, found, lead)
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

fn is_aside(line: &str) -> bool {
    let text = line.trim_start();
    text.is_empty() || text.starts_with('#')
}

/// The key that a line begins with, if it is a plain one.
fn key(line: &str) -> Option<&str> {
    let text = line.trim_start_matches(' ');
    let (name, rest) = text.split_once(':')?;
    let plain =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    (plain && !name.starts_with('-') && (rest.is_empty() || rest.starts_with(' '))).then_some(name)
}

/// What differs between two texts, line by line, with colours for a terminal.
pub(crate) fn difference(before: &str, after: &str, names: (&str, &str)) -> Vec<String> {
    let diff = TextDiff::from_lines(before, after);
    let text = diff.unified_diff().context_radius(2).header(names.0, names.1).to_string();
    let styled = |line: &str| {
        let shown = visible(line);
        match line.as_bytes().first() {
            Some(b'+') => format!("{GREEN}{shown}{GREEN:#}"),
            Some(b'-') => format!("{RED}{shown}{RED:#}"),
            Some(b'@') => format!("{CYAN}{shown}{CYAN:#}"),
            _ => shown,
        }
    };
    text.lines().map(styled).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

    use super::*;

    const THEIRS: &str = "id: psn_1\nversion: 4\nidentity:\n  name: Ada\n  age: 62\n  summary: >-\n    One: two\n    # no comment\nvoice:\n  quirks:\n  - hums\n  - \"a: b\"\nupdated_at: later\n";

    fn carried_over(mine: &str) -> String {
        carried(mine, THEIRS, &input::yaml(THEIRS, "it").unwrap())
    }

    #[test]
    fn comments_stay_where_the_text_around_them_does() {
        let mine = "# Mine.\nid: psn_1\nversion: 3\n\n# Who she is.\nidentity:\n  # Not \"Adele\".\n  name: Ada # short\n  age: 61 # ask her\n  summary: \"One: two # no comment\"\nvoice:\n  # As heard.\n  quirks: [hums, 'a: b']\nupdated_at: earlier\n# The end.\n";
        let carried = carried_over(mine);
        let expected = "# Mine.\nid: psn_1\nversion: 4\n\n# Who she is.\nidentity:\n  # Not \"Adele\".\n  name: Ada # short\n  age: 62\n  summary: \"One: two # no comment\"\nvoice:\n  # As heard.\n  quirks: [hums, 'a: b']\nupdated_at: later\n# The end.\n";
        assert_eq!(carried, expected);
    }

    #[test]
    fn what_is_carried_over_says_what_the_service_says() {
        let says: Value = input::yaml(THEIRS, "it").unwrap();
        for mine in [
            "",
            "id: psn_1",
            "{id: psn_1, version: 3}",
            "identity:\n      name: Ada\n      age: 9\n",
            "voice:\n  quirks:\n  - hums\n  # one\n  - \"a: b\"\nidentity: {name: Ada}\nextra: gone\n",
            "identity:\n  summary: |\n    age: 3\n    name: x\n  name: Ada\n",
            "not: [yaml",
            "- a\n- b\n",
        ] {
            let carried = carried_over(mine);
            assert_eq!(
                input::yaml::<Value>(&carried, "it").unwrap()["identity"],
                says["identity"],
                "{mine}\n{carried}"
            );
            assert_eq!(input::yaml::<Value>(&carried, "it").unwrap(), says, "{mine}\n{carried}");
        }
    }

    #[test]
    fn a_file_knows_whether_it_was_edited() {
        let text = file(THEIRS, "\"v4\"", None).unwrap();
        assert_eq!(text.lines().skip(2).fold(String::new(), |text, line| text + line + "\n"), THEIRS);
        let read = File::read(text.clone(), "it").unwrap();
        assert_eq!(
            (read.etag.as_deref(), read.is_edited(), read.field("id")),
            (Some("\"v4\""), false, "psn_1")
        );
        assert!(!File::read(text.clone() + "# a note\n", "it").unwrap().is_edited());
        assert!(File::read(text.replace("age: 62", "age: 63"), "it").unwrap().is_edited());
        assert!(File::read(THEIRS.to_owned(), "it").unwrap().etag.is_none());
    }

    #[test]
    fn yaml_that_cannot_be_read_is_told_with_its_place() {
        let error = File::read("id: psn_1\nidentity:\n  name: [Ada\n".to_owned(), "a.yml").unwrap_err();
        assert!(error.message.starts_with("a.yml is not YAML that can be read, line "), "{}", error.message);
    }
}
