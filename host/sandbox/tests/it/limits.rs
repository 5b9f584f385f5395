//! Every limit of an attempt, just under, at and just over, with a code of its own.

use std::time::Duration;

use engine::failure::{ErrorCode, RetryAdvice};
use serde_json::{Value, json};
use stateflow_sandbox::{CallLimits, LogLimits, Sandbox};

use crate::{
    bench::{LIMITS, admit, call, call_of, code, config, details, failure, output, sandbox},
    guests::{SPIN, minimal, program, sleeper, wat},
};

const PAGE: u64 = 64 << 10;

fn counting_to(count: u32) -> Vec<u8> {
    minimal(
        "",
        &format!(
            "(loop $again
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $again (i32.lt_u (local.get $i) (i32.const {count}))))"
        ),
    )
}

#[tokio::test]
async fn fuel_is_enough_when_it_is_exactly_what_the_work_costs() {
    let sandbox = sandbox();
    let guest = counting_to(10_000);
    let cost = call(&sandbox, &guest, LIMITS).await.fuel_used;
    assert!(cost > 10_000, "{cost}");
    for fuel in [cost, cost + 1] {
        let report = call(&sandbox, &guest, CallLimits { fuel, ..LIMITS }).await;
        assert_eq!((output(&report), report.fuel_used), (&json!("ok"), cost));
    }
    // Fuel is looked at where loops turn, so "just under" is a turn or two.
    let report = call(&sandbox, &guest, CallLimits { fuel: cost - 40, ..LIMITS }).await;
    assert_eq!(code(&report), Some(ErrorCode::FuelExhausted));
    assert_eq!(failure(&report).advice, RetryAdvice::Permanent);
}

#[tokio::test]
async fn the_same_work_costs_the_same_fuel_every_time() {
    let sandbox = sandbox();
    let plugin = admit(&sandbox, &counting_to(1_000)).await.prepared;
    let first = sandbox.call(&plugin, call_of(Value::Null, LIMITS)).await.fuel_used;
    let second = sandbox.call(&plugin, call_of(Value::Null, LIMITS)).await.fuel_used;
    assert_eq!(first, second);
}

fn growing_by(pages: u32) -> Vec<u8> {
    minimal(
        "",
        &format!(
            "(if (i32.eq (memory.grow (i32.const {pages})) (i32.const -1)) (then (unreachable)))"
        ),
    )
}

#[tokio::test]
async fn memory_can_grow_up_to_the_limit_and_not_a_page_further() {
    let sandbox = sandbox();
    let limits = CallLimits { memory_bytes: 10 * PAGE, ..LIMITS };
    for (pages, held) in [(8, 9 * PAGE), (9, 10 * PAGE)] {
        let report = call(&sandbox, &growing_by(pages), limits).await;
        assert_eq!((output(&report), report.peak_memory_bytes), (&json!("ok"), held));
    }
    let report = call(&sandbox, &growing_by(10), limits).await;
    assert_eq!(code(&report), Some(ErrorCode::MemoryLimit));
    assert_eq!(failure(&report).advice, RetryAdvice::Permanent);
    assert_eq!(details(&report)["denials"], 1);
}

#[tokio::test]
async fn a_guest_that_copes_with_a_refused_page_succeeds() {
    let guest = minimal("", "(drop (memory.grow (i32.const 1000)))");
    let limits = CallLimits { memory_bytes: 2 * PAGE, ..LIMITS };
    assert_eq!(output(&call(&sandbox(), &guest, limits).await), "ok");
}

#[tokio::test]
async fn memories_of_one_guest_are_summed() {
    let guest = minimal("(memory $other 6)", "");
    for (pages, expected) in [(8, None), (7, None), (6, Some(ErrorCode::MemoryLimit))] {
        let limits = CallLimits { memory_bytes: pages * PAGE, ..LIMITS };
        assert_eq!(code(&call(&sandbox(), &guest, limits).await), expected, "{pages} pages");
    }
}

#[tokio::test]
async fn table_space_has_a_limit() {
    let mut config = config();
    config.shape.table_elements = 100;
    let sandbox = Sandbox::new(config).unwrap();
    for (elements, expected) in [(89, None), (90, None), (91, Some(ErrorCode::MemoryLimit))] {
        let guest = minimal(
            "(table $t 10 funcref)",
            &format!(
                "(if (i32.eq (table.grow $t (ref.null func) (i32.const {elements})) (i32.const -1))
                    (then (unreachable)))"
            ),
        );
        assert_eq!(code(&call(&sandbox, &guest, LIMITS).await), expected, "{elements}");
    }
}

