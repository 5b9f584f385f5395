//! Plugins in the text format, so that no toolchain is needed.

use testing::guests;

/// Answers `"ok"`.
pub(crate) fn well_behaved() -> Vec<u8> {
    guests::minimal("", "")
}

/// Answers what is not JSON.
pub(crate) fn babbling() -> Vec<u8> {
    let words = r#"(data (i32.const 1100) "not json")"#;
    guests::minimal(words, "(return (call $answer (i32.const 1100) (i32.const 8)))")
}

/// Never answers.
pub(crate) fn endless() -> Vec<u8> {
    guests::minimal("", "(loop (br 0))")
}

/// A module that wants a function which only a browser's glue code has.
pub(crate) fn importing(module: &str, name: &str) -> Vec<u8> {
    wat::parse_str(format!(
        r#"(module (import "{module}" "{name}" (func)) (memory (export "memory") 1))"#
    ))
    .unwrap()
}

/// A program that writes so many lines to its log and answers `"ok"`.
pub(crate) fn talkative(lines: usize) -> Vec<u8> {
    wat::parse_str(format!(
        r#"(module
            (import "wasi_snapshot_preview1" "fd_write"
                (func $fd_write (param i32 i32 i32 i32) (result i32)))
            (memory (export "memory") 1)
            (data (i32.const 1024) "\"ok\"x\n")
            (func $print (param $fd i32) (param $ptr i32) (param $len i32)
                (i32.store (i32.const 0) (local.get $ptr))
                (i32.store (i32.const 4) (local.get $len))
                (drop (call $fd_write (local.get $fd) (i32.const 0) (i32.const 1) (i32.const 8))))
            (func (export "_start") (local $i i32)
                (loop $more
                    (call $print (i32.const 2) (i32.const 1028) (i32.const 2))
                    (local.set $i (i32.add (local.get $i) (i32.const 1)))
                    (br_if $more (i32.lt_u (local.get $i) (i32.const {lines}))))
                (call $print (i32.const 1) (i32.const 1024) (i32.const 4))))"#
    ))
    .unwrap()
}

/// A plugin of the world `step` that says this of itself and does nothing.
pub(crate) fn describing(manifest: &str) -> Vec<u8> {
    guests::step(manifest, "", "", "unreachable")
}

/// The same, of which its module says that it makes requests.
pub(crate) fn asking(manifest: &str) -> Vec<u8> {
    let import = r#"(import "stateflow:plugin/http@1.0.0" "send"
        (func (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32)))"#;
    guests::step(manifest, import, "", "unreachable")
}
