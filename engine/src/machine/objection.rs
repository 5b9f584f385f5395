//! What speaks against telling an execution something, as far as its state says: so that people hear it at once, for one
//! execution and for many in the same words. The transition has the last word; the state may have changed until then.

use super::event::Fact;
use super::state::{ExecutionStatus, State};

/// Why it makes no sense to tell an execution a fact. Reads on after the execution's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Objection {
    /// Terminal statuses absorb.
    #[error("has already {0}")]
    Ended(ExecutionStatus),
    /// Only what has failed, or was cancelled, is run again.
    #[error("is {0}: only what has failed or was cancelled can be retried")]
    NotFailed(ExecutionStatus),
    /// Nobody would take in what came of it the second time.
    #[error("is a part of another: retry that one, at the step that began this one")]
    IsBlock,
    /// There is nothing left to go on with.
    #[error("was undone: retry it from its start")]
    Undone,
    /// Nobody knows where to go on.
    #[error("did not stop at a step: name one to go on at")]
    StoppedNowhere,
    /// It rests already, or will after the attempt under way.
    #[error("is paused already")]
    AlreadyPaused,
    /// It does not rest.
    #[error("is {0}, not paused")]
    NotPaused(ExecutionStatus),
}

impl State {
    /// What speaks against telling an execution in this state a fact; `is_block` if it runs a part of another.
    pub fn objection(&self, fact: &Fact, is_block: bool) -> Option<Objection> {
        let status = self.status;
        match fact {
            Fact::Cancel { .. } | Fact::Pause { .. } | Fact::Resume if status.is_terminal() => {
                Some(Objection::Ended(status))
            }
            Fact::Pause { .. } if self.pause.is_some() => Some(Objection::AlreadyPaused),
            Fact::Resume if self.pause.is_none() => Some(Objection::NotPaused(status)),
            Fact::Retry => self.objection_to_another_run(is_block),
            Fact::RetryStep { step } => self.objection_to_another_run(is_block).or_else(|| {
                let somewhere = step.is_some() || self.stopped_at.is_some();
                if self.undone {
                    Some(Objection::Undone)
                } else {
                    (!somewhere).then_some(Objection::StoppedNowhere)
                }
            }),
            _ => None,
        }
    }

    fn objection_to_another_run(&self, is_block: bool) -> Option<Objection> {
        let failed = matches!(self.status, ExecutionStatus::Failed | ExecutionStatus::Cancelled);
        if !failed {
            return Some(Objection::NotFailed(self.status));
        }
        is_block.then_some(Objection::IsBlock)
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::super::state::Pause;
    use super::*;

    fn state(status: ExecutionStatus) -> State {
        let now = DateTime::<Utc>::UNIX_EPOCH;
        let pause =
            (status == ExecutionStatus::Paused).then_some(Pause { reason: None, since: now });
        State { status, pause, stopped_at: Some("a".into()), ..State::new(now, None) }
    }

    /// The statuses in which nothing speaks against the fact.
    fn sensible(fact: &Fact) -> Vec<ExecutionStatus> {
        let all = ExecutionStatus::ALL.into_iter();
        all.filter(|status| state(*status).objection(fact, false).is_none()).collect()
    }

    #[test]
    fn each_fact_has_its_statuses() {
        use ExecutionStatus::{Cancelled, Failed, Paused, Pending, Running, Waiting};
        let cases = [
            (Fact::Cancel { reason: None }, vec![Pending, Running, Waiting, Paused]),
            (Fact::Pause { reason: None }, vec![Pending, Running, Waiting]),
            (Fact::Resume, vec![Paused]),
            (Fact::Retry, vec![Failed, Cancelled]),
            (Fact::RetryStep { step: None }, vec![Failed, Cancelled]),
        ];
        for (fact, statuses) in cases {
            assert_eq!(sensible(&fact), statuses, "{fact:?}");
        }
    }

    #[test]
    fn parts_and_what_was_undone_or_stopped_nowhere_do_not_go_on() {
        let (failed, on) = (state(ExecutionStatus::Failed), Fact::RetryStep { step: None });
        assert_eq!(failed.objection(&Fact::Retry, true), Some(Objection::IsBlock));
        assert_eq!(failed.objection(&on, true), Some(Objection::IsBlock));
        let undone = State { undone: true, ..state(ExecutionStatus::Failed) };
        assert_eq!(undone.objection(&on, false), Some(Objection::Undone));
        assert_eq!(undone.objection(&Fact::Retry, false), None);
        let nowhere = State { stopped_at: None, ..state(ExecutionStatus::Failed) };
        assert_eq!(nowhere.objection(&on, false), Some(Objection::StoppedNowhere));
        let named = Fact::RetryStep { step: Some("a".into()) };
        assert_eq!(nowhere.objection(&named, false), None);
    }

    #[test]
    fn it_may_rest_and_seem_to_run() {
        let pause = state(ExecutionStatus::Paused).pause;
        let about_to_rest = State { pause, ..state(ExecutionStatus::Running) };
        let again = Fact::Pause { reason: None };
        assert_eq!(about_to_rest.objection(&again, false), Some(Objection::AlreadyPaused));
        assert_eq!(about_to_rest.objection(&Fact::Resume, false), None);
    }
}
