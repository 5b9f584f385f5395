//! `explain`: what an error code means and what to do, from the pages of the documentation.

use std::process::ExitCode;

use serde_json::{Value, json};

use crate::arguments::ExplainOptions;
use crate::{output, plain_text};

/// Words that are less like the one that was given are no help.
const NEAR: f64 = 0.8;
/// More suggestions than these are a list.
const MOST_SUGGESTIONS: usize = 3;

/// The page of a code, in Markdown.
struct Page {
    code: &'static str,
    text: &'static str,
}

/// By code.
static PAGES: &[Page] = include!(concat!(env!("OUT_DIR"), "/error_pages.rs"));

impl Page {
    /// The list that the code stands in, the first if there are several: `failure`, `request`, `plugin` or `diagnostic`.
    fn kind(&self) -> &'static str {
        self.paragraph(1).split("**").nth(1).unwrap_or_default()
    }

    /// What happened, in a sentence.
    fn what(&self) -> String {
        plain_text::of(self.paragraph(2), usize::MAX).trim_end().to_owned()
    }

    fn paragraph(&self, number: usize) -> &'static str {
        self.text.split("\n\n").nth(number).unwrap_or_default()
    }
}

/// Prints the page of a code; without one, all codes.
pub(crate) fn explain(options: &ExplainOptions, as_json: bool) -> anyhow::Result<ExitCode> {
    let Some(word) = &options.code else { return list(as_json) };
    let code = word.to_uppercase().replace('-', "_");
    let Some(page) = PAGES.iter().find(|page| page.code == code) else {
        anyhow::bail!("there is no error code `{code}`; {}", suggestion(&code));
    };
    if as_json {
        output::json(&json!({ "code": page.code, "kind": page.kind(), "text": page.text }))?;
    } else {
        output::line(plain_text::of(page.text, plain_text::WIDTH).trim_end())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn list(as_json: bool) -> anyhow::Result<ExitCode> {
    if as_json {
        let codes = PAGES
            .iter()
            .map(|page| json!({ "code": page.code, "kind": page.kind(), "summary": page.what() }));
        output::json(&codes.collect::<Value>())?;
    } else {
        let rows = PAGES
            .iter()
            .map(|page| vec![page.code.to_owned(), page.kind().to_owned(), page.what()]);
        output::table(&["CODE", "KIND", "WHAT HAPPENED"], rows.collect(), "no codes")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What was meant, perhaps.
fn suggestion(code: &str) -> String {
    let mut near: Vec<_> = PAGES
        .iter()
        .map(|page| (strsim::jaro_winkler(code, page.code), page.code))
        .filter(|(similarity, candidate)| *similarity >= NEAR || candidate.contains(code))
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    near.truncate(MOST_SUGGESTIONS);
    if near.is_empty() {
        return "`stateflow explain` lists them".to_owned();
    }
    let names: Vec<_> = near.iter().map(|(_, code)| format!("`{code}`")).collect();
    format!("did you mean {}?", names.join(" or "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_has_a_kind_and_a_sentence() {
        assert!(PAGES.len() > 100, "{} pages", PAGES.len());
        for page in PAGES {
            let kinds = ["failure", "request", "plugin", "diagnostic"];
            assert!(kinds.contains(&page.kind()), "{}: {:?}", page.code, page.kind());
            assert!(page.what().contains('.'), "{}: {:?}", page.code, page.what());
        }
    }

    #[test]
    fn a_misspelt_code_is_met_with_near_ones() {
        assert!(suggestion("TIMOUT").contains("`TIMEOUT`"), "{}", suggestion("TIMOUT"));
        assert!(suggestion("FUEL").contains("`FUEL_EXHAUSTED`"), "{}", suggestion("FUEL"));
        assert_eq!(suggestion("ZZZZZ"), "`stateflow explain` lists them");
        assert!(suggestion("PLUGIN").matches('`').count() <= 2 * MOST_SUGGESTIONS);
    }
}
