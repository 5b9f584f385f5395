//! Whether an execution under way may go on by another version: only where that is provably safe.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::control::Control;
use crate::definition::{Definition, Step};
use crate::machine::{ExecutionStatus, State, StepStatus};
use crate::plan::{Captures, Plan, Work};
use crate::validate::check_instance;

/// A version, as both its author and the machine see it.
#[derive(Clone, Copy, Debug)]
pub struct Version<'a> {
    /// The definition.
    pub definition: &'a Definition,
    /// The same, ready to run.
    pub plan: &'a Plan,
}

/// Why an execution may not move; empty if it may.
///
/// It may where the step that it is at is there and of the same type (the same altogether, if others have been begun or are
/// listened for in its name), where every output that may be read from there on exists or comes to exist, and
/// where everything that it has done can still be undone.
pub fn obstacles(state: &State, input: &Value, from: Version<'_>, to: Version<'_>) -> Vec<String> {
    let mut found = Vec::new();
    if state.status.is_terminal() {
        found.push(format!("it has {}", state.status));
        return found;
    }
    if state.status == ExecutionStatus::Running {
        found.push("an attempt is under way: try again when it has ended".to_owned());
    }
    if state.unwinding.is_some() {
        found.push("it is being undone".to_owned());
    }
    found.extend(of_input(input, to));
    found.extend(of_position(state, from, to));
    found.extend(of_undoing(state, from, to));
    found.extend(of_outputs(state, to));
    found
}

fn of_input(input: &Value, to: Version<'_>) -> Option<String> {
    let schema = to.definition.input_schema.as_ref()?;
    let problem = check_instance(schema, input).into_iter().next()?;
    Some(format!("its input is not what the version takes: {}", problem.message))
}

/// The step that it is at.
fn of_position(state: &State, from: Version<'_>, to: Version<'_>) -> Option<String> {
    let cursor = state.cursor.as_ref()?;
    let here = step(from, &cursor.step)?;
    let Some(there) = step(to, &cursor.step) else {
        return Some(format!("it is at step `{}`, which the version does not have", cursor.step));
    };
    if cursor.awaited.is_some() && here != there {
        return Some(format!(
            "it waits at step `{}`, which is another in the version",
            cursor.step
        ));
    }
    let digest = |version: Version<'_>| {
        version.plan.step(&cursor.step).and_then(|step| Some(step.plugin.as_ref()?.digest.clone()))
    };
    if cursor.is_suspended() && digest(from) != digest(to) {
        return Some(format!(
            "step `{}` has suspended itself, and the version would hand what it left to another plugin",
            cursor.step
        ));
    }
    (here.step_type != there.step_type).then(|| {
        format!(
            "step `{}` is `{}`, in the version `{}`",
            cursor.step, here.step_type, there.step_type
        )
    })
}

/// What it has done, and what would undo it.
fn of_undoing(state: &State, from: Version<'_>, to: Version<'_>) -> Vec<String> {
    let lost = state.undo.iter().filter(|it| {
        let undone_by = |version| step(version, &it.step).map(|step| step.compensate.is_some());
        undone_by(to) != undone_by(from)
    });
    lost.map(|it| {
        format!("step `{}` was done and is undone in another way, or not at all", it.step)
    })
    .collect()
}

/// Outputs that may be read from where it is, and that neither exist nor can come to.
fn of_outputs(state: &State, to: Version<'_>) -> Vec<String> {
    let first = to.plan.first.clone();
    let from = state.cursor.as_ref().map_or(first, |cursor| cursor.step.clone());
    let ahead = reachable(to.definition, &from);
    let mut read = Captures::default();
    for planned in ahead.iter().filter_map(|id| to.plan.step(id)) {
        read.of_step(planned);
        if let Work::Children(children) = &planned.work {
            read.join(&children.captures);
        }
        planned.compensation.iter().for_each(|it| read.join(it));
    }
    to.plan.output.iter().for_each(|it| read.of_template(it));
    to.plan.on_failure.iter().for_each(|it| read.join(it));
    let ended = |id: &String| {
        state.steps.get(id).is_some_and(|it| {
            matches!(it.status, StepStatus::Succeeded | StepStatus::Skipped | StepStatus::Failed)
        })
    };
    // Blocks read their own steps as well; those are theirs.
    let own = to.definition.steps.iter().map(|step| &step.id);
    let missing = own.filter(|id| read.step(id) && !ended(id) && !ahead.contains(*id));
    missing.map(|id| format!("step `{id}` is read later, and has not run")).collect()
}

/// The steps that an execution may come to from a step on, itself included.
fn reachable(definition: &Definition, from: &str) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut todo = vec![from.to_owned()];
    while let Some(id) = todo.pop() {
        let Some(step) = definition.steps.iter().find(|step| step.id == id) else { continue };
        if reached.insert(id) {
            todo.extend(step.next.clone());
            todo.extend(step.on_error.clone());
            let control = Control::of(step);
            let targets = control.iter().flat_map(Control::targets);
            todo.extend(targets.map(|(_, to)| to.to_owned()));
        }
    }
    reached
}

