//! Plugins in the text format, so that no toolchain is needed.

/// A one-function plugin whose `run` has this body; `$answer(ptr, len)` returns the text there as its output.
pub(crate) fn plugin(body: &str) -> Vec<u8> {
    wat::parse_str(format!(
        r#"(module
            (memory (export "memory") 1)
            (global $heap (mut i32) (i32.const 4096))
            (data (i32.const 1024) "\"ok\"not json")
            (func (export "cabi_realloc") (param i32 i32 i32) (param $size i32) (result i32)
                (local $at i32)
                (local.set $at (global.get $heap))
                (global.set $heap
                    (i32.and (i32.add (i32.add (global.get $heap) (local.get $size)) (i32.const 7))
                        (i32.const -8)))
                (local.get $at))
            (func $answer (param $ptr i32) (param $len i32) (result i32)
                (i32.store8 (i32.const 16) (i32.const 0))
                (i32.store (i32.const 20) (local.get $ptr))
                (i32.store (i32.const 24) (local.get $len))
                (i32.const 16))
            (func (export "run") (param i32 i32) (result i32) {body}))"#
    ))
    .unwrap()
}

/// Answers `"ok"`.
pub(crate) fn well_behaved() -> Vec<u8> {
    plugin("(call $answer (i32.const 1024) (i32.const 4))")
}

/// Answers what is not JSON.
pub(crate) fn babbling() -> Vec<u8> {
    plugin("(call $answer (i32.const 1028) (i32.const 8))")
}

/// Never answers.
pub(crate) fn endless() -> Vec<u8> {
    plugin("(loop (br 0)) (unreachable)")
}

/// A module that wants a function which only a browser's glue code has.
pub(crate) fn importing(module: &str, name: &str) -> Vec<u8> {
    wat::parse_str(format!(
        r#"(module (import "{module}" "{name}" (func)) (memory (export "memory") 1))"#
    ))
    .unwrap()
}
