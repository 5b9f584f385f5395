//! Documents against JSON Schemas, in our words: unknown fields with a suggestion, everything with a pointer.

mod alternatives;

use std::collections::HashMap;
use std::sync::LazyLock;

use jsonschema::error::{TypeKind, ValidationErrorKind as Kind};
use jsonschema::{JsonType, ValidationError, Validator};
use serde_json::Value;

use crate::control::ControlType;
use crate::definition::{Definition, json_schema};
use crate::diagnostic::{Diagnostic, nearest};

/// A document with more problems than this is not helped by the rest of them. Of a definition, one more is looked for, to
/// know that there are more.
pub(super) const MAX_PROBLEMS: usize = 100;

static SCHEMA: LazyLock<Value> = LazyLock::new(json_schema);
static VALIDATOR: LazyLock<Validator> =
    LazyLock::new(|| jsonschema::validator_for(&SCHEMA).expect("the generated schema is valid"));

/// A definition against the schema generated from the types.
pub(super) fn check_definition(value: &Value) -> Vec<Fault> {
    faults(&VALIDATOR, &SCHEMA, value)
}

/// A control step's config against the schema generated from its type.
pub(super) fn check_control(control: ControlType, config: &Value) -> Vec<Fault> {
    static VALIDATORS: LazyLock<HashMap<ControlType, (Value, Validator)>> = LazyLock::new(|| {
        let with_validator = |control: ControlType| {
            let schema = control.config_schema();
            let validator = jsonschema::validator_for(&schema);
            (control, (schema, validator.expect("the generated schema is valid")))
        };
        ControlType::ALL.into_iter().map(with_validator).collect()
    });
    let (schema, validator) = &VALIDATORS[&control];
    faults(validator, schema, config)
}

/// What a schema refuses, and how the document could be read all the same.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) diagnostic: Diagnostic,
    pub(super) repair: Repair,
}

impl Fault {
    fn say(self) -> Diagnostic {
        self.diagnostic
    }
}

/// What has to be changed so that a document can be read in spite of a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Repair {
    /// Nothing: it can be read as it stands.
    Nothing,
    /// The value there is one too many. Its name may be another one, misspelt.
    Remove(Option<String>),
    /// The object there has to have a field of this name.
    Add(String),
    /// The value at the pointer has to be another: of this type, if one is asked for.
    Replace(String, Option<JsonType>),
}

fn faults(validator: &Validator, schema: &Value, value: &Value) -> Vec<Fault> {
    let errors = validator.iter_errors(value).take(MAX_PROBLEMS + 1);
    let mut faults: Vec<_> = errors.flat_map(|error| alternatives::fault(&error, schema)).collect();
    faults.truncate(MAX_PROBLEMS + 1);
    faults
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

/// A step's config against the schema of its type.
pub(super) fn check_config(schema: &Value, config: &Value) -> Vec<Diagnostic> {
    match jsonschema::validator_for(schema) {
        Ok(validator) => faults(&validator, schema, config).into_iter().map(Fault::say).collect(),
        // It says itself what is wrong with the schema.
        Err(_) => check_instance(schema, config),
    }
}

/// Any value against any schema. A schema that is itself unusable accepts nothing.
pub fn check_instance(schema: &Value, value: &Value) -> Vec<Diagnostic> {
    match jsonschema::validator_for(schema) {
        Ok(validator) => validator
            .iter_errors(value)
            .take(MAX_PROBLEMS)
            .flat_map(|error| diagnose(&error, schema))
            .map(Fault::say)
            .collect(),
        Err(error) => {
            vec![Diagnostic::new("", "SCHEMA", format!("the schema is unusable: {error}"))]
        }
    }
}

fn diagnose(error: &ValidationError<'_>, schema: &Value) -> Vec<Fault> {
    let pointer = error.instance_path().to_string();
    match error.kind() {
        Kind::AdditionalProperties { unexpected } => {
            let path = error.schema_path().to_string();
            unexpected.iter().map(|field| unknown_field(&pointer, field, &path, schema)).collect()
        }
        Kind::Required { property } => {
            let name = property.as_str().unwrap_or_default().to_owned();
            let message = format!("the field `{name}` is missing");
            let diagnostic = Diagnostic::new(pointer, "MISSING_FIELD", message);
            vec![Fault { diagnostic, repair: Repair::Add(name) }]
        }
        Kind::Type { kind } => {
            let (expected, required): (Vec<_>, _) = match kind {
                TypeKind::Single(one) => (vec![*one], Some(*one)),
                TypeKind::Multiple(many) => (many.iter().collect(), None),
            };
            vec![wrong_type(&pointer, &expected, required, error.instance())]
        }
        kind => {
            let diagnostic = Diagnostic::new(&*pointer, "SCHEMA", error.to_string());
            let repair = match kind {
                Kind::Pattern { .. }
                | Kind::MinLength { .. }
                | Kind::MaxLength { .. }
                | Kind::MinItems { .. }
                | Kind::MaxItems { .. }
                | Kind::UniqueItems
                | Kind::MinProperties { .. }
                | Kind::MaxProperties { .. } => Repair::Nothing,
                _ => Repair::Replace(pointer, None),
            };
            vec![Fault { diagnostic, repair }]
        }
    }
}

fn wrong_type(
    pointer: &str,
    expected: &[JsonType],
    required: Option<JsonType>,
    found: &Value,
) -> Fault {
    // `null` is how the schema says that a field may be left out.
    let names = expected.iter().map(ToString::to_string).filter(|one| one != "null");
    let names = names.collect::<Vec<_>>().join(" or ");
    let message = format!("expected {names}, found {}", shorten(found));
    let diagnostic = Diagnostic::new(pointer, "WRONG_TYPE", message);
    Fault { diagnostic, repair: Repair::Replace(pointer.to_owned(), required) }
}

fn unknown_field(pointer: &str, field: &str, schema_path: &str, schema: &Value) -> Fault {
    let place = crate::expression::child(pointer, field);
    let diagnostic =
        Diagnostic::new(place, "UNKNOWN_FIELD", format!("there is no field `{field}` here"));
    let known = known_fields(schema_path, schema);
    let meant = nearest(field, known.iter().map(String::as_str));
    let diagnostic = match meant {
        Some(meant) => diagnostic.with_help(format!("did you mean `{meant}`?")),
        None if known.is_empty() => diagnostic,
        None => diagnostic.with_help(format!("fields here: {}", known.join(", "))),
    };
    Fault { diagnostic, repair: Repair::Remove(meant.map(str::to_owned)) }
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