fn step<'a>(version: Version<'a>, id: &str) -> Option<&'a Step> {
    version.definition.steps.iter().find(|step| step.id == id)
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};
    use serde_json::json;

    use super::*;
    use crate::machine::{Awaited, Cursor, StepState, Undoable};
    use crate::plan::{LockedPlugin, PluginLock};

    fn log(id: &str, next: Option<&str>, message: &str) -> Value {
        let mut step = json!({ "id": id, "type": "log", "config": { "message": message } });
        if let Some(next) = next {
            step["next"] = json!(next);
        }
        step
    }

    fn old() -> Value {
        json!({ "name": "w", "steps": [log("a", Some("b"), "m"), log("b", Some("c"), "m"), log("c", None, "${steps.a.output}")] })
    }

    /// At step `b`, with `a` done.
    fn at_b() -> State {
        let now = DateTime::<Utc>::UNIX_EPOCH;
        let done =
            StepState { status: StepStatus::Succeeded, attempts: 1, error: None, output: None };
        let cursor = Cursor { failed: 1, until: Some(now), ..Cursor::at("b".to_owned(), 2, now) };
        State {
            status: ExecutionStatus::Waiting,
            cursor: Some(cursor),
            steps: [("a".to_owned(), done)].into(),
            ..State::new(now, None)
        }
    }

    fn check(state: &State, new: &Value) -> Vec<String> {
        let read = |value: &Value| serde_json::from_value::<Definition>(value.clone()).unwrap();
        let (from, to) = (read(&old()), read(new));
        let plan = |it: &Definition| Plan::compile(it, 1, &PluginLock::new()).unwrap();
        let (from_plan, to_plan) = (plan(&from), plan(&to));
        let from = Version { definition: &from, plan: &from_plan };
        obstacles(state, &json!({}), from, Version { definition: &to, plan: &to_plan })
    }

    #[test]
    fn what_comes_later_may_change_freely() {
        let new = json!({ "name": "w", "steps": [log("a", Some("b"), "other"), log("b", Some("d"), "other"),
            log("d", None, "${steps.a.output} ${steps.b.output}")] });
        assert_eq!(check(&at_b(), &new), [""; 0]);
    }

    #[test]
    fn the_step_that_it_is_at_has_to_be_there_and_of_its_type() {
        let gone = json!({ "name": "w", "steps": [log("a", None, "m")] });
        assert_eq!(check(&at_b(), &gone), ["it is at step `b`, which the version does not have"]);
        let other = json!({ "name": "w", "steps": [log("a", Some("b"), "m"), { "id": "b", "type": "http", "config": { "url": "x" } }] });
        assert_eq!(check(&at_b(), &other), ["step `b` is `log`, in the version `http`"]);
    }

    #[test]
    fn what_is_read_later_has_to_exist_or_come() {
        let new = json!({ "name": "w", "steps": [log("a", Some("z"), "m"), log("z", Some("b"), "m"), log("b", None, "${steps.z.output}")],
            "output": "${steps.a.output}" });
        assert_eq!(check(&at_b(), &new), ["step `z` is read later, and has not run"]);
    }

    #[test]
    fn a_wait_for_others_moves_only_if_nothing_of_it_changes() {
        let mut state = at_b();
        state.cursor.as_mut().unwrap().awaited = Some(Awaited::Children { visit: 1, total: 1 });
        assert_eq!(check(&state, &old()), [""; 0]);
        let mut new = old();
        new["steps"][1]["config"]["message"] = json!("other");
        assert_eq!(check(&state, &new), ["it waits at step `b`, which is another in the version"]);
    }

    #[test]
    fn what_a_suspended_step_left_is_handed_to_the_same_plugin_only() {
        let step = json!({ "id": "b", "type": "acme/poll@^1" });
        let workflow = json!({ "name": "w", "steps": [step] });
        let definition: Definition = serde_json::from_value(workflow).unwrap();
        let locked = |digest: &str| {
            let plugin = LockedPlugin { digest: digest.to_owned(), version: None };
            let lock = PluginLock::from([("acme/poll@^1".to_owned(), plugin)]);
            Plan::compile(&definition, 1, &lock).unwrap()
        };
        let (old, new) = (locked("sha256:1"), locked("sha256:2"));
        let mut state = at_b();
        let version = |plan| Version { definition: &definition, plan };
        let check = |state: &State, to| obstacles(state, &json!({}), version(&old), version(to));
        assert_eq!(check(&state, &new), [""; 0]);
        state.cursor.as_mut().unwrap().resumption = Some(std::sync::Arc::default());
        assert!(check(&state, &new)[0].contains("another plugin"));
        assert_eq!(check(&state, &old), [""; 0]);
    }

    #[test]
    fn the_input_the_undoing_and_the_status_count() {
        let mut new = old();
        new["inputSchema"] = json!({ "required": ["n"] });
        assert!(check(&at_b(), &new)[0].starts_with("its input is not what the version takes"));
        let mut state = at_b();
        state.undo.push(Undoable { step: "a".to_owned(), visit: None });
        let mut new = old();
        new["steps"][0]["compensate"] = json!({ "steps": [log("u", None, "m")] });
        assert!(check(&state, &new)[0].contains("undone in another way"));
        let running = State { status: ExecutionStatus::Running, ..at_b() };
        assert!(check(&running, &old())[0].contains("under way"));
        let ended = State { status: ExecutionStatus::Failed, ..at_b() };
        assert_eq!(check(&ended, &old()), ["it has failed"]);
    }
}
