//! The man pages and the completions of shells, generated from the command line.

use std::io::Write;
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::config::ConfigError;

/// Writes a script that completes the command line to standard output.
pub(crate) fn completions(shell: Shell) -> Result<(), ConfigError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "caracal-guard", &mut script);
    let written = std::io::stdout().write_all(&script);
    written.map_err(|error| ConfigError::new("standard output", error))
}

/// Writes `caracal-guard.1`, and a page for each command, into `folder`. Creates the folder.
pub(crate) fn pages(folder: &Path) -> Result<(), ConfigError> {
    std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), folder))
        .map_err(|error| ConfigError::new(folder.display().to_string(), error))
}
