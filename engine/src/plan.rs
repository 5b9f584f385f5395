//! A definition made ready to run: steps by id, types and expressions parsed. One per version, shared by all
//! of its executions.

mod children;
mod listening;
mod work;

pub use children::{Captures, Children, Fan};
pub use listening::{Heard, Hearing};
pub use work::Work;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Map as JsonMap, Value};

use crate::control::{
    Approval, Call, Case, Control, ControlType, DEFAULT_CONCURRENCY, Map, Region, Role, Tolerance,
    Wait, regions,
};
use crate::definition::{DEFAULT_WAIT_TIMEOUT_MS, Definition, Step};
use crate::expression::{Expression, ExpressionError, Template, bare};
use crate::message::Match;
use crate::retry::RetryPolicy;
use crate::step_type::StepType;
use crate::trigger::EventTrigger;
use crate::validate::PointedError;

/// What each plugin step type of a version is locked to, as it is written: `acme/profile@^1.2`.
pub type PluginLock = BTreeMap<String, LockedPlugin>;

/// A plugin version that a workflow version is locked to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct LockedPlugin {
    /// `sha256:` and the hex digest of its bytes.
    pub digest: String,
    /// The version. None in locks from before there were versions in them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// A version, ready to run; or a block of one.
#[derive(Debug)]
pub struct Plan {
    /// The workflow's name.
    pub workflow: String,
    /// The version's number, from 1.
    pub version: i32,
    /// The first step's id.
    pub first: String,
    /// The whole execution's bound, in milliseconds.
    pub deadline_ms: Option<u64>,
    /// What the input must look like: a JSON Schema.
    pub input_schema: Option<Value>,
    /// What executions are found by out of their input: JSON pointers.
    pub searchable: Vec<String>,
    /// The definition's constants.
    pub vars: Arc<JsonMap<String, Value>>,
    /// The mapping of the execution's output.
    pub output: Option<Template>,
    /// What starts executions.
    pub triggers: Vec<EventTrigger>,
    /// There is something to run when an execution has failed, and it reads this much of the world around it.
    pub on_failure: Option<Captures>,
    steps: HashMap<String, Arc<PlannedStep>>,
    blocks: HashMap<String, Arc<Plan>>,
}

/// A step, ready to run.
#[derive(Debug)]
pub struct PlannedStep {
    /// What the author wrote.
    pub step: Step,
    /// The parsed type.
    pub kind: StepType,
    /// What it does when its turn has come.
    pub work: Work,
    /// What a plugin step is locked to.
    pub plugin: Option<LockedPlugin>,
    /// The policy with its defaults.
    pub retry: RetryPolicy,
    /// `when`, parsed.
    pub when: Option<Expression>,
    /// `output`, parsed.
    pub output: Option<Template>,
    /// `retryPolicy.when`, parsed.
    pub retry_when: Option<Expression>,
    /// What undoes it reads this much of the world around it.
    pub compensation: Option<Captures>,
}

impl PlannedStep {
    /// Calls `visit` with every expression, its JSON pointer within the step, and whether the step's raw result is in
    /// scope there.
    pub fn for_each_expression(&self, visit: &mut impl FnMut(&str, &Expression, bool)) {
        self.work.for_each_expression(&mut |place, it| visit(place, it, false));
        if let Some(output) = &self.output {
            output.for_each_expression("/output", &mut |place, it| visit(place, it, true));
        }
        self.when.iter().for_each(|it| visit("/when", it, false));
        self.retry_when.iter().for_each(|it| visit("/retryPolicy/when", it, false));
    }
}

impl Plan {
    /// The names of the plugins that steps are locked to, and what to; those of its blocks, too.
    pub fn plugins(&self) -> Vec<(&str, &LockedPlugin)> {
        let own = self.steps.values().filter_map(|step| match &step.kind {
            StepType::Plugin(reference) => Some((reference.name.as_str(), step.plugin.as_ref()?)),
            _ => None,
        });
        own.chain(self.blocks.values().flat_map(|block| block.plugins())).collect()
    }

