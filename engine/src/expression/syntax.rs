//! Why a text is not an expression, in words for whoever wrote it, and where. The parser's own messages list its tokens.

use std::fmt;

use crate::diagnostic::Excerpt;

/// What is wrong with an expression that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// What is wrong.
    pub message: String,
    /// What to do, where there is something to say.
    pub help: Option<String>,
    /// The expression, and the place in it, where there is one.
    pub excerpt: Option<Excerpt>,
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.excerpt {
            None => f.write_str(&self.message),
            Some(Excerpt { line: 1, column, .. }) => {
                write!(f, "{} at column {column}", self.message)
            }
            Some(Excerpt { line, column, .. }) => {
                write!(f, "{} at line {line}, column {column}", self.message)
            }
        }
    }
}

impl SyntaxError {
    /// A fault at a line and column of the expression's source, both from 1.
    fn at(source: &str, (line, column): (usize, usize), message: String) -> Self {
        let excerpt = Excerpt { text: source.to_owned(), line, column };
        Self { message, help: None, excerpt: Some(excerpt) }
    }

    /// A name that stands somewhere in the source and is not known.
    pub(super) fn unknown(source: &str, name: &str, message: String, help: Option<String>) -> Self {
        let place = find_word(source, name).map(|at| crate::position::line_column(source, at));
        let error = match place {
            Some(place) => Self::at(source, place, message),
            None => Self { message, help: None, excerpt: None },
        };
        Self { help, ..error }
    }

    /// A fault of the source as a whole.
    pub(super) fn whole(message: &str, help: Option<&str>) -> Self {
        Self { message: message.to_owned(), help: help.map(str::to_owned), excerpt: None }
    }

    /// `${` that nothing closes; the rest of the text begins with it.
    pub(super) fn unclosed(rest: &str, in_quotes: bool) -> Self {
        let help = if in_quotes {
            "a quote is open: a `}` in a text closes nothing"
        } else {
            "write `$${` for the text itself"
        };
        let error = Self::at(rest, (1, 1), "`${` without a closing `}`".to_owned());
        Self { help: Some(help.to_owned()), ..error }
    }

    /// What the parser says, the first of it that says something.
    pub(super) fn of(source: &str, errors: &cel::ParseErrors) -> Self {
        let is_said = |error: &&cel::ParseError| !error.msg.starts_with("Incomplete ");
        let Some(error) = errors.errors.iter().find(is_said) else {
            return Self::whole("this is not an expression", None);
        };
        let line = usize::try_from(error.pos.0).unwrap_or(1).max(1);
        let column = usize::try_from(error.pos.1).unwrap_or(1).max(1);
        let (message, help) = reword(&error.msg, rest_at(source, line, column));
        Self { help, ..Self::at(source, (line, column), message) }
    }
}

/// The source from a place on.
fn rest_at(source: &str, line: usize, column: usize) -> &str {
    let line = source.split('\n').nth(line - 1).unwrap_or_default();
    let start = line.char_indices().nth(column - 1).map_or(line.len(), |(at, _)| at);
    &line[start..]
}

/// The parser's message in our words, and what to do. `rest` is the source from the place on.
fn reword(message: &str, rest: &str) -> (String, Option<String>) {
    let text = message.strip_prefix("Syntax error: ").unwrap_or(message);
    if let Some(found) = text.strip_prefix("token recognition error at: ") {
        return stray(found.trim_matches('\'').trim(), rest);
    }
    if let Some(word) = text.strip_prefix("reserved identifier: ") {
        let help = (word == "if").then(|| "write `condition ? this : that`".to_owned());
        return (format!("`{word}` is a reserved word"), help);
    }
    if text.starts_with("no viable alternative") {
        let help =
            is_keyword(rest).then(|| "put it in brackets and quotes, as in `['in']`".to_owned());
        return (format!("expected a name after the `.`, found {}", found(rest)), help);
    }
    if let Some((missing, _)) = text.strip_prefix("missing ").and_then(|it| it.split_once(" at ")) {
        return (format!("expected {}, found {}", token(missing), found(rest)), None);
    }
    match text.split_once(" expecting ") {
        Some((_, expected)) => {
            let expected = expectation(expected);
            (format!("expected {expected}, found {}", found(rest)), word_for(rest))
        }
        None if text.contains("has() macro") => {
            ("`has` asks for a field, as in `has(input.name)`".to_owned(), None)
        }
        None if text == "argument must be a simple name" => {
            let help = "as in `input.list.map(item, item.id)`".to_owned();
            ("a loop's first argument is a new name".to_owned(), Some(help))
        }
        None => (text.to_owned(), None),
    }
}

