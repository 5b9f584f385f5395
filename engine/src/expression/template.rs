//! Strings with `${…}` in them, and whole JSON values of such strings.

use serde_json::{Map, Value};

use super::{Expression, ExpressionError, Scope, SyntaxError};

/// A JSON value whose strings may hold expressions, parsed.
#[derive(Debug)]
pub enum Template {
    /// Nothing to evaluate.
    Literal(Value),
    /// One expression is the whole string: its value keeps its type.
    Whole(Box<Expression>),
    /// Expressions among text: rendered as text.
    Mixed(Vec<Part>),
    /// A list with an expression somewhere inside.
    List(Vec<Template>),
    /// An object with an expression somewhere inside.
    Object(Vec<(String, Template)>),
}

/// A piece of a string with expressions.
#[derive(Debug)]
pub enum Part {
    /// Text as it stands.
    Text(String),
    /// An expression.
    Expression(Box<Expression>),
}

/// A problem inside a template, and where: a JSON pointer relative to the template's root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// JSON pointer, empty for the root itself.
    pub pointer: String,
    /// What is wrong there.
    pub error: ExpressionError,
}

impl Template {
    /// Parses a value; every problem in it is reported, not only the first.
    pub fn parse(value: &Value) -> Result<Self, Vec<TemplateError>> {
        let (template, errors) = Self::outline(value);
        if errors.is_empty() { Ok(template) } else { Err(errors) }
    }

    /// As much of it as can be parsed, and every problem; `null` stands where there is one.
    pub(crate) fn outline(value: &Value) -> (Self, Vec<TemplateError>) {
        let mut errors = Vec::new();
        (parse_at(value, "", &mut errors), errors)
    }

    /// The value with every expression replaced by what it evaluates to.
    pub fn evaluate(&self, scope: &Scope<'_>) -> Result<Value, ExpressionError> {
        match self {
            Self::Literal(value) => Ok(value.clone()),
            Self::Whole(expression) => expression.evaluate(scope),
            Self::Mixed(parts) => render(parts, scope).map(Value::String),
            Self::List(items) => items
                .iter()
                .map(|item| item.evaluate(scope))
                .collect::<Result<_, _>>()
                .map(Value::Array),
            Self::Object(fields) => fields
                .iter()
                .map(|(name, field)| Ok((name.clone(), field.evaluate(scope)?)))
                .collect::<Result<Map<_, _>, _>>()
                .map(Value::Object),
        }
    }

    /// Calls `visit` with every expression and its JSON pointer.
    pub fn for_each_expression(&self, pointer: &str, visit: &mut impl FnMut(&str, &Expression)) {
        match self {
            Self::Literal(_) => {}
            Self::Whole(expression) => visit(pointer, expression),
            Self::Mixed(parts) => {
                for part in parts {
                    if let Part::Expression(expression) = part {
                        visit(pointer, expression);
                    }
                }
            }
            Self::List(items) => {
                for (index, item) in items.iter().enumerate() {
                    item.for_each_expression(&format!("{pointer}/{index}"), visit);
                }
            }
            Self::Object(fields) => {
                for (name, field) in fields {
                    field.for_each_expression(&child(pointer, name), visit);
                }
            }
        }
    }

    fn is_literal(&self) -> bool {
        matches!(self, Self::Literal(_))
    }
}

/// A JSON pointer (RFC 6901) to a member of the object at `pointer`.
pub(crate) fn child(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// The bare source of an expression that may be written with or without `${…}`, as in `when`.
pub(crate) fn bare(source: &str) -> &str {
    let inner = source.trim().strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    inner.unwrap_or(source).trim()
}

fn parse_at(value: &Value, pointer: &str, errors: &mut Vec<TemplateError>) -> Template {
    match value {
        Value::String(text) => parse_string(text).unwrap_or_else(|error| {
            errors.push(TemplateError { pointer: pointer.to_owned(), error });
            Template::Literal(Value::Null)
        }),
        Value::Array(items) => {
            let parsed: Vec<_> = items
                .iter()
                .enumerate()
                .map(|(index, item)| parse_at(item, &format!("{pointer}/{index}"), errors))
                .collect();
            if parsed.iter().all(Template::is_literal) && !holds_escape(value) {
                return Template::Literal(value.clone());
            }
            Template::List(parsed)
        }
        Value::Object(fields) => {
            let parsed: Vec<_> = fields
                .iter()
                .map(|(name, field)| (name.clone(), parse_at(field, &child(pointer, name), errors)))
                .collect();
            if parsed.iter().all(|(_, field)| field.is_literal()) && !holds_escape(value) {
                return Template::Literal(value.clone());
            }
            Template::Object(parsed)
        }
        other => Template::Literal(other.clone()),
    }
}

/// Whether an escape has to be undone somewhere inside, so that the value is not its own literal.
fn holds_escape(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains("$${"),
        Value::Array(items) => items.iter().any(holds_escape),
        Value::Object(fields) => fields.values().any(holds_escape),
        _ => false,
    }
}

fn parse_string(text: &str) -> Result<Template, ExpressionError> {
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        if rest[..at].ends_with('$') {
            plain.push_str(&rest[..at - 1]);
            plain.push_str("${");
            rest = &rest[at + 2..];
            continue;
        }
        plain.push_str(&rest[..at]);
        let source = &rest[at + 2..];
        let end = expression_end(source).map_err(|quote| {
            let error = SyntaxError::unclosed(&rest[at..], quote.is_some());
            ExpressionError::Syntax(Box::new(error))
        })?;
        if !plain.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut plain)));
        }
        parts.push(Part::Expression(Box::new(Expression::parse(source[..end].trim())?)));
        rest = &source[end + 1..];
    }
    plain.push_str(rest);
    Ok(assemble(parts, plain))
}

fn assemble(mut parts: Vec<Part>, tail: String) -> Template {
    if parts.is_empty() {
        return Template::Literal(Value::String(tail));
    }
    if !tail.is_empty() {
        parts.push(Part::Text(tail));
    }
    if parts.len() == 1
        && let Some(Part::Expression(expression)) =
            parts.pop_if(|part| matches!(part, Part::Expression(_)))
    {
        return Template::Whole(expression);
    }
    Template::Mixed(parts)
}

/// Where the expression's closing brace is: braces inside it are balanced, and those in string literals do
/// not count. If there is none: the quote that is open at the end, if one is.
fn expression_end(source: &str) -> Result<usize, Option<char>> {
    let mut depth = 0_u32;
    let mut quote: Option<char> = None;
    let mut escaped = false;
    for (at, c) in source.char_indices() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None => match c {
                '\'' | '"' => quote = Some(c),
                '{' => depth += 1,
                '}' if depth == 0 => return Ok(at),
                '}' => depth -= 1,
                _ => {}
            },
        }
    }
    Err(quote)
}

fn render(parts: &[Part], scope: &Scope<'_>) -> Result<String, ExpressionError> {
    let mut text = String::new();
    for part in parts {
        match part {
            Part::Text(plain) => text.push_str(plain),
            Part::Expression(expression) => match expression.evaluate(scope)? {
                Value::String(value) => text.push_str(&value),
                other => text.push_str(&other.to_string()),
            },
        }
        if text.len() > super::MAX_RESULT_BYTES {
            return Err(ExpressionError::TooLarge);
        }
    }
    Ok(text)
}
