//! The ways through the steps: ids that are used twice, names that lead nowhere, steps that nothing leads to,
//! circles without an exit.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};

use super::salvage::Doubts;
use super::{CatalogEntry, StepCatalog};
use crate::control::{Control, ControlType, MAX_DEPTH, Region};
use crate::definition::{MAX_STEPS, Step};
use crate::diagnostic::Diagnostic;
use crate::step_type::StepType;

/// All problems of a definition's graphs, one of each region.
pub(super) fn check(regions: &[Region], graphs: &[Graph<'_>], doubts: &Doubts) -> Vec<Diagnostic> {
    let mut problems = duplicates(regions);
    for (region, graph) in regions.iter().zip(graphs) {
        let mut found = graph.dangling(doubts);
        found.extend(graph.unreachable());
        found.extend(graph.endless());
        for problem in &mut found {
            problem.pointer.insert_str(0, &region.pointer);
        }
        problems.extend(found);
    }
    problems
}

/// Blocks that nest too deeply, and more steps in all than there may be.
pub(super) fn extent(regions: &[Region]) -> Vec<Diagnostic> {
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

/// The steps of a region, and the ways between them.
pub(super) struct Graph<'a> {
    steps: &'a [Step],
    /// The places of an id: more than one only in error.
    index: HashMap<&'a str, Vec<usize>>,
    /// Of each step, all ways out.
    ways: Vec<Vec<Way>>,
    /// Of each step, where they lead; `None` if nobody knows.
    leads: Vec<Option<BTreeSet<usize>>>,
    reached_at_all: OnceCell<Option<Reach>>,
    /// Looked for once: a definition may read one step in many places.
    after: Vec<OnceCell<Option<Reach>>>,
}

/// Of each step, whether it is reached.
type Reach = Vec<bool>;

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

/// Whether a step may have ways out of which nobody can know: its type or its config cannot be read.
fn is_obscure(step: &Step, catalog: &dyn StepCatalog) -> bool {
    match step.step_type.parse() {
        Ok(StepType::Control(control)) => control.read(step).is_err(),
        Ok(StepType::Native(name)) => matches!(catalog.native(&name), CatalogEntry::Unknown { .. }),
        Ok(StepType::Plugin(_)) => false,
        Err(_) => true,
    }
}

impl<'a> Graph<'a> {
    pub(super) fn of(steps: &'a [Step], catalog: &dyn StepCatalog, doubts: &Doubts) -> Self {
        let mut index: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, step) in steps.iter().enumerate() {
            index.entry(&step.id).or_default().push(at);
        }
        let ways: Vec<_> = steps.iter().map(ways).collect();
        // Whatever was taken out of a step may have led to the steps that it mentions, and to those that have lost their id.
        let is_doubtful =
            |step: &Step| doubts.may_know(&step.id) || Doubts::is_placeholder(&step.id);
        let doubtful: Vec<_> = (0..steps.len()).filter(|at| is_doubtful(&steps[*at])).collect();
        let leads = steps.iter().zip(&ways).map(|(step, ways)| {
            let places = ways.iter().map(|way| index.get(way.to.as_str()));
            let known = places.collect::<Option<Vec<_>>>()?;
            let known = known.into_iter().flatten().chain(&doubtful).copied();
            (!is_obscure(step, catalog)).then(|| known.collect())
        });
        let leads = leads.collect();
        let after = vec![OnceCell::new(); steps.len()];
        Self { steps, index, ways, leads, reached_at_all: OnceCell::new(), after }
    }

    fn dangling(&self, doubts: &Doubts) -> Vec<Diagnostic> {
        let mut problems = Vec::new();
        let is_lost = |way: &&Way| !self.index.contains_key(&*way.to) && !doubts.may_know(&way.to);
        for (index, step) in self.steps.iter().enumerate() {
            for Way { field, to } in self.ways[index].iter().filter(is_lost) {
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

    /// Whether a step of this id is here.
    pub(super) fn has(&self, id: &str) -> bool {
        self.index.contains_key(id)
    }

    /// The steps that an execution may come to from some, and those themselves; `None` if nobody knows.
    fn reached(&self, from: impl IntoIterator<Item = usize>) -> Option<Reach> {
        let mut reached = vec![false; self.steps.len()];
        let mut todo: Vec<_> = from.into_iter().collect();
        while let Some(at) = todo.pop() {
            if !std::mem::replace(&mut reached[at], true) {
                todo.extend(self.leads[at].as_ref()?);
            }
        }
        Some(reached)
    }

    fn reached_at_all(&self) -> Option<&Reach> {
        let first = || self.reached(0..self.steps.len().min(1));
        self.reached_at_all.get_or_init(first).as_ref()
    }

    /// The steps that may run after one, itself only if a circle leads back to it.
    fn after(&self, at: usize) -> Option<&Reach> {
        let after = || self.reached(self.leads[at].as_ref()?.iter().copied());
        self.after[at].get_or_init(after).as_ref()
    }

    /// Why one step never runs before another, if that is certain. A step that nothing leads to is reported as such.
    pub(super) fn why_never_before(&self, earlier: &str, later: &str) -> Option<String> {
        let [one, other] = [earlier, later].map(|id| match self.index.get(id).map(Vec::as_slice) {
            Some([at]) => Some(*at),
            _ => None,
        });
        let (one, other) = (one?, other?);
        let is_lost = self.reached_at_all().is_some_and(|reached| !reached[one]);
        if one == other || is_lost || self.after(one)?[other] {
            return None;
        }
        let comes_later = self.after(other).is_some_and(|reached| reached[one]);
        Some(if comes_later {
            format!("it comes after step `{later}`")
        } else {
            format!("no way leads from it to step `{later}`")
        })
    }

    fn unreachable(&self) -> Vec<Diagnostic> {
        let Some(reached) = self.reached_at_all() else { return Vec::new() };
        let lost = (0..self.steps.len()).filter(|index| !reached[*index]);
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
                // What nobody can read may be a wait.
                let step = &self.steps[at];
                if step.step_type == ControlType::Wait.as_str() || self.leads[at].is_none() {
                    break;
                }
                let next = step.next.as_ref().and_then(|next| self.index.get(next.as_str()));
                let Some(next) = next.and_then(|places| places.first()) else { break };
                at = *next;
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
