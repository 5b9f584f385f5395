//! What the numbers were measured on: read from `/proc`, because a figure without its machine says nothing.

use std::fs;
use std::path::Path;

use serde::Serialize;

/// Ticks of `/proc/*/stat` per second; fixed in the kernel's interface on every architecture that Linux runs on here.
const TICKS_PER_SECOND: f64 = 100.0;
const BYTES_PER_KIB: f64 = 1024.0;

/// The machine and the versions.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) cores: usize,
    pub(crate) cpu: String,
    pub(crate) memory_gib: f64,
    pub(crate) kernel: String,
    pub(crate) stateflow: String,
    pub(crate) postgres: String,
}

impl Machine {
    /// Reads what can be read; what cannot is empty.
    pub(crate) fn read(stateflow: &str, postgres: &str) -> Self {
        let field = |path: &str, name: &str| {
            let text = fs::read_to_string(path).unwrap_or_default();
            let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            line.split(':').nth(1).unwrap_or_default().trim().to_owned()
        };
        let memory = field("/proc/meminfo", "MemTotal");
        let kib: f64 =
            memory.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or_default();
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            cpu: field("/proc/cpuinfo", "model name"),
            memory_gib: kib / BYTES_PER_KIB / BYTES_PER_KIB,
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")
                .unwrap_or_default()
                .trim()
                .to_owned(),
            stateflow: stateflow.to_owned(),
            postgres: postgres.to_owned(),
        }
    }
}

/// CPU seconds of a process so far, with those of its children, living and reaped: a Postgres server is many processes.
pub(crate) fn cpu_seconds(pid: i32) -> f64 {
    let own = Stat::read(pid).map_or(0.0, |stat| stat.cpu);
    let children: f64 = children_of(pid).into_iter().map(cpu_seconds).sum();
    own + children
}

/// Resident memory of a process, in bytes.
pub(crate) fn resident_bytes(pid: i32) -> u64 {
    memory_line(pid, "VmRSS:")
}

/// The most resident memory that a process has ever had, in bytes.
pub(crate) fn peak_bytes(pid: i32) -> u64 {
    memory_line(pid, "VmHWM:")
}

fn memory_line(pid: i32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    let kib: u64 =
        line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or_default();
    kib << 10
}

/// How often a process's threads gave up the CPU of their own accord: what an idle process costs in wake-ups.
pub(crate) fn wake_ups(pid: i32) -> u64 {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return 0 };
    tasks
        .flatten()
        .map(|task| {
            let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
            let line =
                status.lines().find(|line| line.starts_with("voluntary_ctxt")).unwrap_or_default();
            line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0_u64)
        })
        .sum()
}

/// The fields of `/proc/PID/stat` that are needed (proc(5)).
struct Stat {
    parent: i32,
    cpu: f64,
}

impl Stat {
    fn read(pid: i32) -> Option<Self> {
        Self::of(&Path::new("/proc").join(pid.to_string()).join("stat"))
    }

    fn of(path: &Path) -> Option<Self> {
        let text = fs::read_to_string(path).ok()?;
        // The name may hold anything, blanks included; it ends at the last parenthesis.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks: f64 = fields.get(11..15)?.iter().filter_map(|it| it.parse::<f64>().ok()).sum();
        Some(Self { parent: fields.get(1)?.parse().ok()?, cpu: ticks / TICKS_PER_SECOND })
    }
}

fn children_of(parent: i32) -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| Stat::read(*pid).is_some_and(|stat| stat.parent == parent))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_used_memory_and_a_parent() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(resident_bytes(own) > 1 << 20);
        assert!(peak_bytes(own) >= resident_bytes(own) / 2);
        let parent = Stat::read(own).unwrap().parent;
        assert!(children_of(parent).contains(&own));
    }
}
