//! Everything around an execution: it does what the commands ask for, or something else, in any order.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use rand::RngExt;
use rand::rngs::SmallRng;
use serde_json::json;
use stateflow_engine::callback::CallbackKey;
use stateflow_engine::failure::{ErrorCode, Failure};
use stateflow_engine::machine::{
    ChildFailure, Cursor, Event, Execution, ExecutionStatus, Outcome, Outcomes, State, on_claim,
    transition,
};
use stateflow_engine::message::Message;
use stateflow_engine::plan::Plan;
use stateflow_engine::suspension::{Checkpoint, Suspension, Wake};
use uuid::Uuid;

use super::laws::{self, Seen};

/// The most facts of one history.
const LONGEST: usize = 40;

pub(super) struct World<'a> {
    random: &'a mut SmallRng,
    execution: Execution,
    first: State,
    now: DateTime<Utc>,
    /// What was accepted, and when.
    accepted: Vec<(Event, DateTime<Utc>)>,
}

impl<'a> World<'a> {
    pub(super) fn new(plan: Arc<Plan>, random: &'a mut SmallRng) -> Self {
        let now = DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(20_000);
        let first = State::new(now, plan.deadline_ms);
        let execution = Execution {
            id: Uuid::from_u128(u128::from(random.random::<u64>())),
            plan,
            input: Arc::new(json!({ "n": 1 })),
            around: None,
            item: None,
            callbacks: CallbackKey::default(),
            sampled: true,
            state: first.clone(),
        };
        Self { random, execution, first, now, accepted: Vec::new() }
    }

    /// Lives through one history, and checks the laws at every turn of it.
    pub(super) fn live(mut self, seen: &mut Seen) {
        for _ in 0..self.random.random_range(1..LONGEST) {
            let event = self.event();
            seen.event(event.kind());
            let before = self.execution.clone();
            let outcome = transition(&before, event.clone(), self.now);
            laws::is_a_function(&before, &event, self.now, outcome.as_ref());
            match outcome {
                Err(_) => laws::rejects_with_reason(&before, &event),
                Ok(transition) => {
                    laws::is_lawful(&before, &event, &transition);
                    seen.transition(&transition);
                    self.execution.state = transition.state;
                    self.accepted.push((event, self.now));
                }
            }
            laws::survives_storage(&self.execution.state);
        }
        laws::replays(&self.execution, &self.first, &self.accepted);
        seen.history(&self.execution);
    }

    /// Mostly what the execution waits for, sometimes anything.
    fn event(&mut self) -> Event {
        let later = self.random.random_range(0..500);
        self.now += TimeDelta::milliseconds(later);
        if self.random.random_bool(0.15) { self.any_event() } else { self.expected_event() }
    }

    fn expected_event(&mut self) -> Event {
        let state = self.execution.state.clone();
        match state.status {
            ExecutionStatus::Pending => Event::Started,
            ExecutionStatus::Running => self.end_of_attempt(),
            ExecutionStatus::Waiting => self.end_of_wait(&state),
            ExecutionStatus::Paused => Event::ResumeRequested,
            ExecutionStatus::Failed | ExecutionStatus::Cancelled => {
                match self.random.random_range(0..3) {
                    0 => Event::RetryStepRequested { step: None },
                    _ => Event::RetryRequested,
                }
            }
            ExecutionStatus::Succeeded => Event::UndoRequested,
        }
    }

    fn end_of_attempt(&mut self) -> Event {
        let attempt = self.execution.state.cursor.as_ref().map_or(0, |cursor| cursor.attempt);
        match self.random.random_range(0..12) {
            0..6 => Event::AttemptSucceeded { attempt, output: json!({ "n": attempt }) },
            10 => Event::ProgressNoted { note: "half of it".to_owned() },
            11 => Event::AttemptSuspended { attempt, suspension: Box::new(self.suspension()) },
            6..8 => Event::AttemptFailed { attempt, failure: self.failure(), chance: 0.5 },
            8 => Event::LeaseExpired,
            _ => Event::AttemptYielded,
        }
    }

