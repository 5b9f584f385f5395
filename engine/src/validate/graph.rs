//! The ways through the steps: ids that are used twice, names that lead nowhere, steps that nothing leads to,
//! circles without an exit.

use std::collections::{HashMap, HashSet};

use crate::control::{Control, ControlType, MAX_DEPTH, Region};
use crate::definition::{MAX_STEPS, Step};
use crate::diagnostic::Diagnostic;

/// All problems of a definition's graph.
pub(super) fn check(regions: &[Region]) -> Vec<Diagnostic> {
    let mut problems = extent(regions);
    problems.extend(duplicates(regions));
    for region in regions {
        let graph = Graph::of(&region.steps);
        let mut found = graph.dangling();
        if found.is_empty() && problems.is_empty() {
            found.extend(graph.unreachable());
            found.extend(graph.endless());
        }
        for problem in &mut found {
            problem.pointer.insert_str(0, &region.pointer);
        }
        problems.extend(found);
    }
    problems
}

/// Blocks that nest too deeply, and more steps in all than there may be.
fn extent(regions: &[Region]) -> Vec<Diagnostic> {
    let deep = regions.iter().filter(|region| region.depth > MAX_DEPTH);
    let mut problems: Vec<_> = deep
        .map(|region| {
            let message = format!("blocks nest more than {MAX_DEPTH} deep here");
            Diagnostic::new(region.pointer.clone(), "NESTED_TOO_DEEPLY", message)
                .with_help("make the inner block a workflow of its own, and call it")
        })
        .collect();
    let steps: usize = regions.iter().map(|region| region.steps.len()).sum();
    if steps > MAX_STEPS {
        let message = format!("there are {steps} steps in all blocks, the limit is {MAX_STEPS}");
        problems.push(Diagnostic::new("/steps", "TOO_MANY_STEPS", message));
    }
    problems
}

/// Ids are unique over all blocks, so that an expression need not say which block it means.
fn duplicates(regions: &[Region]) -> Vec<Diagnostic> {
    let mut seen: HashMap<&str, String> = HashMap::new();
    let mut problems = Vec::new();
    for region in regions {
        for (index, step) in region.steps.iter().enumerate() {
            let place = format!("{}/steps/{index}", region.pointer);
            if let Some(first) = seen.get(step.id.as_str()) {
                let message = format!("the id `{}` is already that of {first}", step.id);
                problems.push(Diagnostic::new(format!("{place}/id"), "DUPLICATE_ID", message));
            } else {
                seen.insert(&step.id, place);
            }
        }
    }
    problems
}

struct Graph<'a> {
    steps: &'a [Step],
    index: HashMap<&'a str, usize>,
    /// Of each step, all ways out.
    ways: Vec<Vec<Way>>,
}

/// A way out of a step.
struct Way {
    /// Where it is written: a JSON pointer within the step.
    field: String,
    to: String,
}

fn ways(step: &Step) -> Vec<Way> {
    let written = [("/next", &step.next), ("/onError", &step.on_error)];
    let written = written
        .into_iter()
        .filter_map(|(field, to)| to.clone().map(|to| Way { field: field.to_owned(), to }));
    // What cannot be read is not an error of the graph.
    let control = Control::of(step);
    let targets = control.iter().flat_map(Control::targets);
    let led = targets.map(|(field, to)| Way { field, to: to.to_owned() });
    written.chain(led).collect()
}

impl<'a> Graph<'a> {
    fn of(steps: &'a [Step]) -> Self {
        let index =
            steps.iter().enumerate().map(|(index, step)| (step.id.as_str(), index)).collect();
        Self { steps, index, ways: steps.iter().map(ways).collect() }
    }

    fn dangling(&self) -> Vec<Diagnostic> {
        let mut problems = Vec::new();
        for (index, step) in self.steps.iter().enumerate() {
            let lost =
                self.ways[index].iter().filter(|way| !self.index.contains_key(way.to.as_str()));
            for Way { field, to } in lost {
                let message = format!("step `{}` leads to `{to}`, which does not exist", step.id);
                let code = if field == "/onError" { "DANGLING_ON_ERROR" } else { "DANGLING_NEXT" };
                let problem = Diagnostic::new(format!("/steps/{index}{field}"), code, message);
                problems.push(match Diagnostic::did_you_mean(to, self.index.keys().copied()) {
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
        while let Some(ways) = todo.pop().and_then(|index| self.ways.get(index)) {
            for way in ways {
                let index = self.index[way.to.as_str()];
                if reached.insert(index) {
                    todo.push(index);
                }
            }
        }
        let lost = (0..self.steps.len()).filter(|index| !reached.contains(index));
        lost.map(|index| {
            let message = format!("nothing leads to step `{}`", self.steps[index].id);
            Diagnostic::new(format!("/steps/{index}"), "UNREACHABLE_STEP", message).with_help(
                "name it in another step's `next` or `onError`, or in a `switch`, or remove it",
            )
        })
        .collect()
    }

    /// Circles of `next` alone, without a wait: every step that succeeds or is skipped goes round again.
    fn endless(&self) -> Option<Diagnostic> {
        for start in 0..self.steps.len() {
            let mut at = start;
            for _ in 0..self.steps.len() {
                if self.steps[at].step_type == ControlType::Wait.as_str() {
                    break;
                }
                let Some(next) = &self.steps[at].next else { break };
                at = self.index[next.as_str()];
                if at == start {
                    let message = format!(
                        "the steps from `{}` lead back to it for ever",
                        self.steps[start].id
                    );
                    return Some(
                        Diagnostic::new(format!("/steps/{start}/next"), "ENDLESS_CYCLE", message)
                            .with_help("a circle needs a way out: leave out one `next`, or put a `switch` or a `wait` in"),
                    );
                }
            }
        }
        None
    }
}
