//! Labels: short texts that executions are found again by, and what they may be.

use std::collections::BTreeMap;

use serde_json::Value;

/// The most labels of one execution.
pub const MAX_LABELS: usize = 32;
/// The longest name and the longest value of a label, in bytes.
pub const MAX_LABEL_BYTES: usize = 200;

/// An execution's labels: values by name.
pub type Labels = BTreeMap<String, String>;

/// Labels are more, or longer, than they may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an execution has up to {MAX_LABELS} labels, each name and value up to {MAX_LABEL_BYTES} bytes"
)]
pub struct LabelsTooLarge;

/// Refuses labels beyond the limits, and NUL, which the database's text cannot hold.
pub fn check(labels: &Labels) -> Result<(), LabelsTooLarge> {
    let fits = |text: &String| text.len() <= MAX_LABEL_BYTES && !text.contains('\0');
    let all_fit = labels.iter().all(|(name, value)| fits(name) && fits(value));
    if labels.len() <= MAX_LABELS && all_fit { Ok(()) } else { Err(LabelsTooLarge) }
}

/// Labels from what expressions gave: simple values are written as text.
pub(crate) fn from_json(value: Value) -> Result<Labels, String> {
    let Value::Object(fields) = value else { return Err("`labels` is not an object".to_owned()) };
    let mut labels = Labels::new();
    for (name, value) in fields {
        let text = match value {
            Value::String(text) => text,
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            _ => return Err(format!("the label `{name}` is neither a text nor a number")),
        };
        labels.insert(name, text);
    }
    check(&labels).map_err(|error| error.to_string())?;
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn named(count: usize, bytes: usize) -> Labels {
        (0..count).map(|at| (format!("{at}"), "x".repeat(bytes))).collect()
    }

    #[test]
    fn labels_are_bounded_in_number_and_length() {
        assert_eq!(check(&named(32, 200)), Ok(()));
        assert_eq!(check(&named(33, 1)), Err(LabelsTooLarge));
        assert_eq!(check(&named(1, 201)), Err(LabelsTooLarge));
        let name = |bytes: usize| Labels::from([("n".repeat(bytes), String::new())]);
        assert_eq!((check(&name(200)), check(&name(201))), (Ok(()), Err(LabelsTooLarge)));
        assert_eq!(check(&Labels::from([("a".into(), "\0".into())])), Err(LabelsTooLarge));
    }

    #[test]
    fn simple_values_are_written_as_text() {
        let labels = from_json(json!({ "team": "billing", "order": 7, "new": true })).unwrap();
        let texts: Vec<_> = labels.iter().map(|(name, it)| (name.as_str(), it.as_str())).collect();
        assert_eq!(texts, [("new", "true"), ("order", "7"), ("team", "billing")]);
        for bad in [json!({ "a": null }), json!({ "a": [1] }), json!([1])] {
            assert!(from_json(bad.clone()).is_err(), "{bad}");
        }
    }
}
