//! Puts the pages of the error codes into the binary, for `stateflow explain`.

use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let folder =
        Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../docs/errors").canonicalize()?;
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut pages = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        let code = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
        if path.extension().is_some_and(|it| it == "md") && code != "README" {
            pages.push((code, path));
        }
    }
    pages.sort();
    let mut list = String::from("&[\n");
    for (code, path) in pages {
        let path = path.to_str().ok_or("a path is not UTF-8")?;
        writeln!(list, "Page {{ code: {code:?}, text: include_str!({path:?}) }},")?;
    }
    list.push(']');
    Ok(fs::write(Path::new(&env::var("OUT_DIR")?).join("error_pages.rs"), list)?)
}
