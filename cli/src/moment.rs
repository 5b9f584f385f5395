//! Instants and durations as people say them. What programs read, `--json`, has them exactly.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::Value;

/// How long ago an instant of the API was, or how soon it will be; nothing for none.
pub(crate) fn ago(instant: &Value) -> String {
    ago_from(instant, Utc::now())
}

fn ago_from(instant: &Value, now: DateTime<Utc>) -> String {
    let Some(text) = instant.as_str() else { return String::new() };
    // Better as it stands than not at all.
    let Ok(instant) = text.parse::<DateTime<Utc>>() else { return text.to_owned() };
    let passed = now - instant;
    if passed.abs() < TimeDelta::seconds(1) {
        return "now".to_owned();
    }
    // A month ago, the day says more than their number.
    if passed.abs() >= TimeDelta::days(30) {
        return instant.date_naive().to_string();
    }
    let amount = roughly(passed.abs());
    if passed < TimeDelta::zero() { format!("in {amount}") } else { format!("{amount} ago") }
}

/// In the largest unit of which there are two, or at least one below an hour.
fn roughly(duration: TimeDelta) -> String {
    let seconds = duration.num_seconds();
    match seconds {
        ..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..172_800 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A duration in milliseconds; nothing for none.
pub(crate) fn took(milliseconds: &Value) -> String {
    let Some(milliseconds) = milliseconds.as_f64() else { return String::new() };
    if milliseconds < 10.0 {
        return format!("{milliseconds:.1}ms");
    }
    if milliseconds < 1_000.0 {
        return format!("{milliseconds:.0}ms");
    }
    if milliseconds < 60_000.0 {
        return format!("{:.1}s", milliseconds / 1e3);
    }
    // Negative ones are below ten already.
    let whole = Duration::try_from_secs_f64((milliseconds / 1e3).round()).unwrap_or_default();
    humantime::format_duration(whole).to_string()
}

/// From one instant of the API to another; nothing if one of them is not there.
pub(crate) fn between(from: &Value, to: &Value) -> String {
    let instant = |it: &Value| it.as_str().and_then(|it| it.parse::<DateTime<Utc>>().ok());
    let Some((from, to)) = instant(from).zip(instant(to)) else { return String::new() };
    // Two clocks may have written them.
    let passed = (to - from).max(TimeDelta::zero());
    took(&Value::from(passed.as_seconds_f64() * 1e3))
}

/// When something was, counted from the beginning, such as `+1.2s`.
pub(crate) fn offset(from: &Value, to: &Value) -> String {
    let passed = between(from, to);
    if passed.is_empty() { passed } else { format!("+{passed}") }
}

/// An instant as it is written on the command line: itself, or how long ago it was.
pub(crate) fn parse(text: &str) -> Result<DateTime<Utc>, String> {
    if let Ok(instant) = text.parse::<DateTime<Utc>>() {
        return Ok(instant);
    }
    let wanted = "write an instant such as 2027-01-31T08:00:00Z, or how long ago: 30m, 2h, 7days";
    let passed = humantime::parse_duration(text).map_err(|_| wanted.to_owned())?;
    let passed = TimeDelta::from_std(passed).map_err(|_| wanted.to_owned())?;
    Utc::now().checked_sub_signed(passed).ok_or_else(|| wanted.to_owned())
}

/// An instant as the API takes it.
pub(crate) fn exact(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn instants_are_as_old_as_they_look() {
        let now: DateTime<Utc> = "2027-01-31T12:00:00Z".parse().unwrap();
        for (instant, said) in [
            (json!(null), ""),
            (json!("soon"), "soon"),
            (json!("2027-01-31T11:59:59.500Z"), "now"),
            (json!("2027-01-31T11:59:59Z"), "1s ago"),
            (json!("2027-01-31T11:59:00.001Z"), "59s ago"),
            (json!("2027-01-31T11:59:00Z"), "1m ago"),
            (json!("2027-01-31T11:00:00.001Z"), "59m ago"),
            (json!("2027-01-31T11:00:00Z"), "1h ago"),
            (json!("2027-01-29T12:00:00.001Z"), "47h ago"),
            (json!("2027-01-29T12:00:00Z"), "2d ago"),
            (json!("2027-01-01T12:00:00.001Z"), "29d ago"),
            (json!("2027-01-01T12:00:00Z"), "2027-01-01"),
            (json!("2027-01-31T12:05:00Z"), "in 5m"),
            (json!("2027-03-31T12:05:00Z"), "2027-03-31"),
        ] {
            assert_eq!(ago_from(&instant, now), said, "{instant}");
        }
    }

    #[test]
    fn durations_have_the_unit_that_fits() {
        for (milliseconds, said) in [
            (json!(null), ""),
            (json!(0.25), "0.2ms"),
            (json!(9.96), "10.0ms"),
            (json!(12.4), "12ms"),
            (json!(1_234.0), "1.2s"),
            (json!(61_000), "1m 1s"),
            (json!(3_600_000), "1h"),
        ] {
            assert_eq!(took(&milliseconds), said);
        }
        let (from, to) = (json!("2027-01-31T12:00:00Z"), json!("2027-01-31T12:00:01.5Z"));
        assert_eq!((offset(&from, &to), offset(&to, &from)), ("+1.5s".into(), "+0.0ms".into()));
    }

    #[test]
    fn an_instant_is_written_as_such_or_as_a_duration() {
        assert_eq!(exact(parse("2027-01-31T08:00:00Z").unwrap()), "2027-01-31T08:00:00.000Z");
        assert_eq!(exact(parse("2027-01-31T09:00:00+01:00").unwrap()), "2027-01-31T08:00:00.000Z");
        let before = Utc::now();
        let parsed = parse("2h").unwrap() + TimeDelta::hours(2);
        assert!((before..=Utc::now()).contains(&parsed), "{parsed}");
        for wrong in ["yesterday", "2027-13-01T00:00:00Z", "-2h", "", "99999999years"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
