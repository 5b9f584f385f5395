//! The compiler's process for the tests: `stateflow __compile` without the rest.

use std::process::ExitCode;

fn main() -> ExitCode {
    stateflow_sandbox::serve_compiler(&std::env::args().nth(1).unwrap_or_default())
}
