//! CEL expressions inside `${…}`: parsed once at publish, evaluated against a scope of JSON values.
//!
//! The language is the Common Expression Language (`cel` crate) with the functions of [`functions`].
//! Everything is bounded: the source, the nesting of loops, the work of a loop and the size of a result.

mod functions;
mod references;
mod scope;
mod syntax;
mod template;

mod values;

pub use scope::Scope;
pub use syntax::SyntaxError;
pub use template::{Template, TemplateError};
pub(crate) use template::{bare, child};

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use cel::{Context, Env, IdedExpr};
use serde_json::Value;

use crate::diagnostic::Diagnostic;
use references::References;

/// The longest source of one expression, in bytes.
pub const MAX_SOURCE_BYTES: usize = 4096;
/// How deeply loops (`map`, `filter`, `all`, `exists`) may nest.
pub const MAX_LOOP_DEPTH: u32 = 2;
/// The most turns that the loops of one evaluation may take: the longest collection in scope to the power of
/// the nesting. Two million turns take about a second.
pub const MAX_TURNS: u64 = 2_000_000;
/// The most bytes that the loops of one evaluation may copy: turns times the longest string in scope.
pub const MAX_LOOP_BYTES: u64 = 1 << 30;
/// The largest result of one evaluation, in bytes of JSON.
pub const MAX_RESULT_BYTES: usize = 1 << 20;

static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(functions::environment()));

/// Why an expression cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// The source is not CEL.
    #[error("{0}")]
    Syntax(Box<SyntaxError>),
    /// The source is longer than [`MAX_SOURCE_BYTES`].
    #[error("an expression may have {MAX_SOURCE_BYTES} bytes, this one has {0}")]
    TooLong(usize),
    /// Loops nest more deeply than [`MAX_LOOP_DEPTH`].
    #[error("loops may nest {MAX_LOOP_DEPTH} deep, here they nest {0} deep")]
    TooDeep(u32),
    /// A name that is not in scope.
    #[error("{0}")]
    UnknownName(Box<SyntaxError>),
    /// The evaluation failed.
    #[error("{0}")]
    Evaluation(String),
    /// The evaluation would take more work than [`MAX_TURNS`] or [`MAX_LOOP_BYTES`].
    #[error("the expression's loops would take more work than allowed")]
    TooMuchWork,
    /// The result is larger than [`MAX_RESULT_BYTES`].
    #[error("the expression's result is larger than {MAX_RESULT_BYTES} bytes")]
    TooLarge,
}

/// One parsed expression, without its `${` and `}`.
pub struct Expression {
    source: String,
    tree: IdedExpr,
    references: References,
}

impl ExpressionError {
    /// What is wrong with the source, if it is that.
    pub fn syntax(&self) -> Option<&SyntaxError> {
        match self {
            Self::Syntax(error) | Self::UnknownName(error) => Some(error),
            _ => None,
        }
    }
}

impl Expression {
    /// Parses an expression and checks what can be checked without values: limits and names.
    pub fn parse(source: &str) -> Result<Self, ExpressionError> {
        if source.len() > MAX_SOURCE_BYTES {
            return Err(ExpressionError::TooLong(source.len()));
        }
        let program = ENV.compile(source).map_err(|errors| {
            ExpressionError::Syntax(Box::new(SyntaxError::of(source, &errors)))
        })?;
        let references = References::of(program.expression());
        if references.loop_depth > MAX_LOOP_DEPTH {
            return Err(ExpressionError::TooDeep(references.loop_depth));
        }
        check_names(source, &references)?;
        let tree = program.expression().clone();
        Ok(Self { source: source.to_owned(), tree, references })
    }

    /// A part of it, as an expression of its own.
    pub(crate) fn part(&self, node: &IdedExpr) -> Self {
        let (tree, references) = (node.clone(), References::of(node));
        Self { source: self.source.clone(), tree, references }
    }

    /// Its syntax tree.
    pub(crate) fn tree(&self) -> &IdedExpr {
        &self.tree
    }

    /// The source as the author wrote it.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The steps whose records the expression reads by a literal id.
    pub fn steps_read(&self) -> &BTreeSet<String> {
        &self.references.steps.named
    }

    /// The steps that have to be there for the expression to have a value. None, if it looks at all of them: it may ask before it reads.
    pub fn steps_needed(&self) -> impl Iterator<Item = &str> {
        let steps = &self.references.steps;
        let named = steps.named.difference(&steps.guarded).map(String::as_str);
        named.filter(|_| !steps.all)
    }

