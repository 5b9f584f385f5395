//! The API reference: pages out of the `OpenAPI` document, one for each group of operations and one for the types.

mod types;

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde_json::Value;

use types::{fields, in_a_cell, type_of};

/// The page of the types; the others link to it.
const TYPES: &str = "types.md";

/// Name, path and text of each page.
pub(crate) fn pages(document: &str) -> Result<Vec<(String, PathBuf, String)>> {
    let document: Value =
        serde_json::from_str(document).context("docs/openapi.json is not JSON")?;
    let mut pages = Vec::new();
    for group in document["tags"].as_array().context("the document has groups")? {
        let name = group["name"].as_str().context("a group has a name")?;
        let about = group["description"].as_str().unwrap_or_default();
        let path = PathBuf::from(format!("reference/api/{}.md", name.to_lowercase()));
        pages.push((name.to_owned(), path, group_page(&document, name, about)?));
    }
    let path = PathBuf::from(format!("reference/api/{TYPES}"));
    pages.push(("Types".to_owned(), path, types::page(&document)?));
    Ok(pages)
}

fn group_page(document: &Value, name: &str, about: &str) -> Result<String> {
    let mut overview = String::from("| call | |\n|---|---|\n");
    let mut details = String::new();
    for (path, methods) in document["paths"].as_object().context("the document has paths")? {
        for (method, operation) in methods.as_object().context("a path has methods")? {
            if operation["tags"][0] == name {
                let call = format!("{} {path}", method.to_uppercase());
                let id = operation["operationId"].as_str().context("an operation has an id")?;
                let summary = in_a_cell(&operation["summary"]);
                writeln!(overview, "| [`{call}`](#{id}) | {summary} |")?;
                details.push_str(&section(document, &call, id, operation)?);
            }
        }
    }
    Ok(format!(
        "# {name}\n\n{about} What all calls have in common is [on the page before](../api.md).\n\n{overview}{details}"
    ))
}

fn section(document: &Value, call: &str, id: &str, operation: &Value) -> Result<String> {
    let mut text = format!("\n## `{call}` {{#{id}}}\n\n");
    for words in [&operation["summary"], &operation["description"]] {
        if let Some(words) = words.as_str() {
            write!(text, "{}\n\n", words.replace('<', "&lt;"))?;
        }
    }
    writeln!(text, "Operation id: `{id}`.")?;
    parameters(&mut text, operation)?;
    body(&mut text, document, &operation["requestBody"])?;
    responses(&mut text, &operation["responses"])?;
    Ok(text)
}

fn parameters(text: &mut String, operation: &Value) -> Result<()> {
    let Some(parameters) = operation["parameters"].as_array() else { return Ok(()) };
    text.push_str("\n| parameter | in | type | meaning |\n|---|---|---|---|\n");
    for parameter in parameters {
        let name = parameter["name"].as_str().unwrap_or_default();
        let place = parameter["in"].as_str().unwrap_or_default();
        let kind = type_of(&parameter["schema"], TYPES);
        writeln!(
            text,
            "| `{name}` | {place} | {kind} | {} |",
            in_a_cell(&parameter["description"])
        )?;
    }
    Ok(())
}

fn body(text: &mut String, document: &Value, body: &Value) -> Result<()> {
    for (media_type, content) in body["content"].as_object().into_iter().flatten() {
        let schema = &content["schema"];
        write!(text, "\nBody, `{media_type}`: {}.", type_of(schema, TYPES))?;
        if let Some(words) = body["description"].as_str() {
            write!(text, " {}", words.replace('<', "&lt;"))?;
        }
        text.push('\n');
        let pointer = schema["$ref"].as_str().map_or("", |it| it.trim_start_matches('#'));
        if let Some(schema) = document.pointer(pointer).filter(|_| !pointer.is_empty()) {
            fields(text, schema, TYPES)?;
        }
    }
    Ok(())
}

fn responses(text: &mut String, responses: &Value) -> Result<()> {
    text.push_str("\n| answer | body | when |\n|---|---|---|\n");
    for (status, response) in responses.as_object().context("an operation has answers")? {
        let bodies = response["content"].as_object().into_iter().flatten();
        let bodies: Vec<_> = bodies
            .map(|(media_type, content)| match media_type.as_str() {
                "application/json" | "application/problem+json" => {
                    type_of(&content["schema"], TYPES)
                }
                other => format!("`{other}`"),
            })
            .collect();
        let when = in_a_cell(&response["description"]);
        writeln!(text, "| {status} | {} | {when} |", bodies.join(", "))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = include_str!("../../docs/openapi.json");

    #[test]
    fn every_operation_and_every_type_has_its_place() {
        let pages = pages(DOCUMENT).unwrap();
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        let text: String = pages.iter().map(|(_, _, text)| text.as_str()).collect();
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let id = operation["operationId"].as_str().unwrap();
                let heading = format!("\n## `{} {path}` {{#{id}}}\n", method.to_uppercase());
                assert_eq!(text.matches(&heading).count(), 1, "{heading}");
            }
        }
        for name in document["components"]["schemas"].as_object().unwrap().keys() {
            assert!(text.contains(&format!("\n## {name}\n")), "{name}");
        }
    }

    #[test]
    fn an_operation_is_told_with_parameters_body_and_answers() {
        let document = serde_json::json!({
            "tags": [{ "name": "Things", "description": "All of them." }],
            "paths": { "/things/{id}": { "put": {
                "tags": ["Things"], "operationId": "set_thing", "summary": "Sets a <thing>.",
                "parameters": [{ "name": "id", "in": "path", "schema": { "type": "string", "format": "uuid" } }],
                "requestBody": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Thing" } } } },
                "responses": { "204": { "description": "a|b" } }
            } } },
            "components": { "schemas": { "Thing": {
                "type": "object", "required": ["size"], "properties": { "size": { "type": ["integer", "null"] } }
            } } }
        });
        let pages = pages(&document.to_string()).unwrap();
        assert_eq!(pages[0].1, PathBuf::from("reference/api/things.md"));
        for part in [
            "| [`PUT /things/{id}`](#set_thing) | Sets a &lt;thing>. |",
            "| `id` | path | string (uuid) |  |",
            "Body, `application/json`: [Thing](types.md#thing).",
            "| `size` | integer or null | yes |  |",
            "| 204 |  | a\\|b |",
        ] {
            assert!(pages[0].2.contains(part), "{part}\n{}", pages[0].2);
        }
    }
}
