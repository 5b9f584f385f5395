//! A server that gets a small part of one processor.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

/// Threads that the server's processes share their processor with.
const RIVALS: usize = 3;

/// Keeps the server slow until dropped.
#[derive(Debug)]
pub struct Throttle {
    over: Arc<AtomicBool>,
    rivals: Vec<JoinHandle<()>>,
}

impl Throttle {
    /// Confines the process, and what it starts from now on, to one processor that others keep busy.
    pub(crate) fn on(pid: Pid) -> Result<Self> {
        let mut one = CpuSet::new();
        one.set(0)?;
        sched_setaffinity(pid, &one).context("the server can be confined to a processor")?;
        let over = Arc::new(AtomicBool::new(false));
        let rival = |_| {
            let over = Arc::clone(&over);
            thread::spawn(move || {
                // Zero is the calling thread. If it cannot be confined, there is more load, not less.
                let _ = sched_setaffinity(Pid::from_raw(0), &one);
                while !over.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        };
        let rivals = (0..RIVALS).map(rival).collect();
        Ok(Self { over, rivals })
    }
}

impl Drop for Throttle {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for rival in self.rivals.drain(..) {
            // A thread that only spins does not panic.
            drop(rival.join());
        }
    }
}
