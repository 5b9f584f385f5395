//! Builds the site: mdBook over `docs/`, with our chapters and links, and beside it the sources that pages refer to.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use mdbook_driver::MDBook;
use mdbook_driver::config::Config;

use crate::chapters::Chapters;
use crate::page_links::{PageLinks, Referred};

/// Files of the sources that are no part of the site.
const LEFT_OUT: [&str; 1] = ["book.toml"];

/// Builds into `output`, which is emptied first.
pub(crate) fn build(root: &Path, output: &Path) -> Result<()> {
    let docs = root.join("docs");
    let mut config = Config::from_disk(docs.join("book.toml"))?;
    output.clone_into(&mut config.build.build_dir);
    let referred = Arc::new(Referred::default());
    let mut book = MDBook::load_with_config(&docs, config)?;
    book.with_preprocessor(Chapters { root: root.to_owned() });
    book.with_preprocessor(PageLinks { root: root.to_owned(), referred: Arc::clone(&referred) });
    book.build()?;
    for name in LEFT_OUT {
        fs::remove_file(output.join(name)).with_context(|| format!("{name} is not in the site"))?;
    }
    referred.copy(root, output)
}
