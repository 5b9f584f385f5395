//! Triggers, parsed: which event starts an execution, and with what input.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::callback::CallbackKey;
use crate::definition::Trigger;
use crate::expression::{Expression, ExpressionError, Scope, Template};
use crate::machine::Steps;
use crate::message::{Match, Message};

/// A trigger on an event.
#[derive(Debug)]
pub struct EventTrigger {
    /// The event's name.
    pub event: String,
    matching: Option<Match>,
    input: Option<Template>,
}

/// What stands where in a trigger: expressions and their places.
pub(crate) type Problems = Vec<(&'static str, ExpressionError)>;

impl EventTrigger {
    /// Parses a trigger, if it is one on an event.
    pub(crate) fn parse(trigger: &Trigger) -> Result<Option<Self>, Problems> {
        let Trigger::Event { event, matching, input } = trigger else { return Ok(None) };
        let mut problems = Problems::new();
        let matching = matching.as_deref().map(Match::parse).transpose();
        let matching = matching.map_err(|error| problems.push(("/match", error)));
        let input = input.as_ref().map(Template::parse).transpose().map_err(|errors| {
            problems.extend(errors.into_iter().map(|error| ("/input", error.error)));
        });
        match (matching, input) {
            (Ok(matching), Ok(input)) => Ok(Some(Self { event: event.clone(), matching, input })),
            _ => Err(problems),
        }
    }

    /// The input of the execution that a message starts, by the constants of its definition; `None` if it starts none.
    pub fn input_for(
        &self,
        message: &Message,
        vars: &Map<String, Value>,
        now: DateTime<Utc>,
    ) -> Result<Option<Value>, ExpressionError> {
        let (event, nothing) = (message.value(), Value::Null);
        let scope = scope(&event, &nothing, vars, message.id, now);
        if message.name != self.event
            || !self.matching.as_ref().is_none_or(|matching| matching.holds(message, &scope))
        {
            return Ok(None);
        }
        match &self.input {
            Some(input) => input.evaluate(&scope).map(Some),
            None => Ok(Some((*message.data).clone())),
        }
    }

    pub(crate) fn for_each_expression(&self, visit: &mut impl FnMut(&str, &Expression)) {
        if let Some(matching) = &self.matching {
            visit("/match", &matching.whole);
        }
        if let Some(input) = &self.input {
            input.for_each_expression("/input", visit);
        }
    }
}

/// There is an event, and no execution yet.
fn scope<'a>(
    event: &'a Value,
    nothing: &'a Value,
    vars: &'a Map<String, Value>,
    id: Uuid,
    now: DateTime<Utc>,
) -> Scope<'a> {
    const NO_STEPS: &Steps = &Steps::new();
    Scope {
        input: nothing,
        steps: NO_STEPS,
        outer: None,
        item: None,
        execution_id: id,
        root_id: id,
        workflow: "",
        version: 0,
        vars,
        error: None,
        result: None,
        event: Some(event),
        trigger: nothing,
        callbacks: CallbackKey::default(),
        now,
        place: "trigger",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn input(trigger: Value, data: Value) -> Option<Value> {
        let trigger: Trigger = serde_json::from_value(trigger).unwrap();
        let message = Message {
            id: Uuid::from_u128(1),
            name: "order.placed".to_owned(),
            data: data.into(),
            received_at: DateTime::<Utc>::UNIX_EPOCH,
            to: None,
        };
        let trigger = EventTrigger::parse(&trigger).unwrap()?;
        let vars = json!({ "least": 10 });
        trigger.input_for(&message, vars.as_object()?, message.received_at).unwrap()
    }

    #[test]
    fn an_event_starts_an_execution_if_it_is_the_one_that_is_meant() {
        let on = |more: Value| {
            let mut trigger = json!({ "type": "event", "event": "order.placed" });
            trigger.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            trigger
        };
        let data = json!({ "sum": 5 });
        assert_eq!(input(on(json!({})), data.clone()), Some(data.clone()));
        let large = on(json!({ "match": "event.data.sum > 10" }));
        assert_eq!(input(large, data.clone()), None);
        let enough = on(json!({ "match": "event.data.sum * 2 >= vars.least", "input": "${vars}" }));
        assert_eq!(input(enough, data.clone()), Some(json!({ "least": 10 })));
        let mapped =
            on(json!({ "input": { "amount": "${event.data.sum}", "via": "${event.name}" } }));
        assert_eq!(
            input(mapped, data.clone()),
            Some(json!({ "amount": 5, "via": "order.placed" }))
        );
        assert_eq!(input(on(json!({ "event": "other" })), data.clone()), None);
        assert_eq!(input(json!({ "type": "manual" }), data), None);
    }
}
