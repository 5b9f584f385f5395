//! The operator's numbers: ceilings, defaults and the sizes of pools. Read once, validated as a
//! whole.

use std::{path::PathBuf, time::Duration};

use serde::{Deserialize, Serialize};

use crate::error::SandboxError;

/// Linear memory is handed out in pages of this size.
pub(crate) const WASM_PAGE: u64 = 64 << 10;

/// What one attempt may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallLimits {
    /// Units of work; roughly one per instruction and one per byte of a bulk operation.
    pub fuel: u64,
    /// Linear memory, summed over all memories of all instances of the attempt.
    pub memory_bytes: u64,
    /// Wall clock, host calls and the wait for a free slot included.
    pub timeout: Duration,
}

impl CallLimits {
    /// These limits, lowered to the ceilings where they are above them.
    pub fn clamped(self, ceilings: &Self) -> Self {
        Self {
            fuel: self.fuel.min(ceilings.fuel),
            memory_bytes: self.memory_bytes.min(ceilings.memory_bytes),
            timeout: self.timeout.min(ceilings.timeout),
        }
    }
}

/// What one attempt may log. What is over is counted and dropped, never an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLimits {
    /// Lines of one attempt.
    pub lines: usize,
    /// Bytes of one line, its fields included.
    pub line_bytes: usize,
    /// Bytes of all lines together.
    pub total_bytes: usize,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self { lines: 256, line_bytes: 2 << 10, total_bytes: 64 << 10 }
    }
}

/// What a module may look like before a compiler is let near it: the shapes that make compilers
/// slow. The defaults let Go through, whose honest programs nest 300 blocks and have 42,000 data
/// segments, and `CPython`, whose largest function has 427 KB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct ShapeLimits {
    /// Functions in all core modules together.
    pub functions: u32,
    /// Bytes of one function's body.
    pub body_bytes: u32,
    /// Locals of one function.
    pub locals: u32,
    /// `br_table` targets of one function.
    pub branch_targets: u32,
    /// Blocks, loops and ifs of one function.
    pub blocks: u32,
    /// How deep blocks nest.
    pub nesting: u32,
    /// Data segments of one module.
    pub data_segments: u32,
    /// Tables of one attempt.
    pub tables: u32,
    /// Elements of all tables of one attempt together.
    pub table_elements: u32,
    /// Linear memories of one attempt.
    pub memories: u32,
    /// Core modules and components inside one upload.
    pub modules: u32,
}

impl Default for ShapeLimits {
    fn default() -> Self {
        Self {
            functions: 30_000,
            body_bytes: 512 << 10,
            locals: 2_000,
            branch_targets: 20_000,
            blocks: 16_000,
            nesting: 1_000,
            data_segments: 100_000,
            tables: 16,
            table_elements: 50_000,
            memories: 4,
            modules: 160,
        }
    }
}

/// Where plugins are compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// On a thread of this process. A module that makes the compiler run for ever does so here: for tests and
    /// for authors' own modules.
    Thread,
    /// In a process of its own, which [`serve_compiler`](crate::serve_compiler) has to be the whole of: it can be
    /// killed, and its limits are the system's.
    Process {
        /// The program.
        program: PathBuf,
        /// Its arguments; one more, with the instructions, follows.
        arguments: Vec<String>,
    },
}

/// What compiling one plugin may use, at each level of optimisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompileLimits {
    /// Processor time.
    pub cpu: Duration,
    /// Wall clock.
    pub wall: Duration,
    /// Memory that is written to.
    pub memory_bytes: u64,
    /// The machine code that comes out.
    pub code_bytes: u64,
}

impl Default for CompileLimits {
    /// Honest code takes 1.0 to 1.6 s of processor time for each MB and gives 2.5 to 4 times its size: room for the
    /// largest interpreters that are uploaded, not for what is ten times as dear.
    fn default() -> Self {
        Self {
            cpu: Duration::from_secs(30),
            wall: Duration::from_mins(1),
            memory_bytes: 1536 << 20,
            code_bytes: 256 << 20,
        }
    }
}

/// What building a plugin depends on apart from its bytes. Crosses into the compiler's process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BuildSettings {
    pub(crate) shape: ShapeLimits,
    pub(crate) max_upload_bytes: usize,
    pub(crate) max_memory_bytes: u64,
    pub(crate) stack_bytes: usize,
}

