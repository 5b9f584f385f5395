//! JSON to CEL. The `cel` crate's own conversion makes every non-negative integer unsigned, and `input.n + 1`
//! would then have no overload; here an integer that fits is signed.

use std::collections::HashMap;
use std::sync::Arc;

use cel::objects::{Key, Map};
use serde_json::Value as Json;

/// How large the values in scope are: what a loop over them may cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) longest_collection: u64,
    pub(super) longest_string: u64,
}

impl Extent {
    fn collection(&mut self, length: usize) {
        self.longest_collection = self.longest_collection.max(length as u64);
    }

    fn string(&mut self, length: usize) {
        self.longest_string = self.longest_string.max(length as u64);
    }
}

/// Converts a JSON value and notes how large its parts are.
pub(super) fn to_cel(json: &Json, extent: &mut Extent) -> cel::Value {
    match json {
        Json::Null => cel::Value::Null,
        Json::Bool(value) => cel::Value::Bool(*value),
        Json::Number(number) => number_to_cel(number),
        Json::String(text) => {
            extent.string(text.len());
            cel::Value::String(Arc::new(text.clone()))
        }
        Json::Array(items) => {
            extent.collection(items.len());
            cel::Value::List(Arc::new(items.iter().map(|item| to_cel(item, extent)).collect()))
        }
        Json::Object(fields) => {
            extent.collection(fields.len());
            object(fields.iter().map(|(name, value)| (name.as_str(), to_cel(value, extent))))
        }
    }
}

/// A CEL map with string keys.
pub(super) fn object<'a>(fields: impl Iterator<Item = (&'a str, cel::Value)>) -> cel::Value {
    let map: HashMap<Key, cel::Value> =
        fields.map(|(name, value)| (Key::String(Arc::new(name.to_owned())), value)).collect();
    cel::Value::Map(Map { map: Arc::new(map) })
}

fn number_to_cel(number: &serde_json::Number) -> cel::Value {
    if let Some(value) = number.as_i64() {
        cel::Value::Int(value)
    } else if let Some(value) = number.as_u64() {
        cel::Value::UInt(value)
    } else {
        cel::Value::Float(number.as_f64().unwrap_or(f64::NAN))
    }
}
