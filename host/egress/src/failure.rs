//! What an attempt reports when a request has no response: the one place where errors get their codes.

use engine::failure::{ErrorCode, Failure};
use serde_json::json;

use crate::error::{Denial, EgressError, Part};

impl From<EgressError> for Failure {
    fn from(error: EgressError) -> Self {
        let message = error.to_string();
        match error {
            EgressError::Denied(denial) => denied(message, &denial),
            EgressError::Secret { name, destination } => {
                Self::permanent(ErrorCode::EgressDenied, message)
                    .with_details(json!({ "destination": destination, "secret": name }))
            }
            EgressError::SecretRedirected { destination } => {
                Self::permanent(ErrorCode::EgressDenied, message)
                    .with_details(json!({ "destination": destination }))
            }
            EgressError::TooMany { limit } => Self::permanent(ErrorCode::EgressDenied, message)
                .with_details(json!({ "limitRequests": limit })),
            EgressError::Invalid { .. } => Self::permanent(ErrorCode::ConfigInvalid, message),
            EgressError::Connect { .. } | EgressError::Broken { .. } => {
                Self::new(ErrorCode::HttpConnect, message)
            }
            EgressError::Tls { .. } => Self::new(ErrorCode::HttpTls, message),
            EgressError::Timeout { .. } => Self::new(ErrorCode::Timeout, message),
            EgressError::TooLarge { what, limit } => {
                let code = match what {
                    Part::RequestHeaders | Part::RequestBody => ErrorCode::ConfigInvalid,
                    Part::ResponseHeaders | Part::ResponseBody => ErrorCode::OutputTooLarge,
                };
                Self::permanent(code, message).with_details(json!({ "limitBytes": limit }))
            }
            EgressError::Setup { .. } => Self::new(ErrorCode::Internal, message),
        }
    }
}

fn denied(message: String, denial: &Denial) -> Failure {
    let mut details = json!({ "destination": denial.destination });
    let allowed_by = if denial.class.is_some() { "cidr" } else { "rule" };
    if let Some(allow) = &denial.allow {
        details[allowed_by] = allow.as_str().into();
    }
    if let Some(class) = denial.class {
        details["class"] = class.as_str().into();
    }
    Failure::permanent(ErrorCode::EgressDenied, message).with_details(details)
}
