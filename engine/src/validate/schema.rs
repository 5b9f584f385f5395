//! Documents against JSON Schemas, in our words: unknown fields with a suggestion, everything with a pointer.

use std::sync::LazyLock;

use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use jsonschema::{ValidationError, Validator};
use serde_json::Value;

use crate::definition::{Definition, json_schema};
use crate::diagnostic::Diagnostic;

/// A document with more problems than this is not helped by the rest of them.
const MAX_PROBLEMS: usize = 100;

static SCHEMA: LazyLock<Value> = LazyLock::new(json_schema);
static VALIDATOR: LazyLock<Validator> =
    LazyLock::new(|| jsonschema::validator_for(&SCHEMA).expect("the generated schema is valid"));

/// A definition against the schema generated from the types.
pub(super) fn check_definition(value: &Value) -> Vec<Diagnostic> {
    VALIDATOR
        .iter_errors(value)
        .take(MAX_PROBLEMS)
        .flat_map(|error| diagnose(&error, &SCHEMA))
        .collect()
}

/// `inputSchema` has to be a JSON Schema itself, and one that needs no other document.
pub(super) fn check_input_schema(definition: &Definition) -> Option<Diagnostic> {
    check_schema("inputSchema", "/inputSchema", definition.input_schema.as_ref()?)
}

/// Whether a schema that an author wrote can be used.
pub(super) fn check_schema(field: &str, pointer: &str, schema: &Value) -> Option<Diagnostic> {
    let error = jsonschema::validator_for(schema).err()?;
    let message = format!("`{field}` is not a usable JSON Schema: {error}");
    Some(Diagnostic::new(pointer, "INPUT_SCHEMA_INVALID", message))
}

/// Any value against any schema. A schema that is itself unusable accepts nothing.
pub fn check_instance(schema: &Value, value: &Value) -> Vec<Diagnostic> {
    match jsonschema::validator_for(schema) {
        Ok(validator) => validator
            .iter_errors(value)
            .take(MAX_PROBLEMS)
            .flat_map(|error| diagnose(&error, schema))
            .collect(),
        Err(error) => {
            vec![Diagnostic::new("", "SCHEMA", format!("the schema is unusable: {error}"))]
        }
    }
}

fn diagnose(error: &ValidationError<'_>, schema: &Value) -> Vec<Diagnostic> {
    let pointer = error.instance_path().to_string();
    match error.kind() {
        Kind::AdditionalProperties { unexpected } => {
            let path = error.schema_path().to_string();
            unexpected.iter().map(|field| unknown_field(&pointer, field, &path, schema)).collect()
        }
        Kind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            vec![Diagnostic::new(
                pointer,
                "MISSING_FIELD",
                format!("the field `{name}` is missing"),
            )]
        }
        Kind::Type { kind } => {
            let expected = match kind {
                TypeKind::Single(one) => one.to_string(),
                // `null` is how the schema says that a field may be left out.
                TypeKind::Multiple(many) => many
                    .iter()
                    .map(|one| one.to_string())
                    .filter(|one| one != "null")
                    .collect::<Vec<_>>()
                    .join(" or "),
            };
            let message = format!("expected {expected}, found {}", shorten(error.instance()));
            vec![Diagnostic::new(pointer, "WRONG_TYPE", message)]
        }
        _ => vec![Diagnostic::new(pointer, "SCHEMA", error.to_string())],
    }
}

fn unknown_field(pointer: &str, field: &str, schema_path: &str, schema: &Value) -> Diagnostic {
    let place = crate::expression::child(pointer, field);
    let diagnostic =
        Diagnostic::new(place, "UNKNOWN_FIELD", format!("there is no field `{field}` here"));
    let known = known_fields(schema_path, schema);
    match Diagnostic::did_you_mean(field, known.iter().map(String::as_str)) {
        Some(help) => diagnostic.with_help(help),
        None if known.is_empty() => diagnostic,
        None => diagnostic.with_help(format!("fields here: {}", known.join(", "))),
    }
}

/// The field names beside the `additionalProperties` that refused. The path that the validator gives goes
/// through `$ref`, so it is followed by hand.
fn known_fields(schema_path: &str, schema: &Value) -> Vec<String> {
    let mut at = schema;
    for token in schema_path.split('/').skip(1) {
        if token == "additionalProperties" {
            break;
        }
        if token == "$ref" {
            let target = at.get("$ref").and_then(Value::as_str).unwrap_or_default();
            let Some(next) = schema.pointer(target.trim_start_matches('#')) else {
                return Vec::new();
            };
            at = next;
            continue;
        }
        let next = match at {
            Value::Array(items) => token.parse::<usize>().ok().and_then(|index| items.get(index)),
            other => other.get(token),
        };
        let Some(next) = next else { return Vec::new() };
        at = next;
    }
    let properties = at.get("properties").and_then(Value::as_object);
    properties.map(|fields| fields.keys().cloned().collect()).unwrap_or_default()
}

fn shorten(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 60 {
        return text;
    }
    text.chars().take(57).chain("...".chars()).collect()
}
