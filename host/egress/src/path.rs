//! Whether a path lies below a prefix, by whole segments, as the server that gets it may read it.
//!
//! A server may decode `%2f` before it looks for `..`, decode twice, or cut `;…` off a segment. A path that could
//! climb out of a prefix in any of these readings lies below none.

use percent_encoding::percent_decode_str;

/// How often a path may be encoded before nobody can say what it is.
const MAX_DECODINGS: usize = 4;

/// The segments of a path, decoded once. A trailing slash makes no difference: `/v1/` is `/v1`.
///
/// `None` if the path could be read as another one.
pub(crate) fn segments(path: &str) -> Option<Vec<Vec<u8>>> {
    let mut segments: Vec<_> = path.trim_start_matches('/').split('/').collect();
    // The first slash belongs to the path; more of them are empty segments.
    let leading = path.len() - path.trim_start_matches('/').len();
    for _ in 1..leading {
        segments.insert(0, "");
    }
    while segments.last() == Some(&"") {
        segments.pop();
    }
    segments.into_iter().map(plain).collect()
}

/// A segment's bytes, unless a second reading of it is a slash or a step upwards.
fn plain(segment: &str) -> Option<Vec<u8>> {
    let once: Vec<u8> = percent_decode_str(segment).collect();
    let mut reading = once.clone();
    for _ in 0..MAX_DECODINGS {
        if is_tricky(&reading) {
            return None;
        }
        let next: Vec<u8> = percent_encoding::percent_decode(&reading).collect();
        if next == reading {
            return Some(once);
        }
        reading = next;
    }
    None
}

fn is_tricky(segment: &[u8]) -> bool {
    let named = segment.split(|&byte| byte == b';').next().unwrap_or_default();
    let controls = |&byte: &u8| byte < b' ' || byte == 0x7f;
    matches!(named, b"." | b"..")
        || segment.iter().any(|&byte| matches!(byte, b'/' | b'\\'))
        || segment.iter().any(controls)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_could_be_read_as_another_has_no_segments() {
        for path in [
            "/v1/%2e%2e/x",
            "/v1/..%2fx",
            "/v1/%2Fx",
            "/v1/a%5cb",
            "/v1/%252e%252e/x",
            "/v1/%25252fx",
            "/v1/..;a=b/x",
            "/v1/.;/x",
            "/v1/a%00b",
            "/v1/a%0d%0ab",
            "/v1/%25252525252541",
        ] {
            assert_eq!(segments(path), None, "{path}");
        }
    }

    #[test]
    fn segments_are_compared_decoded_and_a_trailing_slash_is_nothing() {
        assert_eq!(segments("/"), Some(vec![]));
        assert_eq!(segments(""), Some(vec![]));
        assert_eq!(segments("/v1/"), segments("/v1"));
        assert_eq!(segments("/%76%31/a%20b"), Some(vec![b"v1".to_vec(), b"a b".to_vec()]));
        assert_eq!(segments("//v1"), Some(vec![b"".to_vec(), b"v1".to_vec()]));
        assert_eq!(segments("/v1;x/50%25"), Some(vec![b"v1;x".to_vec(), b"50%".to_vec()]));
    }
}
