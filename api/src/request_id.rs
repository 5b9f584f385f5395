//! Gives every request an id, counts it, and writes problem documents with the id in them.

use std::time::Instant;

use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use uuid::Uuid;

use crate::error::{ApiError, Problem};
use crate::extract::check_uri;
use crate::state::ApiState;

/// Wraps every handler.
pub(crate) async fn finish(
    State(state): State<ApiState>,
    request: Request,
    next: Next,
) -> Response {
    let id = Uuid::now_v7().to_string();
    let began = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let taken = state.clients.take(request.uri().path(), request.headers(), request.extensions());
    let mut response = match (check_uri(request.uri()), taken) {
        (Ok(()), Ok(_)) => next.run(request).await,
        (Err(refused), _) => refused.into_response(),
        (_, Err(empty)) => empty.refuse(),
    };
    if let Ok(Some(allowance)) | Err(allowance) = taken {
        allowance.tell(response.headers_mut());
    }
    if response.extensions().get::<Problem>().is_none() && is_bare_refusal(&response) {
        response = refusal(response.status()).into_response();
    }
    let status = response.status();
    state
        .request_seconds
        .with_label_values(&[
            label(&method),
            route.as_deref().unwrap_or("unmatched"),
            status.as_str(),
        ])
        .observe(began.elapsed().as_secs_f64());
    if status.is_server_error() {
        tracing::warn!(request_id = %id, %method, route, %status, "a request failed");
    }
    with_id(response, &id)
}

/// A method as a metric's label. Whoever makes up methods must not make up label values, which are kept for ever.
fn label(method: &Method) -> &str {
    let usual = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
    ];
    if usual.contains(method) { method.as_str() } else { "other" }
}

fn with_id(mut response: Response, id: &str) -> Response {
    if let Some(mut problem) = response.extensions_mut().remove::<Problem>() {
        problem.request_id = Some(id.to_owned());
        let body = serde_json::to_vec(&problem).expect("a problem always prints as JSON");
        *response.body_mut() = Body::from(body);
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    if let Ok(value) = HeaderValue::from_str(id) {
        response.headers_mut().insert("x-request-id", value);
    }
    response
}

/// Refusals that axum makes itself, before a handler is reached.
fn is_bare_refusal(response: &Response) -> bool {
    let json = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/"));
    (response.status().is_client_error() || response.status().is_server_error()) && !json
}

fn refusal(status: StatusCode) -> ApiError {
    match status {
        StatusCode::NOT_FOUND => ApiError::new(
            status,
            "NOT_FOUND",
            "there is nothing at this path; see /api/openapi.json",
        ),
        StatusCode::METHOD_NOT_ALLOWED => ApiError::new(
            status,
            "METHOD_NOT_ALLOWED",
            "this path has other methods; see /api/openapi.json",
        ),
        StatusCode::PAYLOAD_TOO_LARGE => {
            ApiError::new(status, "TOO_LARGE", "the request's body is too large")
        }
        _ if status.is_server_error() => {
            ApiError::new(status, "INTERNAL", "something went wrong on our side")
        }
        _ => ApiError::new(status, "REQUEST_INVALID", "the request cannot be read"),
    }
}
