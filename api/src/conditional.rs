//! Reading what has changed, and changing what has not: `ETag`, `If-None-Match` and `If-Match` (RFC 9110, sections 8.8.3 and 13.1).
//! A tag is the number of a version or a revision.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use serde::Serialize;

use crate::error::ApiError;

/// A document with its tag; without its body for whoever has it already.
pub(crate) fn tagged<T: Serialize>(asked: &HeaderMap, number: i32, document: T) -> Response {
    let tag = format!("\"{number}\"");
    let known = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|it| it.to_str().ok());
    let mut tags =
        known.flat_map(|list| list.split(',')).map(|it| it.trim().trim_start_matches("W/"));
    let mut response = if tags.any(|it| it == tag || it == "*") {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        Json(document).into_response()
    };
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// The number that a change is made on condition of; none if it is made in any case.
pub(crate) fn expected(asked: &HeaderMap) -> Result<Option<i32>, ApiError> {
    let Some(value) = asked.get(header::IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let number = text.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
    // A tag that is no number is of something else, and cannot be the present one.
    let unlike = || changed_meanwhile("`If-Match` has no tag of this resource");
    number.and_then(|it| it.parse().ok()).map(Some).ok_or_else(unlike)
}

/// The refusal of a change whose condition does not hold.
pub(crate) fn changed_meanwhile(detail: &str) -> ApiError {
    ApiError::new(StatusCode::PRECONDITION_FAILED, "PRECONDITION_FAILED", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: header::HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn who_has_the_document_gets_its_tag_alone() {
        for (known, status) in [
            ("\"3\"", 304),
            ("W/\"3\"", 304),
            ("\"1\", \"3\"", 304),
            ("*", 304),
            ("\"2\"", 200),
            ("3", 200),
        ] {
            let response = tagged(&headers(header::IF_NONE_MATCH, known), 3, "document");
            assert_eq!(response.status().as_u16(), status, "{known}");
            assert_eq!(response.headers()[header::ETAG], "\"3\"");
        }
    }

    #[test]
    fn a_change_is_made_on_condition_of_a_number() {
        let of = |text| expected(&headers(header::IF_MATCH, text)).ok();
        assert_eq!([of("\"3\""), of("*")], [Some(Some(3)), Some(None)]);
        assert_eq!([of("3"), of("\"x\""), of("W/\"3\"")], [None; 3]);
        assert_eq!(expected(&HeaderMap::new()).unwrap(), None);
    }
}