    /// Parses everything in a definition that has a language of its own. All problems are reported.
    pub fn compile(
        definition: &Definition,
        version: i32,
        lock: &PluginLock,
    ) -> Result<Self, Vec<PointedError>> {
        let (plan, errors) = Self::outline(definition, version, lock);
        if errors.is_empty() { Ok(plan) } else { Err(errors) }
    }

    /// As much of it as can be parsed, and all problems. With problems it is good for being judged, and not for running.
    pub(crate) fn outline(
        definition: &Definition,
        version: i32,
        lock: &PluginLock,
    ) -> (Self, Vec<PointedError>) {
        let mut errors = Vec::new();
        let regions = regions(definition);
        let mut drafts: Vec<_> =
            regions.iter().map(|region| Draft::of(region, lock, &mut errors)).collect();
        let triggers = triggers(definition, &mut errors);
        let on_failure = hand_down(&regions, &mut drafts);
        let vars = Arc::new(definition.vars.clone());
        let mut plans = drafts.into_iter().map(|draft| Self {
            workflow: definition.name.clone(),
            version,
            first: draft.first,
            deadline_ms: None,
            input_schema: None,
            searchable: Vec::new(),
            vars: Arc::clone(&vars),
            triggers: Vec::new(),
            on_failure: None,
            output: draft.output,
            steps: draft.steps.into_iter().map(|it| (it.step.id.clone(), Arc::new(it))).collect(),
            blocks: HashMap::new(),
        });
        let whole = plans.next().expect("a definition is its own first region");
        let names = regions.iter().skip(1).filter_map(|region| region.name.clone());
        let blocks = names.zip(plans.map(Arc::new)).collect();
        let (deadline_ms, input_schema) = (definition.deadline_ms, definition.input_schema.clone());
        let searchable = definition.searchable.clone();
        let plan =
            Self { deadline_ms, input_schema, searchable, triggers, on_failure, blocks, ..whole };
        (plan, errors)
    }

    /// The plan of a region: a block's by its name, or all of it.
    pub fn region(&self, name: Option<&str>) -> Option<&Self> {
        match name {
            Some(name) => self.blocks.get(name).map(AsRef::as_ref),
            None => Some(self),
        }
    }

    /// The plan of a block.
    pub fn block(&self, name: &str) -> Option<&Arc<Self>> {
        self.blocks.get(name)
    }

    /// The step with this id.
    pub fn step(&self, id: &str) -> Option<&Arc<PlannedStep>> {
        self.steps.get(id)
    }

    /// How many steps there are.
    pub fn step_count(&self) -> usize {
        self.steps.len()
    }
}

fn triggers(definition: &Definition, errors: &mut Vec<PointedError>) -> Vec<EventTrigger> {
    let mut parsed = Vec::new();
    for (place, trigger) in definition.all_triggers() {
        match EventTrigger::parse(trigger) {
            Ok(trigger) => parsed.extend(trigger),
            Err(problems) => errors.extend(
                problems
                    .into_iter()
                    .map(|(at, error)| PointedError::expression(format!("{place}{at}"), &error)),
            ),
        }
    }
    parsed
}

/// A region's plan before its steps know what their blocks read.
struct Draft {
    first: String,
    output: Option<Template>,
    steps: Vec<PlannedStep>,
}

impl Draft {
    fn of(region: &Region, lock: &PluginLock, errors: &mut Vec<PointedError>) -> Self {
        let mut steps = Vec::new();
        for (index, step) in region.steps.iter().enumerate() {
            let pointer = format!("{}/steps/{index}", region.pointer);
            steps.extend(At { pointer, errors }.step(step, lock));
        }
        let mut at = At { pointer: region.pointer.clone(), errors };
        let output = region.output.as_ref().map(|value| at.template("/output", value));
        let first = region.steps.first().map(|step| step.id.clone()).unwrap_or_default();
        Self { first, output, steps }
    }

    fn reads(&self) -> Captures {
        let mut reads = Captures::default();
        self.steps.iter().for_each(|step| reads.of_step(step));
        self.output.iter().for_each(|output| reads.of_template(output));
        reads
    }
}

