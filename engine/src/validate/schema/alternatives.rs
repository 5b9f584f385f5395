//! Where a schema offers several forms (a field that may be left out, a tagged type, one word of a few): which of them the author
//! meant, so that what is said is about that one and stands at its own place.

use jsonschema::error::TypeKind;
use jsonschema::{JsonType, ValidationError};
use serde_json::Value;

use super::{Fault, Kind, Repair, diagnose, shorten, wrong_type};
use crate::diagnostic::Diagnostic;

/// An error of a whole document, or those of the alternative that was meant.
pub(super) fn fault(error: &ValidationError<'_>, schema: &Value) -> Vec<Fault> {
    let alternatives = match error.kind() {
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => context,
        Kind::Enum { options } => {
            let options = options.as_array().into_iter().flatten().collect::<Vec<_>>();
            let pointer = error.instance_path().to_string();
            return vec![no_such_word(&pointer, &pointer, &options, error.instance())];
        }
        _ => return diagnose(error, schema),
    };
    let root = error.instance_path().to_string();
    let possible = alternatives.iter().filter(|it| !it.iter().any(|it| is_of_another(&root, it)));
    match possible.min_by_key(|errors| errors.len()) {
        Some(meant) => meant.iter().flat_map(|error| fault(error, schema)).collect(),
        None => vec![none(&root, alternatives, error)],
    }
}

/// Whether an error says that something else was meant than the alternative that it is of.
fn is_of_another(root: &str, error: &ValidationError<'_>) -> bool {
    let place = error.instance_path().to_string();
    match error.kind() {
        Kind::Type { .. } => place == root,
        Kind::Constant { .. } | Kind::Enum { .. } => is_tag(root, &place) || place == root,
        _ => false,
    }
}

/// Whether a pointer is that of the field that names the alternative.
fn is_tag(root: &str, pointer: &str) -> bool {
    pointer.strip_prefix(root) == Some("/type")
}

/// None of the alternatives was meant: which ones there are.
fn none(
    root: &str,
    alternatives: &[Vec<ValidationError<'static>>],
    error: &ValidationError<'_>,
) -> Fault {
    let (mut tags, mut words, mut types) = (Vec::new(), Vec::new(), Vec::<JsonType>::new());
    for error in alternatives.iter().flatten() {
        let place = error.instance_path().to_string();
        match error.kind() {
            Kind::Constant { expected_value } if is_tag(root, &place) => {
                tags.push(&**expected_value);
            }
            Kind::Constant { expected_value } if place == root => words.push(&**expected_value),
            Kind::Enum { options } if place == root => {
                words.extend(options.as_array().into_iter().flatten());
            }
            Kind::Type { kind } if place == root => match kind {
                TypeKind::Single(one) => types.push(*one),
                TypeKind::Multiple(many) => types.extend(many.iter()),
            },
            _ => {}
        }
    }
    let found = error.instance();
    match found.get("type") {
        Some(tag) if !tags.is_empty() => no_such_word(&format!("{root}/type"), root, &tags, tag),
        _ if !words.is_empty() => no_such_word(root, root, &words, found),
        _ => wrong_type(root, &types, None, found),
    }
}

/// A word at `pointer` that is none of those that there are; without it, `replaced` cannot be read.
fn no_such_word(pointer: &str, replaced: &str, known: &[&Value], found: &Value) -> Fault {
    let known: Vec<_> = known.iter().filter_map(|it| it.as_str()).collect();
    let message = format!("expected `{}`, found {}", known.join("` or `"), shorten(found));
    let mut diagnostic = Diagnostic::new(pointer, "SCHEMA", message);
    diagnostic.help =
        found.as_str().and_then(|word| Diagnostic::did_you_mean(word, known.iter().copied()));
    Fault { diagnostic, repair: Repair::Replace(replaced.to_owned(), None) }
}
