//! Small modules that take a compiler long. Each is a step of the world `step-minimal`.

use std::fmt::Write as _;

use crate::guests::minimal;

/// `tables` branch tables, each into the same `targets` blocks, in one function.
pub fn branch_tables(tables: usize, targets: usize) -> Vec<u8> {
    let mut body = "(block ".repeat(targets);
    for _ in 0..tables {
        body.push_str("(block (br_if 0 (local.get $i)) (br_table ");
        (1..=targets).for_each(|target| append(&mut body, format_args!("{target} ")));
        body.push_str("(local.get $len)))");
    }
    body.push_str(&") (local.set $i (i32.add (local.get $i) (i32.const 1)))".repeat(targets));
    minimal("", &body)
}

/// One function of so many blocks.
pub fn tiny_blocks(count: usize) -> Vec<u8> {
    minimal("", &"(block (br_if 0 (local.get $i)) (local.set $i (i32.const 1)))".repeat(count))
}

/// One function of so many loops over so many locals.
pub fn locals_and_loops(locals: usize, loops: usize) -> Vec<u8> {
    let mut body = String::new();
    for at in 0..loops {
        let (local, next) = (at % locals + 3, (at + 1) % locals + 3);
        append(
            &mut body,
            format_args!(
                "(loop (local.set {local} (i32.add (local.get {local}) (local.get {next})))
                    (br_if 0 (local.get {local})))"
            ),
        );
    }
    let extra =
        format!("(func $bomb (param i32 i32 i32) (local {}) {body})", "i32 ".repeat(locals + 1));
    minimal(&extra, "(call $bomb (i32.const 0) (i32.const 0) (i32.const 0))")
}

/// So many functions.
pub fn empty_functions(count: usize) -> Vec<u8> {
    minimal(&"(func)".repeat(count), "")
}

fn append(text: &mut String, more: std::fmt::Arguments<'_>) {
    text.write_fmt(more).expect("there is memory for a text");
}
