//! Reading requests: bodies, queries and ids that are refused with a problem document.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::admission::{PATIENCE, in_time};
use crate::error::ApiError;

/// The longest `Idempotency-Key`, in bytes.
pub(crate) const MAX_KEY_BYTES: usize = 255;

/// A JSON body of a known type; unknown fields are refused by the types themselves.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let body = JsonBytes::from_request(request, state).await?;
        parse_object(&body.0).map(Self)
    }
}

/// A JSON object of a known type; no body at all is an empty one.
pub(crate) fn parse_object<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiError> {
    let text = if body.is_empty() { b"{}".as_slice() } else { body };
    serde_json::from_slice(text).map(|Object(body)| body).map_err(|error| {
        ApiError::bad_request(format!("the body is not what this call takes: {error}"))
    })
}

/// A JSON object. Without it, serde takes a list of a struct's fields for the struct as well.
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

/// A list of JSON objects.
pub(crate) fn objects<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let objects = Vec::<Object<T>>::deserialize(deserializer)?;
    Ok(objects.into_iter().map(|Object(it)| it).collect())
}

/// A JSON value as its sender wrote it. It was parsed once, so whoever reads it later can, but only the text is kept.
#[derive(Debug)]
pub(crate) struct JsonText(Arc<str>);

impl JsonText {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn shared(&self) -> Arc<str> {
        Arc::clone(&self.0)
    }
}

impl Default for JsonText {
    fn default() -> Self {
        Self("null".into())
    }
}

impl<'de> Deserialize<'de> for JsonText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <&RawValue>::deserialize(deserializer)?.get();
        // Nesting, numbers and escapes are only looked at here, not by the raw value.
        let parsed: Result<Value, _> = serde_json::from_str(text);
        parsed.map(|_| Self(text.into())).map_err(serde::de::Error::custom)
    }
}

/// The bytes of a body that is JSON as far as its sender says.
pub(crate) struct JsonBytes(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for JsonBytes {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        check_json(request.headers())?;
        RawBody::from_request(request, state).await.map(|RawBody(body)| Self(body))
    }
}

/// JSON in any of its types, or no type at all. Any other is refused, so that no page in a browser can make a call: forms
/// and scripts of other origins send only a few types unasked, and JSON is not among them.
pub(crate) fn check_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(kind) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let kind = kind.to_str().unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_json = essence == "application/json"
        || essence.split_once('/').is_some_and(|(_, subtype)| subtype.ends_with("+json"));
    if is_json {
        return Ok(());
    }
    let detail = format!("the body is JSON: say `content-type: application/json`, not `{kind}`");
    Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "CONTENT_TYPE", detail))
}

/// A body as it came, within the route's limit.
pub(crate) struct RawBody(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for RawBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let read = async {
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
        };
        in_time(PATIENCE, read).await
    }
}

/// A query of a known type.
pub(crate) struct QueryOf<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for QueryOf<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        Query::from_request_parts(parts, state).await.map(|Query(query)| Self(query)).map_err(
            |rejection| {
                let text = rejection.body_text();
                let why = text.trim_start_matches("Failed to deserialize query string: ");
                ApiError::bad_request(format!("the query is not what this call takes: {why}"))
            },
        )
    }
}

/// Refuses NUL in paths and queries: no name has one, and the database's text cannot hold it.
pub(crate) fn check_uri(uri: &Uri) -> Result<(), ApiError> {
    if uri.path().contains("%00") {
        let detail = "there is nothing at this path: it has a NUL character";
        return Err(ApiError::new(StatusCode::NOT_FOUND, "NOT_FOUND", detail));
    }
    if uri.query().is_some_and(|query| query.contains("%00")) {
        return Err(ApiError::bad_request("the query has a NUL character"));
    }
    Ok(())
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
