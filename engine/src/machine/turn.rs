//! One turn of the machine: the table, and what each of its cells does.

use std::sync::{Arc, LazyLock};

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::command::{AttemptRecord, Command, RecordStatus, StartAttempt};
use super::event::{Event, Fact};
use super::state::{Cursor, Execution, ExecutionStatus, State, StepState, StepStatus, error_value};
use super::{MAX_RECORDS, Rejection, Transition};
use crate::definition::MAX_PAYLOAD_BYTES;
use crate::expression::{Expression, ExpressionError, Scope, Template, json_size};
use crate::failure::{ErrorCode, Failure};
use crate::plan::{PlannedStep, Work};

/// Where the execution goes from a cell of the table.
pub(super) enum Flow {
    /// To a step.
    Enter(String),
    /// Nowhere yet: an attempt is under way, or a wait.
    Settled,
    /// To its end, well; with the last step's output.
    End(Option<Arc<Value>>),
    /// To its end, well, with this output.
    Succeed(Arc<Value>),
    /// To its end, badly.
    Fail(Failure),
}

/// `trigger` of an execution that somebody asked for.
static MANUAL: LazyLock<Value> = LazyLock::new(|| serde_json::json!({ "type": "manual" }));

/// The state under change.
pub(super) struct Turn<'a> {
    pub(super) execution: &'a Execution,
    pub(super) now: DateTime<Utc>,
    pub(super) state: State,
    pub(super) commands: Vec<Command>,
}

impl<'a> Turn<'a> {
    pub(super) fn new(execution: &'a Execution, now: DateTime<Utc>) -> Self {
        Self { execution, now, state: execution.state.clone(), commands: Vec::new() }
    }

    /// The table. What it does not list is rejected.
    #[rustfmt::skip]
    pub(super) fn apply(mut self, event: Event) -> Result<Transition, Rejection> {
        use Event as E;
        use ExecutionStatus as S;
        let flow = match (self.state.status, event) {
            (S::Pending,              E::Started)                       => self.begin(),
            (S::Running,              E::AttemptSucceeded { attempt, output }) => self.succeed(attempt, output)?,
            (S::Running,              E::AttemptFailed { attempt, failure, chance }) => self.fail(attempt, &failure, chance)?,
            (S::Running,              E::AttemptSuspended { attempt, suspension }) => self.suspend(attempt, *suspension)?,
            (S::Running,              E::AttemptYielded)                => self.yield_attempt(),
            (S::Running,              E::ProgressNoted { note })        => self.note(note),
            (S::Running,              E::LeaseExpired)                  => self.lose_worker(),
            (S::Waiting,              E::TimerDue)                      => self.resume_attempt(),
            (S::Waiting | S::Paused,  E::ChildrenEnded { visit, outcome }) => self.end_children(visit, outcome)?,
            (S::Waiting | S::Paused,  E::MessageReceived(message))      => self.hear(&message)?,
            (S::Waiting, E::CancelRequested { .. }) if self.state.unwinding.is_some() => self.stop_unwinding(),
            (S::Succeeded,            E::UndoRequested)                 => self.undo()?,
            (S::Pending | S::Running | S::Waiting | S::Paused, E::DeadlinePassed) if self.state.unwinding.is_none() => self.pass_deadline(),
            (S::Pending | S::Running | S::Waiting | S::Paused, E::CancelRequested { reason }) => self.cancel(reason),
            (S::Pending | S::Running | S::Waiting, E::PauseRequested { reason }) if self.state.unwinding.is_none() => self.pause(reason),
            (S::Paused,               E::ResumeRequested)               => self.resume(),
            (S::Running, E::ResumeRequested) if self.state.pause.is_some() => self.stay_awake(),
            (S::Failed | S::Cancelled, E::RetryRequested)               => self.begin_again(),
            (S::Failed | S::Cancelled, E::RetryStepRequested { step })  => self.go_on_at(step)?,
            (status, event) => return Err(reject(status, &event)),
        };
        self.follow(flow);
        self.rest();
        Ok(Transition { state: self.state, commands: self.commands })
    }

    pub(super) fn begin(&mut self) -> Flow {
        let fork = self.state.fork.as_ref().map(|fork| fork.from_step.clone());
        Flow::Enter(fork.unwrap_or_else(|| self.execution.plan.first.clone()))
    }

