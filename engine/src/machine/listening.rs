//! Waiting for messages: events, callbacks, decisions. All three are a name that the execution listens for, and a fact that
//! tells of a message.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::Rejection;
use super::command::Command;
use super::state::{Awaited, Cursor, ExecutionStatus, StepStatus, after, error_value};
use super::turn::{Flow, Turn, kind_of, leave};
use crate::control::MAX_APPROVERS;
use crate::expression::Template;
use crate::failure::{ErrorCode, Failure};
use crate::message::{Key, Message, approval_name, is_event_name, token_name};
use crate::plan::{Heard, Hearing, PlannedStep, Work};
use crate::suspension::parse_match;

/// How many events of one name an execution remembers to have taken in.
const MAX_HEARD: usize = 20;

/// The longest name of somebody who is asked, in bytes.
pub const MAX_PERSON_BYTES: usize = 200;

/// What an execution listens for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listening {
    /// The visit to the step that began it.
    pub visit: u32,
    /// The messages' name.
    pub name: String,
    /// Events from before this instant are not meant. Signals are, since they were for this execution.
    pub since: DateTime<Utc>,
    /// The people who are asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
    /// Which message of the name is meant, where the definition does not say so: a suspended step has said it.
    #[serde(default, rename = "match", skip_serializing_if = "Option::is_none")]
    pub matching: Option<String>,
}

/// A question to people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    /// What they are asked.
    #[serde(default)]
    pub message: Value,
    /// Who is asked; anybody, if nobody is named.
    #[serde(default)]
    pub approvers: Vec<String>,
    /// How many have to approve.
    pub count: u32,
    /// What they have said so far.
    #[serde(default)]
    pub decisions: Vec<Decision>,
}

/// What somebody said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// Who.
    pub by: String,
    /// Yes or no.
    pub approved: bool,
    /// What else they said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// What they filled in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form: Option<Value>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<DateTime<Utc>>,
}

/// What the store needs to find an execution by when a message comes.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscription {
    /// What is listened for.
    pub listening: Listening,
    /// What narrows the messages.
    pub key: Option<Key>,
}

