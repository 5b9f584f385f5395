//! `Idempotency-Key` on every change: the same request again, within a day, gets the answer that the first one got.
//!
//! ```text
//! request ──▶ key known? ── no ──▶ carried out, on its own ──▶ answer kept ──▶ answer
//!                │
//!                ├─ the same request, answered ──▶ that answer, with `Idempotency-Replayed: true`
//!                ├─ the same request, under way ──▶ 409
//!                └─ another request ──▶ 422
//! ```
//!
//! Starts, events, signals and callbacks do not come here: their keys are kept with what they made, for ever. Uploads do not
//! either: what is uploaded is known by its bytes.

use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use store::request_keys::{Answer, Known};

use crate::error::{ApiError, Problem};
use crate::extract::{RawBody, idempotency_key};
use crate::router::Shared;
use crate::state::ApiState;

/// The largest answer that is kept, in bytes. Larger ones are rare, and the request is carried out again.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// Says that an answer is an earlier one.
const REPLAYED: &str = "idempotency-replayed";

/// Wraps the handlers of changes.
pub(crate) async fn once(
    State(state): Shared,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let Some(key) = idempotency_key(request.headers())?.filter(|_| !reads) else {
        return Ok(next.run(request).await);
    };
    let (parts, body) = request.into_parts();
    let RawBody(body) =
        RawBody::from_request(Request::from_parts(parts.clone(), body), &state).await?;
    let fingerprint = fingerprint(&parts.method, parts.uri.path_and_query(), &body);
    match state.store.begin_request(state.namespace(), &key, &fingerprint).await? {
        Known::New => {}
        Known::Answered(answer) => return Ok(replayed(answer)),
        Known::UnderWay => {
            let detail = "the same request is under way: ask again for its answer";
            return Err(ApiError::conflict("IDEMPOTENCY_KEY_IN_USE", detail));
        }
        Known::Other => {
            let detail = "the Idempotency-Key was used for another request: take a new one";
            return Err(ApiError::unprocessable("IDEMPOTENCY_KEY_REUSED", detail, Vec::new()));
        }
    }
    let request = Request::from_parts(parts, Body::from(body));
    // On its own: a caller that goes away finds the answer when it comes back.
    let carried_out = tokio::spawn(async move {
        let response = next.run(request).await;
        keep(&state, &key, response).await
    });
    carried_out.await.map_err(|_| ApiError::internal())
}

fn fingerprint(
    method: &Method,
    path: Option<&axum::http::uri::PathAndQuery>,
    body: &Bytes,
) -> Vec<u8> {
    let mut hasher = Sha256::new();
    let path = path.map_or("", |it| it.as_str());
    for part in [method.as_str().as_bytes(), path.as_bytes(), body] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().to_vec()
}

/// Keeps an answer that says something about the request; one that only says something about us is forgotten.
async fn keep(state: &ApiState, key: &str, response: Response) -> Response {
    let status = response.status();
    let ours = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
    let (answer, response) = if ours { (None, response) } else { copied(response).await };
    let kept = match &answer {
        Some(answer) => state.store.answer_request(state.namespace(), key, answer).await,
        None => state.store.forget_request(state.namespace(), key).await,
    };
    if let Err(error) = kept {
        tracing::warn!(error = ?error, "an answer could not be kept for its idempotency key");
    }
    response
}

async fn copied(response: Response) -> (Option<Answer>, Response) {
    let status = response.status().as_u16();
    let (parts, body) = response.into_parts();
    if let Some(problem) = parts.extensions.get::<Problem>() {
        let body = serde_json::to_vec(problem).unwrap_or_default();
        let answer = Answer { status, kind: "application/problem+json".to_owned(), body };
        return (Some(answer), Response::from_parts(parts, Body::empty()));
    }
    let kind = parts.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.unwrap_or_default().to_owned();
    let is_kept = body.size_hint().upper().is_some_and(|bytes| bytes <= MAX_ANSWER_BYTES as u64);
    if !is_kept {
        return (None, Response::from_parts(parts, body));
    }
    let body = to_bytes(body, MAX_ANSWER_BYTES).await.unwrap_or_default();
    let answer = Answer { status, kind, body: body.to_vec() };
    (Some(answer), Response::from_parts(parts, Body::from(body)))
}

fn replayed(answer: Answer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = match serde_json::from_slice::<Problem>(&answer.body) {
        // It gets this request's id on the way out.
        Ok(problem) if answer.kind == "application/problem+json" => problem.respond(status),
        _ => (status, Body::from(answer.body)).into_response(),
    };
    if let Ok(kind) = HeaderValue::from_str(&answer.kind)
        && !answer.kind.is_empty()
    {
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response
}
