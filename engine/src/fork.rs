//! What is asked of a fork: where it begins and what differs, and whether a version can be run like that.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::definition::MAX_PAYLOAD_BYTES;
use crate::diagnostic::Diagnostic;
use crate::expression::json_size;
use crate::plan::Plan;
use crate::validate::check_instance;

/// Where a fork begins, and what differs from the other.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ForkOrder {
    /// The step that it begins with. Without it, it begins at the start and takes nothing over but the input.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_step: Option<String>,
    /// Another version than the other's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<i32>,
    /// Changes to the input: a JSON Merge Patch (RFC 7396).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_patch: Option<Value>,
}

/// Why a fork cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForkRefusal {
    /// The version has no such step.
    #[error("version {version} has no step `{step}`")]
    UnknownStep {
        /// The version.
        version: i32,
        /// The step.
        step: String,
    },
    /// The changed input is larger than an input may be.
    #[error("the input has {bytes} bytes, the limit is {MAX_PAYLOAD_BYTES}")]
    InputTooLarge {
        /// How large it is.
        bytes: usize,
    },
    /// The changed input is not what the version takes.
    #[error("the input is not what workflow `{workflow}` takes")]
    InputInvalid {
        /// The workflow's name.
        workflow: String,
        /// What is wrong, and where in the input.
        problems: Vec<Diagnostic>,
    },
}

impl ForkOrder {
    /// The step that a fork begins with, and its input.
    pub fn apply(&self, plan: &Plan, mut input: Value) -> Result<(String, Value), ForkRefusal> {
        let step = self.from_step.as_ref().unwrap_or(&plan.first);
        if plan.step(step).is_none() {
            let (version, step) = (plan.version, step.clone());
            return Err(ForkRefusal::UnknownStep { version, step });
        }
        if let Some(patch) = &self.input_patch {
            json_patch::merge(&mut input, patch);
        }
        let bytes = json_size(&input);
        if bytes > MAX_PAYLOAD_BYTES {
            return Err(ForkRefusal::InputTooLarge { bytes });
        }
        let schema = plan.input_schema.as_ref();
        let problems = schema.map_or_else(Vec::new, |schema| check_instance(schema, &input));
        if !problems.is_empty() {
            let workflow = plan.workflow.clone();
            return Err(ForkRefusal::InputInvalid { workflow, problems });
        }
        Ok((step.clone(), input))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::PluginLock;

    fn apply(order: Value, input: Value) -> Result<(String, Value), ForkRefusal> {
        let definition = serde_json::from_value(json!({
            "name": "w", "inputSchema": { "required": ["n"] },
            "steps": [{ "id": "a", "type": "log", "next": "b" }, { "id": "b", "type": "log" }],
        }));
        let plan = Plan::compile(&definition.unwrap(), 2, &PluginLock::new()).unwrap();
        serde_json::from_value::<ForkOrder>(order).unwrap().apply(&plan, input)
    }

    #[test]
    fn a_fork_begins_at_its_step_or_at_the_start_with_the_changed_input() {
        let input = json!({ "n": 1, "x": 2 });
        assert_eq!(apply(json!({}), input.clone()), Ok(("a".to_owned(), input.clone())));
        let order = json!({ "fromStep": "b", "inputPatch": { "n": 3, "x": null } });
        assert_eq!(apply(order, input), Ok(("b".to_owned(), json!({ "n": 3 }))));
    }

    #[test]
    fn what_the_version_cannot_run_is_refused() {
        let step = apply(json!({ "fromStep": "c" }), json!({ "n": 1 })).unwrap_err();
        assert_eq!(step.to_string(), "version 2 has no step `c`");
        let without = apply(json!({ "inputPatch": { "n": null } }), json!({ "n": 1 }));
        assert!(matches!(without, Err(ForkRefusal::InputInvalid { .. })));
        let long = |bytes: usize| {
            let filler = "x".repeat(bytes - json_size(&json!({ "n": "" })));
            apply(json!({ "inputPatch": { "n": filler } }), json!({}))
        };
        assert!(long(MAX_PAYLOAD_BYTES).is_ok());
        let bytes = MAX_PAYLOAD_BYTES + 1;
        assert_eq!(long(bytes), Err(ForkRefusal::InputTooLarge { bytes }));
    }
}
