//! What is printed: answers on standard output, everything else on standard error. Colour and progress only on a terminal.

use std::{
    cell::RefCell,
    fmt::Display,
    io::{self, IsTerminal, Write},
};

use anstyle::{AnsiColor, Style};
use comfy_table::{ContentArrangement, Table, presets::NOTHING};
use serde_json::Value;

use crate::{Result, failure::Failure};

/// For what is said beside the point.
pub(crate) const DIM: Style = Style::new().dimmed();
/// For names.
pub(crate) const STRONG: Style = Style::new().bold();
/// For what went well, or was added.
pub(crate) const GREEN: Style = AnsiColor::Green.on_default();
/// For what went wrong, or was removed.
pub(crate) const RED: Style = AnsiColor::Red.on_default();
/// For the next step.
pub(crate) const CYAN: Style = AnsiColor::Cyan.on_default();

/// The two outputs, and how they are used.
pub(crate) struct Screen {
    json: bool,
    output_is_terminal: bool,
    errors_are_terminal: bool,
    unfinished: RefCell<Option<String>>,
}

impl Screen {
    /// Looks at where the outputs go.
    pub(crate) fn new(json: bool) -> Self {
        Self {
            json,
            output_is_terminal: io::stdout().is_terminal(),
            errors_are_terminal: io::stderr().is_terminal(),
            unfinished: RefCell::new(None),
        }
    }

    /// Whether answers are JSON.
    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether a person reads the answers.
    pub(crate) fn is_terminal(&self) -> bool {
        self.output_is_terminal
    }

    /// Whether a person reads the rest, so that progress may move.
    pub(crate) fn is_live(&self) -> bool {
        self.errors_are_terminal
    }

    /// Remembers the run that goes on when we are interrupted.
    pub(crate) fn begun(&self, run: &str) {
        self.unfinished.replace(Some(run.to_owned()));
    }

    /// Nothing goes on any more.
    pub(crate) fn finished(&self) {
        self.unfinished.replace(None);
    }

    /// The run that goes on.
    pub(crate) fn unfinished(&self) -> Option<String> {
        self.unfinished.borrow().clone()
    }

    /// A line of the answer.
    pub(crate) fn line(&self, text: impl Display) -> Result<()> {
        self.text(&format!("{text}\n"))
    }

    /// A piece of the answer, shown at once.
    pub(crate) fn text(&self, text: &str) -> Result<()> {
        let mut output = anstream::stdout().lock();
        output
            .write_all(text.as_bytes())
            .and_then(|()| output.flush())
            .map_err(|error| Failure::output(&error))
    }

    /// A text of the answer that is kept as it is, except on a terminal.
    pub(crate) fn document(&self, text: &str) -> Result<()> {
        if self.output_is_terminal { self.text(&visible(text)) } else { self.bytes(text.as_bytes()) }
    }

