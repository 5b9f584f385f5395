//! When to try again: the policy, and its arithmetic. Chance is an argument.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::failure::{ErrorCode, Failure, RetryAdvice};

/// How often a step is tried after its worker was lost, on top of `maxAttempts`. A step that kills every
/// worker that touches it must not go round for ever.
pub const MAX_WORKER_LOSSES: u32 = 5;

/// A step's `retryPolicy`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct RetryPolicy {
    /// Attempts in all, the first included.
    #[schemars(range(min = 1, max = 1000))]
    pub max_attempts: u32,
    /// The wait before the second attempt, in milliseconds.
    #[schemars(range(max = 315_360_000_000_i64))]
    pub delay_ms: u64,
    /// Each wait is this many times the one before.
    #[schemars(range(min = 1.0, max = 100.0))]
    pub backoff_multiplier: f64,
    /// No wait is longer, in milliseconds.
    #[schemars(range(max = 315_360_000_000_i64))]
    pub max_delay_ms: u64,
    /// How chance spreads the waits.
    pub jitter: Jitter,
    /// No attempt starts later than this after the first one started, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 315_360_000_000_i64))]
    pub budget_ms: Option<u64>,
    /// Only these codes are retried; a code named here is retried even if the failure calls itself permanent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_on: Option<Vec<ErrorCode>>,
    /// These codes are not retried.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub no_retry_on: Vec<ErrorCode>,
    /// Retried only if this expression over `error` is true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// What happens when all attempts have failed and there is no `onError`.
    #[serde(skip_serializing_if = "OnExhausted::is_default")]
    pub on_exhausted: OnExhausted,
}

/// What happens when all attempts have failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum OnExhausted {
    /// The execution fails, and is kept as a dead letter until somebody has looked at it.
    #[default]
    DeadLetter,
    /// The execution fails, and nobody need look at it.
    Fail,
    /// The execution rests. Resuming it tries the step again, its attempts counted anew.
    Pause,
}

impl OnExhausted {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde takes")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: 1,
            delay_ms: 1_000,
            backoff_multiplier: 2.0,
            max_delay_ms: 300_000,
            jitter: Jitter::Full,
            budget_ms: None,
            retry_on: None,
            no_retry_on: Vec::new(),
            when: None,
            on_exhausted: OnExhausted::default(),
        }
    }
}

/// How chance spreads the waits of many failing steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Jitter {
    /// Anything from nothing to the whole wait. Source: M. Brooker, "Exponential Backoff And Jitter", AWS
    /// Architecture Blog, 2015: of the variants compared there, "full jitter" does the least work.
    #[default]
    Full,
    /// The wait as computed.
    None,
}

/// What has happened so far in this visit to a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tries {
    /// Attempts that ended, the one just failed included, lost workers not.
    pub failed: u32,
    /// Attempts that ended because their worker was lost.
    pub lost: u32,
    /// Milliseconds since the first attempt of this visit started.
    pub elapsed_ms: u64,
    /// From 0 up to, not including, 1.
    pub chance: f64,
}

impl RetryPolicy {
    /// How long to wait before the next attempt, in milliseconds; `None` when there is none.
    pub fn delay_after(&self, failure: &Failure, tries: Tries) -> Option<u64> {
        if !self.allows(failure) {
            return None;
        }
        let delay = if failure.code == ErrorCode::WorkerLost {
            // The wait was the lease's time to expire.
            (tries.lost <= MAX_WORKER_LOSSES).then_some(0)?
        } else {
            (tries.failed < self.max_attempts).then(|| self.backoff_ms(failure, tries))?
        };
        let starts_after = tries.elapsed_ms.saturating_add(delay);
        self.budget_ms.is_none_or(|budget| starts_after <= budget).then_some(delay)
    }