    fn succeed(&mut self, attempt: u32, output: Value) -> Result<Flow, Rejection> {
        let cursor = self.attempt_under_way(attempt)?;
        let step = self.planned(&cursor.step);
        let flow = match self.map_output(&step, output) {
            Ok(output) => {
                self.record(&cursor, RecordStatus::Succeeded, Some(Arc::clone(&output)), None);
                self.set_step(&cursor.step, StepStatus::Succeeded, Some(Arc::clone(&output)), None);
                self.remember_done(&cursor, &step);
                leave(&step, Some(output))
            }
            Err(failure) => {
                self.record(&cursor, RecordStatus::Failed, None, Some(failure.clone()));
                self.exhaust(&step, &failure, &cursor)
            }
        };
        Ok(flow)
    }

    pub(super) fn wait_until(&mut self, mut cursor: Cursor, until: DateTime<Utc>) -> Flow {
        cursor.until = Some(until);
        self.state.cursor = Some(cursor);
        self.state.status = ExecutionStatus::Waiting;
        let wake = self.state.deadline_at.map_or(until, |deadline| deadline.min(until));
        self.commands.push(Command::WakeAt(wake));
        Flow::Settled
    }

    fn yield_attempt(&mut self) -> Flow {
        let Some(cursor) = self.state.cursor.take() else { return self.begin() };
        let cursor = self.unbegin(cursor);
        self.wait_until(cursor, self.now)
    }

    pub(super) fn resume_attempt(&mut self) -> Flow {
        match self.state.cursor.take() {
            Some(cursor) if self.state.unwinding.is_some() => self.give_up_block(&cursor),
            Some(cursor) => match self.planned(&cursor.step).work {
                Work::WaitFor(_) | Work::WaitUntil(_) => self.end_wait(&cursor),
                _ if cursor.children().is_some() => self.time_out(cursor),
                Work::Attempt(_) if cursor.awaited.is_some() => self.give_up_suspension(cursor),
                _ if cursor.awaited.is_some() => self.give_up_listening(cursor),
                _ => self.start(cursor),
            },
            None => self.begin(),
        }
    }

    pub(super) fn pass_deadline(&mut self) -> Flow {
        let message = "the execution ran longer than its deadlineMs";
        let failure = Failure::permanent(ErrorCode::DeadlineExceeded, message);
        self.stop(StepStatus::Failed, RecordStatus::Failed, &failure);
        Flow::Fail(failure)
    }

    fn cancel(&mut self, reason: Option<String>) -> Flow {
        let message = reason.unwrap_or_else(|| "cancelled by request".to_owned());
        let failure = Failure::permanent(ErrorCode::Cancelled, message);
        self.stop(StepStatus::Cancelled, RecordStatus::Cancelled, &failure);
        self.end_badly(ExecutionStatus::Cancelled, failure);
        Flow::Settled
    }

    /// Ends whatever the cursor is at. Only an attempt under way leaves a line in the history.
    fn stop(&mut self, step: StepStatus, record: RecordStatus, failure: &Failure) {
        let under_way = self.state.status == ExecutionStatus::Running;
        self.tell_children(&Fact::Cancel { reason: Some(failure.message.clone()) });
        self.state.pause = None;
        let Some(cursor) = self.state.cursor.take() else { return };
        self.stop_listening(&cursor);
        self.state.stopped_at = Some(cursor.step.clone());
        if under_way {
            self.record(&cursor, record, None, Some(failure.clone()));
        }
        let error = error_value(failure, &cursor.step, cursor.attempt);
        self.set_step(&cursor.step, step, None, Some(error));
    }

    /// Goes on until something has to be waited for. A definition's steps bound the way: whatever enters more
    /// of them without an attempt goes in a circle.
    fn follow(&mut self, mut flow: Flow) {
        for _ in 0..=self.execution.plan.step_count() {
            let Flow::Enter(id) = flow else { break };
            flow = self.enter(id);
        }
        match flow {
            Flow::Settled => {}
            Flow::End(last) => self.end(last),
            Flow::Succeed(output) => self.finish(ExecutionStatus::Succeeded, Some(output), None),
            Flow::Fail(failure) => self.end_badly(ExecutionStatus::Failed, failure),
            Flow::Enter(id) => {
                let message = format!(
                    "the execution came to step `{id}` again without an attempt in between"
                );
                let failure = Failure::permanent(ErrorCode::Internal, message);
                self.end_badly(ExecutionStatus::Failed, failure);
            }
        }
    }

