//! CloudEvents 1.0 over HTTP: structured, binary and in batches, as the specification's HTTP protocol binding has them. The
//! SDK reads them; here is what becomes of their attributes.
//!
//! | attribute | becomes |
//! |---|---|
//! | `type` | the event's name |
//! | `source` and `id` | its key: the same pair again is the same event |
//! | `data` | its data: JSON as it is, text as a string, other bytes as base64 |
//! | `traceparent` | the trace in which what it starts goes on |

use axum::http::{HeaderMap, StatusCode, header};
use cloudevents::binding::http::{SPEC_VERSION_HEADER, to_event};
use cloudevents::{AttributesReader, Data, Event};
use engine::diagnostic::Diagnostic;
use engine::trace::TraceParent;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Draft;
use crate::error::ApiError;
use crate::extract::MAX_KEY_BYTES;

/// Events of one batch.
pub(crate) const MAX_BATCH: usize = 1_000;

const STRUCTURED: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";

/// What a request to send events holds.
pub(super) enum Sent {
    /// No CloudEvents.
    Others,
    One(Draft),
    Batch(Vec<Draft>),
}

/// Reads the request, if it holds CloudEvents.
pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Result<Sent, ApiError> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let essence = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(BATCH) {
        return batch(body).map(Sent::Batch);
    }
    let is_structured = essence.eq_ignore_ascii_case(STRUCTURED);
    if !is_structured && essence.to_ascii_lowercase().starts_with("application/cloudevents") {
        let detail = format!("CloudEvents are taken as `{STRUCTURED}`, `{BATCH}`, or in headers");
        return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "CONTENT_TYPE", detail));
    }
    if !is_structured && !headers.contains_key(SPEC_VERSION_HEADER) {
        return Ok(Sent::Others);
    }
    let event = if is_structured {
        serde_json::from_slice(body).map_err(|error| error.to_string())
    } else {
        to_event(headers, body.to_vec()).map_err(|error| error.to_string())
    };
    let event = event.map_err(|error| invalid(vec![fault("", &error)]))?;
    draft(&event).map(Sent::One).map_err(|message| invalid(vec![fault("", &message)]))
}

fn batch(body: &[u8]) -> Result<Vec<Draft>, ApiError> {
    let values: Vec<Value> = serde_json::from_slice(body)
        .map_err(|error| ApiError::bad_request(format!("a batch is a list of events: {error}")))?;
    if values.len() > MAX_BATCH {
        let detail = format!("a batch has up to {MAX_BATCH} events, not {}", values.len());
        return Err(ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "TOO_LARGE", detail));
    }
    let (mut drafts, mut faults) = (Vec::new(), Vec::new());
    for (at, value) in values.into_iter().enumerate() {
        let event = serde_json::from_value::<Event>(value).map_err(|error| error.to_string());
        match event.and_then(|event| draft(&event)) {
            Ok(draft) => drafts.push(draft),
            Err(message) => faults.push(fault(&format!("/{at}"), &message)),
        }
    }
    if faults.is_empty() { Ok(drafts) } else { Err(invalid(faults)) }
}

fn fault(pointer: &str, message: &str) -> Diagnostic {
    Diagnostic::new(pointer, "CLOUD_EVENT_INVALID", message)
}

fn invalid(faults: Vec<Diagnostic>) -> ApiError {
    let detail = format!("{} CloudEvent(s) are not valid; nothing was sent", faults.len());
    ApiError::unprocessable("CLOUD_EVENT_INVALID", &detail, faults)
}

fn draft(event: &Event) -> Result<Draft, String> {
    let (id, source) = (event.id(), event.source().as_str());
    if id.is_empty() || source.is_empty() {
        return Err("`id` and `source` must not be empty".to_owned());
    }
    let draft = Draft {
        name: event.ty().to_owned(),
        data: data(event)?.to_string().into(),
        key: Some(key(source, id)),
        trace: trace(event),
    };
    draft.fault().map_or(Ok(draft), Err)
}

/// The extension for distributed tracing. It is for whom the event is for: the headers are for who carries it.
fn trace(event: &Event) -> Option<TraceParent> {
    event.extension("traceparent")?.to_string().parse().ok()
}

/// A blank cannot be in a URI, so no two pairs have the same key. Long ones are digested.
fn key(source: &str, id: &str) -> String {
    let key = format!("{source} {id}");
    if key.len() <= MAX_KEY_BYTES && !key.contains('\0') {
        return key;
    }
    format!("sha256:{}", hex::encode(Sha256::digest(key)))
}

fn data(event: &Event) -> Result<Value, String> {
    let is_json = event.datacontenttype().is_none_or(|kind| {
        let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        essence == "application/json" || essence.ends_with("+json")
    });
    let parsed = |bytes: &[u8]| {
        serde_json::from_slice(bytes).map_err(|error| format!("the data is not JSON: {error}"))
    };
    match event.data() {
        None => Ok(Value::Null),
        Some(Data::Json(value)) => Ok(value.clone()),
        Some(Data::String(text)) if is_json => parsed(text.as_bytes()),
        Some(Data::String(text)) => Ok(Value::from(text.as_str())),
        Some(Data::Binary(bytes)) if bytes.is_empty() => Ok(Value::Null),
        Some(Data::Binary(bytes)) if is_json => parsed(bytes),
        Some(Data::Binary(bytes)) => Ok(match std::str::from_utf8(bytes) {
            Ok(text) => Value::from(text),
            Err(_) => Value::from(base64::Engine::encode(&base64::prelude::BASE64_STANDARD, bytes)),
        }),
    }
}

/// One that somebody else would send, for the document.
pub(super) fn example(number: u32) -> Value {
    json!({
        "specversion": "1.0", "id": number.to_string(), "source": "/shop", "type": "order.paid",
        "data": { "id": format!("A-{number}") },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_and_an_id_are_one_key_of_bounded_length() {
        assert_eq!(key("/orders", "1"), "/orders 1");
        let long = "x".repeat(300);
        assert!(key(&long, "1").starts_with("sha256:"));
        assert_ne!(key(&long, "1"), key(&long, "2"));
        assert_eq!(key(&"x".repeat(MAX_KEY_BYTES - 2), "1").len(), MAX_KEY_BYTES);
    }
}
