//! Plugin versions never change their bytes.

use serde_json::{Value, json};
use stateflow_store::plugins::{NewPlugin, PluginStatus};
use stateflow_store::{DEFAULT_NAMESPACE, StoreError};

use crate::fixture::Fixture;

fn plugin<'a>(digest: &'a str, description: &'a Value) -> NewPlugin<'a> {
    NewPlugin {
        namespace_id: DEFAULT_NAMESPACE,
        name: "team/x",
        version: "1.0.0",
        digest,
        component_digest: "sha256:c",
        status: PluginStatus::Active,
        grants: None,
        description,
        upload: b"upload",
        component: b"component",
    }
}

#[tokio::test]
async fn the_same_bytes_again_are_the_same_version_and_others_conflict() {
    let fixture = Fixture::new().await;
    let description = json!({ "name": "team/x" });
    let (_, fresh) = fixture.store.add_plugin(&plugin("sha256:a", &description)).await.unwrap();
    assert!(fresh);
    let (_, fresh) = fixture.store.add_plugin(&plugin("sha256:a", &description)).await.unwrap();
    assert!(!fresh);
    let other = fixture.store.add_plugin(&plugin("sha256:b", &description)).await;
    assert!(matches!(other, Err(StoreError::Conflict(_))), "{other:?}");
    let component = fixture.store.plugin_component(DEFAULT_NAMESPACE, "sha256:a").await.unwrap();
    assert_eq!(component, b"component");
    let missing = fixture.store.plugin_component(DEFAULT_NAMESPACE, "sha256:b").await;
    assert!(matches!(missing, Err(StoreError::NotFound { .. })), "{missing:?}");
}
