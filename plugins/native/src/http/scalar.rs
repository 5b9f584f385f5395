//! A plain value where HTTP knows only text: headers, query parameters, form fields.
//!
//! A whole-string expression keeps its type, so `"${input.page}"` may arrive as a number.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::Value;

/// A string, a number or a truth value, as its text.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Value")]
pub(super) struct Scalar(String);

impl Scalar {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<Value> for Scalar {
    type Error = NotScalar;

    fn try_from(value: Value) -> Result<Self, NotScalar> {
        match value {
            Value::String(text) => Ok(Self(text)),
            Value::Number(number) => Ok(Self(number.to_string())),
            Value::Bool(truth) => Ok(Self(truth.to_string())),
            Value::Null => Err(NotScalar("null")),
            Value::Array(_) => Err(NotScalar("an array")),
            Value::Object(_) => Err(NotScalar("an object")),
        }
    }
}

impl JsonSchema for Scalar {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Scalar".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

/// Says what stands where a plain value belongs.
#[derive(Debug)]
pub(super) struct NotScalar(&'static str);

impl fmt::Display for NotScalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected a string, a number or a truth value, found {}", self.0)
    }
}
