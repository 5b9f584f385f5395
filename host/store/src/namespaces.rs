//! Namespaces, and what an operator allows each of them.

use engine::policy::Policy;
use serde_json::json;

use crate::audit::{self, Entry};
use crate::leases::parse;
use crate::{Store, StoreError};

/// A namespace's policy, and how often it was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPolicy {
    /// What is allowed.
    pub policy: Policy,
    /// Counts up at every change.
    pub revision: i32,
}

impl Store {
    /// The id of a namespace.
    pub async fn namespace_id(&self, name: &str) -> Result<i32, StoreError> {
        sqlx::query_scalar!("select id from namespaces where name = $1", name)
            .fetch_optional(&self.pool)
            .await?
            .ok_or_else(|| StoreError::not_found("namespace", name))
    }

    /// What a namespace is allowed.
    pub async fn policy(&self, namespace_id: i32) -> Result<StoredPolicy, StoreError> {
        let row = sqlx::query!(
            r#"select policy::text as "policy!", policy_revision from namespaces where id = $1"#,
            namespace_id,
        )
        .fetch_optional(&self.pool)
        .await?
        .ok_or_else(|| StoreError::not_found("namespace", namespace_id))?;
        Ok(StoredPolicy { policy: parse("policy", &row.policy)?, revision: row.policy_revision })
    }

    /// Replaces what a namespace is allowed, and puts that on record. With `revision`, only if it is still that one:
    /// [`StoreError::Conflict`] otherwise.
    pub async fn set_policy(
        &self,
        namespace_id: i32,
        policy: &Policy,
        revision: Option<i32>,
        entry: &Entry<'_>,
    ) -> Result<StoredPolicy, StoreError> {
        let mut transaction = self.pool.begin().await?;
        let changed = sqlx::query_scalar!(
            "update namespaces
             set policy = $2::text::json, policy_revision = policy_revision + 1
             where id = $1 and ($3::integer is null or policy_revision = $3)
             returning policy_revision",
            namespace_id,
            json!(policy).to_string(),
            revision,
        )
        .fetch_optional(&mut *transaction)
        .await?;
        let changed = changed.ok_or_else(|| {
            StoreError::Conflict("the policy was changed meanwhile; read it again".to_owned())
        })?;
        audit::record(&mut transaction, namespace_id, entry).await?;
        transaction.commit().await?;
        Ok(StoredPolicy { policy: policy.clone(), revision: changed })
    }
}
