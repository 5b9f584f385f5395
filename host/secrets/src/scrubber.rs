//! Takes known secrets out of texts, in all their forms, in one pass.
//!
//! ```text
//! text ──▶ automaton (the first bytes of every form) ──▶ the whole form? ──▶ `[secret NAME]`
//! ```
//!
//! The automaton knows only beginnings, so that a namespace full of certificates does not take a gigabyte.
//! A form that the end of the text cuts off counts too: texts are cut where people read them. Before the mark that says
//! so, a few of its bytes are enough.

use std::collections::BTreeMap;
use std::fmt;

use aho_corasick::{AhoCorasick, Input, MatchKind};
use engine::attempt::{AttemptReport, LogLine, Outcome};
use engine::cut::CUT_MARK;
use engine::failure::Failure;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::forms;
use crate::secret::{MIN_VALUE_BYTES, SecretValue};

/// So much of each form is in the automaton.
const HEAD_BYTES: usize = 32;
/// Comparing whole forms may take this many bytes, and as many for each byte of the text as the second number says.
/// Only a text made for it takes more.
const FREE_WORK: usize = 16 << 20;
const WORK_PER_BYTE: usize = 8;
/// Stands for the rest of a text that took more.
const REST: &[u8] = b"[secrets]";

/// Knows all forms of some secrets.
#[derive(Default)]
pub struct Scrubber {
    automaton: Option<AhoCorasick>,
    /// In the order of their bytes.
    forms: Vec<Form>,
    /// For each of the automaton's patterns, the forms that may begin where it was found, the longest first.
    candidates: Vec<Vec<usize>>,
}

struct Form {
    bytes: Zeroizing<Vec<u8>>,
    stands_in: Vec<u8>,
}

