//! What people do to executions: run them again, let them rest, let them go on.

use super::Rejection;
use super::command::Command;
use super::event::Fact;
use super::state::{Cursor, ExecutionStatus, Pause, StepState, StepStatus, after};
use super::turn::{Flow, Turn};

impl Turn<'_> {
    pub(super) fn begin_again(&mut self) -> Flow {
        for step in self.state.steps.values_mut() {
            *step = StepState { attempts: step.attempts, ..StepState::new() };
        }
        self.state.error = None;
        self.state.undo.clear();
        self.state.undone = false;
        self.state.fork = None;
        self.revive();
        self.begin()
    }

    /// Puts an ended execution back among the living.
    fn revive(&mut self) {
        self.state.stopped_at = None;
        self.state.unremarkable = false;
        self.state.pause = None;
        self.state.deadline_at = self.execution.plan.deadline_ms.map(|ms| after(self.now, ms));
    }

    /// Goes on at the step at which it stopped, or at a named one; the other steps keep what they have. `error` stays
    /// in scope only where it was: a named step may be anywhere.
    pub(super) fn go_on_at(&mut self, step: Option<String>) -> Result<Flow, Rejection> {
        if step.is_some() && step != self.state.stopped_at {
            self.state.error = None;
        }
        if self.state.undone {
            return Err(Rejection::Undone);
        }
        let step = step.or(self.state.stopped_at.take()).ok_or(Rejection::StoppedNowhere)?;
        if self.execution.plan.step(&step).is_none() {
            return Err(Rejection::NoSuchStep { step });
        }
        self.revive();
        Ok(Flow::Enter(step))
    }

    pub(super) fn pause(&mut self, reason: Option<String>) -> Flow {
        self.tell_children(&Fact::Pause { reason: reason.clone() });
        self.state.pause = Some(Pause { reason, since: self.now });
        // An attempt under way is left to end; what would follow it is held back then.
        if self.state.status != ExecutionStatus::Running {
            self.fall_asleep();
        }
        Flow::Settled
    }

    /// Holds back what was about to begin, if the execution is to rest.
    pub(super) fn rest(&mut self) {
        // A suspended step has begun already: what it waits for is listened for all the same.
        let suspended = self.state.cursor.as_ref().is_some_and(Cursor::is_suspended);
        let starts = |it: &Command| match it {
            Command::StartAttempt(_) | Command::StartChildren(_) => true,
            Command::Listen(_) => !suspended,
            _ => false,
        };
        let begins = |it: &Command| starts(it) || matches!(it, Command::WakeAt(_));
        if self.state.pause.is_none() || !self.commands.iter().any(begins) {
            return;
        }
        if self.commands.iter().any(starts)
            && let Some(cursor) = self.state.cursor.take()
        {
            let cursor = self.unbegin(cursor);
            self.state.cursor = Some(Cursor { until: Some(self.now), awaited: None, ..cursor });
        }
        self.commands.retain(|it| !begins(it));
        self.fall_asleep();
    }

    fn fall_asleep(&mut self) {
        self.state.status = ExecutionStatus::Paused;
        self.commands.extend(self.state.due_at().map(Command::WakeAt));
    }

    pub(super) fn resume(&mut self) -> Flow {
        self.state.pause = None;
        self.tell_children(&Fact::Resume);
        let Some(cursor) = self.state.cursor.take() else { return self.begin() };
        if cursor.awaited.is_some() {
            return self.await_others(cursor);
        }
        match cursor.until {
            Some(until) if until > self.now => self.wait_until(cursor, until),
            _ => {
                self.state.cursor = Some(cursor);
                self.resume_attempt()
            }
        }
    }

    /// It was to rest after the attempt under way, and need not.
    pub(super) fn stay_awake(&mut self) -> Flow {
        self.state.pause = None;
        Flow::Settled
    }

    /// An attempt that was wished for, and not begun, does not count.
    pub(super) fn unbegin(&mut self, cursor: Cursor) -> Cursor {
        let step = self.state.steps.entry(cursor.step.clone()).or_insert_with(StepState::new);
        step.attempts = step.attempts.saturating_sub(1);
        step.status = StepStatus::Waiting;
        cursor
    }

    /// Rests at a step whose attempts have failed, until somebody has mended what was wrong: then its attempts are
    /// counted anew.
    pub(super) fn rest_at(&mut self, failed: &Cursor, reason: &str) -> Flow {
        let attempts = self.state.steps.get(&failed.step).map_or(0, |step| step.attempts);
        let cursor = Cursor::at(failed.step.clone(), attempts + 1, self.now);
        let resumption = failed.resumption.clone();
        self.state.cursor = Some(Cursor { until: Some(self.now), resumption, ..cursor });
        self.state.pause = Some(Pause { reason: Some(reason.to_owned()), since: self.now });
        self.fall_asleep();
        Flow::Settled
    }
}
