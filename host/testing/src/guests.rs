//! Plugins for tests, in the text format, so that no toolchain is needed.

mod sending;

use std::path::Path;
use std::process::Command;

use wit_component::StringEncoding;
use wit_parser::Resolve;

pub use sending::{Sending, sending};

/// The worlds that plugins are built for.
const WIT: &str = include_str!("../../../sdk/wit/v1/stateflow-plugin.wit");

/// A plugin of the world `step` by hand. `body` is what `run` does, and ends with a call of `$answer`, the JSON text at an
/// address, or of `$say`, a text with a character before it, in quotes; `$attempt` is the attempt's number. `imports` and
/// `items` are further declarations of the module. Addresses from 1,024 to 65,536 are the body's.
pub fn step(manifest: &str, imports: &str, items: &str, body: &str) -> Vec<u8> {
    of_world(
        "step",
        &format!(
            r#"(module
            {imports}
            (memory (export "memory") 80)
            (global $heap (mut i32) (i32.const 2097152))
            {items}
            (data (i32.const 1048576) {manifest:?})
            (func (export "cabi_realloc") (param i32 i32 i32) (param $size i32) (result i32)
                (local $at i32)
                (local.set $at (global.get $heap))
                (global.set $heap
                    (i32.and (i32.add (i32.add (global.get $heap) (local.get $size)) (i32.const 7))
                        (i32.const -8)))
                (local.get $at))
            (func (export "describe") (result i32)
                (i32.store (i32.const 0) (i32.const 1048576))
                (i32.store (i32.const 4) (i32.const {length}))
                (i32.const 0))
            (func $answer (param $ptr i32) (param $len i32) (result i32)
                (i32.store8 (i32.const 640) (i32.const 0))
                (i32.store (i32.const 648) (local.get $ptr))
                (i32.store (i32.const 652) (local.get $len))
                (i32.const 640))
            (func $say (param $mark i32) (param $ptr i32) (param $len i32) (result i32)
                (i32.store8 (i32.const 2048) (i32.const 34))
                (i32.store8 (i32.const 2049) (local.get $mark))
                (memory.copy (i32.const 2050) (local.get $ptr) (local.get $len))
                (i32.store8 (i32.add (i32.const 2050) (local.get $len)) (i32.const 34))
                (call $answer (i32.const 2048) (i32.add (local.get $len) (i32.const 3))))
            (func (export "run")
                (param i32 i32 i32 i32) (param $attempt i32) (param i32 i32 i32 i32) (param i64)
                (param i32 i32 i32 i32) (result i32)
                (local $number i32)
                {body}))"#,
            length = manifest.len(),
        ),
    )
}

/// A plugin of the world `step-minimal` by hand: `body` runs in `run(ptr, len)`, and the output is `"ok"`.
///
/// `$answer` leaves early with the text at an address; `items` are further declarations of the module.
pub fn minimal(items: &str, body: &str) -> Vec<u8> {
    parse(&format!(
        r#"(module
            (memory $main (export "memory") 1)
            {items}
            (global $heap (mut i32) (i32.const 4096))
            (data (i32.const 1024) "\"ok\"")
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
            (func (export "run") (param $ptr i32) (param $len i32) (result i32)
                (local $i i32)
                {body}
                (call $answer (i32.const 1024) (i32.const 4))))"#
    ))
}

/// A preview 1 program that never ends.
pub fn endless() -> Vec<u8> {
    parse(r#"(module (memory (export "memory") 1) (func (export "_start") (loop $on (br $on))))"#)
}

/// A core module that says of itself which world it is made for.
///
/// # Panics
///
/// If the text is not a module, or there is no such world.
pub fn of_world(world: &str, text: &str) -> Vec<u8> {
    let mut core = parse(text);
    let mut resolve = Resolve::default();
    let package = resolve.push_str("stateflow-plugin.wit", WIT).expect("the worlds can be read");
    let world = resolve.select_world(&[package], Some(world)).expect("there is such a world");
    wit_component::embed_component_metadata(&mut core, &resolve, world, StringEncoding::UTF8)
        .expect("any module can be made for any world");
    core
}

fn parse(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("the text is a module")
}

/// A plugin of a Rust crate in `examples/plugins`, built as its authors build it.
///
/// # Panics
///
/// If it cannot be built.
pub fn example(name: &str) -> Vec<u8> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = tempfile::tempdir().expect("there is room for a folder");
    let out = folder.path().join("plugin.wasm");
    let done = Command::new("bash")
        .arg(root.join("scripts/build-guest.sh"))
        .arg(root.join("examples/plugins").join(name))
        .arg(&out)
        .output()
        .expect("bash can be started");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    std::fs::read(out).expect("the script has written it")
}
