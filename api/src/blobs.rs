//! `/api/blobs`: payloads that are too large for JSON, by reference.

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::header::{
    CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, ETAG, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use engine::blob::{BlobReference, MAX_BLOB_BYTES, NotAReference, PIECE_BYTES};
use futures::{Stream, StreamExt};
use serde::Serialize;
use store::blobs::{Blob, BlobError, BlobWriter};
use store::{Store, StoreError};
use utoipa::ToSchema;

use crate::admission::{PATIENCE, in_time};
use crate::error::{ApiError, Problem};
use crate::router::Shared;
use crate::state::ApiState;

/// A stored blob.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BlobView {
    /// What stands for it in inputs and outputs: `blob:sha256:…`.
    reference: String,
    /// How large it is.
    bytes: u64,
}

/// Keeps a payload. The same bytes give the same reference.
#[utoipa::path(post, path = "/api/blobs", operation_id = "create_blob",
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "up to 64 MiB, as they are"),
    responses((status = 201, body = BlobView), (status = 408, body = Problem), (status = 409, body = Problem), (status = 413, body = Problem)))]
pub(crate) async fn create(
    State(state): Shared,
    body: Body,
) -> Result<(StatusCode, Json<BlobView>), ApiError> {
    let blob = Box::pin(receive(&state, body)).await?;
    let view = BlobView { reference: blob.reference.to_string(), bytes: blob.bytes };
    Ok((StatusCode::CREATED, Json(view)))
}

/// Piece by piece: one of them is in memory, however slow the sender.
async fn receive(state: &ApiState, body: Body) -> Result<Blob, ApiError> {
    let mut writer = state.store.write_blob(state.namespace(), state.max_blob_bytes);
    if let Err(error) = fill(&mut writer, body).await {
        writer.discard().await.map_err(refused)?;
        return Err(error);
    }
    writer.finish().await.map_err(refused)
}

async fn fill(writer: &mut BlobWriter, body: Body) -> Result<(), ApiError> {
    let mut pieces = body.into_data_stream();
    while let Some(piece) = in_time(PATIENCE, next(&mut pieces)).await? {
        writer.write(&piece).await.map_err(refused)?;
    }
    Ok(())
}

async fn next(
    pieces: &mut (impl Stream<Item = Result<Bytes, axum::Error>> + Unpin),
) -> Result<Option<Bytes>, ApiError> {
    pieces.next().await.transpose().map_err(|error| {
        ApiError::bad_request(format!(
            "the body was cut off: {error}; nothing was kept; send it again"
        ))
    })
}

fn refused(error: BlobError) -> ApiError {
    match error {
        BlobError::TooLarge => {
            ApiError::too_large("a blob", usize::try_from(MAX_BLOB_BYTES).unwrap_or(usize::MAX))
        }
        BlobError::Full { .. } => {
            let detail = format!("{error}; delete some, or raise --max-blob-bytes");
            ApiError::conflict("BLOBS_FULL", detail)
        }
        BlobError::Store(error) => error.into(),
    }
}

/// The bytes of a blob.
#[utoipa::path(get, path = "/api/blobs/{reference}", operation_id = "get_blob",
    params(("reference" = String, Path, description = "`blob:sha256:` and the digest")),
    responses((status = 200, body = Vec<u8>, content_type = "application/octet-stream"), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn get(
    State(state): Shared,
    Path(reference): Path<String>,
) -> Result<Response, ApiError> {
    let blob = state.store.blob(state.namespace(), read(&reference)?).await?;
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (CONTENT_LENGTH, HeaderValue::from(blob.bytes)),
        (ETAG, etag(&blob)),
        // Whatever somebody has put into it is not to run in a browser.
        (CONTENT_DISPOSITION, HeaderValue::from_static("attachment")),
        (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    Ok((headers, Body::from_stream(pieces(state.store.clone(), blob))).into_response())
}

fn etag(blob: &Blob) -> HeaderValue {
    let text = format!("\"{}\"", blob.reference);
    HeaderValue::try_from(text).expect("a reference is plain ASCII")
}

/// One piece at a time, when the receiver has taken the one before.
fn pieces(store: Store, blob: Blob) -> impl Stream<Item = Result<Vec<u8>, StoreError>> {
    futures::stream::try_unfold(0, move |offset| {
        let store = store.clone();
        async move {
            if offset >= blob.bytes {
                return Ok(None);
            }
            let most = u32::try_from(PIECE_BYTES).unwrap_or(u32::MAX);
            let piece = store.read_blob(blob.id, offset, most).await?;
            if piece.is_empty() {
                return Err(StoreError::Conflict("the blob was deleted meanwhile".to_owned()));
            }
            let read = offset + piece.len() as u64;
            Ok(Some((piece, read)))
        }
    })
}

/// Deletes a blob. What refers to it refers to nothing then.
#[utoipa::path(delete, path = "/api/blobs/{reference}", operation_id = "delete_blob",
    params(("reference" = String, Path, description = "`blob:sha256:` and the digest")),
    responses((status = 204), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn delete(
    State(state): Shared,
    Path(reference): Path<String>,
) -> Result<StatusCode, ApiError> {
    state.store.delete_blob(state.namespace(), read(&reference)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn read(reference: &str) -> Result<BlobReference, ApiError> {
    reference.parse().map_err(|error: NotAReference| ApiError::bad_request(error.to_string()))
}
