//! How two definitions differ, as lines. The order of fields says nothing, so the old one is shown in the order of the new one.

use serde_json::{Map, Value};
use similar::{ChangeTag, TextDiff};

use crate::output;

/// Lines around a change.
const CONTEXT: usize = 2;

/// A diff of the two in their JSON, each line with what became of it before it.
pub(in crate::commands) fn lines(old: &Value, new: &Value) -> Vec<String> {
    let (old, new) = (format!("{:#}\n", in_order_of(old, new)), format!("{new:#}\n"));
    let diff = TextDiff::from_lines(&old, &new);
    let mut lines = Vec::new();
    for group in diff.grouped_ops(CONTEXT) {
        let begins = group.first().map_or(0, |it| it.new_range().start);
        lines.push(output::faint(format!("@ {}", place(&new, begins))));
        for change in group.iter().flat_map(|operation| diff.iter_changes(operation)) {
            let text = output::tame(change.value().trim_end_matches('\n'));
            lines.push(match change.tag() {
                ChangeTag::Equal => format!("  {text}"),
                ChangeTag::Delete => output::bad(format!("- {text}")),
                ChangeTag::Insert => output::good(format!("+ {text}")),
            });
        }
    }
    lines
}

/// Where a line is, for whoever does not see what is above it: in which step.
fn place(text: &str, line: usize) -> String {
    let above: Vec<_> = text.lines().take(line).collect();
    let id = above.iter().rev().find_map(|it| it.trim_start().strip_prefix("\"id\": "));
    let id = id.map(|it| format!(" in {}", it.trim_end_matches(',')));
    format!("line {}{}", line + 1, output::tame(&id.unwrap_or_default()))
}

/// The same value, with the fields that both have in the other's order. Steps are matched by their ids.
fn in_order_of(value: &Value, other: &Value) -> Value {
    match (value, other) {
        (Value::Object(fields), Value::Object(others)) => {
            let common = others.iter().filter_map(|(name, other)| {
                Some((name.clone(), in_order_of(fields.get(name)?, other)))
            });
            let mut ordered: Map<_, _> = common.collect();
            for (name, value) in fields {
                if !ordered.contains_key(name) {
                    ordered.insert(name.clone(), value.clone());
                }
            }
            Value::Object(ordered)
        }
        (Value::Array(items), Value::Array(others)) => {
            let other = |place: usize, item: &Value| {
                let same = |it: &&Value| !item["id"].is_null() && it["id"] == item["id"];
                others.iter().find(same).or_else(|| others.get(place)).unwrap_or(&Value::Null)
            };
            let ordered =
                items.iter().enumerate().map(|(place, it)| in_order_of(it, other(place, it)));
            Value::Array(ordered.collect())
        }
        _ => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use anstream::adapter::strip_str;
    use serde_json::json;

    use super::*;

    fn plain(old: &Value, new: &Value) -> Vec<String> {
        lines(old, new).iter().map(|line| strip_str(line).to_string()).collect()
    }

    #[test]
    fn only_what_differs_is_shown() {
        let step =
            |id: &str, url: &str| json!({ "id": id, "type": "http", "config": { "url": url } });
        let old = json!({ "steps": [step("a", "u"), step("b", "v")], "name": "x" });
        // The same, in another order of fields and with another URL.
        let new = json!({ "name": "x", "steps": [
            { "config": { "url": "u" }, "type": "http", "id": "a" }, step("b", "w") ] });
        let wanted = [
            r#"@ line 13 in "b""#,
            r#"        "type": "http","#,
            r#"        "config": {"#,
            r#"-         "url": "v""#,
            r#"+         "url": "w""#,
            "        }",
            "      }",
        ];
        let found: Vec<_> = plain(&old, &new);
        assert_eq!(found.iter().map(|it| it.trim_end()).collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn a_step_that_is_put_before_others_is_all_that_is_shown() {
        let step = |id: &str| json!({ "id": id, "type": "log" });
        let backwards = |id: &str| json!({ "type": "log", "id": id });
        let found = plain(
            &json!({ "steps": [backwards("a"), backwards("b")] }),
            &json!({ "steps": [step("new"), step("a"), step("b")] }),
        );
        let changed: Vec<_> = found.iter().filter(|it| !it.starts_with("  ")).collect();
        assert!(
            changed[1..].iter().all(|it| it.starts_with('+')) && changed.len() == 5,
            "{found:?}"
        );
    }

    #[test]
    fn the_order_of_fields_is_no_difference() {
        let (old, new) = (
            json!({ "a": 1, "b": { "c": 1, "d": 2 } }),
            json!({ "b": { "d": 2, "c": 1 }, "a": 1 }),
        );
        assert_eq!(plain(&old, &new), Vec::<String>::new());
        assert_eq!(old, new);
    }
}