    fn enter(&mut self, id: String) -> Flow {
        if self.state.records >= MAX_RECORDS {
            let message = format!("the history has reached its limit of {MAX_RECORDS} attempts");
            return Flow::Fail(Failure::permanent(ErrorCode::Internal, message));
        }
        let step = self.planned(&id);
        let attempts = self.state.steps.get(&id).map_or(0, |step| step.attempts);
        let cursor = Cursor::at(id, attempts + 1, self.now);
        match self.wanted(&step) {
            Ok(true) => self.start(cursor),
            Ok(false) => self.skip(cursor, &step),
            Err(failure) => self.fail_unbegun(&cursor, &step, &failure),
        }
    }

    /// `when`: it has to be a boolean.
    fn wanted(&self, step: &PlannedStep) -> Result<bool, Failure> {
        let Some(when) = &step.when else { return Ok(true) };
        self.holds(when, step, "when")
    }

    /// Whether a condition is true: it has to be a boolean.
    pub(super) fn holds(
        &self,
        condition: &Expression,
        step: &PlannedStep,
        field: &str,
    ) -> Result<bool, Failure> {
        match condition.evaluate(&self.scope(&step.step.id)) {
            Ok(Value::Bool(value)) => Ok(value),
            Ok(other) => {
                let message = format!("`{field}` gave {}, not true or false", kind_of(&other));
                Err(Failure::permanent(ErrorCode::ExpressionError, message))
            }
            Err(error) => Err(expression_failure(field, &error)),
        }
    }

    fn skip(&mut self, cursor: Cursor, step: &PlannedStep) -> Flow {
        let cursor = Cursor { attempt: 0, ..cursor };
        self.record(&cursor, RecordStatus::Skipped, None, None);
        self.set_step(&cursor.step, StepStatus::Skipped, None, None);
        leave(step, None)
    }

    pub(super) fn start(&mut self, cursor: Cursor) -> Flow {
        let step = self.planned(&cursor.step);
        let cursor = Cursor { started_at: self.now, until: None, awaited: None, ..cursor };
        match &step.work {
            Work::Attempt(config) => match self.evaluate(config, &step, "config") {
                Ok(config) => self.start_attempt(cursor, step, config),
                Err(failure) => self.fail_unbegun(&cursor, &step, &failure),
            },
            control => self.carry_out(cursor, &step, control),
        }
    }

    fn start_attempt(&mut self, cursor: Cursor, step: Arc<PlannedStep>, config: Value) -> Flow {
        self.commands.push(Command::StartAttempt(StartAttempt {
            timeout_ms: step.step.attempt_timeout_ms(),
            attempt: cursor.attempt,
            config,
            resumption: cursor.resumption.clone(),
            step,
        }));
        self.set_step(&cursor.step, StepStatus::Running, None, None);
        self.set_attempts(&cursor);
        self.state.status = ExecutionStatus::Running;
        self.state.cursor = Some(cursor);
        Flow::Settled
    }

    /// A part of a step's config, evaluated.
    pub(super) fn evaluate(
        &self,
        template: &Template,
        step: &PlannedStep,
        field: &str,
    ) -> Result<Value, Failure> {
        let value = template.evaluate(&self.scope(&step.step.id));
        value.map_err(|error| expression_failure(field, &error))
    }

    fn end(&mut self, last: Option<Arc<Value>>) {
        let output = match &self.execution.plan.output {
            None => Ok(last.unwrap_or_default()),
            Some(template) => template
                .evaluate(&self.scope("output"))
                .map_err(|error| expression_failure("output", &error))
                .and_then(within_limit),
        };
        match output {
            Ok(output) => self.finish(ExecutionStatus::Succeeded, Some(output), None),
            Err(failure) => self.end_badly(ExecutionStatus::Failed, failure),
        }
    }