    /// Whether it reads a step whose id is only known when it runs.
    pub fn reads_all_steps(&self) -> bool {
        self.references.steps.all
    }

    /// The constants that the expression reads by a literal name.
    pub fn vars_read(&self) -> &BTreeSet<String> {
        &self.references.vars.named
    }

    /// The secrets whose placeholders the expression makes.
    pub fn secrets_named(&self) -> &BTreeSet<String> {
        &self.references.secrets
    }

    /// Whether it reads one of the scope's roots at most, and calls nothing that knows of others.
    pub fn reads_only(&self, root: &str) -> bool {
        let References { roots, secrets, functions, .. } = &self.references;
        roots.iter().all(|it| it == root)
            && secrets.is_empty()
            && !functions.contains(functions::WAIT_TOKEN)
    }

    /// The names from the scope's roots that the expression reads, such as `input`.
    pub fn roots_read(&self) -> &BTreeSet<String> {
        &self.references.roots
    }

    /// The expression's value, as JSON.
    pub fn evaluate(&self, scope: &Scope<'_>) -> Result<Value, ExpressionError> {
        let mut context = Context::with_env(Arc::clone(&ENV));
        functions::bind(&mut context, scope);
        let extent = scope.bind(&mut context, &self.references);
        self.check_work(extent)?;
        let result = context.resolve(&self.tree).map_err(|error| evaluation_error(&error))?;
        let value =
            result.json().map_err(|error| ExpressionError::Evaluation(error.to_string()))?;
        if json_size(&value) > MAX_RESULT_BYTES {
            return Err(ExpressionError::TooLarge);
        }
        Ok(value)
    }

    fn check_work(&self, extent: values::Extent) -> Result<(), ExpressionError> {
        if self.references.loop_depth == 0 {
            return Ok(());
        }
        let mut longest = extent.longest_collection.max(self.references.longest_literal);
        if self.references.makes_collections {
            longest = longest.max(extent.longest_string);
        }
        // Putting things together makes longer ones.
        let longest = longest.saturating_mul(1 + self.references.sums);
        let turns = longest.saturating_pow(self.references.loop_depth);
        let bytes = if self.references.builds_strings {
            turns.saturating_mul(extent.longest_string)
        } else {
            0
        };
        if turns > MAX_TURNS || bytes > MAX_LOOP_BYTES {
            return Err(ExpressionError::TooMuchWork);
        }
        Ok(())
    }
}

impl std::fmt::Debug for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Expression").field(&self.source).finish()
    }
}

/// The size of a value as JSON text, in bytes, without building the text.
pub fn json_size(value: &Value) -> usize {
    struct Counter(usize);
    impl std::io::Write for Counter {
        fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
            self.0 += buf.len();
            Ok(buf.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut counter = Counter(0);
    serde_json::to_writer(&mut counter, value).expect("a JSON value is always printable");
    counter.0
}

/// Names that nothing has, and secrets without one.
fn check_names(source: &str, references: &References) -> Result<(), ExpressionError> {
    let unknown = |name: &str, message: String, help: Option<String>| {
        let error = SyntaxError::unknown(source, name, message, help);
        Err(ExpressionError::UnknownName(Box::new(error)))
    };
    if let Some(name) = functions::first_unknown(&references.functions) {
        let help = Diagnostic::did_you_mean(name, functions::known());
        return unknown(name, format!("there is no function `{name}`"), help);
    }
    if references.unnamed_secret {
        let message = "`secret` takes a secret's name in quotes";
        let error = SyntaxError::whole(message, Some("as in `secret('stripe-key')`"));
        return Err(ExpressionError::Syntax(Box::new(error)));
    }
    let Some(name) = references.roots.iter().find(|name| !scope::is_root(name)) else {
        return Ok(());
    };
    let near = || Diagnostic::did_you_mean(name, scope::ROOTS.into_iter());
    let all = || format!("there are `{}`", scope::ROOTS.join("`, `"));
    let help = syntax::dashed_id(source).or_else(near).unwrap_or_else(all);
    unknown(name, format!("there is no `{name}` in scope"), Some(help))
}

fn evaluation_error(error: &cel::ExecutionError) -> ExpressionError {
    let text = match error {
        cel::ExecutionError::NoSuchKey(key) => {
            format!("there is no `{key}` here; `default(…, value)` or `has(…)` allows for that")
        }
        other => other.to_string(),
    };
    ExpressionError::Evaluation(text)
}

#[cfg(test)]
mod tests;
