//! Ten thousand uploads that are not what they should be: every one is refused with a code or becomes a plugin, and
//! none gets further than an error.

use arbitrary::{Arbitrary as _, Unstructured};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};

use super::*;
use crate::SandboxConfig;

/// One run of the tests looks at so many of each kind.
const GENERATED: u64 = 4_000;
const MUTATED: u64 = 4_000;
const CUT: usize = 2_000;

const SEED: u64 = 0x5f10;

/// The smallest plugin, in the two forms that people upload: a module to be wrapped and a program to be adapted.
fn honest() -> [Vec<u8>; 2] {
    let module = r#"(module (memory (export "memory") 1)
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 4096))
        (func (export "run") (param i32 i32) (result i32)
            (i32.store (i32.const 20) (i32.const 1024)) (i32.const 16)))"#;
    let program = r#"(module
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1)
        (func (export "_start") (call $exit (i32.const 0))))"#;
    [module, program].map(|text| wat::parse_str(text).unwrap())
}

fn try_building(bytes: &[u8], settings: &BuildSettings) -> bool {
    match build(Order::Upload, bytes, settings, Tier::None) {
        Ok(built) => {
            assert!(!built.code.is_empty());
            true
        }
        Err(SandboxError::Invalid { code, message, help }) => {
            assert!(code.starts_with("PLUGIN_"), "{code}");
            assert!(!message.is_empty() && !help.is_empty(), "{code}");
            false
        }
        Err(other) => panic!("not the upload's fault: {other}"),
    }
}

#[test]
fn honest_uploads_become_plugins() {
    let settings = SandboxConfig::new([0; 32]).build_settings();
    for upload in honest() {
        assert!(try_building(&upload, &settings));
    }
}

#[test]
fn generated_modules_of_every_kind_are_refused_or_built() {
    let settings = SandboxConfig::new([0; 32]).build_settings();
    let mut built = 0;
    for seed in 0..GENERATED {
        let mut chance = SmallRng::seed_from_u64(SEED ^ seed);
        let mut entropy = vec![0; 2_000];
        chance.fill(&mut entropy[..]);
        let mut source = Unstructured::new(&entropy);
        let mut config = wasm_smith::Config::arbitrary(&mut source).unwrap();
        config.max_instructions = 60;
        // Half of them have something to call, so that they get as far as the compiler.
        if seed % 2 == 0 {
            config.exports = Some(honest()[0].clone());
            config.max_memories = config.max_memories.max(1);
        }
        let Ok(module) = wasm_smith::Module::new(config, &mut source) else { continue };
        built += u64::from(try_building(&module.to_bytes(), &settings));
    }
    assert!(built > 0, "some get through");
}

#[test]
fn honest_uploads_with_some_bytes_changed_are_refused_or_built() {
    let settings = SandboxConfig::new([0; 32]).build_settings();
    let originals = honest();
    for seed in 0..MUTATED {
        let mut chance = SmallRng::seed_from_u64(SEED ^ seed);
        let mut upload = originals[usize::from(seed % 2 == 0)].clone();
        for _ in 0..chance.random_range(1..=8) {
            // The first four bytes say what it is; without them it would not be looked at.
            let at = chance.random_range(4..upload.len());
            match chance.random_range(0..3) {
                0 => upload[at] = chance.random(),
                1 => upload.insert(at, chance.random()),
                _ => drop(upload.remove(at)),
            }
        }
        try_building(&upload, &settings);
    }
}

#[test]
fn honest_uploads_cut_anywhere_are_refused_or_built() {
    let settings = SandboxConfig::new([0; 32]).build_settings();
    // A component is the longest of them, with modules in it.
    let component =
        build(Order::Upload, &honest()[1], &settings, Tier::None).unwrap().adapted.component;
    let step = (component.len() / CUT).max(1);
    for length in (0..component.len()).step_by(step) {
        // Between two of its last sections, what is left may be whole.
        try_building(&component[..length], &settings);
    }
}
