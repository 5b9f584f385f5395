//! How much may be on its way into the database at once.
//!
//! A start holds its body in memory until its commit. When the database is the bottleneck, starts would pile up without a
//! bound; so they are admitted by weight, before their body is read, and who finds no room is told to come back.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use tokio::sync::OwnedSemaphorePermit;

use crate::error::ApiError;
use crate::state::ApiState;

/// So many batches fill all the room: a start has up to 1 MiB, a batch up to 32 MiB, and both are held as text and as
/// parsed JSON.
const BATCHES: u32 = 4;

/// Room for one start. Given back when dropped; drop it before waiting for an end.
pub(crate) struct Admission(#[expect(dead_code, reason = "held")] OwnedSemaphorePermit);

/// Room for one batch.
pub(crate) struct BatchAdmission(#[expect(dead_code, reason = "held")] OwnedSemaphorePermit);

impl FromRequestParts<ApiState> for Admission {
    type Rejection = ApiError;

    async fn from_request_parts(_: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        state.admit(1).map(Self)
    }
}

impl FromRequestParts<ApiState> for BatchAdmission {
    type Rejection = ApiError;

    async fn from_request_parts(_: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        state.admit(state.starts_at_once.div_ceil(BATCHES)).map(Self)
    }
}
