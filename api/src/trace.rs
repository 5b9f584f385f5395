//! The trace that a request belongs to.

use axum::http::HeaderMap;
use engine::trace::TraceParent;

/// The caller's span. A header that is none is passed over and a new trace begins, as the standard wants it.
///
/// Source: W3C Trace Context, level 1, section 4.3.
pub(crate) fn caller(headers: &HeaderMap) -> Option<TraceParent> {
    let mut given = headers.get_all("traceparent").iter();
    let one = given.next()?.to_str().ok()?.parse().ok()?;
    given.next().is_none().then_some(one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_good_header_is_taken_and_nothing_else() {
        const GIVEN: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let mut headers = HeaderMap::new();
        assert_eq!(caller(&headers), None);
        headers.append("traceparent", "nonsense".parse().unwrap());
        assert_eq!(caller(&headers), None);
        headers.insert("traceparent", GIVEN.parse().unwrap());
        assert_eq!(caller(&headers).unwrap().to_string(), GIVEN);
        headers.append("traceparent", GIVEN.parse().unwrap());
        assert_eq!(caller(&headers), None, "which of the two?");
    }
}
