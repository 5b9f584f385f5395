//! How much may be on its way into the database at once.
//!
//! A start holds its body in memory until its commit. When the database is the bottleneck, starts would pile up without a
//! bound; so they are admitted by size, before their body is kept, and who finds no room is told to come back.

use std::time::Duration;

use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use tokio::sync::OwnedSemaphorePermit;

use crate::error::ApiError;
use crate::extract::JsonBody;
use crate::state::ApiState;

/// Room is given in pieces of this size.
pub(crate) const PIECE_BYTES: usize = 1 << 10;
/// A body is held so many times over at the worst: in the pieces that arrive, as a whole, and as what was read from it.
const COPIES: usize = 3;
/// How long a body may take to arrive: it holds room meanwhile.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A body that needs room.
pub(crate) trait Admissible: DeserializeOwned {
    /// What the smallest counts as, in bytes.
    const LEAST_BYTES: usize;
    /// The largest, in bytes.
    const MOST_BYTES: usize;
}

/// A body that was given room.
pub(crate) struct Admitted<T> {
    pub(crate) body: T,
    /// Given back when dropped; drop it before waiting for an end.
    pub(crate) room: OwnedSemaphorePermit,
}

impl<T: Admissible> FromRequest<ApiState> for Admitted<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, ApiError> {
        let room = state.admit(size::<T>(request.headers()) * COPIES)?;
        let JsonBody(body) = in_time(PATIENCE, JsonBody::from_request(request, state)).await?;
        Ok(Self { body, room })
    }
}

/// The body's size as announced, within bounds. What is not announced may be as large as is allowed.
fn size<T: Admissible>(headers: &HeaderMap) -> usize {
    let announced = headers.get(CONTENT_LENGTH).and_then(|it| it.to_str().ok()?.parse().ok());
    announced.unwrap_or(T::MOST_BYTES).clamp(T::LEAST_BYTES, T::MOST_BYTES)
}

pub(crate) async fn in_time<T>(
    patience: Duration,
    reading: impl Future<Output = Result<T, ApiError>>,
) -> Result<T, ApiError> {
    let late = |_| {
        let detail = format!("the body has to arrive within {} s", patience.as_secs());
        ApiError::new(StatusCode::REQUEST_TIMEOUT, "REQUEST_TIMEOUT", detail)
    };
    tokio::time::timeout(patience, reading).await.map_err(late)?
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, Bytes};
    use futures::stream;
    use serde_json::Value;

    use super::*;

    /// A body that begins and never ends.
    fn endless() -> Body {
        let begins = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"{"))]);
        Body::from_stream(futures::StreamExt::chain(begins, stream::pending()))
    }

    #[tokio::test]
    async fn who_never_finishes_speaking_gets_no_room_for_ever() {
        let little = Duration::from_millis(10);
        let reading = JsonBody::<Value>::from_request(Request::new(endless()), &());
        assert!(in_time(little, reading).await.is_err());
    }
}