/// Tells each step that has blocks what they read, the innermost first; returns what the block for failures reads.
fn hand_down(regions: &[Region], drafts: &mut [Draft]) -> Option<Captures> {
    let mut reads: Vec<_> = drafts.iter().map(Draft::reads).collect();
    let undone: Vec<_> = regions.iter().map(|it| it.role == Role::Compensation).collect();
    let mut on_failure = None;
    for (at, region) in regions.iter().enumerate().rev() {
        let Some(around) = region.around else { continue };
        let inner = reads[at].clone();
        reads[around].join(&inner);
        let owner = drafts[around].steps.iter_mut().find(|it| it.step.id == region.owner);
        match (region.role, owner) {
            (Role::OnFailure, _) => on_failure = Some(inner),
            (Role::Compensation, Some(owner)) => owner.compensation = Some(inner),
            (Role::Body, Some(PlannedStep { work: Work::Children(children), .. })) => {
                children.captures.join(&inner);
                children.undoable |= is_undoable(regions, &undone, at);
            }
            _ => {}
        }
    }
    on_failure
}

/// Whether something in a region, or in the blocks within it, can be undone.
fn is_undoable(regions: &[Region], undone: &[bool], at: usize) -> bool {
    let within = |it: usize| std::iter::successors(Some(it), |it| regions[*it].around);
    let mut blocks = (0..regions.len()).filter(|it| undone[*it]);
    blocks.any(|it| within(it).any(|it| it == at))
}

fn children(fan: Fan) -> Work {
    // Nobody knows yet what another workflow may have to undo.
    let undoable = matches!(fan, Fan::Call { wait: true, .. });
    Work::Children(Children { fan, captures: Captures::default(), undoable })
}

struct At<'a> {
    pointer: String,
    errors: &'a mut Vec<PointedError>,
}

