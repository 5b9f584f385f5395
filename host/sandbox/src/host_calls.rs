//! How often a guest called each of the interfaces that the host gives it beside WASI; requests are counted by themselves,
//! whichever interface makes them.

/// The interfaces of `stateflow:plugin`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Import {
    Log,
    Http,
    Secrets,
    Signing,
    Revealing,
    Progress,
    Blob,
}

const NAMES: [&str; 7] = ["log", "http", "secrets", "signing", "revealing", "progress", "blob"];

/// Calls of one attempt, by interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HostCalls([u64; NAMES.len()]);

impl HostCalls {
    pub(crate) fn count(&mut self, import: Import) {
        self.0[import as usize] += 1;
    }

    /// The interfaces that were called, and how often.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        NAMES.into_iter().zip(self.0).filter(|(_, calls)| *calls > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_under_the_name_of_their_interface() {
        let mut calls = HostCalls::default();
        calls.count(Import::Log);
        calls.count(Import::Blob);
        calls.count(Import::Blob);
        assert_eq!(calls.iter().collect::<Vec<_>>(), [("log", 1), ("blob", 2)]);
    }
}
