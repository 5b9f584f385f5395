//! The tools that made a plugin, by their own word.

use serde_json::{Map, Value, json};
use wasm_metadata::Producers;
use wasmparser::{Parser, Payload};

/// The custom sections `producers` of a module, or of a component and of all that is in it: tools and their versions, by
/// field. `None` if they cannot be read.
pub fn producers(module: &[u8]) -> Option<Value> {
    let mut all = Producers::empty();
    for part in Parser::new(0).parse_all(module) {
        if let Payload::CustomSection(section) = part.ok()?
            && section.name() == "producers"
        {
            all.merge(&Producers::from_bytes(section.data(), section.data_offset()).ok()?);
        }
    }
    let fields = all.iter().map(|(field, tools)| {
        let tools: Map<_, _> =
            tools.iter().map(|(tool, version)| (tool.clone(), json!(version))).collect();
        (field.clone(), Value::Object(tools))
    });
    Some(Value::Object(fields.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tools_of_all_parts_are_told() {
        let text = r#"(component
            (core module (@producers (language "C" "11") (processed-by "cc" "1")))
            (component (core module (@producers (language "Rust" "1.90")))))"#;
        let languages = json!({ "C": "11", "Rust": "1.90" });
        assert_eq!(
            producers(&wat::parse_str(text).unwrap()),
            Some(json!({ "language": languages, "processed-by": { "cc": "1" } }))
        );
        assert_eq!(producers(b"\0asm\x01\0\0\0\xff"), None);
    }
}
