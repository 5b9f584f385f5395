//! What memory the process has, and how much it may have: its control group's limit, or the machine's memory.

use std::fs;

/// Memory of a process, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) resident: u64,
    pub(crate) most: u64,
}

impl Memory {
    /// None where the system does not say.
    pub(crate) fn now() -> Option<Self> {
        let resident = kilobytes(&fs::read_to_string("/proc/self/status").ok()?, "VmRSS:")?;
        let machine = kilobytes(&fs::read_to_string("/proc/meminfo").ok()?, "MemTotal:")?;
        Some(Self { resident, most: group_limit().map_or(machine, |limit| limit.min(machine)) })
    }

    /// The part that is used.
    #[expect(clippy::cast_precision_loss, reason = "a part of a whole")]
    pub(crate) fn part(self) -> f64 {
        self.resident as f64 / self.most.max(1) as f64
    }
}

/// The limit of the control group, if there is one: version 2, or 1.
fn group_limit() -> Option<u64> {
    ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        .iter()
        .find_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok())
}

/// The field of a file of `/proc`, which is given in KiB.
fn kilobytes(text: &str, field: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_proc_is_read_in_bytes() {
        let text = "Name:\tstateflow\nVmRSS:\t    2048 kB\nThreads:\t3\n";
        assert_eq!(kilobytes(text, "VmRSS:"), Some(2 << 20));
        assert_eq!(kilobytes(text, "Threads:"), None);
        assert_eq!(kilobytes(text, "VmSize:"), None);
    }
}
