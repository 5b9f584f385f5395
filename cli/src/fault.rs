//! A fault of a document, for a person: where, what, the expression with a mark under the place, and what to do.

use console::measure_text_width;
use serde_json::Value;

use crate::output;

/// How much of a long expression is shown, in characters. The place at fault is always among them.
const MOST_CHARACTERS: usize = 100;
/// How much of that stands before the place, if not all of it can.
const BEFORE: usize = 60;

/// A diagnostic, as it came from the engine or from a server. What belongs to it is indented.
pub(crate) fn text(fault: &Value) -> String {
    let field = |name: &str| fault.get(name).and_then(Value::as_str).unwrap_or_default();
    let number = |name: &str| fault.get(name).and_then(Value::as_u64);
    let place = match (number("line"), number("column")) {
        (Some(line), Some(column)) => format!("{line}:{column} "),
        _ => String::new(),
    };
    let pointer = if field("pointer").is_empty() { "(document)" } else { field("pointer") };
    let code = output::bad(field("code"));
    let mut lines = vec![format!("{place}{pointer} {code}: {}", field("message"))];
    if let Some([line, mark]) = fault.get("expression").and_then(marked) {
        lines.extend([format!("      | {line}"), format!("      | {}", output::bad(mark))]);
    }
    if !field("help").is_empty() {
        lines.push(format!("      {} {}", output::good("help:"), field("help")));
    }
    lines.join("\n")
}

/// The line of an excerpt that is at fault, and what stands under it.
fn marked(excerpt: &Value) -> Option<[String; 2]> {
    let number = |name: &str| usize::try_from(excerpt.get(name)?.as_u64()?).ok()?.checked_sub(1);
    let (line, column) = (number("line")?, number("column")?);
    let line = output::tame(excerpt.get("text")?.as_str()?.split('\n').nth(line)?);
    let characters: Vec<char> = line.chars().collect();
    let column = column.min(characters.len());
    let start = if characters.len() <= MOST_CHARACTERS { 0 } else { column.saturating_sub(BEFORE) };
    let end = characters.len().min(start + MOST_CHARACTERS);
    let part = |from: usize, to: usize| characters[from..to].iter().collect::<String>();
    let cut = |is_cut: bool| if is_cut { "…" } else { "" };
    let (before, after) = (cut(start > 0), cut(end < characters.len()));
    let indent = measure_text_width(&format!("{before}{}", part(start, column)));
    Some([format!("{before}{}{after}", part(start, end)), format!("{}^", " ".repeat(indent))])
}

#[cfg(test)]
mod tests {
    use console::strip_ansi_codes;
    use serde_json::json;

    use super::*;

    fn shown(text: &str, line: usize, column: usize) -> [String; 2] {
        marked(&json!({ "text": text, "line": line, "column": column })).unwrap()
    }

    #[test]
    fn a_fault_is_shown_with_its_expression_and_its_help() {
        let fault = json!({ "pointer": "/output", "line": 3, "column": 5, "code": "CODE", "message": "wrong",
            "help": "do this", "expression": { "text": "input.", "line": 1, "column": 7 } });
        let expected =
            "3:5 /output CODE: wrong\n      | input.\n      |       ^\n      help: do this";
        assert_eq!(strip_ansi_codes(&text(&fault)), expected);
        let bare = json!({ "pointer": "", "code": "CODE", "message": "wrong" });
        assert_eq!(strip_ansi_codes(&text(&bare)), "(document) CODE: wrong");
    }

    #[test]
    fn the_mark_stands_under_the_place() {
        assert_eq!(shown("a b", 1, 3), ["a b", "  ^"]);
        assert_eq!(shown("1 +\n  2 3", 2, 5), ["  2 3", "    ^"]);
        assert_eq!(shown("'日本' b", 1, 6), ["'日本' b", "       ^"]);
        assert_eq!(shown("a\tb\u{1b}[2J", 1, 3), ["a b\u{fffd}[2J", "  ^"]);
    }

    #[test]
    fn a_long_expression_is_cut_around_the_place() {
        let exactly = "a".repeat(100);
        assert_eq!(shown(&exactly, 1, 101)[0], exactly);
        let long = "a".repeat(101);
        assert_eq!(shown(&long, 1, 1), [format!("{}…", "a".repeat(100)), "^".to_owned()]);
        let [line, mark] = shown(&format!("{}!{}", "a".repeat(500), "b".repeat(500)), 1, 501);
        assert_eq!(line.chars().count(), 102);
        assert_eq!(line.chars().nth(mark.chars().count() - 1), Some('!'));
    }

    #[test]
    fn a_place_that_is_not_there_is_no_mark() {
        for (line, column) in [(0, 1), (1, 0), (3, 1)] {
            let excerpt = json!({ "text": "a\nb", "line": line, "column": column });
            assert_eq!(marked(&excerpt), None, "{line}:{column}");
        }
        assert_eq!(shown("ab", 1, 9), ["ab", "  ^"]);
    }
}
