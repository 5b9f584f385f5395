//! How fast history is gone through.

use std::time::{Duration, Instant};

/// Blocks of a table that are looked at together: some ten thousand executions, a few milliseconds.
const PAGE: i64 = 512;
/// A piece of work is followed by so many times its duration of rest: of one processor, nobody else misses more than a sixth.
const REST: u32 = 5;
/// Nothing needs to rest for longer.
const LONGEST: Duration = Duration::from_secs(10);

/// Rests from work that began at an instant. Deleting is in no hurry, and everybody else may be.
pub async fn rest_from(began: Instant) {
    tokio::time::sleep((began.elapsed() * REST).min(LONGEST)).await;
}

/// The pages of a table: from which block up to which. The last one has no end, for what is added meanwhile.
pub(super) fn pages(blocks: i64) -> impl Iterator<Item = (i64, i64)> {
    let last = blocks / PAGE;
    (0..=last).map(move |page| {
        let to = if page == last { i64::from(u32::MAX) } else { (page + 1) * PAGE };
        (page * PAGE, to)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_have_every_block_once() {
        let end = i64::from(u32::MAX);
        for (blocks, expected) in [
            (0, vec![(0, end)]),
            (PAGE - 1, vec![(0, end)]),
            (PAGE, vec![(0, PAGE), (PAGE, end)]),
            (2 * PAGE + 1, vec![(0, PAGE), (PAGE, 2 * PAGE), (2 * PAGE, end)]),
        ] {
            assert_eq!(pages(blocks).collect::<Vec<_>>(), expected, "{blocks}");
        }
    }
}
