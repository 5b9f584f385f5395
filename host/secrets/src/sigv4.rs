//! AWS Signature Version 4, in headers. By the specification, not by AWS's crate, which brings seven others of an SDK.
//!
//! Source: AWS Identity and Access Management User Guide, "Create a signed AWS API request".

use chrono::{DateTime, Utc};
use egress::Destination;
use hmac::{Hmac, KeyInit, Mac};
use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// All but what RFC 3986, section 2.3, calls unreserved.
const STRICT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// An access key's id, a region or a service is no longer than this.
const MAX_FIELD_BYTES: usize = 128;
const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// Set by the signature itself, or on the way.
const UNSIGNED: [&str; 5] =
    ["authorization", "connection", "user-agent", "x-amzn-trace-id", "transfer-encoding"];

/// What is to be signed.
#[derive(Clone, Debug)]
pub struct SigV4Request<'a> {
    /// The id beside the secret.
    pub access_key_id: &'a str,
    /// Of temporary credentials.
    pub session_token: Option<&'a str>,
    /// Such as `eu-central-1`.
    pub region: &'a str,
    /// Such as `s3`.
    pub service: &'a str,
    /// The HTTP method.
    pub method: &'a str,
    /// The absolute URL.
    pub url: &'a str,
    /// The headers that are sent beside those of the signature.
    pub headers: &'a [(String, String)],
    /// The body.
    pub body: &'a [u8],
}

impl SigV4Request<'_> {
    pub(crate) fn destination(&self) -> Result<Destination, String> {
        Destination::parse(self.url).map_err(|error| error.to_string())
    }

    pub(crate) fn method(&self) -> Result<Method, String> {
        self.method.parse().map_err(|_| "the method is none of HTTP's".to_owned())
    }

    /// They stand in the signature's header between `/` and `,`.
    fn check(&self) -> Result<(), String> {
        let fits = |text: &str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            !text.is_empty() && text.len() <= MAX_FIELD_BYTES && text.bytes().all(plain)
        };
        let fields = [
            ("access key's id", self.access_key_id),
            ("region", self.region),
            ("service", self.service),
        ];
        match fields.into_iter().find(|(_, text)| !fits(text)) {
            Some((what, _)) => Err(format!(
                "the {what} has 1 to {MAX_FIELD_BYTES} letters, digits, `-`, `_` and `.`"
            )),
            None => Ok(()),
        }
    }
}

/// The headers to add.
pub(crate) fn sign(
    secret: &str,
    request: &SigV4Request<'_>,
    to: &Destination,
    now: DateTime<Utc>,
) -> Result<Vec<(&'static str, String)>, String> {
    request.check()?;
    let time = now.format("%Y%m%dT%H%M%SZ").to_string();
    let payload = hex::encode(Sha256::digest(request.body));
    let mut added = vec![("x-amz-date", time.clone())];
    if request.service == "s3" {
        added.push(("x-amz-content-sha256", payload.clone()));
    }
    if let Some(token) = request.session_token {
        added.push(("x-amz-security-token", token.to_owned()));
    }
    let headers = canonical_headers(request, to, &added);
    let names: Vec<_> = headers.iter().map(|(name, _)| name.as_str()).collect();
    let names = names.join(";");
    let lines: Vec<_> = headers.iter().map(|(name, value)| format!("{name}:{value}")).collect();
    let lines = lines.join("\n");
    let canonical = format!(
        "{}\n{}\n{}\n{lines}\n\n{names}\n{payload}",
        request.method,
        path(to, request.service),
        query(to),
    );
    let date = &time[..8];
    let scope = format!("{date}/{}/{}/aws4_request", request.region, request.service);
    let digest = hex::encode(Sha256::digest(canonical));
    let to_sign = format!("{ALGORITHM}\n{time}\n{scope}\n{digest}");
    let first = Zeroizing::new(format!("AWS4{secret}"));
    let key = [date, request.region, request.service, "aws4_request", &to_sign]
        .iter()
        .fold(Zeroizing::new(first.as_bytes().to_vec()), |key, part| mac(&key, part));
    let id = request.access_key_id;
    let signature = hex::encode(&*key);
    added.push((
        "authorization",
        format!(
            "{ALGORITHM} Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}"
        ),
    ));
    Ok(added)
}

fn mac(key: &[u8], part: &str) -> Zeroizing<Vec<u8>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key may have any length");
    mac.update(part.as_bytes());
    Zeroizing::new(mac.finalize().into_bytes().to_vec())
}

/// By name; the values of a name that comes twice are joined, and their inner spaces are one.
fn canonical_headers(
    request: &SigV4Request<'_>,
    to: &Destination,
    added: &[(&str, String)],
) -> Vec<(String, String)> {
    let ours = added.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    let theirs =
        request.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
    let is_ours = |name: &str| name == "host" || added.iter().any(|(known, _)| *known == name);
    let theirs = theirs.filter(|(name, _)| !UNSIGNED.contains(&name.as_str()) && !is_ours(name));
    let host = std::iter::once(("host".to_owned(), host(to)));
    let mut headers: Vec<(String, String)> = Vec::new();
    for (name, value) in host.chain(ours).chain(theirs) {
        let value = value.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
        match headers.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => *values = format!("{values},{value}"),
            None => headers.push((name, value)),
        }
    }
    headers.sort();
    headers
}

fn host(to: &Destination) -> String {
    if to.port() == to.scheme().default_port() {
        to.host()
    } else {
        format!("{}:{}", to.host(), to.port())
    }
}

/// Each segment as it is sent, encoded once more; for S3, encoded once in all.
fn path(to: &Destination, service: &str) -> String {
    let encode = |bytes: &[u8]| percent_encode(bytes, STRICT).to_string();
    let segments = to.url().path().split('/').map(|segment| {
        if service == "s3" {
            encode(&percent_decode_str(segment).collect::<Vec<_>>())
        } else {
            encode(segment.as_bytes())
        }
    });
    let segments: Vec<_> = segments.collect();
    if service == "s3" {
        return segments.join("/");
    }
    // Elsewhere, empty segments are left out; one at the end stays.
    let inner: Vec<_> = segments.iter().filter(|it| !it.is_empty()).map(String::as_str).collect();
    let end =
        if segments.last().is_some_and(String::is_empty) && !inner.is_empty() { "/" } else { "" };
    format!("/{}{end}", inner.join("/"))
}

fn query(to: &Destination) -> String {
    let encode = |text: &str| percent_encode(text.as_bytes(), STRICT).to_string();
    let pairs = to.url().query_pairs();
    let mut pairs: Vec<_> = pairs.map(|(name, value)| (encode(&name), encode(&value))).collect();
    pairs.sort();
    let pairs: Vec<_> = pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join("&")
}

#[cfg(test)]
mod tests;
