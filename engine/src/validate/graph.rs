//! The ways through the steps: ids that are used twice, names that lead nowhere, steps that nothing leads to,
//! circles without an exit.

use std::collections::{HashMap, HashSet};

use crate::definition::{Definition, Step};
use crate::diagnostic::Diagnostic;

/// All problems of a definition's graph.
pub(super) fn check(definition: &Definition) -> Vec<Diagnostic> {
    let graph = Graph::of(&definition.steps);
    let mut problems = duplicates(&definition.steps);
    problems.extend(graph.dangling());
    if problems.is_empty() {
        problems.extend(graph.unreachable());
        problems.extend(graph.endless());
    }
    problems
}

fn duplicates(steps: &[Step]) -> Vec<Diagnostic> {
    let mut seen = HashMap::new();
    let mut problems = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        if let Some(first) = seen.insert(step.id.as_str(), index) {
            let message = format!("the id `{}` is already that of /steps/{first}", step.id);
            problems.push(Diagnostic::new(format!("/steps/{index}/id"), "DUPLICATE_ID", message));
        }
    }
    problems
}

struct Graph<'a> {
    steps: &'a [Step],
    index: HashMap<&'a str, usize>,
}

impl<'a> Graph<'a> {
    fn of(steps: &'a [Step]) -> Self {
        let index =
            steps.iter().enumerate().map(|(index, step)| (step.id.as_str(), index)).collect();
        Self { steps, index }
    }

    fn dangling(&self) -> Vec<Diagnostic> {
        let mut problems = Vec::new();
        for (index, step) in self.steps.iter().enumerate() {
            for (field, code, target) in [
                ("next", "DANGLING_NEXT", &step.next),
                ("onError", "DANGLING_ON_ERROR", &step.on_error),
            ] {
                let Some(target) = target else { continue };
                if self.index.contains_key(target.as_str()) {
                    continue;
                }
                let message =
                    format!("step `{}` leads to `{target}`, which does not exist", step.id);
                let problem = Diagnostic::new(format!("/steps/{index}/{field}"), code, message);
                problems.push(match Diagnostic::did_you_mean(target, self.index.keys().copied()) {
                    Some(help) => problem.with_help(help),
                    None => problem,
                });
            }
        }
        problems
    }

    fn unreachable(&self) -> Vec<Diagnostic> {
        let mut reached = HashSet::from([0]);
        let mut todo = vec![0];
        while let Some(step) = todo.pop().and_then(|index| self.steps.get(index)) {
            for target in [&step.next, &step.on_error].into_iter().flatten() {
                let index = self.index[target.as_str()];
                if reached.insert(index) {
                    todo.push(index);
                }
            }
        }
        let lost = (0..self.steps.len()).filter(|index| !reached.contains(index));
        lost.map(|index| {
            let message = format!("nothing leads to step `{}`", self.steps[index].id);
            Diagnostic::new(format!("/steps/{index}"), "UNREACHABLE_STEP", message)
                .with_help("name it in the `next` or `onError` of another step, or remove it")
        })
        .collect()
    }

    /// Circles of `next` alone: every step that succeeds or is skipped goes round again.
    fn endless(&self) -> Option<Diagnostic> {
        for start in 0..self.steps.len() {
            let mut at = start;
            for _ in 0..self.steps.len() {
                let Some(next) = &self.steps[at].next else { break };
                at = self.index[next.as_str()];
                if at == start {
                    let message = format!(
                        "the steps from `{}` lead back to it for ever",
                        self.steps[start].id
                    );
                    return Some(
                        Diagnostic::new(format!("/steps/{start}/next"), "ENDLESS_CYCLE", message)
                            .with_help("a circle needs a way out: leave out one `next`"),
                    );
                }
            }
        }
        None
    }
}
