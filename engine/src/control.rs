//! Control flow: the step types that the engine carries out itself, as their authors configure them.
//!
//! They make no attempt on a worker. `switch`, `transform`, `succeed` and `fail` are decided at once; `wait` holds nothing
//! but a place in the queue; `parallel`, `map` and `workflow` begin other executions and wait for them.

mod blocks;
mod waits;

pub use blocks::{
    Block, Call, DEFAULT_CONCURRENCY, MAX_BRANCHES, MAX_DEPTH, MAX_ITEMS, Map, ON_FAILURE,
    Parallel, Region, Role, Tolerance, block_name, compensation_name, is_of_items, regions,
};
pub use waits::{Approval, Emit, EventWait, MAX_APPROVERS, MAX_LOOKBACK_MS, TokenWait, Wait};

use std::fmt;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::definition::Step;
use crate::step_type::StepType;

/// The most cases of one `switch`.
pub const MAX_CASES: usize = 100;

/// The types that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ControlType {
    /// Goes on at the first case that is true.
    Switch,
    /// Gives a value.
    Transform,
    /// Lets time pass.
    Wait,
    /// Ends the execution well.
    Succeed,
    /// Fails.
    Fail,
    /// Runs branches at the same time.
    Parallel,
    /// Runs steps for each item of a list.
    Map,
    /// Runs another workflow.
    Workflow,
    /// Waits for people.
    Approval,
    /// Sends an event.
    Emit,
}

/// A control step's config.
#[derive(Clone, Debug, PartialEq)]
pub enum Control {
    /// See [`ControlType::Switch`].
    Switch(Switch),
    /// See [`ControlType::Transform`].
    Transform(Transform),
    /// See [`ControlType::Wait`].
    Wait(Wait),
    /// See [`ControlType::Succeed`].
    Succeed(Succeed),
    /// See [`ControlType::Fail`].
    Fail(Fail),
    /// See [`ControlType::Parallel`].
    Parallel(Parallel),
    /// See [`ControlType::Map`].
    Map(Map),
    /// See [`ControlType::Workflow`].
    Workflow(Call),
    /// See [`ControlType::Approval`].
    Approval(Approval),
    /// See [`ControlType::Emit`].
    Emit(Emit),
}

/// `switch`: goes on at the first case whose expression is true.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Switch {
    /// Looked at in order.
    #[schemars(length(min = 1, max = 100))]
    pub cases: Vec<Case>,
    /// The step that follows if no case is true; without it, the step then fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
}

/// One way out of a `switch`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Case {
    /// An expression that gives true or false.
    pub when: String,
    /// The step that follows if it is true.
    pub next: String,
}

/// `transform`: its value, with every expression evaluated, is the step's output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Transform {
    /// Anything; strings may hold `${…}` expressions.
    pub value: Value,
}

/// `succeed`: ends the execution well.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Succeed {
    /// The execution's output; without it, the workflow's `output`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
}

/// `fail`: fails with the code `STEP_FAILED`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fail {
    /// The author's own code, such as `OUT_OF_STOCK`; `error.details.code` where the failure is handled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[A-Z][A-Z0-9_]{0,63}$"))]
    pub code: Option<String>,
    /// A sentence for whoever reads it; may hold `${…}` expressions.
    #[schemars(length(min = 1, max = 2000))]
    pub message: String,
}

impl ControlType {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Switch,
        Self::Transform,
        Self::Wait,
        Self::Succeed,
        Self::Fail,
        Self::Parallel,
        Self::Map,
        Self::Workflow,
        Self::Approval,
        Self::Emit,
    ];

    /// The type as it is written in a definition.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Switch => "switch",
            Self::Transform => "transform",
            Self::Wait => "wait",
            Self::Succeed => "succeed",
            Self::Fail => "fail",
            Self::Parallel => "parallel",
            Self::Map => "map",
            Self::Workflow => "workflow",
            Self::Approval => "approval",
            Self::Emit => "emit",
        }
    }

    /// The type that is written like this.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == name)
    }

    /// What a step of this type may be configured with: a JSON Schema (2020-12).
    pub fn config_schema(self) -> Value {
        match self {
            Self::Switch => schema_of::<Switch>(),
            Self::Transform => schema_of::<Transform>(),
            Self::Wait => schema_of::<Wait>(),
            Self::Succeed => schema_of::<Succeed>(),
            Self::Fail => schema_of::<Fail>(),
            Self::Parallel => schema_of::<Parallel>(),
            Self::Map => schema_of::<Map>(),
            Self::Workflow => schema_of::<Call>(),
            Self::Approval => schema_of::<Approval>(),
            Self::Emit => schema_of::<Emit>(),
        }
    }

    /// Reads a step's config.
    pub fn read(self, step: &Step) -> Result<Control, serde_json::Error> {
        let config = Value::Object(step.config.clone());
        Ok(match self {
            Self::Switch => Control::Switch(parse(config)?),
            Self::Transform => Control::Transform(parse(config)?),
            Self::Wait => Control::Wait(parse(config)?),
            Self::Succeed => Control::Succeed(parse(config)?),
            Self::Fail => Control::Fail(parse(config)?),
            Self::Parallel => Control::Parallel(parse(config)?),
            Self::Map => Control::Map(parse(config)?),
            Self::Workflow => Control::Workflow(parse(config)?),
            Self::Approval => Control::Approval(parse(config)?),
            Self::Emit => Control::Emit(parse(config)?),
        })
    }

    /// Whether `next` says what follows. The others lead elsewhere, or nowhere.
    pub fn has_next(self) -> bool {
        matches!(self, Self::Transform | Self::Wait | Self::Approval | Self::Emit)
            || self.has_children()
    }

    /// Whether it waits for executions that it begins.
    pub fn has_children(self) -> bool {
        matches!(self, Self::Parallel | Self::Map | Self::Workflow)
    }

    /// Whether such a step can fail.
    pub fn can_fail(self) -> bool {
        !matches!(self, Self::Succeed)
    }
}