impl Scrubber {
    /// For these secrets, by their names.
    pub fn new<'a>(secrets: impl IntoIterator<Item = (&'a str, &'a SecretValue)>) -> Self {
        let mut forms = Vec::new();
        for (name, value) in secrets {
            let stands_in = format!("[secret {name}]").into_bytes();
            forms.extend(
                forms::of(value.expose()).into_iter().map(|bytes| Form {
                    bytes: Zeroizing::new(bytes),
                    stands_in: stands_in.clone(),
                }),
            );
        }
        forms.sort_unstable_by(|a, b| a.bytes.cmp(&b.bytes));
        let mut by_head = BTreeMap::<&[u8], Vec<usize>>::new();
        for (index, form) in forms.iter().enumerate() {
            by_head.entry(head(&form.bytes)).or_default().push(index);
        }
        let candidates = by_head.keys().map(|head| candidates(head, &by_head, &forms)).collect();
        let automaton = (!forms.is_empty()).then(|| {
            AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostLongest)
                .build(by_head.keys())
                .expect("a namespace's secrets are far fewer than the automaton can have states")
        });
        Self { automaton, forms, candidates }
    }

    /// Whether there is nothing to take out.
    pub fn is_empty(&self) -> bool {
        self.forms.is_empty()
    }

    /// The bytes without secrets; `None` if there are none in them.
    pub fn bytes(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let clean = self.without_forms(bytes);
        self.without_starts(clean.as_deref().unwrap_or(bytes)).or(clean)
    }

    fn without_forms(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let automaton = self.automaton.as_ref()?;
        let mut work = FREE_WORK.saturating_add(bytes.len().saturating_mul(WORK_PER_BYTE));
        let (mut clean, mut copied, mut at) = (Vec::new(), 0, 0);
        while let Some(hit) = automaton.find(Input::new(bytes).range(at..)) {
            let start = hit.start();
            let candidates = &self.candidates[hit.pattern().as_usize()];
            match self.form_at(&bytes[start..], candidates, &mut work) {
                Verdict::Found(form, length) => {
                    clean.extend_from_slice(&bytes[copied..start]);
                    clean.extend_from_slice(&form.stands_in);
                    copied = start + length;
                    at = copied;
                }
                Verdict::Nothing => at = start + 1,
                Verdict::TooMuchWork => {
                    clean.extend_from_slice(&bytes[copied..start]);
                    clean.extend_from_slice(REST);
                    return Some(clean);
                }
            }
        }
        if copied == 0 {
            return None;
        }
        clean.extend_from_slice(&bytes[copied..]);
        Some(clean)
    }

    /// Takes out what is left of forms before the marks of cuts.
    fn without_starts(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        if self.is_empty() {
            return None;
        }
        let (mut clean, mut copied, mut last) = (Vec::new(), 0, 0);
        for mark in memchr::memmem::find_iter(bytes, CUT_MARK) {
            let from = last.max(mark.saturating_sub(HEAD_BYTES));
            last = mark + CUT_MARK.len();
            let starts = from..(mark + 1).saturating_sub(MIN_VALUE_BYTES);
            let cut_off =
                starts.into_iter().find_map(|at| Some((at, self.started_by(&bytes[at..mark])?)));
            if let Some((at, form)) = cut_off {
                clean.extend_from_slice(&bytes[copied..at]);
                clean.extend_from_slice(&form.stands_in);
                copied = mark;
            }
        }
        if copied == 0 {
            return None;
        }
        clean.extend_from_slice(&bytes[copied..]);
        Some(clean)
    }

    /// A form that begins like this and goes on.
    fn started_by(&self, rest: &[u8]) -> Option<&Form> {
        let at = self.forms.partition_point(|form| form.bytes.as_slice() < rest);
        self.forms.get(at).filter(|form| form.bytes.starts_with(rest))
    }

    fn form_at(&self, text: &[u8], candidates: &[usize], work: &mut usize) -> Verdict<'_> {
        for index in candidates {
            let form = &self.forms[*index];
            let same = text.iter().zip(form.bytes.iter()).take_while(|(a, b)| a == b).count();
            let is_cut = same == text.len() || text[same..].starts_with(CUT_MARK.as_bytes());
            if same == form.bytes.len() || is_cut {
                return Verdict::Found(form, same);
            }
            let Some(rest) = work.checked_sub(same) else { return Verdict::TooMuchWork };
            *work = rest;
        }
        Verdict::Nothing
    }

    /// A text without secrets.
    pub fn text(&self, text: &mut String) {
        if let Some(clean) = self.bytes(text.as_bytes()) {
            // Forms begin and end between characters, so what is left is text.
            *text = String::from_utf8_lossy(&clean).into_owned();
        }
    }

    /// A JSON value without secrets, in strings, numbers and keys.
    pub fn value(&self, value: &mut Value) {
        if self.is_empty() {
            return;
        }
        match value {
            Value::Null | Value::Bool(_) => {}
            Value::Number(number) => {
                let mut text = number.to_string();
                if let Some(clean) = self.bytes(text.as_bytes()) {
                    text = String::from_utf8_lossy(&clean).into_owned();
                    *value = Value::String(text);
                }
            }
            Value::String(text) => self.text(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.value(item)),
            Value::Object(fields) => self.fields(fields),
        }
    }

    fn fields(&self, fields: &mut Map<String, Value>) {
        if fields.keys().any(|name| self.bytes(name.as_bytes()).is_some()) {
            let old = std::mem::take(fields);
            fields.extend(old.into_iter().map(|(mut name, value)| {
                self.text(&mut name);
                (name, value)
            }));
        }
        fields.values_mut().for_each(|value| self.value(value));
    }

    /// What came of an attempt, without secrets: output, failure and log lines.
    pub fn report(&self, report: &mut AttemptReport) {
        if self.is_empty() {
            return;
        }
        match &mut report.outcome {
            Outcome::Succeeded(output) => self.value(output),
            Outcome::Failed(failure) => self.failure(failure),
            // Bytes that only the step can read: the sandbox takes none with a secret in them.
            Outcome::Suspended(_) => {}
        }
        self.lines(&mut report.logs);
    }

    /// Log lines, without secrets.
    pub fn lines(&self, lines: &mut [LogLine]) {
        for line in lines {
            self.text(&mut line.message);
            self.fields(&mut line.fields);
        }
    }

    fn failure(&self, failure: &mut Failure) {
        self.text(&mut failure.message);
        if let Some(details) = &mut failure.details {
            self.value(details);
        }
    }
}

impl fmt::Debug for Scrubber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scrubber").field("forms", &self.forms.len()).finish_non_exhaustive()
    }
}

enum Verdict<'a> {
    Found(&'a Form, usize),
    Nothing,
    TooMuchWork,
}

fn head(form: &[u8]) -> &[u8] {
    &form[..form.len().min(HEAD_BYTES)]
}

/// The automaton says the longest head at a place; the heads that it begins with are there too.
fn candidates(head: &[u8], by_head: &BTreeMap<&[u8], Vec<usize>>, forms: &[Form]) -> Vec<usize> {
    let shorter = (1..=head.len()).filter_map(|length| by_head.get(&head[..length]));
    let mut candidates: Vec<usize> = shorter.flatten().copied().collect();
    candidates.sort_by_key(|index| std::cmp::Reverse(forms[*index].bytes.len()));
    candidates
}

#[cfg(test)]
mod tests;