    fn suspension(&mut self) -> Suspension {
        let state = Checkpoint(vec![7; self.random.random_range(0..9)]);
        let later = TimeDelta::milliseconds(self.random.random_range(-9..500));
        let wake = match self.random.random_range(0..4) {
            0 => Wake::At(self.now + later),
            3 => Wake::After(self.random.random_range(0..500)),
            1 => Wake::Event { name: "paid".to_owned(), matching: None, timeout_ms: 500 },
            _ => {
                let matching = Some("event.data.n == 1".to_owned());
                Wake::Event { name: "paid".to_owned(), matching, timeout_ms: 500 }
            }
        };
        Suspension { state, wake }
    }

    fn end_of_wait(&mut self, state: &State) -> Event {
        let cursor = state.cursor.as_ref();
        let in_time = self.random.random_bool(0.8);
        if let (true, Some((visit, total))) = (in_time, cursor.and_then(Cursor::children)) {
            return Event::ChildrenEnded { visit, outcome: self.outcome(total) };
        }
        if let (true, Some(listening)) = (in_time, cursor.and_then(Cursor::listening)) {
            let name = listening.name.clone();
            return self.message(name);
        }
        self.now = self.now.max(state.due_at().unwrap_or(self.now));
        on_claim(state, false, self.now).into_iter().next().unwrap_or(Event::TimerDue)
    }

    fn outcome(&mut self, total: u32) -> Outcome {
        if self.random.random_bool(0.1) {
            return Outcome::Refused(self.failure());
        }
        let failed =
            if self.random.random_bool(0.6) { 0 } else { self.random.random_range(0..=total) };
        let failures = (0..failed).map(|ordinal| ChildFailure {
            ordinal,
            id: Uuid::from_u128(u128::from(ordinal)),
            failure: Failure::new(ErrorCode::StepFailed, "no"),
        });
        Outcome::Ended(Outcomes {
            ended: total,
            failed,
            output_bytes: self.random.random_range(0..1_100_000),
            outputs: (0..total).map(|n| (n >= failed).then(|| json!(n))).collect(),
            failures: failures.collect(),
        })
    }

    fn message(&mut self, name: String) -> Event {
        let data = if name.starts_with("approval:") {
            let by = ["ann", "bob"][self.random.random_range(0..2)];
            json!({ "by": by, "approved": self.random.random_bool(0.8) })
        } else {
            json!({ "n": self.random.random_range(0..3) })
        };
        let to = self.random.random_bool(0.5).then_some(self.execution.id);
        Event::MessageReceived(Box::new(Message {
            id: Uuid::from_u128(u128::from(self.random.random::<u64>())),
            name,
            data: Arc::new(data),
            received_at: self.now,
            to,
        }))
    }

    fn failure(&mut self) -> Failure {
        let code = [ErrorCode::Timeout, ErrorCode::HttpStatus, ErrorCode::Internal]
            [self.random.random_range(0..3)];
        if self.random.random_bool(0.5) {
            Failure::new(code, "no")
        } else {
            Failure::permanent(code, "no")
        }
    }

    /// What makes no sense, or comes from somebody who does not care how things stand.
    fn any_event(&mut self) -> Event {
        let attempt = self.random.random_range(0..4);
        let visit = self.random.random_range(0..5);
        match self.random.random_range(0..17) {
            0 => Event::Started,
            15 => Event::AttemptSuspended { attempt, suspension: Box::new(self.suspension()) },
            16 => Event::ProgressNoted { note: "half of it".to_owned() },
            1 => Event::AttemptSucceeded { attempt, output: json!(1) },
            2 => Event::AttemptFailed { attempt, failure: self.failure(), chance: 0.5 },
            3 => Event::AttemptYielded,
            4 => Event::LeaseExpired,
            5 => Event::TimerDue,
            6 => Event::ChildrenEnded { visit, outcome: self.outcome(2) },
            7 => self.message("e".to_owned()),
            8 => Event::UndoRequested,
            9 => Event::DeadlinePassed,
            10 => Event::CancelRequested { reason: None },
            11 => Event::RetryRequested,
            12 => Event::RetryStepRequested { step: Some("s0".to_owned()) },
            13 => Event::PauseRequested { reason: None },
            _ => Event::ResumeRequested,
        }
    }
}
