//! The house rules as a program: `tidy` checks them, `freeze` adds to what may never change, `errors` writes the index of
//! the error pages.
//!
//! The tests of this crate run `tidy` over the repository, so `cargo test` finds what it would find.

mod error_pages;
mod frozen;
mod repository;
mod tidy;

use std::process::ExitCode;

use anyhow::{Result, bail};

use repository::Repository;

fn main() -> Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["tidy"] => {
            let findings = tidy::check(&Repository::open()?)?;
            for finding in &findings {
                say(&finding.to_string());
            }
            if findings.is_empty() {
                return Ok(ExitCode::SUCCESS);
            }
            say(&format!("{} findings", findings.len()));
            Ok(ExitCode::FAILURE)
        }
        ["freeze", paths @ ..] if !paths.is_empty() => {
            let added = frozen::freeze(&Repository::open()?, paths)?;
            say(&format!("{added} files frozen"));
            Ok(ExitCode::SUCCESS)
        }
        ["errors"] => {
            error_pages::write_index(&Repository::open()?)?;
            Ok(ExitCode::SUCCESS)
        }
        _ => bail!("usage: xtask tidy | xtask freeze PATH… | xtask errors"),
    }
}

#[expect(clippy::print_stdout, reason = "a program for a terminal")]
fn say(line: &str) {
    println!("{line}");
}