impl At<'_> {
    fn step(&mut self, step: &Step, lock: &PluginLock) -> Option<PlannedStep> {
        let retry = step.retry();
        let when = self.expression("/when", step.when.as_deref());
        let output = step.output.as_ref().map(|value| self.template("/output", value));
        let retry_when = self.expression("/retryPolicy/when", retry.when.as_deref());
        let kind = match step.step_type.parse::<StepType>() {
            Ok(kind) => kind,
            Err(error) => {
                self.push("/type", "UNKNOWN_STEP_TYPE", error.to_string());
                return None;
            }
        };
        let work = match kind {
            StepType::Control(control) => self.control(control, step),
            _ => {
                let config = Value::Object(step.config.clone());
                Some(Work::Attempt(self.template("/config", &config)))
            }
        };
        Some(PlannedStep {
            step: step.clone(),
            kind,
            work: work?,
            plugin: lock.get(&step.step_type).cloned(),
            retry,
            when,
            output,
            retry_when,
            compensation: None,
        })
    }

    fn control(&mut self, kind: ControlType, step: &Step) -> Option<Work> {
        let control = kind
            .read(step)
            .map_err(|error| self.push("/config", "CONFIG_INVALID", error.to_string()))
            .ok()?;
        if let Some(fault) = control.fault() {
            self.push("/config", "CONFIG_INVALID", fault.to_owned());
            return None;
        }
        Some(match control {
            Control::Switch(switch) => {
                Work::Switch { cases: self.cases(&switch.cases)?, default: switch.default }
            }
            Control::Transform(transform) => {
                Work::Transform(self.template("/config/value", &transform.value))
            }
            Control::Wait(Wait { duration_ms: Some(duration), .. }) => {
                Work::WaitFor(self.template("/config/durationMs", &duration))
            }
            Control::Wait(wait @ (Wait { event: Some(_), .. } | Wait { token: Some(_), .. })) => {
                Work::Hear(Box::new(self.message_wait(wait)?))
            }
            Control::Approval(approval) => Work::Hear(Box::new(self.approval(approval))),
            Control::Emit(emit) => Work::Emit {
                event: self.template("/config/event", &emit.event.into()),
                data: self.maybe("/config/data", emit.data.as_ref()),
            },
            Control::Wait(Wait { until, .. }) => {
                let until = until.unwrap_or_default();
                Work::WaitUntil(self.template("/config/until", &until.into()))
            }
            Control::Succeed(succeed) => {
                Work::Succeed(self.maybe("/config/output", succeed.output.as_ref()))
            }
            Control::Fail(fail) => Work::Fail {
                code: fail.code,
                message: self.template("/config/message", &fail.message.into()),
            },
            Control::Parallel(parallel) => children(Fan::Branches {
                names: parallel.branches.into_keys().collect(),
                fail_fast: parallel.fail_fast.unwrap_or(true),
            }),
            Control::Map(map) => children(self.items(map)),
            Control::Workflow(call) => children(self.call(call)),
        })
    }

    fn message_wait(&mut self, wait: Wait) -> Option<Hearing> {
        let kind = match wait.event {
            Some(event) => Heard::Event {
                name: self.template("/config/event/name", &event.name.into()),
                matching: match &event.matching {
                    Some(source) => Some(Box::new(self.matching("/config/event/match", source)?)),
                    None => None,
                },
                lookback_ms: event.lookback_ms.unwrap_or(0),
            },
            None => Heard::Token,
        };
        let timeout_ms = wait.timeout_ms.unwrap_or(DEFAULT_WAIT_TIMEOUT_MS);
        Some(Hearing { kind, timeout_ms, on_timeout: wait.on_timeout })
    }

    fn approval(&mut self, approval: Approval) -> Hearing {
        let kind = Heard::Approval {
            message: self.maybe("/config/message", approval.message.as_ref()),
            approvers: self.maybe("/config/approvers", approval.approvers.as_ref()),
            count: approval.count.unwrap_or(1),
            form_schema: approval.form_schema,
        };
        let timeout_ms = approval.timeout_ms.unwrap_or(DEFAULT_WAIT_TIMEOUT_MS);
        Hearing { kind, timeout_ms, on_timeout: approval.on_timeout }
    }

    fn matching(&mut self, field: &str, source: &str) -> Option<Match> {
        Match::parse(bare(source)).map_err(|error| self.refuse(field, &error)).ok()
    }

    fn maybe(&mut self, field: &str, value: Option<&Value>) -> Option<Template> {
        value.map(|value| self.template(field, value))
    }

    fn items(&mut self, map: Map) -> Fan {
        Fan::Items {
            items: self.template("/config/items", &map.items),
            concurrency: map.max_concurrency.unwrap_or(DEFAULT_CONCURRENCY),
            tolerated: map.tolerate_failures.unwrap_or(Tolerance::Count(0)),
            batch_size: map.batch_size,
            collect: map.collect.unwrap_or(true),
        }
    }

    fn call(&mut self, call: Call) -> Fan {
        let input = self.maybe("/config/input", call.input.as_ref());
        let labels = call.labels.map(|labels| {
            Value::Object(labels.into_iter().map(|(name, it)| (name, it.into())).collect())
        });
        let labels = self.maybe("/config/labels", labels.as_ref());
        let Call { workflow, version, wait, .. } = call;
        Fan::Call { workflow, version, input, labels, wait: wait.unwrap_or(true) }
    }

    fn cases(&mut self, cases: &[Case]) -> Option<Vec<(Expression, String)>> {
        let parsed: Vec<_> = cases
            .iter()
            .enumerate()
            .map(|(at, case)| {
                let when = self.expression(&format!("/config/cases/{at}/when"), Some(&case.when));
                when.map(|when| (when, case.next.clone()))
            })
            .collect();
        parsed.into_iter().collect()
    }

    fn template(&mut self, field: &str, value: &Value) -> Template {
        let (template, errors) = Template::outline(value);
        for error in errors {
            self.refuse(&format!("{field}{}", error.pointer), &error.error);
        }
        template
    }

    fn expression(&mut self, field: &str, source: Option<&str>) -> Option<Expression> {
        Expression::parse(bare(source?)).map_err(|error| self.refuse(field, &error)).ok()
    }

    fn push(&mut self, field: &str, code: &'static str, message: String) {
        let pointer = format!("{}{field}", self.pointer);
        self.errors.push(PointedError { pointer, code, message, syntax: None });
    }

    fn refuse(&mut self, field: &str, error: &ExpressionError) {
        self.errors.push(PointedError::expression(format!("{}{field}", self.pointer), error));
    }
}
