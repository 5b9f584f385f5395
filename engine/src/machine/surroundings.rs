//! What a block sees of the execution around it: taken when the block begins, because the other may be elsewhere by then.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::children::Item;
use super::state::{Cursor, StepState, Steps};
use super::turn::Turn;
use crate::plan::Captures;
use crate::trace::TraceParent;

/// What a block sees of the execution around it: no more than it reads.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Surroundings {
    /// The execution that is no block's.
    pub root: Uuid,
    /// The places of the items that the block is within, the outermost first.
    pub path: Vec<u32>,
    /// The span of the step that the block is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceParent>,
    /// The input of the root.
    pub input: Arc<Value>,
    /// The item around the block.
    pub item: Option<Item>,
    /// `error` in scope around the block.
    pub error: Option<Value>,
    /// The steps around the block, with their outputs.
    #[serde(with = "whole_steps")]
    pub steps: Steps,
}

impl Turn<'_> {
    pub(super) fn surroundings(&self, cursor: &Cursor, captures: &Captures) -> Surroundings {
        let execution = self.execution;
        let around = execution.around.as_deref();
        let item = execution.item.clone().or_else(|| around?.item.clone());
        let error = self.state.error.clone().or_else(|| around?.error.clone());
        let outer = around.into_iter().flat_map(|around| &around.steps);
        let steps = outer.chain(&self.state.steps).filter(|(id, _)| captures.step(id));
        Surroundings {
            root: execution.root_id(),
            path: execution.items(),
            trace: Some(execution.visit_trace(cursor)),
            input: if captures.root("input") {
                Arc::clone(&execution.input)
            } else {
                Arc::default()
            },
            item: item.filter(|_| captures.root("item") || captures.root("index")),
            error: error.filter(|_| captures.root("error")),
            steps: steps.map(|(id, step)| (id.clone(), step.clone())).collect(),
        }
    }
}

/// Steps with their outputs, which their stored form leaves to the history.
mod whole_steps {
    use serde::{Deserializer, Serializer};

    use super::{Arc, Deserialize, Serialize, StepState, Steps, Value};

    #[derive(Serialize)]
    struct Outgoing<'a> {
        step: &'a StepState,
        output: &'a Option<Arc<Value>>,
    }

    #[derive(Deserialize)]
    struct Incoming {
        step: StepState,
        output: Option<Value>,
    }

    pub(super) fn serialize<S: Serializer>(
        steps: &Steps,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_map(
            steps.iter().map(|(id, step)| (id, Outgoing { step, output: &step.output })),
        )
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Steps, D::Error> {
        let steps = std::collections::BTreeMap::<String, Incoming>::deserialize(deserializer)?;
        let whole = |it: Incoming| StepState { output: it.output.map(Arc::new), ..it.step };
        Ok(steps.into_iter().map(|(id, it)| (id, whole(it))).collect())
    }
}