impl fmt::Display for ControlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Control {
    /// The config of a control step that is readable.
    pub fn of(step: &Step) -> Option<Self> {
        match step.step_type.parse() {
            Ok(StepType::Control(kind)) => kind.read(step).ok(),
            _ => None,
        }
    }

    /// The type that it is the config of.
    pub fn kind(&self) -> ControlType {
        match self {
            Self::Switch(_) => ControlType::Switch,
            Self::Transform(_) => ControlType::Transform,
            Self::Wait(_) => ControlType::Wait,
            Self::Succeed(_) => ControlType::Succeed,
            Self::Fail(_) => ControlType::Fail,
            Self::Parallel(_) => ControlType::Parallel,
            Self::Map(_) => ControlType::Map,
            Self::Workflow(_) => ControlType::Workflow,
            Self::Approval(_) => ControlType::Approval,
            Self::Emit(_) => ControlType::Emit,
        }
    }

    /// What is wrong with the config that its schema cannot say.
    pub fn fault(&self) -> Option<&'static str> {
        match self {
            Self::Wait(wait) => wait.fault(),
            control => blocks::fault(control),
        }
    }

    /// The steps that the config itself leads to, and where it says so: JSON pointers within the step.
    pub fn targets(&self) -> Vec<(String, &str)> {
        match self {
            Self::Switch(switch) => switch.targets(),
            Self::Wait(Wait { on_timeout: to, .. })
            | Self::Approval(Approval { on_timeout: to, .. }) => {
                to.iter().map(|to| ("/config/onTimeout".to_owned(), to.as_str())).collect()
            }
            _ => Vec::new(),
        }
    }
}

impl Switch {
    fn targets(&self) -> Vec<(String, &str)> {
        let cases = self.cases.iter().enumerate();
        let cases =
            cases.map(|(at, case)| (format!("/config/cases/{at}/next"), case.next.as_str()));
        let default = self.default.as_deref().map(|it| ("/config/default".to_owned(), it));
        cases.chain(default).collect()
    }
}

fn schema_of<T: JsonSchema>() -> Value {
    schemars::schema_for!(T).to_value()
}

fn parse<T: DeserializeOwned>(config: Value) -> Result<T, serde_json::Error> {
    serde_json::from_value(config)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn step(step_type: &str, config: &Value) -> Step {
        serde_json::from_value(json!({ "id": "s", "type": step_type, "config": config })).unwrap()
    }

    #[test]
    fn every_type_is_found_by_its_name() {
        for kind in ControlType::ALL {
            assert_eq!(ControlType::named(kind.as_str()), Some(kind));
        }
        assert_eq!(ControlType::named("http"), None);
    }

    #[test]
    fn a_switch_leads_where_its_cases_and_its_default_say() {
        let config = json!({ "cases": [{ "when": "true", "next": "a" }], "default": "b" });
        let control = ControlType::Switch.read(&step("switch", &config)).unwrap();
        let targets = control.targets();
        let targets: Vec<_> = targets.iter().map(|(at, it)| (at.as_str(), *it)).collect();
        assert_eq!(targets, [("/config/cases/0/next", "a"), ("/config/default", "b")]);
    }

    #[test]
    fn unknown_fields_are_refused_by_types_and_schemas_alike() {
        for kind in ControlType::ALL {
            let config = json!({ "banana": 1, "cases": [], "value": 1, "message": "m" });
            assert!(kind.read(&step(kind.as_str(), &config)).is_err(), "{kind}");
            assert_eq!(kind.config_schema()["additionalProperties"], false, "{kind}");
        }
    }
}
