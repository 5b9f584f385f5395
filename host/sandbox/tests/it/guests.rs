//! Guests in the text format, so that no toolchain is needed: one-function plugins and preview 1
//! programs.

use testing::guests;
pub(crate) use testing::guests::minimal;

/// A plugin of the world `step` whose `run` has this body: see [`guests::step`].
pub(crate) fn step(imports: &str, items: &str, body: &str) -> Vec<u8> {
    guests::step(r#"{"name":"demo/guest","version":"1.0.0"}"#, imports, items, body)
}

/// A preview 1 program: `$print(fd, ptr, len)` writes, `$exit(code)` leaves.
pub(crate) fn program(items: &str, body: &str) -> Vec<u8> {
    wat(&format!(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write"
                (func $fd_write (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_read"
                (func $fd_read (param i32 i32 i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
            (import "wasi_snapshot_preview1" "environ_sizes_get"
                (func $environ_sizes (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "environ_get"
                (func $environ (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "fd_prestat_get"
                (func $prestat (param i32 i32) (result i32)))
            (import "wasi_snapshot_preview1" "poll_oneoff"
                (func $poll (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 32)
            (data (i32.const 1024) "\"ok\"")
            {items}
            (func $print (param $fd i32) (param $ptr i32) (param $len i32)
                (loop $more
                    (i32.store (i32.const 0) (local.get $ptr))
                    (i32.store (i32.const 4) (local.get $len))
                    (if (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8))
                        (then (call $exit (i32.const 99))))
                    (local.set $ptr (i32.add (local.get $ptr) (i32.load (i32.const 8))))
                    (local.set $len (i32.sub (local.get $len) (i32.load (i32.const 8))))
                    (br_if $more (local.get $len))))
            (func (export "_start")
                (local $i i32)
                {body}))"#
    ))
}

/// A loop that never ends.
pub(crate) const SPIN: &str = "(loop $spin (br $spin))";

/// A preview 1 program that sleeps for an hour in the host.
pub(crate) fn sleeper() -> Vec<u8> {
    // A subscription: userdata, tag 0 (clock), clock 1 (monotonic), timeout in ns, precision,
    // flags.
    program(
        "",
        "(i32.store8 (i32.const 72) (i32.const 0))
         (i32.store (i32.const 80) (i32.const 1))
         (i64.store (i32.const 88) (i64.const 3600000000000))
         (drop (call $poll (i32.const 64) (i32.const 256) (i32.const 1) (i32.const 512)))",
    )
}

pub(crate) fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}
