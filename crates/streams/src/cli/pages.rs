//! Completions and man pages, made from the declarations.

use std::io::Write;
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use super::Cli;
use crate::failure::Failure;

pub(crate) fn completions(shell: Shell, out: &mut impl Write) {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "caracal-streams", &mut script);
    // A reader that went away has what it wanted.
    let _ = out.write_all(&script);
}

/// Writes `caracal-streams.1`, and a page for each command, into `folder`, which it makes.
pub(crate) fn manual(folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), folder))
        .map_err(|error| Failure::new(format!("{}: {error}", folder.display())))
}