/// A character that begins nothing.
fn stray(found: &str, rest: &str) -> (String, Option<String>) {
    if rest.starts_with(['\'', '"']) {
        return ("the text that begins here has no closing quote".to_owned(), None);
    }
    let character = found.chars().next().map_or_else(String::new, |it| it.to_string());
    let help = match character.as_str() {
        "=" => Some("compare with `==`"),
        "&" => Some("`and` is written `&&`"),
        "|" => Some("`or` is written `||`"),
        "$" => Some("within `${…}` names stand as they are"),
        _ => None,
    };
    (format!("`{character}` means nothing here"), help.map(str::to_owned))
}

/// What the parser would have taken, from its list of tokens.
fn expectation(list: &str) -> String {
    let tokens: Vec<_> = list.trim_matches(['{', '}']).split(", ").map(str::trim).collect();
    let has = |token: &str| tokens.contains(&token);
    // Only a value can begin with it.
    if has("'true'") {
        return if has("')'") { "a value or `)`".to_owned() } else { "a value".to_owned() };
    }
    if has("'=='") {
        let end = if has("<EOF>") { " or the end of the expression" } else { "" };
        // Within `a ? b`, the parser still takes any operator, but only one token is missing.
        let branch = has("':'") && !has("'?'");
        return if branch {
            "`:` and another value".to_owned()
        } else {
            format!("an operator{end}")
        };
    }
    if tokens == ["<EOF>"] {
        return "an operator or the end of the expression".to_owned();
    }
    // A `,` or a brace in the list is split or trimmed away by the list's own.
    let named = ["']'", "')'", "'}'", "':'", "','"];
    let named: Vec<_> = named.into_iter().filter(|it| list.contains(it)).map(token).collect();
    if named.is_empty() { "something else".to_owned() } else { named.join(" or ") }
}

/// A token as the parser writes it.
fn token(written: &str) -> String {
    format!("`{}`", written.trim_matches('\''))
}

/// What stands at the place: a word, or a character.
fn found(rest: &str) -> String {
    let rest = rest.trim_start();
    let word = word_at(rest);
    match rest.chars().next() {
        None => "the end".to_owned(),
        Some(_) if !word.is_empty() => format!("`{word}`"),
        Some('\'' | '"') => "a text".to_owned(),
        Some(character) => format!("`{character}`"),
    }
}

fn word_at(rest: &str) -> &str {
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    &rest[..end]
}

fn is_keyword(rest: &str) -> bool {
    matches!(word_at(rest), "in" | "true" | "false" | "null")
}

/// Words of other languages.
fn word_for(rest: &str) -> Option<String> {
    let help = match word_at(rest.trim_start()) {
        "and" => "`and` is written `&&`",
        "or" => "`or` is written `||`",
        "not" => "`not` is written `!`, before what is denied",
        "then" | "else" => "write `condition ? this : that`",
        "is" | "eq" => "compare with `==`",
        _ => return None,
    };
    Some(help.to_owned())
}

/// Where a word stands for the first time outside quotes, and not as a field of something.
fn find_word(source: &str, word: &str) -> Option<usize> {
    let mut quote = None;
    let mut before = ' ';
    for (at, character) in source.char_indices() {
        match quote {
            Some(open) if character == open && before != '\\' => quote = None,
            Some(_) => {}
            None if matches!(character, '\'' | '"') => quote = Some(character),
            None => {
                let begins = !before.is_alphanumeric() && before != '_';
                if begins && word_at(&source[at..]) == word {
                    return Some(at);
                }
            }
        }
        before = character;
    }
    None
}

