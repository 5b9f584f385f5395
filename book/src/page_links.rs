//! Links between pages, as mdBook wants them: the sources link to each other as files of the repository.
//!
//! What a page refers to outside the book, such as an example's source, is copied beside it as plain text: the site stands
//! on its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use mdbook_markdown::pulldown_cmark::{Event, Options, Parser, Tag};
use mdbook_preprocessor::book::Book;
use mdbook_preprocessor::{Preprocessor, PreprocessorContext};

use crate::finding::is_external;
use crate::sources::{plain, relative, resolve};

/// The folder of the site that sources are copied to.
const SOURCES: &str = "source";

/// Files outside the book that pages link to.
#[derive(Debug, Default)]
pub(crate) struct Referred(Mutex<BTreeSet<PathBuf>>);

impl Referred {
    /// Notes that a page links to a file, and says where it will be.
    fn note(&self, path: &Path) -> PathBuf {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned());
        place(path)
    }

    /// Copies what was noted.
    pub(crate) fn copy(&self, root: &Path, output: &Path) -> Result<()> {
        for path in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let place = output.join(place(path));
            let folder = place.parent().context("it is in a folder of the site")?;
            fs::create_dir_all(folder)?;
            fs::copy(root.join(path), &place)
                .with_context(|| format!("cannot copy {}", path.display()))?;
        }
        Ok(())
    }
}

/// As text, a browser shows it instead of downloading it. mdBook takes whatever has `.md` in it for a page.
fn place(path: &Path) -> PathBuf {
    let name = path.display().to_string().replace(".md", ".markdown");
    Path::new(SOURCES).join(format!("{name}.txt"))
}

/// See the module. Runs when all chapters are there.
pub(crate) struct PageLinks {
    pub(crate) root: PathBuf,
    pub(crate) referred: Arc<Referred>,
}

impl Preprocessor for PageLinks {
    fn name(&self) -> &'static str {
        "page-links"
    }

    fn run(&self, _: &PreprocessorContext, mut book: Book) -> Result<Book> {
        let pages: BTreeMap<PathBuf, PathBuf> = book
            .chapters()
            .filter_map(|it| Some((from_root(it.source_path.as_ref()?)?, it.path.clone()?)))
            .collect();
        let mut outcome = Ok(());
        book.for_each_chapter_mut(|chapter| {
            let (Some(source), Some(path)) = (&chapter.source_path, &chapter.path) else { return };
            let Some(source) = from_root(source) else { return };
            let rewritten =
                rewrite(&chapter.content, |link| self.target(&pages, &source, path, link));
            match rewritten.with_context(|| format!("in {}", source.display())) {
                Ok(content) => chapter.content = content,
                Err(error) => outcome = Err(error),
            }
        });
        outcome.map(|()| book)
    }
}

impl PageLinks {
    /// What a link is called on the page; `None` if it stays as it is.
    fn target(
        &self,
        pages: &BTreeMap<PathBuf, PathBuf>,
        source: &Path,
        page: &Path,
        link: &str,
    ) -> Result<Option<String>> {
        if is_external(link) || link.starts_with('#') {
            return Ok(None);
        }
        let target = resolve(source, link);
        let mut path =
            target.path.with_context(|| format!("`{link}` leads out of the repository"))?;
        if self.root.join(&path).is_dir() {
            path.push("README.md");
        }
        let anchor = target.anchor.map(|it| format!("#{it}")).unwrap_or_default();
        let place = match pages.get(&path) {
            Some(place) => place.clone(),
            // mdBook copies it.
            None if path.starts_with("docs") && path.extension().is_some_and(|it| it != "md") => {
                path.strip_prefix("docs")?.to_owned()
            }
            None if self.root.join(&path).is_file() => {
                return Ok(Some(relative(page, &self.referred.note(&path))));
            }
            None => bail!("`{link}` leads to no file"),
        };
        Ok(Some(format!("{}{anchor}", relative(page, &place))))
    }
}

/// Where a chapter's source is in the repository. mdBook counts from `docs`.
fn from_root(source: &Path) -> Option<PathBuf> {
    plain(&Path::new("docs").join(source))
}

/// The text with other destinations in its links.
fn rewrite(text: &str, mut target: impl FnMut(&str) -> Result<Option<String>>) -> Result<String> {
    let mut changes: Vec<(Range<usize>, String)> = Vec::new();
    let options = Options::ENABLE_TABLES | Options::ENABLE_HEADING_ATTRIBUTES;
    for (event, range) in Parser::new_ext(text, options).into_offset_iter() {
        let Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) = event else {
            continue;
        };
        let Some(new) = target(&dest_url)? else { continue };
        let written = &text[range.clone()];
        let at = written
            .rfind(&*dest_url)
            .with_context(|| format!("write the destination into the link: {written}"))?;
        let start = range.start + at;
        changes.push((start..start + dest_url.len(), new));
    }
    let mut rewritten = text.to_owned();
    for (range, new) in changes.into_iter().rev() {
        rewritten.replace_range(range, &new);
    }
    Ok(rewritten)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_change_and_nothing_else_does() {
        let text = "[a.md](a.md) `[a](a.md)` ![b](b.svg)\n\n| [a](a.md#x) |\n|---|\n";
        let new =
            rewrite(text, |link| Ok(link.strip_prefix("a.md").map(|rest| format!("z.md{rest}"))));
        assert_eq!(
            new.unwrap(),
            "[a.md](z.md) `[a](a.md)` ![b](b.svg)\n\n| [a](z.md#x) |\n|---|\n"
        );
    }

    #[test]
    fn links_lead_to_pages_to_copies_or_to_an_error() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("examples")).unwrap();
        fs::write(root.path().join("examples/README.md"), "").unwrap();
        let links = PageLinks { root: root.path().to_owned(), referred: Arc::default() };
        let pages = BTreeMap::from([("docs/errors/README.md".into(), "errors/index.md".into())]);
        let target = |link: &str| {
            links.target(&pages, Path::new("docs/guides/a.md"), Path::new("guides/a.md"), link)
        };
        assert_eq!(target("../errors/README.md#x").unwrap().unwrap(), "../errors/index.md#x");
        assert_eq!(
            target("../../examples/").unwrap().unwrap(),
            "../source/examples/README.markdown.txt"
        );
        assert_eq!(target("../openapi.json").unwrap().unwrap(), "../openapi.json");
        assert_eq!(target("https://cel.dev").unwrap(), None);
        assert!(target("../none.md").is_err());
        let site = tempfile::tempdir().unwrap();
        links.referred.copy(root.path(), site.path()).unwrap();
        assert!(site.path().join("source/examples/README.markdown.txt").is_file());
    }
}
