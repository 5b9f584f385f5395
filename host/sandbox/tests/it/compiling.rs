//! The compiler's own process: honest plugins, bombs, and what is remembered of them.
//!
//! The bombs are small modules that take a compiler long, found in the wild: each is refused by its shape before any
//! compiler sees it, or compiled or given up within its budget.

use std::{fs, path::Path, time::Duration};

use serde_json::{Value, json};
use stateflow_sandbox::{CompileLimits, Isolation, Sandbox, SandboxConfig, ShapeLimits, Tier};

use testing::bombs::{branch_tables, empty_functions, locals_and_loops, tiny_blocks};

use crate::{
    bench::{LIMITS, call_of, config, output, refusal},
    guests::{SPIN, minimal, program},
};

/// A sandbox whose compiler is a process that may use so much processor time.
fn confined(cpu_seconds: u64) -> SandboxConfig {
    let mut config = config();
    config.isolation = Isolation::Process {
        program: env!("CARGO_BIN_EXE_test-compiler").into(),
        arguments: Vec::new(),
    };
    config.compile = CompileLimits {
        cpu: Duration::from_secs(cpu_seconds),
        wall: Duration::from_secs(cpu_seconds * 10),
        ..CompileLimits::default()
    };
    config
}

/// Nothing is too large for this inspection: what is left is the compiler's budget.
fn blind(mut config: SandboxConfig) -> SandboxConfig {
    config.shape = ShapeLimits {
        functions: u32::MAX,
        body_bytes: u32::MAX,
        locals: u32::MAX,
        branch_targets: u32::MAX,
        blocks: u32::MAX,
        ..config.shape
    };
    config
}

#[tokio::test]
async fn honest_plugins_come_out_of_the_process_as_out_of_the_thread() {
    for guest in
        [minimal("", ""), program("", "(call $print (i32.const 1) (i32.const 1024) (i32.const 4))")]
    {
        let sandbox = Sandbox::new(confined(30)).unwrap();
        let admitted = sandbox.admit("default", &guest).await.unwrap();
        assert_eq!(admitted.prepared.receipt().tier, Tier::Speed);
        let report = sandbox.call(&admitted.prepared, call_of(Value::Null, LIMITS)).await;
        assert_eq!(output(&report), &json!("ok"));
        let threaded = Sandbox::new(config()).unwrap().admit("default", &guest).await.unwrap();
        assert_eq!(threaded.component_digest, admitted.component_digest);
    }
}

#[tokio::test]
async fn what_is_refused_in_the_process_says_so_in_the_same_words() {
    let threaded = Sandbox::new(config()).unwrap();
    let process = Sandbox::new(confined(30)).unwrap();
    for guest in [&b"(module)"[..], &program("", "")[..50], b"\0asm\x01\0\0\0"] {
        assert_eq!(refusal(&process, guest).await, refusal(&threaded, guest).await);
    }
}

#[tokio::test]
async fn bombs_are_refused_by_their_shape_before_a_compiler_sees_them() {
    let sandbox = Sandbox::new(confined(30)).unwrap();
    for (bomb, what) in [
        (branch_tables(300, 190), "branch table targets"),
        (branch_tables(3_000, 190), "bytes in one function"),
        (tiny_blocks(20_000), "blocks in one function"),
        (tiny_blocks(120_000), "bytes in one function"),
        (empty_functions(200_000), "functions"),
        (locals_and_loops(3_000, 10), "locals in one function"),
    ] {
        let (code, sentence) = refusal(&sandbox, &bomb).await;
        assert_eq!(code, "PLUGIN_TOO_COMPLEX", "{sentence}");
        assert!(sentence.contains(what), "{sentence}");
    }
}

#[tokio::test]
async fn a_bomb_that_only_optimising_makes_dear_is_compiled_without() {
    let sandbox = Sandbox::new(blind(confined(5))).unwrap();
    let admitted = sandbox.admit("default", &tiny_blocks(60_000)).await.unwrap();
    assert_eq!(admitted.prepared.receipt().tier, Tier::None);
    let report = sandbox.call(&admitted.prepared, call_of(Value::Null, LIMITS)).await;
    assert_eq!(output(&report), &json!("ok"));
}

