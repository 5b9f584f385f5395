//! Plugin versions never change their bytes.

use engine::capability::{Capability, CapabilityKind, CapabilitySet};
use engine::plan::LockedPlugin;
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

#[tokio::test]
async fn versions_with_the_same_bytes_have_grants_of_their_own() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    let description = json!({ "name": "team/x" });
    let grants = |rule: &str| {
        CapabilitySet::from_iter([Capability {
            kind: CapabilityKind::Http,
            subject: rule.to_owned(),
        }])
    };
    let (narrow, wide) = (grants("https://a.test"), grants("https://*.test"));
    for (version, grants) in [("1.0.0", None), ("1.0.1", Some(&narrow)), ("1.0.2", Some(&wide))] {
        let new = NewPlugin { version, grants, ..plugin("sha256:a", &description) };
        store.add_plugin(&new).await.unwrap();
    }
    let locked = async |version: Option<&str>| {
        let locked =
            LockedPlugin { digest: "sha256:a".into(), version: version.map(str::to_owned) };
        let found = store.locked_plugin(DEFAULT_NAMESPACE, "team/x", &locked).await;
        found.unwrap().grants
    };
    assert_eq!(locked(Some("1.0.0")).await, None);
    assert_eq!(locked(Some("1.0.1")).await, Some(narrow.clone()));
    assert_eq!(locked(Some("1.0.2")).await, Some(wide));
    // Locks from before there were versions in them.
    assert_eq!(locked(None).await, Some(narrow));
    let elsewhere = LockedPlugin { digest: "sha256:b".into(), version: Some("1.0.1".into()) };
    let missing = store.locked_plugin(DEFAULT_NAMESPACE, "team/x", &elsewhere).await;
    assert!(matches!(missing, Err(StoreError::NotFound { .. })), "{missing:?}");
}
