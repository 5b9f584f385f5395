//! What an execution is found again by out of its input: the terms that its workflow's `searchable` points at.
//!
//! Whoever starts an execution hands these over with it, and [`Terms::of`] is the only way to get any but none, so no way of
//! starting can do it differently. It is not done in SQL, because Postgres cannot look into JSON that has a NUL in a text.

use std::collections::BTreeSet;

use serde_json::Value;

/// The longest text that becomes a term, in bytes.
pub const MAX_TERM_BYTES: usize = 256;

/// An execution's terms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms(BTreeSet<String>);

impl Terms {
    /// The scalars of an input that JSON pointers lead to. Where there is none, or one that is too long, there is no term.
    pub fn of(pointers: &[String], input: &Value) -> Self {
        Self(pointers.iter().filter_map(|it| term(input.pointer(it)?)).collect())
    }

    /// Each of them, once.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

fn term(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        _ => return None,
    };
    // The database's texts cannot hold a NUL.
    let fits = !text.is_empty() && text.len() <= MAX_TERM_BYTES && !text.contains('\0');
    fits.then_some(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn terms(pointers: &[&str], input: &Value) -> Vec<String> {
        let pointers: Vec<_> = pointers.iter().map(|it| (*it).to_owned()).collect();
        Terms::of(&pointers, input).iter().map(str::to_owned).collect()
    }

    #[test]
    fn scalars_become_terms_wherever_they_stand() {
        let input = json!({
            "order": { "id": "A7", "sum": 12.5, "new": true },
            "lines": [{ "sku": 7 }],
            "a/b": { "~": "odd" },
        });
        let pointers =
            ["/order/id", "/order/sum", "/order/new", "/lines/0/sku", "/a~1b/~0", "/order/id"];
        assert_eq!(terms(&pointers, &input), ["12.5", "7", "A7", "odd", "true"]);
        assert_eq!(terms(&[""], &json!("whole")), ["whole"]);
    }

    #[test]
    fn what_is_absent_or_no_scalar_is_no_term() {
        let input = json!({ "null": null, "list": ["a"], "object": { "a": 1 }, "empty": "", "nul": "a\0b" });
        let pointers = ["/null", "/list", "/object", "/empty", "/nul", "/absent", "/list/1", ""];
        assert_eq!(terms(&pointers, &input), Vec::<String>::new());
        assert_eq!(Terms::of(&[], &input), Terms::default());
    }

    #[test]
    fn a_term_has_up_to_256_bytes() {
        let of = |text: String| terms(&["/a"], &json!({ "a": text })).len();
        assert_eq!(of("x".repeat(255)), 1);
        assert_eq!(of("x".repeat(256)), 1);
        assert_eq!(of("x".repeat(257)), 0);
        assert_eq!(of("ü".repeat(129)), 0, "bytes, not characters");
    }
}
