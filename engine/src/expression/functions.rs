//! The functions beside CEL's standard library and its string extension (`split`, `join`, `replace`, `trim`,
//! `lowerAscii`, `substring`, …).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use cel::common::ast::{CallExpr, Expr, LiteralValue, operators};
use cel::parser::Macro;
use cel::{Context, Env, ExecutionError, IdedExpr, Value};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::scope::Scope;
use super::values::{Extent, to_cel};
use crate::placeholder::Placeholders;

/// Makes what completes a step that waits for a callback: a secret of the execution.
pub(super) const WAIT_TOKEN: &str = "waitToken";

/// Our own functions; the rest is CEL's.
const OURS: [&str; 11] = [
    "json",
    "parseJson",
    "base64",
    "base64Decode",
    "urlEncode",
    "sha256",
    "uuid",
    "now",
    "has",
    WAIT_TOKEN,
    "secret",
];

/// CEL's functions that an expression may call by name. Operators (`_+_`, `_[_]`, …) are always known.
pub(super) const STANDARD: [&str; 45] = [
    "size",
    "contains",
    "startsWith",
    "endsWith",
    "matches",
    "string",
    "int",
    "uint",
    "double",
    "bool",
    "bytes",
    "type",
    "dyn",
    "duration",
    "timestamp",
    "getFullYear",
    "getMonth",
    "getDate",
    "getDayOfMonth",
    "getDayOfWeek",
    "getDayOfYear",
    "getHours",
    "getMinutes",
    "getSeconds",
    "getMilliseconds",
    "charAt",
    "indexOf",
    "lastIndexOf",
    "join",
    "lowerAscii",
    "upperAscii",
    "trim",
    "replace",
    "split",
    "substring",
    "format",
    "reverse",
    "hasValue",
    "value",
    "or",
    "orValue",
    "map",
    "filter",
    "all",
    "exists",
];

/// The environment that every expression is compiled for and evaluated in.
pub(super) fn environment() -> Env {
    let mut env = Env::stdlib();
    env.add_extension(cel::extensions::strings).expect("the extension is added once");
    env.add_macro(default_macro()).expect("`default` is declared once");
    env
}

/// All that may be called by name.
pub(super) fn known() -> impl Iterator<Item = &'static str> {
    OURS.into_iter().chain(STANDARD).chain(["default"])
}

/// The first called name that is no function.
pub(super) fn first_unknown(called: &BTreeSet<String>) -> Option<&str> {
    called.iter().map(String::as_str).find(|name| {
        let is_operator = !name.starts_with(|c: char| c.is_ascii_alphabetic());
        !is_operator && !OURS.contains(name) && !STANDARD.contains(name)
    })
}

/// Adds our functions to an evaluation.
pub(super) fn bind(context: &mut Context<'_, '_>, scope: &Scope<'_>) {
    let now = scope.now.fixed_offset();
    let execution = scope.execution_id;
    let place = scope.place.to_owned();
    let callbacks = scope.callbacks;
    let placeholders = Placeholders::of(callbacks, scope.root_id);
    let drawn = AtomicU32::new(0);
    let draw = move || {
        let number = drawn.fetch_add(1, Ordering::Relaxed);
        Uuid::new_v5(&execution, format!("{place}#{number}").as_bytes()).to_string()
    };
    let added = [
        context.add_function("json", |value: Value| to_json(&value)),
        context.add_function("parseJson", |text: Arc<String>| parse_json(&text)),
        context.add_function("base64", |text: Arc<String>| BASE64_STANDARD.encode(text.as_bytes())),
        context.add_function("base64Decode", |text: Arc<String>| base64_decode(&text)),
        context.add_function("urlEncode", |text: Arc<String>| url_encode(&text)),
        context.add_function("sha256", |text: Arc<String>| {
            hex::encode(Sha256::digest(text.as_bytes()))
        }),
        context.add_function("uuid", draw),
        context
            .add_function(WAIT_TOKEN, move |step: Arc<String>| callbacks.token(execution, &step)),
        context.add_function("secret", move |name: Arc<String>| placeholders.make(&name)),
        context.add_function("now", move || Value::Timestamp(now)),
    ];
    debug_assert!(added.iter().all(Result::is_ok), "no name is CEL's own");
}

/// `default(a.b[c], d)` is `a.?b[?c].orValue(d)`: the path may be missing anywhere.
fn default_macro() -> Macro {
    Macro::global("default", 2, |helper, _target, args| {
        let (Some(fallback), Some(path)) = (args.pop(), args.pop()) else { return Ok(None) };
        if !matches!(path.expr, Expr::Select(_)) && !is_index(&path) {
            return Ok(Some(path));
        }
        let optional = optional_path(path, &mut |expr| helper.next_expr(expr));
        Ok(Some(helper.next_expr(Expr::Call(CallExpr {
            func_name: "orValue".to_owned(),
            target: Some(Box::new(optional)),
            args: vec![fallback],
        }))))
    })
}

fn is_index(node: &IdedExpr) -> bool {
    matches!(&node.expr, Expr::Call(call) if call.func_name == operators::INDEX)
}

fn optional_path(node: IdedExpr, next: &mut impl FnMut(Expr) -> IdedExpr) -> IdedExpr {
    match node.expr {
        Expr::Select(select) => {
            let operand = optional_path(*select.operand, next);
            let field = next(Expr::Literal(LiteralValue::String(select.field.into())));
            next(call(operators::OPT_SELECT, vec![operand, field]))
        }
        Expr::Call(mut index) if index.func_name == operators::INDEX && index.args.len() == 2 => {
            let key = index.args.remove(1);
            let operand = optional_path(index.args.remove(0), next);
            next(call(operators::OPT_INDEX, vec![operand, key]))
        }
        expr => IdedExpr { id: node.id, expr },
    }
}

fn call(name: &str, args: Vec<IdedExpr>) -> Expr {
    Expr::Call(CallExpr { func_name: name.to_owned(), target: None, args })
}

fn to_json(value: &Value) -> Result<Value, ExecutionError> {
    let json = value.json().map_err(|error| ExecutionError::function_error("json", error))?;
    Ok(Value::from(json.to_string()))
}

fn parse_json(text: &str) -> Result<Value, ExecutionError> {
    serde_json::from_str(text)
        .map(|json| to_cel(&json, &mut Extent::default()))
        .map_err(|error| ExecutionError::function_error("parseJson", error))
}

fn base64_decode(text: &str) -> Result<Value, ExecutionError> {
    let bytes = BASE64_STANDARD
        .decode(text)
        .map_err(|error| ExecutionError::function_error("base64Decode", error))?;
    let text = String::from_utf8(bytes);
    text.map(Value::from).map_err(|error| ExecutionError::function_error("base64Decode", error))
}

/// Percent-encoding of everything but the unreserved characters of RFC 3986, section 2.3.
fn url_encode(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => write!(encoded, "%{byte:02X}").expect("writing to a string cannot fail"),
        }
        encoded
    })
}