fn recursing(depth: u32) -> Vec<u8> {
    minimal(
        "(func $down (param i32) (result i32)
            (if (result i32) (local.get 0)
                (then (i32.add (i32.const 1)
                    (call $down (i32.sub (local.get 0) (i32.const 1)))))
                (else (i32.const 0))))",
        &format!("(drop (call $down (i32.const {depth})))"),
    )
}

#[tokio::test]
async fn recursion_has_a_limit_of_its_own() {
    let sandbox = sandbox();
    assert_eq!(output(&call(&sandbox, &recursing(1_000), LIMITS).await), "ok");
    let report = call(&sandbox, &recursing(10_000_000), LIMITS).await;
    assert_eq!(code(&report), Some(ErrorCode::StackOverflow));
    assert_eq!(failure(&report).advice, RetryAdvice::Permanent);
}

#[tokio::test]
async fn the_stack_limit_is_the_operators() {
    let mut config = config();
    config.stack_bytes = 64 << 10;
    let small = Sandbox::new(config).unwrap();
    assert_eq!(
        code(&call(&small, &recursing(8_000), LIMITS).await),
        Some(ErrorCode::StackOverflow)
    );
    assert_eq!(output(&call(&sandbox(), &recursing(8_000), LIMITS).await), "ok");
}

#[tokio::test]
async fn a_spinning_guest_is_stopped_by_the_wall_clock() {
    let limits = CallLimits { timeout: Duration::from_millis(50), ..crate::bench::ENDLESS };
    let report = call(&sandbox(), &minimal("", SPIN), limits).await;
    assert_eq!(code(&report), Some(ErrorCode::Timeout));
    assert_eq!(details(&report)["timeoutMs"], 50);
    assert!(report.fuel_used > 0);
}

#[tokio::test]
async fn a_guest_that_waits_in_the_host_is_stopped_by_the_wall_clock() {
    let limits = CallLimits { timeout: Duration::from_millis(50), ..LIMITS };
    let report = call(&sandbox(), &sleeper(), limits).await;
    assert_eq!(code(&report), Some(ErrorCode::Timeout));
}

#[tokio::test]
async fn waiting_for_a_slot_counts_as_time() {
    let mut config = config();
    config.max_concurrent_calls = 1;
    let sandbox = Sandbox::new(config).unwrap();
    let plugin = admit(&sandbox, &minimal("", SPIN)).await.prepared;
    let busy = call_of(Value::Null, crate::bench::ENDLESS);
    let stop = busy.cancel.clone();
    let (first, second) = (sandbox.clone(), plugin.clone());
    let holding = tokio::spawn(async move { first.call(&second, busy).await });
    while sandbox.calls_in_flight() == 0 {
        tokio::task::yield_now().await;
    }
    let limits = CallLimits { timeout: Duration::from_millis(50), ..LIMITS };
    let report = sandbox.call(&plugin, call_of(Value::Null, limits)).await;
    assert_eq!(code(&report), Some(ErrorCode::Timeout));
    assert!(failure(&report).message.contains("slot"), "{}", failure(&report));
    stop.cancel();
    assert_eq!(code(&holding.await.unwrap()), Some(ErrorCode::Cancelled));
}

/// A program that writes a JSON string of so many bytes, its quotes included.
fn writing(bytes: u32) -> Vec<u8> {
    program(
        "",
        &format!(
            r"(memory.fill (i32.const 65536) (i32.const 97) (i32.const {bytes}))
               (i32.store8 (i32.const 65536) (i32.const 34))
               (i32.store8 (i32.const {last}) (i32.const 34))
               (call $print (i32.const 1) (i32.const 65536) (i32.const {bytes}))",
            last = 65535 + bytes
        ),
    )
}

/// A one-function plugin that returns a JSON string of so many bytes, its quotes included.
fn returning(bytes: u32) -> Vec<u8> {
    minimal(
        "",
        &format!(
            r"(drop (memory.grow (i32.const 40)))
               (memory.fill (i32.const 65536) (i32.const 97) (i32.const {bytes}))
               (i32.store8 (i32.const 65536) (i32.const 34))
               (i32.store8 (i32.const {last}) (i32.const 34))
               (return (call $answer (i32.const 65536) (i32.const {bytes})))",
            last = 65535 + bytes
        ),
    )
}

