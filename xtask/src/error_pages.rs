//! The pages of the error codes, and the index of them: `docs/errors/`.
//!
//! A page opens with three lines that programs read: the code, which lists it belongs to, and what happened, in a sentence.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result};

use crate::repository::{File, Repository};

/// Where the pages are.
const FOLDER: &str = "docs/errors/";
/// The index: people write its text, this program its tables.
pub(crate) const INDEX: &str = "docs/errors/README.md";
/// The lists that a code can belong to.
const KINDS: [&str; 4] = ["failure", "request", "plugin", "diagnostic"];

/// What a page says of its code.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Page<'a> {
    pub(crate) code: &'a str,
    pub(crate) path: &'a str,
    /// Each list with what is said about the code there, such as a status.
    kinds: Vec<(&'a str, &'a str)>,
    what: String,
}

/// All pages by their code, or what is wrong with each file that is none.
pub(crate) fn pages(repository: &Repository) -> Vec<Result<Page<'_>, (&str, String)>> {
    let files = repository.files.iter().filter(|file| file.path.starts_with(FOLDER));
    let pages = files.filter(|file| file.has_extension("md") && file.path != INDEX);
    pages.map(|file| page(file).map_err(|fault| (file.path.as_str(), fault))).collect()
}

fn page(file: &File) -> Result<Page<'_>, String> {
    let code = file.name().trim_end_matches(".md");
    let mut paragraphs = file.text.split("\n\n");
    if paragraphs.next() != Some(&format!("# {code}")) {
        return Err(format!("opens with `# {code}`"));
    }
    let kinds = paragraphs.next().unwrap_or_default().split("; ").map(kind);
    let kinds = kinds.collect::<Option<Vec<_>>>();
    let kinds = kinds.ok_or_else(|| {
        format!(
            "its second paragraph names lists, such as `**{}** · a remark`",
            KINDS.join("**, **")
        )
    })?;
    let what = paragraphs.next().unwrap_or_default();
    if what.is_empty() || what.starts_with('#') {
        return Err("its third paragraph says what happened".to_owned());
    }
    Ok(Page { code, path: &file.path, kinds, what: what.trim_end().replace('\n', " ") })
}

/// `**failure** · permanent`: the list and the remark.
fn kind(text: &str) -> Option<(&str, &str)> {
    let (name, remark) = text.strip_prefix("**")?.split_once("**")?;
    let remark = if remark.is_empty() { remark } else { remark.strip_prefix(" · ")? };
    KINDS.contains(&name).then_some((name, remark))
}

/// The index as it should be: after each mark, the table of its list.
pub(crate) fn index(repository: &Repository) -> Result<String> {
    let file = repository.file(INDEX).with_context(|| format!("{INDEX} is missing"))?;
    let mut tables: BTreeMap<&str, String> = BTreeMap::new();
    for page in pages(repository).into_iter().flatten() {
        for (kind, remark) in &page.kinds {
            let table = tables
                .entry(*kind)
                .or_insert_with(|| "\n\n| code | note | what happened |\n|---|---|---|".to_owned());
            let Page { code, what, .. } = &page;
            write!(table, "\n| [`{code}`]({code}.md) | {remark} | {what} |")?;
        }
    }
    let mut fresh = String::new();
    for (number, part) in file.text.split("<!-- codes: ").enumerate() {
        let Some((kind, rest)) = part.split_once(" -->").filter(|_| number > 0) else {
            fresh.push_str(part);
            continue;
        };
        let text = rest.split_once("\n\n#").map_or("\n", |(_, text)| text);
        let table = tables.remove(kind).with_context(|| format!("no code is a `{kind}`"))?;
        write!(fresh, "<!-- codes: {kind} -->{table}")?;
        fresh.push_str(if text == "\n" { text } else { "\n\n#" });
        fresh.push_str(text.trim_start_matches('\n'));
    }
    Ok(fresh)
}

/// Writes the index anew.
pub(crate) fn write_index(repository: &Repository) -> Result<()> {
    let fresh = index(repository)?;
    fs::write(repository.root.join(INDEX), fresh).with_context(|| format!("cannot write {INDEX}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str =
        "# A_B\n\n**failure** · permanent; **request** · status 422\n\nIt\nbroke.\n\n## More\n";

    #[test]
    fn a_page_says_what_its_code_is() {
        let repository = Repository::of(&[("docs/errors/A_B.md", PAGE)]);
        let kinds = vec![("failure", "permanent"), ("request", "status 422")];
        let path = "docs/errors/A_B.md";
        let page = Page { code: "A_B", path, kinds, what: "It broke.".into() };
        assert_eq!(pages(&repository), [Ok(page)]);
    }

    #[test]
    fn a_page_without_its_first_lines_is_none() {
        for text in ["# B_A\n", "# A_B\n\nIt broke.\n", "# A_B\n\n**failure**\n\n## More\n"] {
            let repository = Repository::of(&[("docs/errors/A_B.md", text)]);
            assert!(pages(&repository)[0].is_err(), "{text}");
        }
    }

    #[test]
    fn an_index_is_made_once_and_stays_the_same() {
        let bare =
            "# Errors\n\n<!-- codes: failure -->\n\n## Next\n\nText.\n\n<!-- codes: request -->\n";
        let once = index(&Repository::of(&[("docs/errors/A_B.md", PAGE), (INDEX, bare)])).unwrap();
        assert!(once.contains("| [`A_B`](A_B.md) | permanent | It broke. |\n\n## Next\n\nText.\n"));
        assert!(once.ends_with("| status 422 | It broke. |\n"), "{once}");
        let again =
            index(&Repository::of(&[("docs/errors/A_B.md", PAGE), (INDEX, &once)])).unwrap();
        assert_eq!(again, once);
    }
}
