//! The `Retry-After` header: how long a server asks to be left alone.

use std::time::{Duration, SystemTime};

/// A server that asks for more is not obeyed beyond this: the execution would seem lost.
const LONGEST: Duration = Duration::from_hours(24);

/// The pause in milliseconds; `None` if the value is neither a number of seconds nor a date.
///
/// Source: RFC 9110, section 10.2.3.
pub(super) fn pause_ms(value: &str, now: SystemTime) -> Option<u64> {
    let value = value.trim();
    let pause = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // Digits that do not fit are longer than the longest.
        value.parse().map_or(LONGEST, Duration::from_secs)
    } else {
        let until = httpdate::parse_http_date(value).ok()?;
        // A date that has passed means at once.
        until.duration_since(now).unwrap_or_default()
    };
    u64::try_from(pause.min(LONGEST).as_millis()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_become_a_pause_of_at_most_a_day() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        for (value, expected) in [
            ("0", Some(0)),
            (" 7 ", Some(7_000)),
            ("86400", Some(86_400_000)),
            ("86401", Some(86_400_000)),
            ("99999999999999999999999", Some(86_400_000)),
            ("Sun, 06 Nov 1994 08:49:40 GMT", Some(3_000)),
            ("Sun, 06 Nov 1994 08:49:30 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(pause_ms(value, now), expected, "{value:?}");
        }
    }
}
