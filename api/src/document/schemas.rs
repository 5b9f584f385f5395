//! What generators need of the schemas and the derived ones do not say: that an object of no known shape may have any field,
//! and that what may be null in a request may be left out.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

/// Where schemas with names are.
const SCHEMAS: &str = "#/components/schemas/";

/// Completes the schemas of a document.
pub(super) fn complete(document: &mut Value) {
    open_objects(document);
    let requests = sent(document);
    let Some(schemas) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut)
    else {
        return;
    };
    for (name, schema) in schemas {
        if requests.contains(name) {
            leave_out_nulls(schema);
        }
    }
}

/// Objects without properties may have any.
fn open_objects(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if is_object(fields) && !fields.contains_key("properties") {
                fields.entry("additionalProperties").or_insert(json!(true));
            }
            // An example may be a schema itself, and is shown as its author wrote it.
            let written = fields.iter_mut().filter(|(name, _)| *name != "example");
            written.for_each(|(_, value)| open_objects(value));
        }
        Value::Array(items) => items.iter_mut().for_each(open_objects),
        _ => {}
    }
}

fn is_object(schema: &Map<String, Value>) -> bool {
    match schema.get("type") {
        Some(Value::String(kind)) => kind == "object",
        Some(Value::Array(kinds)) => kinds.contains(&json!("object")),
        _ => false,
    }
}

/// The names of the schemas that requests are made of.
fn sent(document: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let operations = document["paths"].as_object().into_iter().flat_map(|paths| paths.values());
    for operation in operations.filter_map(Value::as_object).flat_map(|it| it.values()) {
        collect(document, &operation["requestBody"], &mut found);
    }
    found
}

fn collect(document: &Value, value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            let name = fields.get("$ref").and_then(Value::as_str);
            if let Some(name) = name.and_then(|it| it.strip_prefix(SCHEMAS))
                && found.insert(name.to_owned())
            {
                collect(document, &document["components"]["schemas"][name], found);
            }
            fields.values().for_each(|field| collect(document, field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(document, item, found)),
        _ => {}
    }
}

fn leave_out_nulls(schema: &mut Value) {
    let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) else {
        return;
    };
    // Generators take what has a default for something that is always there.
    for property in properties.values_mut().filter_map(Value::as_object_mut) {
        if property.get("default") == Some(&Value::Null) {
            property.remove("default");
        }
    }
    let nullable: BTreeSet<_> =
        properties.iter().filter(|(_, it)| may_be_null(it)).map(|(name, _)| name.clone()).collect();
    if let Some(required) = schema.get_mut("required").and_then(Value::as_array_mut) {
        required.retain(|name| name.as_str().is_none_or(|name| !nullable.contains(name)));
    }
}

fn may_be_null(schema: &Value) -> bool {
    let is_null = |kind: &Value| *kind == json!("null") || kind["type"] == json!("null");
    let of = |key: &str| schema[key].as_array().is_some_and(|kinds| kinds.iter().any(is_null));
    of("type") || of("oneOf") || of("anyOf")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_may_leave_out_what_may_be_null_and_answers_keep_it() {
        let schema = || {
            json!({ "type": "object", "required": ["a", "b", "c"], "properties": {
                "a": { "type": "string" }, "b": { "type": ["string", "null"], "default": null },
                "c": { "oneOf": [{ "type": "null" }, { "$ref": "#/components/schemas/Inner" }] } } })
        };
        let mut document = json!({
            "paths": { "/x": { "post": { "requestBody": { "schema": { "$ref": "#/components/schemas/Asked" } } } } },
            "components": { "schemas": { "Asked": schema(), "Inner": schema(), "Answer": schema(), "Any": { "type": "object", "example": { "type": "object" } } } },
        });
        complete(&mut document);
        let required = |name: &str| &document["components"]["schemas"][name]["required"];
        assert_eq!([required("Asked"), required("Inner")], [&json!(["a"]); 2]);
        let asked = &document["components"]["schemas"]["Asked"]["properties"]["b"];
        assert_eq!(*asked, json!({ "type": ["string", "null"] }));
        assert_eq!(required("Answer"), &json!(["a", "b", "c"]));
        let any = &document["components"]["schemas"]["Any"];
        assert_eq!(any["additionalProperties"], true);
        assert_eq!(any["example"], json!({ "type": "object" }), "examples are as they were");
    }
}
