//! The chapters that `docs/SUMMARY.md` does not name one by one: documents of the root, error pages, the API reference.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use mdbook_preprocessor::book::{Book, BookItem, Chapter};
use mdbook_preprocessor::{Preprocessor, PreprocessorContext};

use crate::api_reference;
use crate::rendered::files;

/// Drafts of the summary that a document of the root is the text of.
const DOCUMENTS: [(&str, &str); 3] = [
    ("Architecture", "ARCHITECTURE.md"),
    ("Contributing", "CONTRIBUTING.md"),
    ("Changelog", "CHANGELOG.md"),
];
/// The chapter that the pages of the error codes belong to.
const ERRORS: &str = "errors/README.md";
/// The chapter that the records of decisions belong to.
const RECORDS: &str = "adr/README.md";
/// The chapter that the pages of the API reference belong to.
const API: &str = "reference/api.md";

/// See the module.
pub(crate) struct Chapters {
    pub(crate) root: PathBuf,
}

impl Preprocessor for Chapters {
    fn name(&self) -> &'static str {
        "chapters"
    }

    fn run(&self, _: &PreprocessorContext, mut book: Book) -> Result<Book> {
        let mut outcome = Ok(());
        // Not `for_each_chapter_mut`, which leaves drafts out.
        book.for_each_mut(|item| {
            let BookItem::Chapter(chapter) = item else { return };
            if let Err(error) = self.complete(chapter) {
                outcome = Err(error.context(format!("in the chapter {}", chapter.name)));
            }
        });
        outcome?;
        self.nothing_is_left_out(&book)?;
        Ok(book)
    }
}

impl Chapters {
    fn complete(&self, chapter: &mut Chapter) -> Result<()> {
        if chapter.is_draft_chapter() {
            return self.fill(chapter);
        }
        let source = chapter.source_path.clone().unwrap_or_default();
        let more = match source.to_str() {
            Some(ERRORS) => self.folder("errors", |path, _| file_name(path))?,
            Some(RECORDS) => self.folder("adr", |_, text| heading(text))?,
            Some(API) => api_reference::pages(&self.read("docs/openapi.json")?)?,
            _ => Vec::new(),
        };
        let parents: Vec<_> = chapter.parent_names.iter().chain([&chapter.name]).cloned().collect();
        for (place, (name, path, content)) in (1..).zip(more) {
            let mut page = Chapter::new(&name, content, path, parents.clone());
            // Without a number it would be shown beside its chapter, not below.
            let mut number = chapter.number.clone().unwrap_or_default();
            number.push(place);
            page.number = Some(number);
            chapter.sub_items.push(BookItem::Chapter(page));
        }
        // A folder's page is what its address alone shows.
        if source.ends_with("README.md") {
            chapter.path = Some(source.with_file_name("index.md"));
        }
        Ok(())
    }

    fn fill(&self, draft: &mut Chapter) -> Result<()> {
        let name = draft.name.clone();
        let Some((_, document)) = DOCUMENTS.iter().find(|(it, _)| *it == name) else {
            bail!("it has no text, and book/src/chapters.rs knows none for it");
        };
        draft.content = self.read(document)?;
        draft.path = Some(PathBuf::from(document.to_lowercase()));
        draft.source_path = Some(Path::new("..").join(document));
        Ok(())
    }

    /// Name, path and text of each page of a folder but its first one.
    fn folder(
        &self,
        folder: &str,
        name: impl Fn(&Path, &str) -> Option<String>,
    ) -> Result<Vec<(String, PathBuf, String)>> {
        let mut pages = Vec::new();
        for file in files(&self.root.join("docs").join(folder))? {
            if file.ends_with("README.md") {
                continue;
            }
            let text = fs::read_to_string(&file)?;
            let name =
                name(&file, &text).with_context(|| format!("{} has no name", file.display()))?;
            let path = file.strip_prefix(self.root.join("docs"))?.to_owned();
            pages.push((name, path, text));
        }
        pages.sort_by(|a, b| a.1.cmp(&b.1));
        Ok(pages)
    }

    fn read(&self, path: &str) -> Result<String> {
        fs::read_to_string(self.root.join(path)).with_context(|| format!("cannot read {path}"))
    }

    /// Nobody would find a page that no chapter shows.
    fn nothing_is_left_out(&self, book: &Book) -> Result<()> {
        let shown: BTreeSet<_> = book.chapters().filter_map(|it| it.source_path.clone()).collect();
        let docs = self.root.join("docs");
        for file in files(&docs)? {
            let path = file.strip_prefix(&docs)?.to_owned();
            let is_page =
                path.extension().is_some_and(|it| it == "md") && !path.ends_with("SUMMARY.md");
            if is_page && !shown.contains(&path) {
                bail!("docs/{} is not in docs/SUMMARY.md", path.display());
            }
        }
        Ok(())
    }
}

fn file_name(path: &Path) -> Option<String> {
    path.file_stem()?.to_str().map(str::to_owned)
}

fn heading(text: &str) -> Option<String> {
    Some(text.lines().next()?.strip_prefix("# ")?.to_owned())
}
