//! What a step does, ready to be done.

use super::{Children, Hearing};
use crate::expression::{Expression, Template};

/// What a step does when its turn has come: its `config`, parsed.
#[derive(Debug)]
pub enum Work {
    /// A worker makes an attempt with this config.
    Attempt(Template),
    /// On to the first case that is true, or to the default.
    Switch {
        /// The expressions, and the steps that they lead to.
        cases: Vec<(Expression, String)>,
        /// Where to go if none is true.
        default: Option<String>,
    },
    /// Gives this value.
    Transform(Template),
    /// Lets so many milliseconds pass.
    WaitFor(Template),
    /// Lets time pass until an instant.
    WaitUntil(Template),
    /// Ends the execution well, with this output if there is one.
    Succeed(Option<Template>),
    /// Fails.
    Fail {
        /// The author's code.
        code: Option<String>,
        /// The message.
        message: Template,
    },
    /// Begins other executions, and waits for them.
    Children(Children),
    /// Waits for a message.
    Hear(Box<Hearing>),
    /// Sends an event.
    Emit {
        /// Its name.
        event: Template,
        /// What it says.
        data: Option<Template>,
    },
}

impl Work {
    /// Calls `visit` with every expression and its JSON pointer within the step.
    pub(super) fn for_each_expression(&self, visit: &mut impl FnMut(&str, &Expression)) {
        match self {
            Self::Attempt(config) => config.for_each_expression("/config", visit),
            Self::Switch { cases, .. } => {
                for (at, (when, _)) in cases.iter().enumerate() {
                    visit(&format!("/config/cases/{at}/when"), when);
                }
            }
            Self::Transform(value) => value.for_each_expression("/config/value", visit),
            Self::WaitFor(duration) => duration.for_each_expression("/config/durationMs", visit),
            Self::WaitUntil(until) => until.for_each_expression("/config/until", visit),
            Self::Succeed(output) => {
                if let Some(output) = output {
                    output.for_each_expression("/config/output", visit);
                }
            }
            Self::Fail { message, .. } => message.for_each_expression("/config/message", visit),
            Self::Children(children) => children.fan.for_each_expression(visit),
            Self::Hear(hearing) => hearing.for_each_expression(visit),
            Self::Emit { event, data } => {
                event.for_each_expression("/config/event", visit);
                if let Some(data) = data {
                    data.for_each_expression("/config/data", visit);
                }
            }
        }
    }
}
