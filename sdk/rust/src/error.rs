//! The error of a plugin: what went wrong, and what is to happen next.

use std::{fmt::Display, time::Duration};

use serde::Serialize;

use crate::bindings::stateflow::plugin::types::{Failure, StepError};

/// Why an attempt failed, and whether to try again.
///
/// Does not implement [`std::error::Error`], so that `?` can turn every error that does into one of these.
#[derive(Debug)]
pub struct Error(StepError);

impl Error {
    /// The step's retry policy decides.
    pub fn retryable(code: &str, message: impl Display) -> Self {
        Self(StepError::Retryable(failure(code, &message)))
    }

    /// Trying again will not help.
    pub fn permanent(code: &str, message: impl Display) -> Self {
        Self(StepError::Permanent(failure(code, &message)))
    }

    /// Not before this time has passed.
    pub fn rate_limited(after: Duration) -> Self {
        Self(StepError::RateLimited(u64::try_from(after.as_millis()).unwrap_or(u64::MAX)))
    }

    /// The plugin noticed that it was asked to stop.
    pub fn cancelled() -> Self {
        Self(StepError::Cancelled)
    }

    /// The same error with facts for a program. Errors without a code have nowhere to keep them.
    #[must_use]
    pub fn with_details(mut self, details: &impl Serialize) -> Self {
        if let StepError::Retryable(failure) | StepError::Permanent(failure) = &mut self.0 {
            failure.details = serde_json::to_string(details).ok();
        }
        self
    }

    pub(crate) fn into_wit(self) -> StepError {
        self.0
    }
}

impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message = format!("{message}: {cause}");
            source = cause.source();
        }
        Self::retryable("error", message)
    }
}

fn failure(code: &str, message: &dyn Display) -> Failure {
    Failure { code: code.to_owned(), message: message.to_string(), details: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_standard_error_is_retryable() {
        let error = Error::from(std::io::Error::other("broken"));
        assert!(matches!(error.into_wit(), StepError::Retryable(it) if it.message == "broken"));
    }

    #[test]
    fn details_are_json() {
        let error = Error::permanent("c", "m").with_details(&[1, 2]);
        assert!(matches!(
            error.into_wit(),
            StepError::Permanent(it) if it.details.as_deref() == Some("[1,2]")
        ));
    }
}
