//! What every command says to `--help`, as snapshots that people read before they change. What all commands take is in the
//! first one only.

use std::fmt::Write as _;

use clap::{Command, CommandFactory};
use insta::{Settings, assert_snapshot};

use super::{Arguments, CLIENT};

/// As wide as most terminals that are not made smaller.
const WIDTH: usize = 100;

fn help(command: &mut Command) -> String {
    let text = command.render_long_help().to_string();
    let heading = format!("\n{CLIENT}:");
    let is_whole = command.get_name() == "stateflow";
    match text.split_once(&heading).filter(|_| !is_whole) {
        Some((own, _)) => {
            // What follows the options, such as exit codes, belongs to the command again.
            let after = command.get_after_help().map_or_else(String::new, |it| format!("\n{it}\n"));
            format!("{}\n{after}", own.trim_end())
        }
        None => text,
    }
}

fn collect(command: &mut Command, text: &mut String) {
    let name = command.get_bin_name().unwrap_or_default().to_owned();
    let _ = writeln!(text, "$ {name} --help\n{}", help(command));
    for command in command.get_subcommands_mut().filter(|it| it.get_name() != "help") {
        collect(command, text);
    }
}

#[test]
fn every_command_has_its_help() {
    let mut command = Arguments::command().term_width(WIDTH);
    command.build();
    let mut settings = Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    // What is in the environment of whoever runs the tests.
    settings.add_filter(r"\[env: (\w+)=[^\]]*\]", "[env: $1]");
    settings.bind(|| {
        assert_snapshot!("help", help(&mut command));
        for command in command.get_subcommands_mut().filter(|it| it.get_name() != "help") {
            let mut text = String::new();
            collect(command, &mut text);
            assert_snapshot!(format!("help-{}", command.get_name()), text);
        }
    });
}
