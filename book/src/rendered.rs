//! The pages as they were rendered: every link within the book leads to a file and to an anchor that is there, and nothing
//! is loaded from elsewhere.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};
use percent_encoding::percent_decode_str;

use crate::finding::{Finding, fault_of_form, is_external};
use crate::sources::resolve;

/// A page's links, and what can be linked to.
#[derive(Debug, Default)]
struct Page {
    /// With whether the browser loads them by itself.
    links: BTreeSet<(String, bool)>,
    anchors: BTreeSet<String>,
}

/// Collects while the tokenizer reads.
#[derive(Default)]
struct Collector(RefCell<Page>);

impl TokenSink for Collector {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        if let Token::TagToken(tag) = token
            && tag.kind == TagKind::StartTag
        {
            self.0.borrow_mut().take(&tag);
        }
        TokenSinkResult::Continue
    }
}

impl Page {
    fn read(html: &str) -> Self {
        let tokenizer = Tokenizer::new(Collector::default(), TokenizerOpts::default());
        let input = BufferQueue::default();
        input.push_back(html.into());
        // Scripts would hand over; there are none that write pages.
        let _ = tokenizer.feed(&input);
        tokenizer.end();
        tokenizer.sink.0.into_inner()
    }

    fn take(&mut self, tag: &Tag) {
        let is_anchor = &*tag.name == "a";
        for attribute in &tag.attrs {
            let value = attribute.value.to_string();
            match &*attribute.name.local {
                "id" => {
                    self.anchors.insert(value);
                }
                "name" if is_anchor => {
                    self.anchors.insert(value);
                }
                "href" | "src" | "data" if !value.starts_with("data:") => {
                    self.links.insert((value, !is_anchor));
                }
                _ => {}
            }
        }
    }
}

/// What is wrong with the links of the site in this folder.
pub(crate) fn check(site: &Path) -> Result<Vec<Finding>> {
    let mut pages = BTreeMap::new();
    let mut findings = Vec::new();
    for path in files(site)? {
        let name = path.strip_prefix(site).unwrap_or(&path).to_owned();
        match path.extension().and_then(|it| it.to_str()) {
            Some("html") => {
                let html = fs::read_to_string(&path)
                    .with_context(|| format!("cannot read {}", path.display()))?;
                pages.insert(name, Page::read(&html));
            }
            Some("css") if fs::read_to_string(&path)?.contains("url(http") => {
                findings.push(Finding::new(&name.display().to_string(), "loads from elsewhere"));
            }
            _ => {}
        }
    }
    for (name, page) in &pages {
        let faults =
            page.links.iter().filter_map(|(link, loaded)| fault(site, &pages, name, link, *loaded));
        findings.extend(faults.map(|fault| Finding::new(&name.display().to_string(), fault)));
    }
    Ok(findings)
}

/// All files below a folder.
pub(crate) fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    Ok(found)
}

fn fault(
    site: &Path,
    pages: &BTreeMap<PathBuf, Page>,
    from: &Path,
    link: &str,
    loaded: bool,
) -> Option<String> {
    if is_external(link) {
        let elsewhere = || Some(format!("`{link}` is loaded from elsewhere"));
        return if loaded { elsewhere() } else { fault_of_form(link) };
    }
    let decoded = percent_decode_str(link).decode_utf8().ok()?;
    let target = resolve(from, &decoded);
    let nowhere = || Some(format!("`{link}` leads nowhere"));
    let Some(mut path) = target.path else { return nowhere() };
    if site.join(&path).is_dir() {
        path.push("index.html");
    }
    let (Some(anchor), Some(page)) = (target.anchor.filter(|it| !it.is_empty()), pages.get(&path))
    else {
        return if site.join(&path).is_file() { None } else { nowhere() };
    };
    (!page.anchors.contains(&anchor))
        .then(|| format!("`{link}`: there is no such place on that page"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(pages: &[(&str, &str)]) -> Vec<String> {
        let site = tempfile::tempdir().unwrap();
        for (name, html) in pages {
            fs::write(site.path().join(name), html).unwrap();
        }
        check(site.path()).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn links_that_lead_somewhere_are_fine() {
        let pages = [
            (
                "a.html",
                "<a href='b.html#here'>b</a> <a href='https://cel.dev'>c</a> <a href='#top' id=top></a><img src=c.svg>",
            ),
            ("b.html", "<h2 id='here'>b</h2>"),
            ("c.svg", ""),
        ];
        assert_eq!(found(&pages), [""; 0]);
    }

    #[test]
    fn what_leads_nowhere_is_found() {
        let links = |html: &str| found(&[("a.html", html), ("b.html", "")]);
        assert_eq!(links("<a href='c.html'>c</a>"), ["a.html: `c.html` leads nowhere"]);
        assert_eq!(links("<a href='../b.html'>c</a>"), ["a.html: `../b.html` leads nowhere"]);
        assert_eq!(
            links("<a href='b.html#x'>c</a>"),
            ["a.html: `b.html#x`: there is no such place on that page"]
        );
        assert_eq!(links("<a href='https://nowhere'>c</a>").len(), 1);
    }

    #[test]
    fn what_is_loaded_from_elsewhere_is_found() {
        for html in [
            "<script src='https://cdn.example/a.js'></script>",
            "<link href='//cdn.example/a.css'>",
        ] {
            assert!(found(&[("a.html", html)])[0].contains("loaded from elsewhere"), "{html}");
        }
        let style = [("a.css", "@font-face { src: url(https://fonts.example/a.woff2) }")];
        assert_eq!(found(&style), ["a.css: loads from elsewhere"]);
    }
}