/// What to say of an id that was read as a subtraction: `steps.my-step` is `steps.my - step`.
pub(super) fn dashed_id(source: &str) -> Option<String> {
    let (_, rest) = source.split_once("steps.")?;
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '-')?;
    let id = rest[..end].trim_end_matches('-');
    id.contains('-').then(|| format!("an id with a dash is written `steps['{id}']`"))
}

#[cfg(test)]
mod tests {
    use super::super::{Expression, ExpressionError};

    fn said(source: &str) -> (String, Option<String>) {
        match Expression::parse(source).unwrap_err() {
            ExpressionError::Syntax(error) | ExpressionError::UnknownName(error) => {
                (error.to_string(), error.help)
            }
            other => panic!("{source}: {other:?}"),
        }
    }

    #[test]
    fn what_was_expected_and_what_was_found_is_said_in_words() {
        for (source, expected) in [
            ("", "expected a value, found the end at column 1"),
            ("input.", "expected a name after the `.`, found the end at column 7"),
            ("input.a +", "expected a value, found the end at column 10"),
            ("(input.a", "expected `)`, found the end at column 9"),
            (
                "input.a)",
                "expected an operator or the end of the expression, found `)` at column 8",
            ),
            ("input['a'", "expected `]`, found the end at column 10"),
            ("[1, 2", "expected `]` or `,`, found the end at column 6"),
            ("{'a': 1", "expected `}` or `,`, found the end at column 8"),
            ("{'a' 1}", "expected `:`, found `1` at column 6"),
            ("size(", "expected a value or `)`, found the end at column 6"),
            ("input.a ? 1", "expected `:` and another value, found the end at column 12"),
            ("'a' + 'b", "the text that begins here has no closing quote at column 7"),
            ("a b", "expected an operator or the end of the expression, found `b` at column 3"),
            ("#", "`#` means nothing here at column 1"),
            (
                "1 +\n\n 2 'x'",
                "expected an operator or the end of the expression, found a text at line 3, column 4",
            ),
            ("'é' + )", "expected a value, found `)` at column 7"),
            ("has(input)", "`has` asks for a field, as in `has(input.name)` at column 5"),
        ] {
            assert_eq!(said(source).0, expected, "{source}");
        }
    }

    #[test]
    fn words_of_other_languages_are_translated() {
        for (source, help) in [
            ("input.a = 1", "compare with `==`"),
            ("input.a === 1", "compare with `==`"),
            ("input.a and input.b", "`and` is written `&&`"),
            ("input.a & input.b", "`and` is written `&&`"),
            ("input.a | input.b", "`or` is written `||`"),
            ("input.a or input.b", "`or` is written `||`"),
            ("input.a not in [1]", "`not` is written `!`, before what is denied"),
            ("if input.a then 1", "write `condition ? this : that`"),
            ("input.$x", "within `${…}` names stand as they are"),
            ("steps.in.output", "put it in brackets and quotes, as in `['in']`"),
            ("input.list.map(1, 2)", "as in `input.list.map(item, item.id)`"),
        ] {
            assert_eq!(said(source).1.as_deref(), Some(help), "{source}: {:?}", said(source));
        }
    }

    #[test]
    fn unknown_names_have_a_place_and_a_suggestion() {
        let (message, help) = said("'inptu' + inptu.name");
        assert_eq!(message, "there is no `inptu` in scope at column 11");
        assert_eq!(help.as_deref(), Some("did you mean `input`?"));
        let (message, help) = said("input.s.lowerAsci()");
        assert_eq!(message, "there is no function `lowerAsci` at column 9");
        assert_eq!(help.as_deref(), Some("did you mean `lowerAscii`?"));
        let (message, help) = said("steps.send-mail.output");
        assert_eq!(message, "there is no `mail` in scope at column 12");
        assert_eq!(help.as_deref(), Some("an id with a dash is written `steps['send-mail']`"));
        assert!(said("zzz").1.unwrap().contains("`input`, `steps`"));
    }
}
