//! The documentation as a site: `docs/` with mdBook, the API reference out of `docs/openapi.json`, and the check that no
//! link leads nowhere. `make docs` runs it.
//!
//! mdBook as a library and not as a program: its version is locked like any other, and what a page is made of needs no
//! files that would have to be checked in or left lying about. A crate of its own and not a part of `xtask`, so that
//! `xtask tidy` stays quick to build.

mod api_reference;
mod chapters;
mod documents;
mod finding;
mod page_links;
mod rendered;
mod site;
mod sources;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

fn main() -> Result<ExitCode> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [output] = arguments.as_slice() else { bail!("usage: stateflow-book DIRECTORY") };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("this crate is a folder of the repository")?;
    let output = std::path::absolute(output)?;
    let mut findings = documents::check(root)?;
    // The pages would repeat what is wrong with their sources.
    if findings.is_empty() {
        site::build(root, &output)?;
        findings = rendered::check(&output)?;
    }
    for finding in &findings {
        say(&finding.to_string());
    }
    if findings.is_empty() {
        say(&format!("the book is at {}", output.join("index.html").display()));
        return Ok(ExitCode::SUCCESS);
    }
    say(&format!("{} findings", findings.len()));
    Ok(ExitCode::FAILURE)
}

#[expect(clippy::print_stdout, reason = "a program for a terminal")]
fn say(line: &str) {
    println!("{line}");
}
