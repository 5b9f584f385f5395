//! What the compiler's process gives up before it looks at a stranger's bytes: time, memory, files, the network, and
//! every system call that compiling does not need.
//!
//! Limits that the system cannot set are an error, except where a container's own rules forbid asking: namespaces and
//! the filter are a second fence behind limits that hold by themselves.

use std::{io, time::Duration};

use nix::{
    sched::{CloneFlags, unshare},
    sys::resource::{Resource, setrlimit},
};

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

use crate::config::CompileLimits;

/// What comes out beside the code: the component, and a line about it.
const OUTPUT_MARGIN: u64 = 80 << 20;

/// Files that are open when the work begins, and a few.
const MAX_FILES: u64 = 32;

/// Address space beyond the memory that is written to: the program itself, and stacks that are only reserved.
const ADDRESS_MARGIN: u64 = 2 << 30;

/// Lowers everything for good. Called before any thread is started.
pub(crate) fn enter(limits: &CompileLimits) -> io::Result<()> {
    limit(Resource::RLIMIT_CORE, 0)?;
    limit(Resource::RLIMIT_CPU, seconds(limits.cpu))?;
    limit(Resource::RLIMIT_FSIZE, limits.code_bytes.saturating_add(OUTPUT_MARGIN))?;
    limit(Resource::RLIMIT_NOFILE, MAX_FILES)?;
    limit(Resource::RLIMIT_DATA, limits.memory_bytes)?;
    limit(Resource::RLIMIT_AS, limits.memory_bytes.saturating_add(ADDRESS_MARGIN))?;
    // Whoever waits for us has gone: nobody wants the result.
    nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
    nix::sys::prctl::set_no_new_privs()?;
    // Not everywhere allowed; there is nothing here that would use a network.
    let _ = unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET);
    Ok(())
}

/// Forbids all system calls but those that compute, read and write. For the thread that calls it and those that it
/// starts.
pub(crate) fn seal() -> Result<(), Box<dyn std::error::Error>> {
    let filter = SeccompFilter::new(
        allowed().into_iter().map(|call| (call, Vec::new())).collect(),
        // Refused and not killed: libraries ask for more than they need, and go on without.
        SeccompAction::Errno(nix::errno::Errno::EPERM as u32),
        SeccompAction::Allow,
        std::env::consts::ARCH.try_into()?,
    )?;
    seccompiler::apply_filter(&BpfProgram::try_from(filter)?)?;
    Ok(())
}

fn limit(resource: Resource, most: u64) -> io::Result<()> {
    setrlimit(resource, most, most).map_err(io::Error::from)
}

/// Whole seconds, as the system counts processor time.
fn seconds(cpu: Duration) -> u64 {
    cpu.as_secs() + u64::from(cpu.subsec_nanos() > 0)
}

/// What the compiler, the allocator, a thread and an exit need.
fn allowed() -> [i64; 27] {
    use nix::libc;
    [
        libc::SYS_read,
        libc::SYS_write,
        libc::SYS_close,
        libc::SYS_fstat,
        libc::SYS_lseek,
        libc::SYS_mmap,
        libc::SYS_munmap,
        libc::SYS_mremap,
        libc::SYS_mprotect,
        libc::SYS_madvise,
        libc::SYS_brk,
        libc::SYS_futex,
        libc::SYS_clone3,
        libc::SYS_clone,
        libc::SYS_set_robust_list,
        libc::SYS_rseq,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sigaltstack,
        libc::SYS_sched_yield,
        libc::SYS_sched_getaffinity,
        libc::SYS_clock_gettime,
        libc::SYS_getrandom,
        libc::SYS_gettid,
        libc::SYS_exit,
        libc::SYS_exit_group,
    ]
}
