//! What a caller is told when something is wrong: RFC 9457 problem documents.
//!
//! | status | means |
//! |---|---|
//! | 400 | the request itself cannot be read |
//! | 404 | no such thing |
//! | 409 | it contradicts what is there |
//! | 413 | too large |
//! | 415 | of a type that the call does not take |
//! | 422 | readable, but not valid: `errors[]` says where |
//! | 429 | more than this client may ask, or than the database takes: try again after `Retry-After` |
//! | 503 | the database is away: try again after `Retry-After` |
//! | 500 | our fault: the detail is in the log, under the request id |

use std::borrow::Cow;
use std::sync::Arc;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use engine::diagnostic::Diagnostic;
use sandbox::SandboxError;
use serde::{Deserialize, Serialize};
use store::StoreError;
use store::starts::StartError;

/// A problem, with its status.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: Cow<'static, str>,
    detail: String,
    errors: Vec<Diagnostic>,
}

/// The document itself. The request's id is filled in on the way out.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Problem {
    /// A URI that names the kind of problem.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// The status in words.
    pub(crate) title: String,
    /// The HTTP status.
    pub(crate) status: u16,
    /// A stable name for the problem.
    pub(crate) code: String,
    /// What is wrong, and what to do.
    pub(crate) detail: String,
    /// Each single fault, with a JSON pointer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Object>)]
    pub(crate) errors: Vec<Diagnostic>,
    /// Names this request in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) request_id: Option<String>,
}

impl ApiError {
    pub(crate) fn new(
        status: StatusCode,
        code: impl Into<Cow<'static, str>>,
        detail: impl Into<String>,
    ) -> Self {
        Self { status, code: code.into(), detail: detail.into(), errors: Vec::new() }
    }

    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "REQUEST_INVALID", detail)
    }

    pub(crate) fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, detail)
    }

    pub(crate) fn unprocessable(code: &'static str, detail: &str, errors: Vec<Diagnostic>) -> Self {
        Self { errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail) }
    }

    pub(crate) fn too_large(what: &str, limit: usize) -> Self {
        let detail = format!("{what} may have {limit} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "TOO_LARGE", detail)
    }

    /// More is being started than the database takes.
    pub(crate) fn overloaded() -> Self {
        let detail = "more executions are being started than the database takes just now; nothing was started; try again after `Retry-After`";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "OVERLOADED", detail)
    }

    /// Whether it is about us, not about what was asked for.
    pub(crate) fn is_ours(&self) -> bool {
        self.status.is_server_error()
    }

    /// Its problems as those of a part of the request: with the part's pointer in front.
    pub(crate) fn within(self, pointer: &str) -> Vec<Diagnostic> {
        if self.errors.is_empty() {
            return vec![Diagnostic::new(pointer, &self.code, self.detail)];
        }
        let mut errors = self.errors;
        for error in &mut errors {
            error.pointer = format!("{pointer}{}", error.pointer);
        }
        errors
    }

    fn unavailable() -> Self {
        let detail = "the database is not reachable just now; nothing was changed as far as is known; try again";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "DATABASE_UNAVAILABLE", detail)
    }

    pub(crate) fn internal() -> Self {
        let detail = "something went wrong on our side; the log has it under this request's id";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", detail)
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound { .. } => {
                Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", error.to_string())
            }
            StoreError::Conflict(detail) => Self::conflict("CONFLICT", detail),
            StoreError::Unavailable(source) => {
                tracing::warn!(error = %source, "the database is unavailable");
                Self::unavailable()
            }
            other => {
                tracing::error!(error = ?other, "a request failed in the store");
                Self::internal()
            }
        }
    }
}

impl From<Arc<StoreError>> for ApiError {
    fn from(error: Arc<StoreError>) -> Self {
        match &*error {
            StoreError::Unavailable(_) | StoreError::Closing => Self::unavailable(),
            other => {
                tracing::error!(error = ?other, "a request failed in the store");
                Self::internal()
            }
        }
    }
}

impl From<StartError> for ApiError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Unavailable => Self::unavailable(),
            StartError::Stale => Self::conflict(
                "CONFLICT",
                "the workflow was published again and again meanwhile; nothing was started; try again",
            ),
            StartError::Refused => Self::internal(),
        }
    }
}

impl From<SandboxError> for ApiError {
    fn from(error: SandboxError) -> Self {
        match &error {
            SandboxError::Invalid { code, .. } => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, code.clone(), error.to_string())
            }
            SandboxError::CompileTimeout { .. } => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "COMPILE_BUSY", error.to_string())
            }
            _ => {
                tracing::error!(error = ?error, "an upload failed in the sandbox");
                Self::internal()
            }
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let problem = Problem {
            kind: format!("urn:stateflow:problem:{}", self.code),
            title: self.status.canonical_reason().unwrap_or("error").to_owned(),
            status: self.status.as_u16(),
            code: self.code.into_owned(),
            detail: self.detail,
            errors: self.errors,
            request_id: None,
        };
        problem.respond(self.status)
    }
}

impl Problem {
    /// The document as an answer. `request_id::finish` writes the body: it knows the id.
    pub(crate) fn respond(self, status: StatusCode) -> Response {
        let mut response = status.into_response();
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response.extensions_mut().insert(self);
        response
    }
}
