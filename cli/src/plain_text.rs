//! Markdown as a terminal shows it: wrapped paragraphs and lists, code as it stands. For our own pages: what those do not
//! use, such as tables, is not laid out.

use pulldown_cmark::{Event, Parser, Tag, TagEnd};
use textwrap::{Options, WordSplitter};

/// Where lines are wrapped: as wide as prose is read with ease.
pub(crate) const WIDTH: usize = 90;

/// The text, with a line's end at its end.
pub(crate) fn of(markdown: &str, width: usize) -> String {
    let mut page = Page { width, ..Page::default() };
    for event in Parser::new(markdown) {
        page.take(event);
    }
    page.text
}

#[derive(Default)]
struct Page {
    width: usize,
    text: String,
    /// The paragraph, heading or item that is being read.
    block: String,
    in_item: bool,
    /// Where the links lead that are being read.
    links: Vec<String>,
}

impl Page {
    fn take(&mut self, event: Event<'_>) {
        match event {
            Event::Start(Tag::Item) => self.in_item = true,
            Event::Start(Tag::Link { dest_url, .. }) => self.links.push(dest_url.into_string()),
            Event::End(TagEnd::Link) => self.end_link(),
            Event::End(TagEnd::Heading(_) | TagEnd::Paragraph) if !self.in_item => self.paragraph(),
            Event::End(TagEnd::Item) => self.item(),
            Event::End(TagEnd::List(_)) => self.text.push('\n'),
            Event::End(TagEnd::CodeBlock) => self.code(),
            Event::Text(text) => self.block.push_str(&text),
            Event::Code(code) => {
                self.block.push('`');
                self.block.push_str(&code);
                self.block.push('`');
            }
            Event::SoftBreak | Event::HardBreak => self.block.push(' '),
            _ => {}
        }
    }

    fn paragraph(&mut self) {
        self.wrap(Options::new(self.width));
        self.text.push('\n');
    }

    fn item(&mut self) {
        self.wrap(Options::new(self.width).initial_indent("- ").subsequent_indent("  "));
        self.in_item = false;
    }

    fn wrap(&mut self, options: Options<'_>) {
        // An option such as `--lease-ms` is to be found in one piece.
        let options = options.word_splitter(WordSplitter::NoHyphenation);
        self.text.push_str(&textwrap::fill(&std::mem::take(&mut self.block), options));
        self.text.push('\n');
    }

    fn code(&mut self) {
        let code = std::mem::take(&mut self.block);
        self.text.push_str(&textwrap::indent(&code, "    "));
        self.text.push('\n');
    }

    /// Pages of other codes are found by their names; other documents by where they are in the repository.
    fn end_link(&mut self) {
        let target = self.links.pop().unwrap_or_default();
        if let Some(document) = target.strip_prefix("../") {
            let document = document.split('#').next().unwrap_or(document);
            self.block.extend([" (docs/", document, ")"]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_and_items_are_wrapped_and_code_is_not() {
        let markdown = "# TITLE\n\nSome *words* and `a code` that\nwrap.\n\n- one item that wraps\n- two\n\n```json\n{ \"a\": 1,\n  \"long\": 12345678901234567890 }\n```\n";
        let text = "TITLE\n\nSome words and `a\ncode` that wrap.\n\n- one item that\n  wraps\n- two\n\n    { \"a\": 1,\n      \"long\": 12345678901234567890 }\n\n";
        assert_eq!(of(markdown, 18), text);
    }

    #[test]
    fn links_lead_to_documents() {
        let text = of("See [a record](../adr/0001.md#why) and [`OTHER`](OTHER.md).", WIDTH);
        assert_eq!(text, "See a record (docs/adr/0001.md) and `OTHER`.\n\n");
    }
}
