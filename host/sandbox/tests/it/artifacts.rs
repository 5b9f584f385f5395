//! The cache of compiled plugins: hit after a restart, and never fooled by what it did not write.

use std::{fs, path::Path};

use serde_json::{Value, json};
use stateflow_sandbox::{Sandbox, SandboxConfig, SandboxError};

use crate::{
    bench::{LIMITS, call_of, config, output},
    guests::minimal,
};

fn with_cache(dir: &Path, key: u8) -> SandboxConfig {
    let mut config = config();
    config.cache_dir = Some(dir.to_owned());
    config.cache_key = [key; 32];
    config
}

/// Prepares the guest in a fresh sandbox, and says whether its code came from the disk. It has to
/// work either way.
async fn prepared_from_disk(config: SandboxConfig) -> bool {
    let component = component_of(&minimal("", "")).await;
    let sandbox = Sandbox::new(config).unwrap();
    let plugin = sandbox.prepare("default", &component).await.unwrap();
    let report = sandbox.call(&plugin, call_of(Value::Null, LIMITS)).await;
    assert_eq!(output(&report), &json!("ok"));
    plugin.receipt().cached
}

/// What an upload becomes, and what is stored for the workers.
async fn component_of(upload: &[u8]) -> Vec<u8> {
    Sandbox::new(config()).unwrap().admit("default", upload).await.unwrap().component
}

fn only_file(dir: &Path) -> std::path::PathBuf {
    let mut entries = fs::read_dir(dir).unwrap();
    let path = entries.next().unwrap().unwrap().path();
    assert!(entries.next().is_none());
    path
}

#[tokio::test]
async fn compiled_code_outlives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    assert!(!prepared_from_disk(with_cache(dir.path(), 1)).await);
    assert!(prepared_from_disk(with_cache(dir.path(), 1)).await);
}

#[tokio::test]
async fn within_one_sandbox_the_code_is_in_memory() {
    let sandbox = Sandbox::new(config()).unwrap();
    let admitted = sandbox.admit("default", &minimal("", "")).await.unwrap();
    let again = sandbox.ready(&admitted.component_digest).unwrap();
    assert_eq!(again.receipt(), admitted.prepared.receipt());
    assert!(sandbox.ready("sha256:00").is_none());
}

#[tokio::test]
async fn code_of_another_key_is_not_loaded() {
    let dir = tempfile::tempdir().unwrap();
    prepared_from_disk(with_cache(dir.path(), 1)).await;
    assert!(!prepared_from_disk(with_cache(dir.path(), 2)).await);
    assert!(prepared_from_disk(with_cache(dir.path(), 2)).await);
}

#[tokio::test]
async fn code_that_was_changed_is_not_loaded_and_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    prepared_from_disk(with_cache(dir.path(), 1)).await;
    let path = only_file(dir.path());
    let honest = fs::read(&path).unwrap();
    let mut flipped = honest.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let mut unsigned = honest.clone();
    unsigned[8..40].fill(0);
    for forged in [flipped, unsigned, honest[..honest.len() - 1].to_vec(), vec![], vec![0; 20]] {
        fs::write(&path, forged).unwrap();
        assert!(!prepared_from_disk(with_cache(dir.path(), 1)).await);
        assert!(prepared_from_disk(with_cache(dir.path(), 1)).await);
    }
}

#[tokio::test]
async fn code_of_another_plugin_is_not_loaded_under_this_ones_name() {
    let dir = tempfile::tempdir().unwrap();
    prepared_from_disk(with_cache(dir.path(), 1)).await;
    let ours = only_file(dir.path());
    let elsewhere = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::new(with_cache(elsewhere.path(), 1)).unwrap();
    sandbox.admit("default", &minimal("", "(nop)")).await.unwrap();
    fs::copy(only_file(elsewhere.path()), &ours).unwrap();
    assert!(!prepared_from_disk(with_cache(dir.path(), 1)).await);
}

#[cfg(unix)]
#[tokio::test]
async fn the_directory_is_closed_to_others() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    prepared_from_disk(with_cache(dir.path(), 1)).await;
    assert_eq!(fs::metadata(dir.path()).unwrap().permissions().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn nobody_waits_longer_for_the_compiler_than_its_limit() {
    let mut config = config();
    config.compile_timeout = std::time::Duration::ZERO;
    // Far more work than the granularity of a timer: a small plugin may be compiled before anybody looks.
    let work = "(func (param f64) (result f64) (f64.sqrt (f64.mul (local.get 0) (f64.const 3))))";
    let large = minimal(&work.repeat(5_000), "");
    let error = Sandbox::new(config).unwrap().admit("default", &large).await.unwrap_err();
    assert!(matches!(error, SandboxError::CompileTimeout { .. }), "{error}");
    assert_eq!(error.code(), None);
}

#[tokio::test]
async fn code_on_disk_is_found_without_the_component() {
    let dir = tempfile::tempdir().unwrap();
    let first = Sandbox::new(with_cache(dir.path(), 1)).unwrap();
    let admitted = first.admit("default", &minimal("", "")).await.unwrap();
    let restarted = Sandbox::new(with_cache(dir.path(), 1)).unwrap();
    assert!(restarted.ready(&admitted.component_digest).is_none());
    let plugin = restarted.cached(&admitted.component_digest).await.unwrap();
    let report = restarted.call(&plugin, call_of(Value::Null, LIMITS)).await;
    assert_eq!(output(&report), &json!("ok"));
    assert!(restarted.ready(&admitted.component_digest).is_some());
    assert!(restarted.cached("sha256:00").await.is_none());
}

#[tokio::test]
async fn the_directory_keeps_what_was_used_last_within_its_bound() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = with_cache(dir.path(), 1);
    let guests = ["(nop)", "(nop) (nop)", "(nop) (nop) (nop)"].map(|body| minimal("", body));
    let one = Sandbox::new(config.clone()).unwrap();
    let first = one.admit("default", &guests[0]).await.unwrap();
    // Room for two of three that are about as large.
    let size = fs::metadata(only_file(dir.path())).unwrap().len();
    config.cache_dir_bytes = size * 5 / 2;
    let two = Sandbox::new(config.clone()).unwrap();
    let second = two.admit("default", &guests[1]).await.unwrap();
    two.cached(&first.component_digest).await.unwrap();
    let third = two.admit("default", &guests[2]).await.unwrap();
    let restarted = Sandbox::new(config).unwrap();
    assert!(restarted.cached(&first.component_digest).await.is_some());
    assert!(restarted.cached(&second.component_digest).await.is_none());
    assert!(restarted.cached(&third.component_digest).await.is_some());
}
