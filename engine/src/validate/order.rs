//! What an expression reads of steps that cannot have run when it is evaluated: not a matter of how they are written, but of the
//! ways that lead from one to another. Reported only where every way there could be is known; a circle, an `onError` or a jump back that may
//! make it right is a way like any other.

use super::graph::Graph;
use crate::control::{Region, Role};
use crate::diagnostic::Diagnostic;
use crate::expression::Expression;

/// Where an expression stands: its region, and its step. A region's own output has none.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) region: usize,
    pub(super) step: Option<&'a str>,
}

/// The regions of a definition, and the ways in each.
pub(super) struct Order<'a> {
    pub(super) regions: &'a [Region],
    pub(super) graphs: &'a [Graph<'a>],
}

impl Order<'_> {
    /// The reads of an expression that cannot succeed.
    pub(super) fn check(
        &self,
        pointer: &str,
        expression: &Expression,
        reader: Reader<'_>,
    ) -> Vec<Diagnostic> {
        let needed = expression.steps_needed();
        let reasons = needed.filter_map(|id| Some((id, self.why_not(id, reader)?)));
        let problem = |(id, why): (&str, String)| {
            let message = format!("the expression reads step `{id}`, which cannot have run: {why}");
            Diagnostic::new(pointer, "STEP_CANNOT_HAVE_RUN", message).with_help(format!(
                "let the way lead over `{id}` first; `default(steps['{id}'].output, …)` allows for a step that has not run"
            ))
        };
        reasons.map(problem).collect()
    }

    /// Why a step cannot have run, if so. What a block reads of the world around it was there when the block's step began.
    fn why_not(&self, id: &str, reader: Reader<'_>) -> Option<String> {
        let graph = &self.graphs[reader.region];
        if graph.has(id) {
            return graph.why_never_before(id, reader.step?);
        }
        let region = &self.regions[reader.region];
        // What undoes, or handles a failure, runs when nobody knows what has run.
        let around = region.around.filter(|_| region.role == Role::Body)?;
        self.why_not(id, Reader { region: around, step: Some(&region.owner) })
    }

    /// What to say about a step that is not in scope but somewhere: in a block.
    pub(super) fn elsewhere(&self, id: &str, reader: Reader<'_>) -> Option<(String, String)> {
        let place = self.graphs.iter().position(|graph| graph.has(id))?;
        let region = self.regions.get(place).filter(|it| it.role == Role::Body)?;
        let owner = &region.owner;
        let around = |at: &usize| self.regions[*at].around;
        let is_inside = std::iter::successors(Some(reader.region), around)
            .any(|at| self.regions[at].owner == *owner && self.regions[at].role == Role::Body);
        let help = if is_inside {
            format!(
                "blocks beside each other run apart; read it after `{owner}`, or put both into one"
            )
        } else {
            format!("a block gives only its output: read `steps['{owner}'].output` after `{owner}`")
        };
        let message = format!(
            "the expression reads step `{id}`, which is in a block of step `{owner}` and not seen from here"
        );
        Some((message, help))
    }
}
