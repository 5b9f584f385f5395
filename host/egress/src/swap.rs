//! Puts secrets into a request that the policy has said yes to: headers, path, query and body, never the host.
//!
//! A part of the path or the query is decoded, swapped and encoded again, so that a secret with a `/` or a `&` in it
//! stays one part.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, percent_encode};
use url::{Url, form_urlencoded};

use crate::destination::Destination;
use crate::error::EgressError;
use crate::redirect::Hop;
use crate::secrets::{Outlet, SecretRefused, Secrets, Written};

/// What a part of a path cannot hold as it is. Source: RFC 3986, section 3.3.
const SEGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'/')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// The same request with its secrets. It is for the wire alone; a redirect goes on from the one without.
pub(crate) fn reveal(hop: &Hop, secrets: &dyn Secrets) -> Result<Hop, EgressError> {
    let to = &hop.destination;
    let outlet = Outlet { destination: to, method: &hop.method, written: Written::Plain };
    let swap = |bytes: &[u8]| secrets.swap(bytes, &outlet).map_err(|refused| secret(refused, to));
    let mut headers = HeaderMap::with_capacity(hop.headers.len());
    for (name, value) in &hop.headers {
        let value = match swap(value.as_bytes())? {
            None => value.clone(),
            Some(revealed) => header(name.as_str(), &revealed)?,
        };
        headers.append(name.clone(), value);
    }
    let body = Outlet { written: written(&hop.headers), ..outlet };
    let body = secrets.swap(&hop.body, &body).map_err(|refused| secret(refused, to))?;
    let body = body.map_or_else(|| hop.body.clone(), Bytes::from);
    let mut url = hop.destination.url().clone();
    let path = path(&url, &swap)?;
    let query = query(&url, &swap)?;
    if path.is_none() && query.is_none() {
        let destination = hop.destination.clone();
        return Ok(Hop { method: hop.method.clone(), destination, headers, body });
    }
    if let Some(path) = path {
        url.set_path(&path);
    }
    if let Some(query) = query {
        url.set_query(Some(&query));
    }
    let destination = Destination::parse(url.as_str())?;
    Ok(Hop { method: hop.method.clone(), destination, headers, body })
}

/// How a body with these headers writes text: a quote in a secret must not end a string of JSON.
fn written(headers: &HeaderMap) -> Written {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = content_type.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    if essence == "application/json" || essence.ends_with("+json") {
        Written::Json
    } else if essence == "application/x-www-form-urlencoded" {
        Written::Form
    } else {
        Written::Plain
    }
}

/// A secret that was to go where it may not.
pub(crate) fn secret(refused: SecretRefused, to: &Destination) -> EgressError {
    EgressError::Secret { name: refused.name, destination: to.origin() }
}

fn header(name: &str, revealed: &[u8]) -> Result<HeaderValue, EgressError> {
    let mut value = HeaderValue::from_bytes(revealed).map_err(|_| EgressError::Invalid {
        message: format!("a secret in the header `{name}` has characters that cannot be sent"),
    })?;
    value.set_sensitive(true);
    Ok(value)
}

type Swapped = Result<Option<Vec<u8>>, EgressError>;

fn path(url: &Url, swap: &impl Fn(&[u8]) -> Swapped) -> Result<Option<String>, EgressError> {
    let mut any = false;
    let mut segments = Vec::new();
    for segment in url.path().split('/') {
        let decoded: Vec<u8> = percent_decode_str(segment).collect();
        segments.push(match swap(&decoded)? {
            None => segment.to_owned(),
            Some(revealed) if matches!(revealed.as_slice(), b"." | b"..") => {
                let message = "a secret in the path would be a step to another path".to_owned();
                return Err(EgressError::Invalid { message });
            }
            Some(revealed) => {
                any = true;
                percent_encode(&revealed, SEGMENT).to_string()
            }
        });
    }
    Ok(any.then(|| segments.join("/")))
}

fn query(url: &Url, swap: &impl Fn(&[u8]) -> Swapped) -> Result<Option<String>, EgressError> {
    let Some(query) = url.query() else { return Ok(None) };
    let mut any = false;
    let mut parameters = Vec::new();
    for parameter in query.split('&') {
        let sides = parameter.splitn(2, '=').map(|side| {
            let spaced = side.replace('+', " ");
            let decoded: Vec<u8> = percent_decode_str(&spaced).collect();
            let revealed = swap(&decoded)?;
            any |= revealed.is_some();
            Ok(revealed.map_or_else(
                || side.to_owned(),
                |revealed| form_urlencoded::byte_serialize(&revealed).collect(),
            ))
        });
        parameters.push(sides.collect::<Result<Vec<String>, EgressError>>()?.join("="));
    }
    Ok(any.then(|| parameters.join("&")))
}