#[tokio::test]
async fn output_can_be_as_large_as_the_limit_and_not_a_byte_larger() {
    let sandbox = sandbox();
    let limit = 1 << 20;
    for guest in [writing, returning] {
        for bytes in [limit - 1, limit] {
            let report = call(&sandbox, &guest(bytes), LIMITS).await;
            assert_eq!(output(&report).as_str().unwrap().len(), bytes as usize - 2);
        }
        let report = call(&sandbox, &guest(limit + 1), LIMITS).await;
        assert_eq!(code(&report), Some(ErrorCode::OutputTooLarge));
        assert_eq!(failure(&report).advice, RetryAdvice::Permanent);
    }
}

#[tokio::test]
async fn output_that_the_host_would_not_even_copy_is_too_large_as_well() {
    let report = call(&sandbox(), &returning(5 << 19), LIMITS).await;
    assert_eq!(code(&report), Some(ErrorCode::OutputTooLarge));
}

#[tokio::test]
async fn input_has_a_limit() {
    let mut config = config();
    config.max_input_bytes = 10;
    let sandbox = Sandbox::new(config).unwrap();
    let plugin = admit(&sandbox, &minimal("", "")).await.prepared;
    for (text, expected) in
        [("1234567", None), ("12345678", None), ("123456789", Some(ErrorCode::ConfigInvalid))]
    {
        let report = sandbox.call(&plugin, call_of(json!(text), LIMITS)).await;
        assert_eq!(code(&report), expected, "{text}");
    }
}

fn logging(lines: u32) -> Vec<u8> {
    program(
        r#"(data (i32.const 2048) "line\n")"#,
        &format!(
            "(loop $again
                (call $print (i32.const 2) (i32.const 2048) (i32.const 5))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if $again (i32.lt_u (local.get $i) (i32.const {lines}))))
             (call $print (i32.const 1) (i32.const 1024) (i32.const 4))"
        ),
    )
}

#[tokio::test]
async fn a_log_flood_is_counted_and_does_not_fail_the_attempt() {
    let mut config = config();
    config.logs = LogLimits { lines: 10, ..LogLimits::default() };
    let sandbox = Sandbox::new(config).unwrap();
    for (lines, kept) in [(9, 9), (10, 10), (11, 11), (500, 11)] {
        let report = call(&sandbox, &logging(lines), LIMITS).await;
        assert_eq!(output(&report), "ok");
        assert_eq!(report.report.logs.len(), kept, "{lines}");
        if lines > 10 {
            assert_eq!(report.report.logs[10].fields["dropped"], lines - 10);
        }
    }
}

#[tokio::test]
async fn asked_limits_are_lowered_to_the_operators_ceilings() {
    let mut config = config();
    config.ceilings.fuel = 5_000;
    config.defaults.fuel = 5_000;
    let sandbox = Sandbox::new(config).unwrap();
    let report = call(&sandbox, &counting_to(10_000), LIMITS).await;
    assert_eq!(code(&report), Some(ErrorCode::FuelExhausted));
    assert_eq!(details(&report)["fuel"], 5_000);
}

#[tokio::test]
async fn random_bytes_can_be_asked_for_by_the_mebibyte_and_not_more() {
    let asking = |bytes: u32| {
        wat(&format!(
            r#"(module
                (import "wasi_snapshot_preview1" "random_get"
                    (func $random (param i32 i32) (result i32)))
                (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
                (memory (export "memory") 64)
                (func (export "_start")
                    (drop (call $random (i32.const 65536) (i32.const {bytes})))
                    (call $exit (i32.const 42))))"#
        ))
    };
    let sandbox = sandbox();
    for bytes in [(1 << 20) - 1, 1 << 20] {
        let report = call(&sandbox, &asking(bytes), LIMITS).await;
        assert_eq!(details(&report)["exitCode"], 42);
    }
    let report = call(&sandbox, &asking((1 << 20) + 1), LIMITS).await;
    assert_eq!(code(&report), Some(ErrorCode::GuestTrap));
}

#[tokio::test]
async fn a_guest_that_starts_with_more_memory_than_its_step_allows_does_not_start() {
    let limits = CallLimits { memory_bytes: PAGE - 1, ..LIMITS };
    let report = call(&sandbox(), &minimal("", ""), limits).await;
    assert_eq!(code(&report), Some(ErrorCode::MemoryLimit));
}
