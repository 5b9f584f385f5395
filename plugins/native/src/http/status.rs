//! Which response statuses a step takes for success.

use http::StatusCode;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde_json::Value;

/// One entry of `expectStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Value")]
pub(super) enum ExpectedStatus {
    /// Exactly this code.
    Code(u16),
    /// Every code with this first digit.
    Class(u16),
}

impl ExpectedStatus {
    pub(super) fn matches(self, status: StatusCode) -> bool {
        match self {
            Self::Code(code) => status.as_u16() == code,
            Self::Class(class) => status.as_u16() / 100 == class,
        }
    }
}

impl TryFrom<Value> for ExpectedStatus {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let code = value.as_u64().and_then(|code| u16::try_from(code).ok());
        if let Some(code @ 100..=599) = code {
            return Ok(Self::Code(code));
        }
        match value.as_str().map(str::as_bytes) {
            Some([class @ b'1'..=b'5', b'x', b'x']) => Ok(Self::Class(u16::from(class - b'0'))),
            _ => Err(format!(
                "expected a status such as 201 or a class such as \"2xx\", found {value}"
            )),
        }
    }
}

impl JsonSchema for ExpectedStatus {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ExpectedStatus".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "integer", "minimum": 100, "maximum": 599 },
            { "type": "string", "pattern": "^[1-5]xx$" },
        ] })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn codes_and_classes_are_read_and_nothing_else() {
        for (value, expected) in [
            (json!(100), Some(ExpectedStatus::Code(100))),
            (json!(599), Some(ExpectedStatus::Code(599))),
            (json!("5xx"), Some(ExpectedStatus::Class(5))),
            (json!(99), None),
            (json!(600), None),
            (json!("6xx"), None),
            (json!("200"), None),
            (json!(200.5), None),
        ] {
            assert_eq!(ExpectedStatus::try_from(value.clone()).ok(), expected, "{value}");
        }
    }
}
