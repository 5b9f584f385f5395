//! A problem in a document that somebody wrote: where, what, and what to do about it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One problem. All problems of a document are reported together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Diagnostic {
    /// Where: an RFC 6901 JSON pointer, empty for the whole document.
    pub pointer: String,
    /// Line in the source text, from 1, where there is a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// Column in the source text, in characters from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<usize>,
    /// A stable name for the kind of problem, such as `UNKNOWN_FIELD`.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// What to do, where that is not obvious.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
    /// The expression at fault, where it is one, and the place in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expression: Option<Excerpt>,
}

/// A text within a document, and the place in it that is at fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Excerpt {
    /// The text.
    pub text: String,
    /// Line in the text, from 1.
    pub line: usize,
    /// Column in that line, in characters from 1.
    pub column: usize,
}

impl Diagnostic {
    /// A problem without help.
    pub fn new(pointer: impl Into<String>, code: &str, message: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            line: None,
            column: None,
            code: code.to_owned(),
            message: message.into(),
            help: None,
            expression: None,
        }
    }

    /// The same problem with advice.
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// `did you mean` for a misspelt word, when one of the known words is near enough.
    pub fn did_you_mean<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
        nearest(word, known).map(|meant| format!("did you mean `{meant}`?"))
    }
}

/// The known word that a misspelt one is near enough to.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(similarity, _)| *similarity >= 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
