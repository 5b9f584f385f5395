//! How long things are kept, as an operator writes it: `succeeded=7d,failed=90d,audit=forever`.

use std::time::Duration;

use store::retention::Retention;

/// The longest time; what is longer is meant as `forever`.
const MAX_DAYS: u64 = 36_500;

/// What is said, on top of the defaults.
pub(crate) fn retention(text: &str) -> Result<Retention, String> {
    let mut retention = Retention::default();
    let mut said = Vec::new();
    for pair in text.split(',').map(str::trim).filter(|it| !it.is_empty()) {
        let (name, time) = pair.split_once('=').ok_or_else(|| {
            format!("`{pair}` is not NAME=TIME, such as succeeded=7d or audit=forever")
        })?;
        if said.contains(&name) {
            return Err(format!("`{name}` is there twice"));
        }
        said.push(name);
        *field(&mut retention, name)? = kept(time)?;
    }
    Ok(retention)
}

fn field<'a>(retention: &'a mut Retention, name: &str) -> Result<&'a mut Option<Duration>, String> {
    Ok(match name {
        "succeeded" => &mut retention.succeeded,
        "failed" => &mut retention.failed,
        "cancelled" => &mut retention.cancelled,
        "dead-letters" => &mut retention.dead_letters,
        "events" => &mut retention.events,
        "keys" => &mut retention.keys,
        "audit" => &mut retention.audit,
        "bulk-actions" => &mut retention.bulk_actions,
        "blobs" => &mut retention.blobs,
        _ => {
            return Err(format!(
                "there is no `{name}`: succeeded, failed, cancelled, dead-letters, events, keys, audit, \
                 bulk-actions, blobs"
            ));
        }
    })
}

fn kept(time: &str) -> Result<Option<Duration>, String> {
    if time == "forever" {
        return Ok(None);
    }
    let wrong =
        || format!("`{time}` is not a time: a number with h or d, such as 12h or 7d; or forever");
    let (number, hours) = match (time.strip_suffix('h'), time.strip_suffix('d')) {
        (Some(number), _) => (number, 1),
        (_, Some(number)) => (number, 24),
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let hours = number.saturating_mul(hours);
    if !(1..=MAX_DAYS * 24).contains(&hours) {
        return Err(format!("`{time}` is out of range: 1h to {MAX_DAYS}d"));
    }
    Ok(Some(Duration::from_hours(hours)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_as_it_was() {
        let defaults = Retention::default();
        assert_eq!(retention(""), Ok(defaults));
        let wanted = Retention {
            succeeded: Some(Duration::from_hours(12)),
            dead_letters: Some(Duration::from_hours(365 * 24)),
            audit: None,
            ..defaults
        };
        assert_eq!(retention("succeeded=12h, dead-letters=365d,audit=forever"), Ok(wanted));
        assert_eq!(retention("keys=1h").unwrap().keys, Some(Duration::from_hours(1)));
        let longest = Some(Duration::from_hours(36_500 * 24));
        assert_eq!(retention("events=36500d").unwrap().events, longest);
    }

    #[test]
    fn what_has_no_effect_is_refused() {
        for (text, part) in [
            ("succeeded", "is not NAME=TIME"),
            ("running=1d", "there is no `running`"),
            ("failed=7", "is not a time"),
            ("failed=xd", "is not a time"),
            ("failed=0d", "out of range"),
            ("failed=36501d", "out of range"),
            ("failed=7d,failed=8d", "there twice"),
        ] {
            let said = retention(text).unwrap_err();
            assert!(said.contains(part), "{text}: {said}");
        }
    }
}