    fn allows(&self, failure: &Failure) -> bool {
        if self.no_retry_on.contains(&failure.code) {
            return false;
        }
        match &self.retry_on {
            // What the worker did is not the step's doing: only `noRetryOn` forbids it.
            _ if failure.code == ErrorCode::WorkerLost => true,
            Some(codes) => codes.contains(&failure.code),
            None => failure.advice != RetryAdvice::Permanent,
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "waits are below 2^53 ms and never negative; a float that is out of range saturates"
    )]
    fn backoff_ms(&self, failure: &Failure, tries: Tries) -> u64 {
        if let RetryAdvice::AfterMs(wait) = failure.advice {
            return wait;
        }
        let exponent = i32::try_from(tries.failed.saturating_sub(1)).unwrap_or(i32::MAX);
        let ceiling = self.max_delay_ms as f64;
        let full = (self.delay_ms as f64 * self.backoff_multiplier.powi(exponent)).min(ceiling);
        let delay = match self.jitter {
            Jitter::Full => full * tries.chance,
            Jitter::None => full,
        };
        delay as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tries(failed: u32) -> Tries {
        Tries { failed, lost: 0, elapsed_ms: 0, chance: 0.5 }
    }

    fn policy() -> RetryPolicy {
        RetryPolicy { max_attempts: 5, jitter: Jitter::None, ..RetryPolicy::default() }
    }

    fn failure(code: ErrorCode) -> Failure {
        Failure::new(code, "x")
    }

    #[test]
    fn waits_grow_by_the_multiplier_up_to_the_ceiling() {
        let policy = RetryPolicy { max_attempts: 100, max_delay_ms: 5_000, ..policy() };
        let delays: Vec<_> = (1..=5)
            .map(|failed| policy.delay_after(&failure(ErrorCode::Timeout), tries(failed)))
            .collect();
        assert_eq!(delays, [Some(1_000), Some(2_000), Some(4_000), Some(5_000), Some(5_000)]);
        assert_eq!(policy.delay_after(&failure(ErrorCode::Timeout), tries(99)), Some(5_000));
    }

    #[test]
    fn full_jitter_takes_a_share_of_the_whole_wait() {
        let policy = RetryPolicy { jitter: Jitter::Full, ..policy() };
        let at = |chance| {
            let tries = Tries { chance, ..tries(2) };
            policy.delay_after(&failure(ErrorCode::Timeout), tries)
        };
        assert_eq!((at(0.0), at(0.5), at(0.999)), (Some(0), Some(1_000), Some(1_998)));
    }

    #[test]
    fn attempts_end_at_the_maximum() {
        let timeout = failure(ErrorCode::Timeout);
        assert!(policy().delay_after(&timeout, tries(4)).is_some());
        assert!(policy().delay_after(&timeout, tries(5)).is_none());
        assert!(policy().delay_after(&timeout, tries(6)).is_none());
    }

    #[test]
    fn the_budget_counts_the_wait_that_would_follow() {
        let policy = RetryPolicy { budget_ms: Some(3_000), ..policy() };
        let at = |elapsed_ms| {
            policy.delay_after(&failure(ErrorCode::Timeout), Tries { elapsed_ms, ..tries(1) })
        };
        assert_eq!(at(1_999), Some(1_000));
        assert_eq!(at(2_000), Some(1_000));
        assert_eq!(at(2_001), None);
    }

    #[test]
    fn a_permanent_failure_is_retried_only_by_name() {
        let permanent = Failure::permanent(ErrorCode::HttpStatus, "404");
        assert_eq!(policy().delay_after(&permanent, tries(1)), None);
        let named = RetryPolicy { retry_on: Some(vec![ErrorCode::HttpStatus]), ..policy() };
        assert_eq!(named.delay_after(&permanent, tries(1)), Some(1_000));
        assert_eq!(named.delay_after(&failure(ErrorCode::Timeout), tries(1)), None);
    }

    #[test]
    fn retry_after_overrides_the_computed_wait() {
        let throttled = failure(ErrorCode::HttpStatus).with_advice(RetryAdvice::AfterMs(7_777));
        assert_eq!(policy().delay_after(&throttled, tries(1)), Some(7_777));
    }

    #[test]
    fn a_lost_worker_costs_no_attempt_but_not_for_ever() {
        let lost = failure(ErrorCode::WorkerLost);
        let one = RetryPolicy::default();
        let after = |lost_times| one.delay_after(&lost, Tries { lost: lost_times, ..tries(0) });
        assert_eq!(after(1), Some(0));
        assert_eq!(after(MAX_WORKER_LOSSES), Some(0));
        assert_eq!(after(MAX_WORKER_LOSSES + 1), None);
        let at_most_once = RetryPolicy { no_retry_on: vec![ErrorCode::WorkerLost], ..one };
        assert_eq!(at_most_once.delay_after(&lost, Tries { lost: 1, ..tries(0) }), None);
    }
}
