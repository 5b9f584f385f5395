//! What a step waits for from outside, parsed.

use serde_json::Value;

use crate::expression::{Expression, Template};
use crate::message::Match;

/// A step that waits for a message: an event, a callback, decisions.
#[derive(Debug)]
pub struct Hearing {
    /// What it waits for.
    pub kind: Heard,
    /// How long at most, in milliseconds.
    pub timeout_ms: u64,
    /// The step that follows if that is over.
    pub on_timeout: Option<String>,
}

/// What a step waits for.
#[derive(Debug)]
pub enum Heard {
    /// An event.
    Event {
        /// Its name.
        name: Template,
        /// Which one of that name.
        matching: Option<Box<Match>>,
        /// How far back to look, in milliseconds.
        lookback_ms: u64,
    },
    /// A callback.
    Token,
    /// Decisions.
    Approval {
        /// What people are asked.
        message: Option<Template>,
        /// Who is asked.
        approvers: Option<Template>,
        /// How many have to approve.
        count: u32,
        /// What an approval has to bring: a JSON Schema.
        form_schema: Option<Value>,
    },
}

impl Hearing {
    pub(super) fn for_each_expression(&self, visit: &mut impl FnMut(&str, &Expression)) {
        match &self.kind {
            Heard::Event { name, matching, .. } => {
                name.for_each_expression("/config/event/name", visit);
                if let Some(matching) = matching {
                    visit("/config/event/match", &matching.whole);
                }
            }
            Heard::Token => {}
            Heard::Approval { message, approvers, .. } => {
                if let Some(message) = message {
                    message.for_each_expression("/config/message", visit);
                }
                if let Some(approvers) = approvers {
                    approvers.for_each_expression("/config/approvers", visit);
                }
            }
        }
    }
}
