//! Schemas in words: what a type is called, and which fields it has.

use std::fmt::Write as _;

use anyhow::{Context, Result};
use serde_json::Value;

/// What references to the types of the document begin with.
const REFERENCE: &str = "#/components/schemas/";

/// The page of all types.
pub(super) fn page(document: &Value) -> Result<String> {
    let mut text = String::from("# Types\n\nWhat requests and answers are made of.\n");
    let schemas = document["components"]["schemas"].as_object();
    for (name, schema) in schemas.context("the document has types")? {
        write!(text, "\n## {name}\n\n")?;
        if let Some(words) = schema["description"].as_str() {
            writeln!(text, "{}", words.replace('<', "&lt;"))?;
        }
        fields(&mut text, schema, "")?;
    }
    Ok(text)
}

/// The fields of an object; of a choice, those of each.
pub(super) fn fields(text: &mut String, schema: &Value, types: &str) -> Result<()> {
    for (number, one) in schema["oneOf"].as_array().into_iter().flatten().enumerate() {
        let words = one["description"].as_str().unwrap_or_default().replace('<', "&lt;");
        write!(text, "\n{}. {words}\n", number + 1)?;
        fields(text, one, types)?;
    }
    let Some(properties) = schema["properties"].as_object().filter(|it| !it.is_empty()) else {
        return Ok(());
    };
    let required = schema["required"].as_array();
    let is_required = |name: &str| required.is_some_and(|it| it.iter().any(|it| it == name));
    text.push_str("\n| field | type | required | meaning |\n|---|---|---|---|\n");
    for (name, property) in properties {
        let kind = type_of(property, types);
        let required = if is_required(name) { "yes" } else { "" };
        writeln!(text, "| `{name}` | {kind} | {required} | {} |", meaning(property))?;
    }
    Ok(())
}

fn meaning(property: &Value) -> String {
    let own = in_a_cell(&property["description"]);
    if !own.is_empty() {
        return own;
    }
    // Of what may be absent, the description stands with the type.
    let choices = property["oneOf"].as_array().into_iter().flatten();
    choices.map(|it| in_a_cell(&it["description"])).find(|it| !it.is_empty()).unwrap_or_default()
}

/// What a schema is called; `types` is the page of the types, seen from here.
pub(super) fn type_of(schema: &Value, types: &str) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = reference.trim_start_matches(REFERENCE);
        return format!("[{name}]({types}#{})", name.to_lowercase());
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let names: Vec<_> = choices.iter().map(|it| type_of(it, types)).collect();
        return names.join(" or ");
    }
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<_> = values.iter().map(|it| format!("`{it}`")).collect();
        return values.join(", ");
    }
    let name = match &schema["type"] {
        Value::String(name) => named(name, schema, types),
        Value::Array(names) => {
            let names = names.iter().filter_map(Value::as_str).map(|it| named(it, schema, types));
            names.collect::<Vec<_>>().join(" or ")
        }
        _ => "any JSON".to_owned(),
    };
    match schema["format"].as_str() {
        // How many bits a number has says nothing to a caller.
        Some(format) if !format.starts_with("int") => format!("{name} ({format})"),
        _ => name,
    }
}

fn named(name: &str, schema: &Value, types: &str) -> String {
    match name {
        "array" => format!("array of {}", type_of(&schema["items"], types)),
        "object" if schema["additionalProperties"].is_object() => {
            format!("object of {}", type_of(&schema["additionalProperties"], types))
        }
        _ => name.to_owned(),
    }
}

/// A text that fits into a table.
pub(super) fn in_a_cell(text: &Value) -> String {
    let text = text.as_str().unwrap_or_default();
    text.replace('|', "\\|").replace('\n', " ").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn types_have_names_that_people_use() {
        for (schema, name) in [
            (json!({ "type": "integer", "format": "int64" }), "integer"),
            (
                json!({ "type": ["string", "null"], "format": "date-time" }),
                "string or null (date-time)",
            ),
            (
                json!({ "type": "array", "items": { "$ref": "#/components/schemas/StepView" } }),
                "array of [StepView](t.md#stepview)",
            ),
            (
                json!({ "oneOf": [{ "$ref": "#/components/schemas/A" }, { "type": "null" }] }),
                "[A](t.md#a) or null",
            ),
            (
                json!({ "type": "object", "additionalProperties": { "type": "string" } }),
                "object of string",
            ),
            (json!({ "type": "string", "enum": ["A", "B"] }), "`\"A\"`, `\"B\"`"),
            (json!({}), "any JSON"),
        ] {
            assert_eq!(type_of(&schema, "t.md"), name, "{schema}");
        }
    }
}
