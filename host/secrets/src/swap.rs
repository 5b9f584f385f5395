//! Puts secrets where placeholders stand.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use egress::SecretRefused;
use egress::secrets::{Outlet, Written};
use url::form_urlencoded;

use crate::forms::json_inner;
use crate::holder::Holder;

/// `None` if there is no placeholder.
pub(crate) fn swap(
    holder: &Holder,
    bytes: &[u8],
    outlet: &Outlet<'_>,
) -> Result<Option<Vec<u8>>, SecretRefused> {
    if let Some(credentials) = basic_credentials(bytes) {
        let swapped = plain(holder, &credentials, outlet)?;
        return Ok(swapped.map(|it| format!("Basic {}", BASE64_STANDARD.encode(it)).into_bytes()));
    }
    plain(holder, bytes, outlet)
}

fn plain(
    holder: &Holder,
    bytes: &[u8],
    outlet: &Outlet<'_>,
) -> Result<Option<Vec<u8>>, SecretRefused> {
    let found = holder.placeholders().find(bytes);
    if found.is_empty() {
        return Ok(None);
    }
    let (mut swapped, mut copied) = (Vec::with_capacity(bytes.len()), 0);
    for placeholder in found {
        let value = holder.value_for(&placeholder.name, outlet)?;
        swapped.extend_from_slice(&bytes[copied..placeholder.range.start]);
        match outlet.written {
            Written::Plain => swapped.extend_from_slice(value.as_bytes()),
            Written::Json => swapped.extend_from_slice(json_inner(value).as_bytes()),
            Written::Form => {
                form_urlencoded::byte_serialize(value.as_bytes())
                    .for_each(|part| swapped.extend_from_slice(part.as_bytes()));
            }
        }
        copied = placeholder.range.end;
    }
    swapped.extend_from_slice(&bytes[copied..]);
    Ok(Some(swapped))
}

/// What `Basic …` says. Nobody but us can write a secret into it: an expression sees its placeholder alone.
///
/// Source: RFC 7617, section 2.
fn basic_credentials(bytes: &[u8]) -> Option<Vec<u8>> {
    let (scheme, encoded) = bytes.split_at_checked("basic ".len())?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    BASE64_STANDARD.decode(encoded.trim_ascii()).ok()
}
