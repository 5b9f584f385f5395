//! Judges how an attempt ended: one error code for each limit, and advice on trying again.

use engine::{
    attempt::Outcome,
    cut::cut,
    failure::{ErrorCode, Failure, RetryAdvice},
};
use serde_json::{Value, json};
use wasmtime::{Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

use crate::{
    attempt::{Ended, Interruption},
    bindings::step::stateflow::plugin::types::{Failure as GuestFailure, StepError},
    config::{CallLimits, SandboxConfig},
    guest::Streams,
    prepared::Ending,
};

/// Lines of a failed program's log that go into the failure's details.
const STDERR_TAIL: usize = 10;

/// What is shown of an output that is not JSON, in bytes.
const OUTPUT_SHOWN_BYTES: usize = 200;

/// Frames of a trap's backtrace that go into the failure's details.
const MAX_FRAMES: usize = 8;

/// What an attempt is judged by.
pub(crate) struct Bench<'a> {
    pub(crate) config: &'a SandboxConfig,
    pub(crate) limits: &'a CallLimits,
    pub(crate) streams: &'a Streams,
}

impl Bench<'_> {
    /// What the attempt came to.
    pub(crate) fn judge(&self, mut ended: Ended) -> Outcome {
        match (ended.suspension.take(), &ended.outcome) {
            (Some(suspension), Err(Interruption::Trapped(_))) => {
                Outcome::Suspended(Box::new(suspension))
            }
            _ => {
                let late = ended.late;
                self.result(ended).map_err(|failure| self.in_time(failure, late)).into()
            }
        }
    }

    /// A request that waited until the deadline fails at it, and the guest may still say so before it is stopped. Which
    /// comes first is chance; the code must not be.
    fn in_time(&self, failure: Failure, late: bool) -> Failure {
        match failure.code {
            ErrorCode::PluginError | ErrorCode::GuestTrap if late => self
                .timed_out()
                .with_details(json!({ "timeoutMs": self.timeout_ms(), "said": failure.message })),
            _ => failure,
        }
    }

    /// The attempt's output, or its failure.
    fn result(&self, ended: Ended) -> Result<Value, Failure> {
        if self.streams.stdout.overflowed() {
            return Err(self.too_large());
        }
        match ended.outcome {
            Ok(Ending::Output(text)) => self.output(text.as_bytes()),
            Ok(Ending::Returned(true)) => self.output(&self.streams.stdout.take()),
            Ok(Ending::Returned(false)) => Err(self.exited(1)),
            Ok(Ending::MinimalError(text)) => {
                Err(Failure::new(ErrorCode::PluginError, self.shortened(&text)))
            }
            Ok(Ending::StepError(error)) => Err(self.step_error(error)),
            Err(Interruption::Deadline) => Err(self.timed_out()),
            Err(Interruption::Cancelled) => Err(cancelled()),
            Err(Interruption::Trapped(error)) => self.trapped(&error, ended.denials),
        }
    }

    /// The attempt passed its wall clock.
    pub(crate) fn timed_out(&self) -> Failure {
        let ms = self.timeout_ms();
        Failure::new(
            ErrorCode::Timeout,
            format!("plugin was stopped after {ms} ms; do less in it, or raise the step's timeout and what policies allow"),
        )
        .with_details(json!({ "timeoutMs": ms }))
    }

    fn timeout_ms(&self) -> u64 {
        u64::try_from(self.limits.timeout.as_millis()).unwrap_or(u64::MAX)
    }

    fn trapped(&self, error: &wasmtime::Error, denials: u32) -> Result<Value, Failure> {
        if let Some(I32Exit(code)) = error.downcast_ref() {
            // C libraries leave through `exit` even when all is well.
            return match code {
                0 => self.output(&self.streams.stdout.take()),
                code => Err(self.exited(*code)),
            };
        }
        let trap = error.downcast_ref::<Trap>().copied();
        Err(match trap {
            Some(Trap::OutOfFuel) => self.out_of_fuel(),
            Some(Trap::StackOverflow) => {
                Failure::permanent(ErrorCode::StackOverflow, "plugin recursed too deeply")
                    .with_details(json!({ "stackBytes": self.config.stack_bytes }))
            }
            _ if denials > 0 => self.out_of_memory(trap, denials),
            Some(trap) => guest_trap(trap, error),
            None if error.to_string().contains("fuel allocated for hostcalls") => self.too_large(),
            None => {
                Failure::new(ErrorCode::GuestTrap, format!("plugin was ended by the host: {error}"))
            }
        })
    }

    fn output(&self, text: &[u8]) -> Result<Value, Failure> {
        if text.len() > self.config.max_output_bytes {
            return Err(self.too_large());
        }
        serde_json::from_slice(text).map_err(|error| {
            let message = if text.is_empty() {
                "plugin wrote no output; it has to write JSON".to_owned()
            } else {
                format!("plugin's output is not JSON: {error}")
            };
            let start = cut(&String::from_utf8_lossy(text), OUTPUT_SHOWN_BYTES).into_owned();
            Failure::permanent(ErrorCode::PluginError, message)
                .with_details(json!({ "output": start }))
        })
    }

    fn step_error(&self, error: StepError) -> Failure {
        match error {
            StepError::Retryable(failure) => self.guest_failure(failure),
            StepError::Permanent(failure) => {
                self.guest_failure(failure).with_advice(RetryAdvice::Permanent)
            }
            StepError::RateLimited(ms) => {
                Failure::new(ErrorCode::PluginError, "plugin asks to be called again later")
                    .with_details(json!({ "retryAfterMs": ms }))
                    .with_advice(RetryAdvice::AfterMs(ms))
            }
            StepError::Cancelled => cancelled(),
        }
    }

    fn guest_failure(&self, failure: GuestFailure) -> Failure {
        // Details that are not JSON are still worth showing.
        let details = failure.details.map(|text| {
            serde_json::from_str(&text).unwrap_or_else(|_| Value::from(self.shortened(&text)))
        });
        let mut facts = json!({ "code": self.shortened(&failure.code) });
        if let Some(details) = details {
            facts["details"] = details;
        }
        Failure::new(ErrorCode::PluginError, self.shortened(&failure.message)).with_details(facts)
    }

    fn exited(&self, code: i32) -> Failure {
        let tail = self.streams.log.tail(STDERR_TAIL);
        Failure::new(ErrorCode::PluginError, format!("plugin exited with code {code}"))
            .with_details(json!({ "exitCode": code, "stderr": tail }))
    }

    fn out_of_fuel(&self) -> Failure {
        let fuel = self.limits.fuel;
        Failure::permanent(
            ErrorCode::FuelExhausted,
            format!("plugin used up its {fuel} fuel; do less in it, or raise the step's limit and what policies allow"),
        )
        .with_details(json!({ "fuel": fuel }))
    }

    fn out_of_memory(&self, trap: Option<Trap>, denials: u32) -> Failure {
        let bytes = self.limits.memory_bytes;
        Failure::permanent(
            ErrorCode::MemoryLimit,
            format!("plugin needs more than its {bytes} bytes of memory or its table space"),
        )
        .with_details(json!({
            "memoryBytes": bytes,
            "tableElements": self.config.shape.table_elements,
            "denials": denials,
            "trap": trap.map(|trap| trap.to_string()),
        }))
    }

    fn too_large(&self) -> Failure {
        let most = self.config.max_output_bytes;
        Failure::permanent(
            ErrorCode::OutputTooLarge,
            format!("plugin's output is larger than {most} bytes"),
        )
        .with_details(json!({ "maxBytes": most }))
    }

    /// A guest's words, no longer than a line of its log.
    fn shortened(&self, text: &str) -> String {
        cut(text, self.config.logs.line_bytes).into_owned()
    }
}

/// Somebody cancelled the attempt.
pub(crate) fn cancelled() -> Failure {
    Failure::new(ErrorCode::Cancelled, "the attempt was cancelled")
}

fn guest_trap(trap: Trap, error: &wasmtime::Error) -> Failure {
    let frames: Vec<String> = error
        .downcast_ref::<WasmBacktrace>()
        .map(|backtrace| backtrace.frames().iter().take(MAX_FRAMES).map(frame).collect())
        .unwrap_or_default();
    Failure::new(ErrorCode::GuestTrap, format!("plugin crashed: {trap}"))
        .with_details(json!({ "trap": trap.to_string(), "frames": frames }))
}

fn frame(frame: &wasmtime::FrameInfo) -> String {
    match frame.func_name() {
        // Names come from the guest and can be as long as it likes.
        Some(name) => name.chars().take(120).collect(),
        None => format!("function {}", frame.func_index()),
    }
}