#[tokio::test]
async fn a_bomb_that_is_dear_either_way_is_refused_and_stays_refused_over_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = blind(confined(1));
    config.cache_dir = Some(dir.path().to_owned());
    let bomb = locals_and_loops(1_000, 10_000);
    let sandbox = Sandbox::new(config.clone()).unwrap();
    let (code, sentence) = refusal(&sandbox, &bomb).await;
    assert_eq!(code, "COMPILE_TOO_EXPENSIVE", "{sentence}");
    assert!(sentence.contains("processor time"), "{sentence}");
    // With no compiler to ask, what is known is still known, in this process and in the next.
    let nowhere = Isolation::Process { program: "/nonexistent".into(), arguments: Vec::new() };
    assert_eq!(refusal(&sandbox, &bomb).await.0, "COMPILE_TOO_EXPENSIVE");
    let restarted = SandboxConfig { isolation: nowhere.clone(), ..config.clone() };
    assert_eq!(refusal(&Sandbox::new(restarted).unwrap(), &bomb).await.0, "COMPILE_TOO_EXPENSIVE");
    // Under higher limits it is tried again, which here fails for want of a compiler.
    let mut raised = SandboxConfig { isolation: nowhere, ..config };
    raised.compile.cpu = Duration::from_secs(2);
    assert_eq!(refusal(&Sandbox::new(raised).unwrap(), &bomb).await.0, "(our fault)");
}

#[tokio::test]
async fn a_module_that_takes_more_memory_than_compiling_may_is_refused() {
    let mut config = blind(confined(30));
    config.compile.memory_bytes = 192 << 20;
    let (code, sentence) =
        refusal(&Sandbox::new(config).unwrap(), &locals_and_loops(1_000, 4_000)).await;
    assert_eq!(code, "COMPILE_TOO_EXPENSIVE", "{sentence}");
}

#[tokio::test]
async fn machine_code_over_its_limit_is_refused() {
    let mut config = confined(30);
    let guest = minimal("", "");
    let mut code_bytes = 1 << 20;
    config.compile.code_bytes = code_bytes;
    assert!(Sandbox::new(config.clone()).unwrap().admit("default", &guest).await.is_ok());
    code_bytes = 1_000;
    config.compile.code_bytes = code_bytes;
    let (code, sentence) = refusal(&Sandbox::new(config).unwrap(), &guest).await;
    assert_eq!(code, "COMPILE_TOO_EXPENSIVE", "{sentence}");
}

#[tokio::test]
async fn while_one_namespace_compiles_bombs_the_others_have_their_turns() {
    let sandbox = Sandbox::new(blind(confined(1))).unwrap();
    let bombs: Vec<_> = (0..4).map(|n| locals_and_loops(1_000, 9_000 + n)).collect();
    let uploads = bombs.iter().map(|bomb| sandbox.admit("hostile", bomb));
    let hostile = futures::future::join_all(uploads);
    let honest = async {
        // Its turn comes after one bomb, not after four.
        sandbox.admit("honest", &minimal("", "(nop)")).await.unwrap();
        "honest"
    };
    let first = futures::future::select(Box::pin(hostile), Box::pin(honest)).await;
    assert!(matches!(first, futures::future::Either::Right(("honest", _))));
}

#[tokio::test]
async fn a_caller_that_leaves_takes_the_compiler_with_it() {
    let sandbox = Sandbox::new(blind(confined(60))).unwrap();
    let bomb = locals_and_loops(1_000, 10_000);
    let mut upload = Box::pin(sandbox.admit("default", &bomb));
    // Until there is a child.
    let child = loop {
        assert!(futures::poll!(&mut upload).is_pending());
        if let Some(child) = children().pop() {
            break child;
        }
        tokio::task::yield_now().await;
    };
    drop(upload);
    while Path::new(&format!("/proc/{child}")).exists() {
        tokio::task::yield_now().await;
    }
    // The turn is free again.
    sandbox.admit("default", &minimal("", "")).await.unwrap();
}

/// Compilers of this very thread's making: tests run side by side.
fn children() -> Vec<String> {
    let own = format!("/proc/self/task/{}/children", nix::unistd::gettid());
    let listed = fs::read_to_string(own).unwrap_or_default();
    listed.split_whitespace().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_start_function_that_loops_costs_the_upload_nothing() {
    // Nothing of an upload runs before it is called.
    let guest = minimal(&format!("(func $start {SPIN}) (start $start)"), "");
    let sandbox = Sandbox::new(confined(30)).unwrap();
    let admitted = sandbox.admit("default", &guest).await.unwrap();
    let limits = stateflow_sandbox::CallLimits { fuel: 1_000_000, ..LIMITS };
    let report = sandbox.call(&admitted.prepared, call_of(Value::Null, limits)).await;
    assert!(report.report.outcome.failure().is_some());
}
