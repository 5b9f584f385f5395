//! Reading requests: bodies, queries and ids that are refused with a problem document.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use crate::error::ApiError;

/// The longest `Idempotency-Key`, in bytes.
const MAX_KEY_BYTES: usize = 255;

/// A JSON body of a known type; unknown fields are refused by the types themselves.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let body = RawBody::from_request(request, state).await?;
        let text = if body.0.is_empty() { b"{}".as_slice() } else { &body.0 };
        serde_json::from_slice(text).map(Self).map_err(|error| {
            ApiError::bad_request(format!("the body is not what this call takes: {error}"))
        })
    }
}

/// A body as it came, within the route's limit.
pub(crate) struct RawBody(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for RawBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        Bytes::from_request(request, state).await.map(Self).map_err(|rejection| {
            if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
                return ApiError::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "TOO_LARGE",
                    "the request's body is larger than this call takes",
                );
            }
            ApiError::bad_request(format!("the body could not be read: {rejection}"))
        })
    }
}

/// A query of a known type.
pub(crate) struct QueryOf<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for QueryOf<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        Query::from_request_parts(parts, state)
            .await
            .map(|Query(query)| Self(query))
            .map_err(|rejection| ApiError::bad_request(rejection.body_text()))
    }
}

/// An execution's id from a path.
pub(crate) fn execution_id(text: &str) -> Result<Uuid, ApiError> {
    Uuid::parse_str(text).map_err(|_| {
        ApiError::new(
            StatusCode::NOT_FOUND,
            "NOT_FOUND",
            format!("execution `{text}` does not exist: ids are UUIDs"),
        )
    })
}

/// The `Idempotency-Key` header, if there is one.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    let key = value
        .to_str()
        .map_err(|_| ApiError::bad_request("the Idempotency-Key is not ASCII text"))?;
    check_key(key).map(Some)
}

/// An idempotency key within its limit.
pub(crate) fn check_key(key: &str) -> Result<String, ApiError> {
    if key.is_empty() || key.len() > MAX_KEY_BYTES || key.contains('\0') {
        return Err(ApiError::bad_request(format!(
            "an idempotency key has 1 to {MAX_KEY_BYTES} bytes"
        )));
    }
    Ok(key.to_owned())
}

/// A page's size: 50, or what was asked for within 1 to 500.
pub(crate) fn page_size(asked: Option<u32>) -> Result<u32, ApiError> {
    match asked {
        None => Ok(50),
        Some(size @ 1..=500) => Ok(size),
        Some(size) => Err(ApiError::bad_request(format!("`limit` is 1 to 500, not {size}"))),
    }
}