    /// Bytes of the answer, as they are.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<()> {
        let mut output = io::stdout().lock();
        output.write_all(bytes).and_then(|()| output.flush()).map_err(|error| Failure::output(&error))
    }

    /// An object: JSON where that is asked for, else YAML, which people read.
    pub(crate) fn object(&self, object: &Value) -> Result<()> {
        if self.json {
            return self.json_line(object);
        }
        let yaml = serde_saphyr::to_string(object).map_err(Failure::internal)?;
        self.document(&yaml)
    }

    /// JSON: in lines for people, in one for programs.
    pub(crate) fn json_line(&self, value: &Value) -> Result<()> {
        let text = if self.output_is_terminal {
            serde_json::to_string_pretty(value)
        } else {
            serde_json::to_string(value)
        };
        self.line(text.map_err(Failure::internal)?)
    }

    /// What was done: the API's object as JSON, else a line.
    pub(crate) fn done(&self, object: &Value, told: impl Display) -> Result<()> {
        if self.json { self.json_line(object) } else { self.line(visible(&told.to_string())) }
    }

    /// Rows: aligned below a heading for people, separated by tabs for programs.
    pub(crate) fn rows(&self, heading: &[&str], rows: &[Vec<String>]) -> Result<()> {
        if !self.output_is_terminal {
            let lines = rows.iter().map(|row| {
                let cells: Vec<String> =
                    row.iter().map(|cell| cell.replace(['\t', '\n', '\r'], " ")).collect();
                cells.join("\t") + "\n"
            });
            return self.text(&lines.collect::<String>());
        }
        if rows.is_empty() {
            self.note("Nothing.");
            return Ok(());
        }
        let mut table = Table::new();
        table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        table.set_header(heading.iter().map(|name| name.to_uppercase()));
        for row in rows {
            table.add_row(row.iter().map(|cell| shortened(&visible(cell), 60)));
        }
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        self.line(table.trim_fmt())
    }

    /// Something that is no part of the answer.
    pub(crate) fn note(&self, text: impl Display) {
        // Who has closed standard error does not want to know.
        let _ = writeln!(anstream::stderr(), "{text}");
    }

    /// The next step.
    pub(crate) fn hint(&self, text: impl Display) {
        self.note(format_args!("{CYAN}hint:{CYAN:#} {text}"));
    }

    /// Tells a failure, and gives the exit code.
    pub(crate) fn and_tell(&self, ended: Result<()>) -> u8 {
        let Err(failure) = ended else { return 0 };
        if let Some(code) = failure.silent() {
            return code;
        }
        if self.json {
            self.note(failure.to_json());
            return failure.class as u8;
        }
        self.note(format_args!("{RED}error:{RED:#} {}", visible(&failure.message)));
        for line in &failure.details {
            self.note(visible(line));
        }
        for hint in &failure.hints {
            self.hint(hint);
        }
        failure.class as u8
    }

    /// Asks whether to do what cannot be undone. Where nobody can answer, `--yes` must have said so.
    pub(crate) fn confirmed(&self, yes: bool, question: &str) -> Result<()> {
        if yes {
            return Ok(());
        }
        if !self.errors_are_terminal || !io::stdin().is_terminal() {
            return Err(Failure::usage(format!("{question} Nobody is here to answer.")).hint("say --yes"));
        }
        let mut errors = anstream::stderr();
        let _ = write!(errors, "{question} [y/N] ").and_then(|()| errors.flush());
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).map_err(Failure::internal)?;
        if matches!(answer.trim(), "y" | "Y" | "yes") {
            Ok(())
        } else {
            Err(Failure::usage("Nothing was done."))
        }
    }
}

/// How many letters a line of the terminal takes.
pub(crate) fn columns() -> usize {
    usize::from(console::Term::stderr().size().1).clamp(40, 400)
}

/// A text as a terminal may show it. What others wrote, a listing of the marketplace or a model's answer, must not
/// move the cursor, set the title or ask the terminal anything.
pub(crate) fn visible(text: &str) -> String {
    text.chars()
        .map(|letter| match letter {
            '\n' | '\t' => letter,
            hidden if hidden.is_control() => '\u{fffd}',
            // What turns the reading direction around can make one command look like another.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
            shown => shown,
        })
        .collect()
}

/// At most so many letters, on one line.
pub(crate) fn shortened(text: &str, most: usize) -> String {
    let line = text.replace(['\n', '\r', '\t'], " ");
    if line.chars().count() <= most {
        line
    } else {
        line.chars().take(most.saturating_sub(1)).chain("…".chars()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_cannot_command_the_terminal() {
        assert_eq!(visible("a\u{1b}[2Jb\u{202e}c\r\n"), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}\n");
        assert_eq!(visible("Sahafına\tgelen 👩🏽‍🚀"), "Sahafına\tgelen 👩🏽‍🚀");
    }

    #[test]
    fn a_long_text_is_cut_by_letters() {
        assert_eq!((shortened("ağır\nkapı", 6).as_str(), shortened("ağır", 4).as_str()), ("ağır …", "ağır"));
    }
}
