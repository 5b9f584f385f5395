//! What a step begins other executions with: its config, parsed, and what its blocks read of the world around them.

use std::collections::BTreeSet;

use super::PlannedStep;
use crate::control::Tolerance;
use crate::expression::{Expression, Template};

/// A step that begins children.
#[derive(Debug)]
pub struct Children {
    /// Which children.
    pub fan: Fan,
    /// What their blocks read of what is around them: no more than that is handed down.
    pub captures: Captures,
    /// Whether something that they do can be undone.
    pub undoable: bool,
}

/// Which children a step begins.
#[derive(Debug)]
pub enum Fan {
    /// One for each branch.
    Branches {
        /// The branches' names, in order.
        names: Vec<String>,
        /// Whether the first failure stops the others.
        fail_fast: bool,
    },
    /// One for each item, or batch of items.
    Items {
        /// The list.
        items: Template,
        /// How many are under way at once.
        concurrency: u32,
        /// How many may fail.
        tolerated: Tolerance,
        /// How many items one child gets, if it gets a list of them.
        batch_size: Option<u32>,
        /// Whether the outputs are collected.
        collect: bool,
    },
    /// One execution of another workflow.
    Call {
        /// Its name.
        workflow: String,
        /// The version; the newest, if there is none.
        version: Option<i32>,
        /// Its input.
        input: Option<Template>,
        /// Its labels, if it does not take them over.
        labels: Option<Template>,
        /// Whether to wait for its end.
        wait: bool,
    },
}

impl Fan {
    pub(super) fn for_each_expression(&self, visit: &mut impl FnMut(&str, &Expression)) {
        match self {
            Self::Items { items, .. } => items.for_each_expression("/config/items", visit),
            Self::Call { input, labels, .. } => {
                if let Some(input) = input {
                    input.for_each_expression("/config/input", visit);
                }
                if let Some(labels) = labels {
                    labels.for_each_expression("/config/labels", visit);
                }
            }
            Self::Branches { .. } => {}
        }
    }
}

/// What expressions read of the scope around their block.
#[derive(Clone, Debug, Default)]
pub struct Captures {
    roots: BTreeSet<String>,
    /// A step is read whose id is only known when it runs: it may be any.
    all_steps: bool,
    steps: BTreeSet<String>,
}

impl Captures {
    pub(crate) fn of_step(&mut self, step: &PlannedStep) {
        step.for_each_expression(&mut |_, expression, _| self.of(expression));
    }

    pub(crate) fn of_template(&mut self, template: &Template) {
        template.for_each_expression("", &mut |_, expression| self.of(expression));
    }

    fn of(&mut self, expression: &Expression) {
        self.roots.extend(expression.roots_read().iter().cloned());
        self.all_steps |= expression.reads_all_steps();
        self.steps.extend(expression.steps_read().iter().cloned());
    }

    pub(crate) fn join(&mut self, other: &Self) {
        self.roots.extend(other.roots.iter().cloned());
        self.all_steps |= other.all_steps;
        self.steps.extend(other.steps.iter().cloned());
    }

    /// Whether a name of the scope is read, such as `input`.
    pub fn root(&self, name: &str) -> bool {
        self.roots.contains(name)
    }

    /// Whether a step around the block is read.
    pub fn step(&self, id: &str) -> bool {
        self.all_steps || self.steps.contains(id)
    }
}
