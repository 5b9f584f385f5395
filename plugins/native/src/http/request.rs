//! From a step's config to a request that can be sent.

use bytes::Bytes;
use engine::attempt::AttemptContext;
use engine::failure::Failure;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Uri};
use serde_json::Value;
use url::Url;

use super::config::{BodyFormat, HttpConfig};
use super::scalar::Scalar;
use crate::invalid;

/// Longer URLs are refused by common servers.
const MAX_URL_BYTES: usize = 8 * 1024;
/// Common servers accept a hundred; the client and the proxies on the way add theirs.
const MAX_HEADERS: usize = 64;
/// Names and values together, as common servers accept.
const MAX_HEADER_BYTES: usize = 32 * 1024;

/// They frame the message: a step that set them could smuggle a second request.
///
/// A `Host` of the step's own would reach another site than the one that the rules judge.
const RESERVED_HEADERS: [&str; 7] =
    ["connection", "content-length", "host", "te", "trailer", "transfer-encoding", "upgrade"];

/// The request that the config describes, with the headers that every attempt sends.
pub(super) fn build(
    config: &HttpConfig,
    attempt: &AttemptContext,
) -> Result<Request<Bytes>, Failure> {
    let mut headers = headers(config)?;
    identify(&mut headers, attempt)?;
    let mut body = Bytes::new();
    if let Some(value) = &config.body {
        let (content_type, bytes) = write_body(config.body_format, value)?;
        headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(content_type));
        body = bytes.into();
    }
    let mut request = Request::new(body);
    *request.method_mut() = config.method.into();
    *request.uri_mut() = uri(&url(config)?)?;
    *request.headers_mut() = headers;
    Ok(request)
}

/// A URL may have characters that the protocol has no place for.
fn uri(url: &Url) -> Result<Uri, Failure> {
    url.as_str().parse().map_err(|error| invalid(format!("`url` cannot be sent: {error}")))
}

fn url(config: &HttpConfig) -> Result<Url, Failure> {
    // Its text stays out of the message: it may hold a secret.
    let mut url = Url::parse(&config.url)
        .map_err(|error| invalid(format!("`url` is not an absolute URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid(format!("`url` has the scheme `{}`: use http or https", url.scheme())));
    }
    if !config.query.is_empty() {
        let parameters = config.query.iter().map(|(name, value)| (name, value.as_str()));
        url.query_pairs_mut().extend_pairs(parameters);
    }
    let length = url.as_str().len();
    if length > MAX_URL_BYTES {
        return Err(invalid(format!(
            "`url` with `query` has {length} bytes; at most {MAX_URL_BYTES} are sent"
        )));
    }
    Ok(url)
}

fn headers(config: &HttpConfig) -> Result<HeaderMap, Failure> {
    if config.headers.len() > MAX_HEADERS {
        let count = config.headers.len();
        return Err(invalid(format!(
            "`headers` has {count} entries; at most {MAX_HEADERS} are sent"
        )));
    }
    let sizes = config.headers.iter().map(|(name, value)| name.len() + value.as_str().len());
    let bytes: usize = sizes.sum();
    if bytes > MAX_HEADER_BYTES {
        return Err(invalid(format!(
            "`headers` has {bytes} bytes; at most {MAX_HEADER_BYTES} are sent"
        )));
    }
    let mut headers = HeaderMap::new();
    for (name, value) in &config.headers {
        let (name, value) = header(name, value)?;
        if headers.insert(&name, value).is_some() {
            return Err(invalid(format!("`headers` names `{name}` twice")));
        }
    }
    Ok(headers)
}

fn header(name: &str, value: &Scalar) -> Result<(HeaderName, HeaderValue), Failure> {
    let header = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| invalid(format!("`headers` has {name:?}, which is not a header's name")))?;
    if RESERVED_HEADERS.contains(&header.as_str()) {
        return Err(invalid(format!("`headers` has `{header}`, which only the client sets")));
    }
    let mut value = HeaderValue::from_str(value.as_str()).map_err(|_| {
        invalid(format!("the value of the header `{header}` has characters that cannot be sent"))
    })?;
    // Keeps it out of debug output, and out of HTTP/2's compression table.
    value.set_sensitive(is_credential(&header));
    Ok((header, value))
}

fn is_credential(name: &HeaderName) -> bool {
    ["authorization", "cookie", "key", "token", "secret"]
        .iter()
        .any(|part| name.as_str().contains(part))
}

/// What lets the other side recognise a repetition.
fn identify(headers: &mut HeaderMap, attempt: &AttemptContext) -> Result<(), Failure> {
    let name = "idempotency-key";
    if !headers.contains_key(name) {
        let value = HeaderValue::from_str(&attempt.idempotency_key())
            .map_err(|_| invalid(format!("the step's id cannot be sent in the header `{name}`")))?;
        headers.insert(name, value);
    }
    Ok(())
}

fn write_body(format: BodyFormat, body: &Value) -> Result<(&'static str, Vec<u8>), Failure> {
    match format {
        BodyFormat::Json => Ok(("application/json", body.to_string().into_bytes())),
        BodyFormat::Text => match body {
            Value::String(text) => Ok(("text/plain; charset=utf-8", text.clone().into_bytes())),
            _ => Err(invalid("`body` must be a string when `bodyFormat` is \"text\"")),
        },
        BodyFormat::Form => {
            let Value::Object(fields) = body else {
                return Err(invalid("`body` must be an object when `bodyFormat` is \"form\""));
            };
            Ok(("application/x-www-form-urlencoded", write_form(fields)?))
        }
    }
}

/// An array repeats its field.
fn write_form(fields: &serde_json::Map<String, Value>) -> Result<Vec<u8>, Failure> {
    // A URL's query has the same encoding as a form.
    let mut form = Url::parse("form:").expect("a scheme alone is a URL");
    for (name, value) in fields {
        let values = match value {
            Value::Array(values) => values.clone(),
            single => vec![single.clone()],
        };
        for value in values {
            let value = Scalar::try_from(value)
                .map_err(|fault| invalid(format!("`body.{name}` in a form: {fault}")))?;
            form.query_pairs_mut().append_pair(name, value.as_str());
        }
    }
    Ok(form.query().unwrap_or_default().as_bytes().to_vec())
}
