//! Sealed secrets: their versions, their limits, and the exchange of their seals.

use stateflow_store::secrets::{SecretLimits, StoredSecret};
use stateflow_store::{DEFAULT_NAMESPACE, StoreError};

use crate::fixture::Fixture;

const ROOM: SecretLimits = SecretLimits { count: 2, bytes: 100 };

fn secret(name: &str, key_id: &str, bytes: usize) -> StoredSecret {
    StoredSecret {
        namespace_id: DEFAULT_NAMESPACE,
        name: name.to_owned(),
        destinations: vec!["https://a.example".to_owned()],
        key_id: key_id.to_owned(),
        nonce: key_id.as_bytes().to_vec(),
        sealed: vec![7; bytes],
    }
}

#[tokio::test]
async fn a_secret_is_set_again_under_the_next_version_and_deleted_once() {
    let f = Fixture::new().await;
    let (first, new) = f.store.set_secret(&secret("a", "k1", 9), ROOM, "ada").await.unwrap();
    assert!(new && first.version == 1);
    let (second, new) = f.store.set_secret(&secret("a", "k1", 10), ROOM, "ada").await.unwrap();
    assert!(!new && second.version == 2 && second.created_at == first.created_at);
    assert_eq!(f.store.secret_heads(DEFAULT_NAMESPACE).await.unwrap(), [second]);
    assert_eq!(f.store.secrets(DEFAULT_NAMESPACE).await.unwrap()[0].sealed, [7; 10]);
    f.store.delete_secret(DEFAULT_NAMESPACE, "a", "ada").await.unwrap();
    let error = f.store.delete_secret(DEFAULT_NAMESPACE, "a", "ada").await.unwrap_err();
    assert!(matches!(error, StoreError::NotFound { .. }));
}

#[tokio::test]
async fn a_namespace_has_room_for_so_many_secrets_and_bytes() {
    let f = Fixture::new().await;
    for (name, bytes, fits) in [
        ("a", 49, true),
        ("b", 52, false),
        ("b", 51, true),
        ("c", 1, false),
        ("a", 49, true),
        ("a", 50, false),
    ] {
        let set = f.store.set_secret(&secret(name, "k1", bytes), ROOM, "ada").await;
        assert_eq!(set.is_ok(), fits, "{name} {bytes}: {set:?}");
    }
}

#[tokio::test]
async fn secrets_are_sealed_anew_in_batches_unless_somebody_sets_them_meanwhile() {
    let f = Fixture::new().await;
    let room = SecretLimits { count: 10, bytes: 1000 };
    for name in ["a", "b", "c"] {
        f.store.set_secret(&secret(name, "k1", 9), room, "ada").await.unwrap();
    }
    let first = f.store.secrets_not_sealed_by("k2", None, 2).await.unwrap();
    assert_eq!(first.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    let after = (DEFAULT_NAMESPACE, "b".to_owned());
    assert_eq!(f.store.secrets_not_sealed_by("k2", Some(&after), 2).await.unwrap()[0].name, "c");

    assert!(f.store.reseal_secret(&first[0], &secret("a", "k2", 9)).await.unwrap());
    f.store.set_secret(&secret("b", "k3", 9), room, "ada").await.unwrap();
    assert!(!f.store.reseal_secret(&first[1], &secret("b", "k2", 9)).await.unwrap());
    let heads = f.store.secret_heads(DEFAULT_NAMESPACE).await.unwrap();
    let keys: Vec<_> = heads.iter().map(|it| (it.key_id.as_str(), it.version)).collect();
    assert_eq!(keys, [("k2", 1), ("k3", 2), ("k1", 1)]);
}
