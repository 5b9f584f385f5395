//! `completions` and `man`: what shells and manuals know of the command line.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use clap::CommandFactory;
use clap_complete::Shell;

use crate::arguments::Arguments;
use crate::output;

/// Prints what makes a shell complete commands.
pub(crate) fn completions(shell: Shell) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "stateflow", &mut script);
    // Through a buffer, because the generator panics when its reader goes away.
    output::lines(&String::from_utf8(script).context("the script is not UTF-8")?)?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a manual page for each command.
pub(crate) fn man(dir: &Path) -> anyhow::Result<ExitCode> {
    let write = || {
        std::fs::create_dir_all(dir)?;
        clap_mangen::generate_to(Arguments::command(), dir)
    };
    write().with_context(|| format!("cannot write to {}", dir.display()))?;
    output::note(&format!("read them with: man -l {}", dir.join("stateflow.1").display()));
    Ok(ExitCode::SUCCESS)
}
