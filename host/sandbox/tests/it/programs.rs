//! WASI programs: JSON on stdin, JSON on stdout, stderr as the log, the exit code as the verdict.

use std::collections::BTreeSet;

use engine::capability::CapabilityKind;
use engine::failure::{ErrorCode, RetryAdvice};
use serde_json::json;
use stateflow_sandbox::PluginKind;

use crate::{
    bench::{LIMITS, admit, attempt, call, call_of, code, details, failure, output, sandbox},
    guests::{program, wat},
};

const PRINT_OK: &str = "(call $print (i32.const 1) (i32.const 1024) (i32.const 4))";

/// Reads all of stdin to 65536 and writes it to stdout.
fn echo() -> Vec<u8> {
    program(
        "",
        "(loop $more
            (i32.store (i32.const 0) (i32.add (i32.const 65536) (local.get $i)))
            (i32.store (i32.const 4) (i32.const 4096))
            (drop (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
            (local.set $i (i32.add (local.get $i) (i32.load (i32.const 8))))
            (br_if $more (i32.load (i32.const 8))))
         (call $print (i32.const 1) (i32.const 65536) (local.get $i))",
    )
}

#[tokio::test]
async fn a_program_gets_its_config_on_stdin_and_answers_on_stdout() {
    let sandbox = sandbox();
    let admitted = admit(&sandbox, &echo()).await;
    assert_eq!(admitted.kind, PluginKind::CommandP1);
    assert_eq!(admitted.capabilities, BTreeSet::from([CapabilityKind::Clock]));
    assert_eq!(admitted.manifest, None);
    let config = json!({"title": "Grüße", "n": [1, 2.5, null]});
    let report = sandbox.call(&admitted.prepared, call_of(config.clone(), LIMITS)).await;
    assert_eq!(output(&report), &config);
}

#[tokio::test]
async fn leaving_with_code_zero_is_success() {
    let guest = program("", &format!("{PRINT_OK} (call $exit (i32.const 0))"));
    assert_eq!(output(&call(&sandbox(), &guest, LIMITS).await), "ok");
}

#[tokio::test]
async fn leaving_with_another_code_is_a_failure_that_shows_the_end_of_stderr() {
    let guest = program(
        r#"(data (i32.const 2048) "first\nno such order")"#,
        "(call $print (i32.const 2) (i32.const 2048) (i32.const 19)) (call $exit (i32.const 3))",
    );
    let report = call(&sandbox(), &guest, LIMITS).await;
    assert_eq!(code(&report), Some(ErrorCode::PluginError));
    assert_eq!(failure(&report).advice, RetryAdvice::Policy);
    assert_eq!(*details(&report), json!({"exitCode": 3, "stderr": "first\nno such order"}));
    let lines: Vec<_> = report.report.logs.iter().map(|line| line.message.as_str()).collect();
    assert_eq!(lines, ["first", "no such order"]);
}

#[tokio::test]
async fn output_that_is_not_json_is_a_permanent_failure() {
    let guest = program(
        r#"(data (i32.const 2048) "hello")"#,
        "(call $print (i32.const 1) (i32.const 2048) (i32.const 5))",
    );
    let report = call(&sandbox(), &guest, LIMITS).await;
    assert_eq!(code(&report), Some(ErrorCode::PluginError));
    assert_eq!(failure(&report).advice, RetryAdvice::Permanent);
    assert_eq!(details(&report)["output"], "hello");
}

#[tokio::test]
async fn no_output_at_all_is_a_failure_that_says_so() {
    let report = call(&sandbox(), &program("", ""), LIMITS).await;
    assert!(failure(&report).message.contains("no output"), "{}", failure(&report));
}

#[tokio::test]
async fn a_trap_is_a_crash_with_its_name() {
    let report = call(&sandbox(), &program("", "(unreachable)"), LIMITS).await;
    assert_eq!(code(&report), Some(ErrorCode::GuestTrap));
    assert!(details(&report)["trap"].as_str().unwrap().contains("unreachable"));
}

#[tokio::test]
async fn the_environment_is_exactly_the_four_variables() {
    // Prints the environment block to stderr, one variable a line, after turning the NULs into
    // newlines.
    let guest = program(
        "",
        &format!(
            "(drop (call $environ_sizes (i32.const 64) (i32.const 68)))
             (drop (call $environ (i32.const 4096) (i32.const 65536)))
             (loop $next
                (if (i32.eqz (i32.load8_u (i32.add (i32.const 65536) (local.get $i))))
                    (then (i32.store8 (i32.add (i32.const 65536) (local.get $i)) (i32.const 10))))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $next (i32.lt_u (local.get $i) (i32.load (i32.const 68)))))
             (call $print (i32.const 2) (i32.const 65536) (i32.load (i32.const 68)))
             {PRINT_OK}"
        ),
    );
    let report = call(&sandbox(), &guest, LIMITS).await;
    let mut lines: Vec<_> = report.report.logs.iter().map(|line| line.message.clone()).collect();
    lines.sort();
    let context = attempt(1);
    assert_eq!(
        lines,
        [
            "STATEFLOW_ATTEMPT=1".to_owned(),
            format!("STATEFLOW_EXECUTION_ID={}", context.execution_id),
            format!("STATEFLOW_IDEMPOTENCY_KEY={}", context.idempotency_key()),
            "STATEFLOW_STEP_ID=s".to_owned(),
        ]
    );
}

#[tokio::test]
async fn there_is_no_directory_to_open_anything_in() {
    // 8 is EBADF: descriptor 3 would be the first preopened directory.
    let guest = program(
        "",
        &format!(
            "(if (i32.ne (call $prestat (i32.const 3) (i32.const 64)) (i32.const 8))
                (then (call $exit (i32.const 7))))
             {PRINT_OK}"
        ),
    );
    assert_eq!(output(&call(&sandbox(), &guest, LIMITS).await), "ok");
}

#[tokio::test]
async fn a_preview_2_command_is_called_through_its_run() {
    let component = wat(r#"(component
        (core module $m (func (export "run") (result i32) (i32.const 1)))
        (core instance $i (instantiate $m))
        (func $run (result (result)) (canon lift (core func $i "run")))
        (instance $cli (export "run" (func $run)))
        (export "wasi:cli/run@0.2.0" (instance $cli)))"#);
    let sandbox = sandbox();
    let admitted = admit(&sandbox, &component).await;
    assert_eq!(admitted.kind, PluginKind::CommandP2);
    let report = sandbox.call(&admitted.prepared, call_of(json!({}), LIMITS)).await;
    assert_eq!(details(&report)["exitCode"], 1);
}

#[tokio::test]
async fn the_import_section_survives_whatever_the_length_of_its_numbers() {
    // Enough imports to need a size of two bytes, with `proc_exit` in their middle.
    let imports =
        r#"(import "wasi_snapshot_preview1" "sched_yield" (func (result i32)))"#.repeat(20);
    let guest = wat(&format!(
        r#"(module {imports}
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            {imports}
            (memory (export "memory") 1)
            (func (export "_start") (call $exit (i32.const 300))))"#
    ));
    assert_eq!(details(&call(&sandbox(), &guest, LIMITS).await)["exitCode"], 300);
}
