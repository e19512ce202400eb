//! `persona completion` and `persona man`: made from the command line itself.

use clap::{Args, Command};
use clap_complete::Shell;

use crate::{Result, failure::Failure, screen::Screen};

/// Writes completions for a shell.
#[derive(Args)]
pub(crate) struct Completion {
    /// The shell
    shell: Shell,
}

impl Completion {
    /// Writes them.
    pub(crate) fn run(self, screen: &Screen, mut command: Command) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "persona", &mut script);
        screen.bytes(&script)
    }
}

/// Writes the manual page.
#[derive(Args)]
pub(crate) struct Man {
    /// The page of a command, such as `personas create`
    command: Vec<String>,
}

impl Man {
    /// Writes it.
    pub(crate) fn run(self, screen: &Screen, mut command: Command) -> Result<()> {
        // Names and options that are inherited are known once the tree is built.
        command.build();
        for name in &self.command {
            let found = command.find_subcommand(name).cloned();
            command = found.ok_or_else(|| Failure::usage(format!("There is no command \"{name}\".")))?;
        }
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page).map_err(Failure::internal)?;
        screen.bytes(&page)
    }
}
