//! From a response to the step's output, or to the failure that says what came instead.

use std::time::SystemTime;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use egress::Response;
use engine::failure::{ErrorCode, Failure, RetryAdvice};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};

use super::retry_after::pause_ms;

/// How much of an unexpected response's body its failure carries.
const FAILURE_BODY_BYTES: usize = 4 * 1024;

/// The headers that a failure carries: what an operator asks for first, and nothing that could be a credential.
const FAILURE_HEADERS: [&str; 6] =
    ["content-type", "date", "location", "retry-after", "server", "x-request-id"];

/// `{status, headers, body}`; `bodyEncoding: "base64"` beside them when the body is not text.
pub(super) async fn output(mut response: Response) -> Result<Value, Failure> {
    let bytes = response.read().await?;
    let (status, headers) = (response.status.as_u16(), &response.headers);
    let mut output = json!({ "status": status, "headers": as_object(headers, |_| true) });
    match read_body(headers, bytes) {
        Ok(body) => output["body"] = body,
        Err(binary) => {
            output["body"] = BASE64_STANDARD.encode(binary).into();
            output["bodyEncoding"] = "base64".into();
        }
    }
    Ok(output)
}

/// The failure for a status that the step does not expect.
pub(super) async fn unexpected(mut response: Response) -> Failure {
    let (body, truncated) = response.read_beginning(FAILURE_BODY_BYTES).await;
    let (status, headers, host) = (response.status, &response.headers, &response.receipt.host);
    let details = json!({
        "status": status.as_u16(),
        "headers": as_object(headers, |name| FAILURE_HEADERS.contains(&name)),
        "body": String::from_utf8_lossy(&body),
        "bodyTruncated": truncated,
    });
    Failure::new(ErrorCode::HttpStatus, format!("{host} answered {status}"))
        .with_details(details)
        .with_advice(advice(status, headers))
}

/// What the status says about trying again: the client's faults stay, except those that are about the moment.
fn advice(status: StatusCode, headers: &HeaderMap) -> RetryAdvice {
    if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        let value = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        return value
            .and_then(|value| pause_ms(value, SystemTime::now()))
            .map_or(RetryAdvice::Policy, RetryAdvice::AfterMs);
    }
    let passing = matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY);
    if status.is_client_error() && !passing { RetryAdvice::Permanent } else { RetryAdvice::Policy }
}

/// JSON where the response says so and it is, otherwise text; the bytes come back when they are not text either.
fn read_body(headers: &HeaderMap, bytes: Vec<u8>) -> Result<Value, Vec<u8>> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    if is_json(headers)
        && let Ok(value) = serde_json::from_slice(&bytes)
    {
        return Ok(value);
    }
    String::from_utf8(bytes).map(Value::String).map_err(std::string::FromUtf8Error::into_bytes)
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence.ends_with("+json")
}

/// Headers as an object with lower-case names; a repeated one is joined as HTTP defines it.
fn as_object(headers: &HeaderMap, wanted: impl Fn(&str) -> bool) -> Value {
    let mut object = Map::new();
    for name in headers.keys().filter(|name| wanted(name.as_str())) {
        let values: Vec<_> = headers
            .get_all(name)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()))
            .collect();
        object.insert(name.as_str().to_owned(), values.join(", ").into());
    }
    Value::Object(object)
}
