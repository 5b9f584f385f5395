//! Messages: events for everybody who waits for them, and signals to one execution.

use std::sync::Arc;

use cel::IdedExpr;
use cel::common::ast::{Expr, operators};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::expression::{Expression, ExpressionError, Scope};

/// The longest name of an event, in bytes.
pub const MAX_NAME_BYTES: usize = 200;

/// Whether somebody outside may send an event of this name. What the engine itself listens for has a colon in it.
pub fn is_event_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
    (1..=MAX_NAME_BYTES).contains(&name.len()) && name.chars().all(plain)
}

/// What completes a step that waits for a callback.
pub fn token_name(step: &str) -> String {
    format!("token:{step}")
}

/// What a step that waits for people listens for.
pub fn approval_name(step: &str) -> String {
    format!("approval:{step}")
}

/// A message, as it was stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Its id: a `UUIDv7`.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// What it says.
    pub data: Arc<Value>,
    /// When it was stored.
    pub received_at: DateTime<Utc>,
    /// The one execution that it is for: a signal.
    pub to: Option<Uuid>,
}

impl Message {
    /// `event` in scope, and what a step that waited for it gives.
    pub fn value(&self) -> Value {
        json!({ "id": self.id, "name": self.name, "data": *self.data, "receivedAt": self.received_at })
    }
}

/// An expression over `event` that is true for the message that is meant.
#[derive(Debug)]
pub struct Match {
    /// All of it.
    pub whole: Expression,
    /// A part of it that has to hold whatever else does, and that an index can find.
    key: Option<KeyPart>,
}

/// `event.data.PATH == VALUE`, where the value says nothing of the event.
#[derive(Debug)]
struct KeyPart {
    path: String,
    value: Expression,
}

/// What an index finds messages, and those who wait for them, by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The place in the message's data: names, joined by dots.
    pub path: String,
    /// A digest of the value there.
    pub value: String,
}

impl Match {
    /// Parses an expression.
    pub fn parse(source: &str) -> Result<Self, ExpressionError> {
        let whole = Expression::parse(source)?;
        let key = key_part(&whole, whole.tree());
        Ok(Self { whole, key })
    }

    /// Whether a message is the one that is meant. One that the expression cannot be evaluated for is not.
    pub fn holds(&self, message: &Message, scope: &Scope<'_>) -> bool {
        let event = message.value();
        let scope = Scope { event: Some(&event), ..*scope };
        self.whole.evaluate(&scope).is_ok_and(|value| value == Value::Bool(true))
    }

    /// What messages that may be meant are found by. Without one, all of the name have to be looked at.
    pub fn key(&self, scope: &Scope<'_>) -> Option<Key> {
        let part = self.key.as_ref()?;
        let value = digest(&part.value.evaluate(scope).ok()?)?;
        Some(Key { path: part.path.clone(), value })
    }
}

/// The key of a message at a path: `None` if there is nothing there that an index compares.
pub fn key_of(data: &Value, path: &str) -> Option<Key> {
    let found = path.split('.').try_fold(data, |value, name| value.get(name))?;
    Some(Key { path: path.to_owned(), value: digest(found)? })
}

/// A digest that is the same for values which CEL holds for equal; `None` for what is not a simple value.
fn digest(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => format!("s{text}"),
        Value::Bool(value) => format!("b{value}"),
        // As a double: CEL compares numbers across their types by value, and no two that are equal differ there once
        // zero has no sign.
        Value::Number(number) => format!("n{}", number.as_f64()? + 0.0),
        _ => return None,
    };
    Some(hex::encode(&Sha256::digest(text.as_bytes())[..16]))
}

/// The first of the parts joined by `&&` that is a comparison with a place in the event.
fn key_part(whole: &Expression, node: &IdedExpr) -> Option<KeyPart> {
    let Expr::Call(call) = &node.expr else { return None };
    let [left, right] = call.args.as_slice() else { return None };
    match call.func_name.as_str() {
        operators::LOGICAL_AND => key_part(whole, left).or_else(|| key_part(whole, right)),
        operators::EQUALS => compared(whole, left, right).or_else(|| compared(whole, right, left)),
        _ => None,
    }
}

fn compared(whole: &Expression, place: &IdedExpr, value: &IdedExpr) -> Option<KeyPart> {
    let path = data_path(place)?;
    let value = whole.part(value);
    (!value.roots_read().contains("event")).then_some(KeyPart { path, value })
}

/// `a.b` of `event.data.a.b`.
fn data_path(node: &IdedExpr) -> Option<String> {
    let Expr::Select(select) = &node.expr else { return None };
    if select.test || select.field.contains('.') {
        return None;
    }
    if is_event_data(&select.operand) {
        return Some(select.field.clone());
    }
    Some(format!("{}.{}", data_path(&select.operand)?, select.field))
}

fn is_event_data(node: &IdedExpr) -> bool {
    let Expr::Select(select) = &node.expr else { return false };
    let of_event = matches!(&select.operand.expr, Expr::Ident(name) if name == "event");
    of_event && select.field == "data" && !select.test
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(source: &str) -> Option<String> {
        Match::parse(source).unwrap().key.map(|key| key.path)
    }

    #[test]
    fn a_comparison_with_a_place_in_the_event_is_found() {
        let found = [
            ("event.data.order == input.order", Some("order")),
            ("input.order == event.data.order.id", Some("order.id")),
            ("event.data.ok && event.data.a == 1 && event.data.b == 2", Some("a")),
            ("event.data.a == 1 || event.data.b == 2", None),
            ("event.data.a == event.data.b", None),
            ("event.data.a > 1", None),
            ("event.name == 'x'", None),
            ("!(event.data.a == 1)", None),
            ("has(event.data.a)", None),
        ];
        for (source, wanted) in found {
            assert_eq!(path(source).as_deref(), wanted, "{source}");
        }
    }

    #[test]
    fn values_that_are_equal_have_equal_digests() {
        assert_eq!(digest(&json!(1)), digest(&json!(1.0)));
        assert_ne!(digest(&json!(1)), digest(&json!("1")));
        assert_ne!(digest(&json!(true)), digest(&json!("true")));
        assert_eq!(digest(&json!(null)), None);
        assert_eq!(digest(&json!([1])), None);
    }

    #[test]
    fn a_message_has_a_key_where_there_is_a_simple_value() {
        let data = json!({ "order": { "id": "A7" }, "list": [1] });
        assert!(key_of(&data, "order.id").is_some());
        for path in ["order", "list", "none", "order.id.more"] {
            assert_eq!(key_of(&data, path), None, "{path}");
        }
    }

    #[test]
    fn names_that_the_engine_listens_for_cannot_be_sent_from_outside() {
        assert!(is_event_name("order.paid/v1-x_Y"));
        assert!(is_event_name(&"a".repeat(200)));
        let long = "a".repeat(201);
        for bad in ["", "a b", &token_name("s"), &approval_name("s"), "é", &long] {
            assert!(!is_event_name(bad), "{bad}");
        }
    }
}