impl Turn<'_> {
    pub(super) fn listen(&mut self, cursor: Cursor, step: &PlannedStep, hearing: &Hearing) -> Flow {
        let visit = self.state.visits + 1;
        match self.subscription(&cursor, step, hearing, visit) {
            Ok(subscription) => {
                self.state.visits = visit;
                self.set_step(&cursor.step, StepStatus::Waiting, None, None);
                self.set_attempts(&cursor);
                let awaited = Some(Awaited::Message(Box::new(subscription.listening.clone())));
                let until = Some(after(self.now, hearing.timeout_ms));
                self.commands.push(Command::Listen(Box::new(subscription)));
                self.await_others(Cursor { until, awaited, ..cursor })
            }
            Err(failure) => self.fail_unbegun(&cursor, step, &failure),
        }
    }

    /// Leaves the execution to whoever it waits for.
    pub(super) fn await_others(&mut self, cursor: Cursor) -> Flow {
        self.state.cursor = Some(cursor);
        self.state.status = ExecutionStatus::Waiting;
        self.commands.extend(self.state.due_at().map(Command::WakeAt));
        Flow::Settled
    }

    fn subscription(
        &self,
        cursor: &Cursor,
        step: &PlannedStep,
        hearing: &Hearing,
        visit: u32,
    ) -> Result<Subscription, Failure> {
        let plain =
            |name| Listening { visit, name, since: cursor.started_at, asked: None, matching: None };
        let (listening, key) = match &hearing.kind {
            Heard::Event { name, matching, lookback_ms } => {
                let name = self.event_name(name, step, "event.name")?;
                let back = TimeDelta::try_milliseconds(i64::try_from(*lookback_ms).unwrap_or(0));
                let since = cursor.started_at - back.unwrap_or_default();
                let scope = self.scope(&cursor.step);
                let key = matching.as_ref().and_then(|matching| matching.key(&scope));
                (Listening { since, ..plain(name) }, key)
            }
            Heard::Token => (plain(token_name(&cursor.step)), None),
            Heard::Approval { message, approvers, count, .. } => {
                let message = message.as_ref().map(|it| self.evaluate(it, step, "message"));
                let asked = Asked {
                    message: message.transpose()?.unwrap_or_default(),
                    approvers: self.approvers(step, approvers.as_ref(), *count)?,
                    count: *count,
                    decisions: Vec::new(),
                };
                (Listening { asked: Some(asked), ..plain(approval_name(&cursor.step)) }, None)
            }
        };
        Ok(Subscription { listening, key })
    }

    /// The name of an event, as `wait` and `emit` have it.
    pub(super) fn event_name(
        &self,
        name: &Template,
        step: &PlannedStep,
        field: &str,
    ) -> Result<String, Failure> {
        match self.evaluate(name, step, field)? {
            Value::String(name) if is_event_name(&name) => Ok(name),
            other => {
                let wanted = "a name of up to 200 letters, digits and `._-/`";
                Err(super::control::unusable(field, &other, wanted))
            }
        }
    }

    fn approvers(
        &self,
        step: &PlannedStep,
        approvers: Option<&Template>,
        count: u32,
    ) -> Result<Vec<String>, Failure> {
        let Some(approvers) = approvers else { return Ok(Vec::new()) };
        let invalid = |message: String| Failure::permanent(ErrorCode::ConfigInvalid, message);
        let value = self.evaluate(approvers, step, "approvers")?;
        let names: Option<Vec<String>> = value
            .as_array()
            .and_then(|names| names.iter().map(|name| name.as_str().map(str::to_owned)).collect());
        let mut names = names.ok_or_else(|| {
            invalid(format!("`approvers` is {}, not a list of names", kind_of(&value)))
        })?;
        names.sort();
        names.dedup();
        if names
            .iter()
            .any(|name| !(1..=MAX_PERSON_BYTES).contains(&name.len()) || name.contains('\0'))
        {
            return Err(invalid(format!(
                "a name in `approvers` has 1 to {MAX_PERSON_BYTES} bytes"
            )));
        }
        if names.len() > MAX_APPROVERS {
            return Err(invalid(format!("`approvers` has more than {MAX_APPROVERS} names")));
        }
        if names.len() < count as usize {
            let asked = names.len();
            return Err(invalid(format!("{count} have to approve, and {asked} are asked")));
        }
        Ok(names)
    }

    /// A message has come.
    pub(super) fn hear(&mut self, message: &Message) -> Result<Flow, Rejection> {
        let cursor = self.state.cursor.clone().ok_or(Rejection::NotListening)?;
        let listening = cursor.listening().cloned().ok_or(Rejection::NotListening)?;
        let step = self.planned(&cursor.step);
        if !self.is_meant(&listening, &step, message) {
            return Err(Rejection::NotListening);
        }
        if let Some(asked) = listening.asked.clone() {
            return self.take_decision(
                cursor,
                &step,
                Listening { asked: None, ..listening },
                asked,
                message,
            );
        }
        self.remember(message);
        self.commands.push(Command::StopListening { visit: listening.visit, by: Some(message.id) });
        let raw = match &step.work {
            Work::Attempt(_) => return Ok(self.wake(cursor, Some(message.value()))),
            Work::Hear(hearing) if matches!(hearing.kind, Heard::Token) => (*message.data).clone(),
            _ => message.value(),
        };
        Ok(self.heard(cursor, &step, raw))
    }

    fn is_meant(&self, listening: &Listening, step: &PlannedStep, message: &Message) -> bool {
        let known = self.state.heard.get(&listening.name);
        let for_us = message.to.is_none_or(|to| to == self.execution.id);
        let in_time = message.to.is_some() || message.received_at >= listening.since;
        let fits = self.matches(listening, step, message);
        message.name == listening.name
            && for_us
            && in_time
            && fits
            && !known.is_some_and(|known| known.contains(&message.id))
    }

    fn matches(&self, listening: &Listening, step: &PlannedStep, message: &Message) -> bool {
        let scope = self.scope(&step.step.id);
        match (&step.work, &listening.matching) {
            (Work::Attempt(_), Some(matching)) => {
                parse_match(matching).is_ok_and(|it| it.holds(message, &scope))
            }
            (Work::Attempt(_), None) => true,
            (Work::Hear(hearing), _) => match &hearing.kind {
                Heard::Event { matching: Some(matching), .. } => matching.holds(message, &scope),
                _ => true,
            },
            _ => false,
        }
    }

    /// Events are there for everybody, so they stay; this execution has had this one.
    fn remember(&mut self, message: &Message) {
        if message.to.is_none() {
            let known = self.state.heard.entry(message.name.clone()).or_default();
            known.push(message.id);
            let surplus = known.len().saturating_sub(MAX_HEARD);
            known.drain(..surplus);
        }
    }

    fn take_decision(
        &mut self,
        cursor: Cursor,
        step: &PlannedStep,
        listening: Listening,
        mut asked: Asked,
        message: &Message,
    ) -> Result<Flow, Rejection> {
        let decision: Decision =
            serde_json::from_value((*message.data).clone()).map_err(|_| Rejection::NotListening)?;
        asked.permits(&decision.by).map_err(|_| Rejection::NotListening)?;
        asked.decisions.push(Decision { at: Some(message.received_at), ..decision });
        let by = Some(message.id);
        match asked.outcome() {
            Some(approved) => {
                self.commands.push(Command::StopListening { visit: listening.visit, by });
                let raw = json!({ "approved": approved, "decisions": asked.decisions });
                Ok(self.heard(cursor, step, raw))
            }
            None => {
                self.commands.push(Command::Consume(message.id));
                let listening = Listening { asked: Some(asked), ..listening };
                let awaited = Some(Awaited::Message(Box::new(listening)));
                let cursor = Cursor { awaited, ..cursor };
                if self.state.status == ExecutionStatus::Paused {
                    self.state.cursor = Some(cursor);
                    self.commands.extend(self.state.due_at().map(Command::WakeAt));
                    return Ok(Flow::Settled);
                }
                Ok(self.await_others(cursor))
            }
        }
    }

    fn heard(&mut self, cursor: Cursor, step: &PlannedStep, raw: Value) -> Flow {
        self.state.cursor = None;
        let cursor = Cursor { awaited: None, ..cursor };
        match self.map_output(step, raw) {
            Ok(output) => {
                let flow = leave(step, Some(Arc::clone(&output)));
                self.complete(&cursor, output, flow)
            }
            Err(failure) => self.fail_unbegun(&cursor, step, &failure),
        }
    }

    /// Nobody has come in time.
    pub(super) fn give_up_listening(&mut self, cursor: Cursor) -> Flow {
        self.stop_listening(&cursor);
        let step = self.planned(&cursor.step);
        let cursor = Cursor { awaited: None, ..cursor };
        let Work::Hear(hearing) = &step.work else { return self.resume_attempt() };
        let message = format!("nothing came within {} ms", hearing.timeout_ms);
        let failure = Failure::permanent(ErrorCode::Timeout, message);
        let Some(next) = &hearing.on_timeout else {
            return self.fail_unbegun(&cursor, &step, &failure);
        };
        self.fail_step(&cursor, &failure);
        self.state.error = Some(error_value(&failure, &cursor.step, cursor.attempt));
        Flow::Enter(next.clone())
    }

    pub(super) fn stop_listening(&mut self, cursor: &Cursor) {
        if let Some(listening) = cursor.listening() {
            self.commands.push(Command::StopListening { visit: listening.visit, by: None });
        }
    }
}

impl Asked {
    /// Whether somebody may say something now; if not, why.
    pub fn permits(&self, name: &str) -> Result<(), NotAsked> {
        if !self.approvers.is_empty() && !self.approvers.iter().any(|it| it == name) {
            return Err(NotAsked::Stranger);
        }
        if self.decisions.iter().any(|it| it.by == name) {
            return Err(NotAsked::Again);
        }
        Ok(())
    }

    /// What came of it: nothing yet, yes or no. One no is enough.
    fn outcome(&self) -> Option<bool> {
        if self.decisions.iter().any(|it| !it.approved) {
            return Some(false);
        }
        (self.decisions.len() >= self.count as usize).then_some(true)
    }
}

/// Why somebody's word does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotAsked {
    /// Others are asked.
    Stranger,
    /// They have decided already.
    Again,
}

/// The id of a message that a step sends: the same whenever the same step is computed again.
pub(super) fn emitted_id(execution_id: Uuid, sequence: u32, at: DateTime<Utc>) -> Uuid {
    super::children::child_id(execution_id, u32::MAX, sequence, at)
}