/// Everything that an operator can set.
#[derive(Clone, Debug)]
pub struct SandboxConfig {
    /// Where compiled plugins are kept over restarts. `None` compiles anew after every restart.
    pub cache_dir: Option<PathBuf>,
    /// The key that compiled plugins are authenticated with. Whoever has it can run native code
    /// here.
    pub cache_key: [u8; 32],
    /// Attempts that run at the same time; more wait.
    pub max_concurrent_calls: u32,
    /// Threads that guests run on. 0 is one per core.
    pub guest_threads: usize,
    /// The hard maxima of an attempt.
    pub ceilings: CallLimits,
    /// The limits of an attempt whose step asks for none.
    pub defaults: CallLimits,
    /// Bytes of one upload.
    pub max_upload_bytes: usize,
    /// Bytes of an attempt's resolved config, as JSON.
    pub max_input_bytes: usize,
    /// Bytes of an attempt's output, as JSON.
    pub max_output_bytes: usize,
    /// What an attempt may log.
    pub logs: LogLimits,
    /// What a module may look like.
    pub shape: ShapeLimits,
    /// Where plugins are compiled.
    pub isolation: Isolation,
    /// What compiling one plugin may use.
    pub compile: CompileLimits,
    /// Plugins that are compiled at the same time.
    pub max_concurrent_compiles: usize,
    /// How long a caller waits for a compilation, its turn included.
    pub compile_timeout: Duration,
    /// Bytes of compiled plugins that are kept on disk; the longest unused go first.
    pub cache_dir_bytes: u64,
    /// Bytes of machine code that are kept in memory.
    pub code_cache_bytes: u64,
    /// The guest's part of the stack.
    pub stack_bytes: usize,
}

impl SandboxConfig {
    /// The defaults, with this key for the artifact cache and no directory for it.
    pub fn new(cache_key: [u8; 32]) -> Self {
        Self {
            cache_dir: None,
            cache_key,
            max_concurrent_calls: 64,
            guest_threads: 0,
            ceilings: CallLimits {
                fuel: 50_000_000_000,
                memory_bytes: 512 << 20,
                timeout: Duration::from_mins(15),
            },
            defaults: CallLimits {
                fuel: 500_000_000,
                memory_bytes: 64 << 20,
                timeout: Duration::from_mins(1),
            },
            max_upload_bytes: 32 << 20,
            max_input_bytes: 1 << 20,
            max_output_bytes: 1 << 20,
            logs: LogLimits::default(),
            shape: ShapeLimits::default(),
            isolation: Isolation::Thread,
            compile: CompileLimits::default(),
            max_concurrent_compiles: 1,
            compile_timeout: Duration::from_mins(3),
            cache_dir_bytes: 2 << 30,
            code_cache_bytes: 512 << 20,
            stack_bytes: 512 << 10,
        }
    }

    pub(crate) fn build_settings(&self) -> BuildSettings {
        BuildSettings {
            shape: self.shape,
            max_upload_bytes: self.max_upload_bytes,
            max_memory_bytes: self.ceilings.memory_bytes,
            stack_bytes: self.stack_bytes,
        }
    }

    /// All contradictions at once.
    pub fn validate(&self) -> Result<(), SandboxError> {
        let mut faults = Vec::new();
        let mut check = |holds: bool, fault: &str| {
            if !holds {
                faults.push(fault.to_owned());
            }
        };
        check((1..=1024).contains(&self.max_concurrent_calls), "max_concurrent_calls: 1 to 1024");
        check(self.max_concurrent_compiles >= 1, "max_concurrent_compiles: at least 1");
        check(self.ceilings.fuel > 0, "ceilings.fuel: more than 0");
        check(
            (WASM_PAGE..=4 << 30).contains(&self.ceilings.memory_bytes),
            "ceilings.memory_bytes: from 64 KiB to 4 GiB",
        );
        check(!self.ceilings.timeout.is_zero(), "ceilings.timeout: more than 0");
        check(
            self.defaults == self.defaults.clamped(&self.ceilings),
            "defaults: not above the ceilings",
        );
        check(self.max_upload_bytes > 0, "max_upload_bytes: more than 0");
        check(!self.compile.cpu.is_zero(), "compile.cpu: more than 0");
        check(self.compile.code_bytes > 0, "compile.code_bytes: more than 0");
        check(
            (64 << 10..=1 << 20).contains(&self.stack_bytes),
            "stack_bytes: from 64 KiB to 1 MiB",
        );
        if faults.is_empty() { Ok(()) } else { Err(SandboxError::Config(faults.join("; "))) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        SandboxConfig::new([0; 32]).validate().unwrap();
    }

    #[test]
    fn all_faults_are_reported_at_once() {
        let mut config = SandboxConfig::new([0; 32]);
        config.max_concurrent_calls = 0;
        config.defaults.fuel = u64::MAX;
        let message = config.validate().unwrap_err().to_string();
        assert!(message.contains("max_concurrent_calls") && message.contains("defaults"));
    }

    #[test]
    fn limits_are_lowered_to_the_ceilings_and_never_raised() {
        let ceilings = CallLimits { fuel: 10, memory_bytes: 10, timeout: Duration::from_secs(10) };
        let asked = CallLimits { fuel: 11, memory_bytes: 9, timeout: Duration::from_secs(99) };
        assert_eq!(asked.clamped(&ceilings), CallLimits { memory_bytes: 9, ..ceilings });
    }
}