    pub(super) fn finish(
        &mut self,
        status: ExecutionStatus,
        output: Option<Arc<Value>>,
        failure: Option<Failure>,
    ) {
        self.state.status = status;
        self.state.cursor = None;
        self.commands.push(Command::FinishExecution { status, output, failure });
    }

    pub(super) fn map_output(&self, step: &PlannedStep, raw: Value) -> Result<Arc<Value>, Failure> {
        let Some(template) = &step.output else { return within_limit(raw) };
        let scope = Scope { result: Some(&raw), ..self.scope(&step.step.id) };
        let mapped =
            template.evaluate(&scope).map_err(|error| expression_failure("output", &error));
        within_limit(mapped?)
    }

    pub(super) fn attempt_under_way(&mut self, reported: u32) -> Result<Cursor, Rejection> {
        let current = self.state.cursor.as_ref().map_or(0, |cursor| cursor.attempt);
        match self.state.cursor.take_if(|cursor| cursor.attempt == reported) {
            Some(cursor) => Ok(cursor),
            None => Err(Rejection::OtherAttempt { reported, current }),
        }
    }

    pub(super) fn record(
        &mut self,
        cursor: &Cursor,
        status: RecordStatus,
        output: Option<Arc<Value>>,
        failure: Option<Failure>,
    ) {
        self.state.records += 1;
        self.commands.push(Command::Record(AttemptRecord {
            sequence: self.state.records,
            step_id: cursor.step.clone(),
            attempt: cursor.attempt,
            status,
            started_at: cursor.started_at,
            finished_at: self.now,
            output,
            failure,
        }));
    }

    pub(super) fn set_step(
        &mut self,
        id: &str,
        status: StepStatus,
        output: Option<Arc<Value>>,
        error: Option<Value>,
    ) {
        let step = self.state.steps.entry(id.to_owned()).or_insert_with(StepState::new);
        step.status = status;
        step.output = output;
        step.error = error;
    }

    pub(super) fn set_attempts(&mut self, cursor: &Cursor) {
        let step = self.state.steps.entry(cursor.step.clone()).or_insert_with(StepState::new);
        step.attempts = cursor.attempt;
    }

    pub(super) fn planned(&self, id: &str) -> Arc<PlannedStep> {
        let step = self.execution.plan.step(id);
        Arc::clone(step.expect("publishing checked that every named step exists"))
    }

    pub(super) fn scope<'s>(&'s self, place: &'s str) -> Scope<'s> {
        let around = self.execution.around.as_deref();
        Scope {
            input: &self.execution.input,
            steps: &self.state.steps,
            outer: around.map(|around| &around.steps),
            item: self.execution.item.as_ref().or_else(|| around?.item.as_ref()),
            execution_id: self.execution.id,
            root_id: self.execution.root_id(),
            workflow: &self.execution.plan.workflow,
            version: self.execution.plan.version,
            vars: &self.execution.plan.vars,
            error: self.state.error.as_ref().or_else(|| around?.error.as_ref()),
            result: None,
            event: None,
            trigger: self.state.trigger.as_deref().unwrap_or(&MANUAL),
            callbacks: self.execution.callbacks,
            now: self.now,
            place,
        }
    }
}

fn reject(status: ExecutionStatus, event: &Event) -> Rejection {
    let again = matches!(event, Event::RetryRequested | Event::RetryStepRequested { .. });
    if status.is_terminal() && !again {
        return Rejection::Ended { status };
    }
    Rejection::NotApplicable { status, event: event.kind() }
}

pub(super) fn leave(step: &PlannedStep, output: Option<Arc<Value>>) -> Flow {
    step.step.next.clone().map_or(Flow::End(output), Flow::Enter)
}

pub(super) fn within_limit(output: Value) -> Result<Arc<Value>, Failure> {
    let size = json_size(&output);
    if size > MAX_PAYLOAD_BYTES {
        let message = format!("the output has {size} bytes, the limit is {MAX_PAYLOAD_BYTES}");
        return Err(Failure::permanent(ErrorCode::OutputTooLarge, message));
    }
    Ok(Arc::new(output))
}

fn expression_failure(field: &str, error: &ExpressionError) -> Failure {
    Failure::permanent(ErrorCode::ExpressionError, format!("`{field}`: {error}"))
}

pub(super) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
