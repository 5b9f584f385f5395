//! `/api/namespaces/{name}/policy`: what an operator allows; `/api/audit`: who decided what.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::{Json, Response};
use engine::diagnostic::Diagnostic;
use engine::policy::Policy;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::StoreError;
use store::audit::{Entry, Recorded};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::conditional::{changed_meanwhile, expected, tagged};
use crate::error::{ApiError, Problem};
use crate::extract::{JsonBody, QueryOf, page_size};
use crate::plugins::life::check_words;
use crate::router::Shared;

/// A policy, as it is read and written.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PolicyView {
    namespace: String,
    /// Counts up at every change.
    revision: i32,
    #[schema(value_type = Object)]
    policy: Policy,
}

/// A policy to put in place of the one that is there.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "by": "ada",
    "policy": {
        "egress": ["https://*.example.com"],
        "plugins": { "memoryMb": 256, "timeoutMs": 30_000, "capabilities": ["log", "http", "secret"] },
    },
}))]
pub(crate) struct PolicyRequest {
    /// Who decides it.
    by: String,
    /// Only if this is still the one in force.
    revision: Option<i32>,
    #[schema(value_type = Object)]
    policy: Value,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AuditQuery {
    /// 1 to 500; 50 if not given.
    limit: Option<u32>,
    /// `nextCursor` of the page before.
    cursor: Option<Uuid>,
}

/// A page of decisions, newest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AuditPage {
    #[schema(value_type = Vec<Object>)]
    items: Vec<Recorded>,
    next_cursor: Option<Uuid>,
}

/// What a namespace is allowed.
#[utoipa::path(get, path = "/api/namespaces/{name}/policy", operation_id = "get_policy",
    params(("name" = String, Path), ("If-None-Match" = Option<String>, Header)),
    responses((status = 200, body = PolicyView), (status = 304), (status = 404, body = Problem)))]
pub(crate) async fn get_policy(
    State(state): Shared,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let id = state.store.namespace_id(&name).await?;
    let stored = state.store.policy(id).await?;
    let view = PolicyView { namespace: name, revision: stored.revision, policy: stored.policy };
    Ok(tagged(&headers, stored.revision, view))
}

/// Replaces what a namespace is allowed. Workers follow within seconds.
#[utoipa::path(put, path = "/api/namespaces/{name}/policy", operation_id = "set_policy",
    params(("name" = String, Path), ("If-Match" = Option<String>, Header)), request_body = PolicyRequest,
    responses((status = 200, body = PolicyView), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 412, body = Problem, description = "it has changed meanwhile"),
        (status = 422, body = Problem)))]
pub(crate) async fn set_policy(
    State(state): Shared,
    Path(name): Path<String>,
    headers: HeaderMap,
    JsonBody(request): JsonBody<PolicyRequest>,
) -> Result<Response, ApiError> {
    let expected = expected(&headers)?;
    let id = state.store.namespace_id(&name).await?;
    check_words("by", &request.by)?;
    let policy = checked(&request.policy)?;
    let detail = json!({ "policy": policy });
    let entry = Entry { actor: &request.by, action: "policy.set", subject: &name, detail: &detail };
    let revision = expected.or(request.revision);
    let stored = state.store.set_policy(id, &policy, revision, &entry).await;
    let stored = stored.map_err(|error| match error {
        StoreError::Conflict(detail) if expected.is_some() => changed_meanwhile(&detail),
        other => other.into(),
    })?;
    let view = PolicyView { namespace: name, revision: stored.revision, policy: stored.policy };
    Ok(tagged(&HeaderMap::new(), stored.revision, view))
}

/// Lists decisions, newest first.
#[utoipa::path(get, path = "/api/audit", operation_id = "list_audit", params(AuditQuery),
    responses((status = 200, body = AuditPage)))]
pub(crate) async fn audit(
    State(state): Shared,
    QueryOf(query): QueryOf<AuditQuery>,
) -> Result<Json<AuditPage>, ApiError> {
    let limit = page_size(query.limit)? as usize;
    let wanted = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let mut items = state.store.audit(state.namespace(), query.cursor, wanted).await?;
    let more = items.len() > limit;
    items.truncate(limit);
    let next_cursor = items.last().filter(|_| more).map(|it| it.id);
    Ok(Json(AuditPage { items, next_cursor }))
}

/// A policy without faults; all of them at once otherwise.
fn checked(policy: &Value) -> Result<Policy, ApiError> {
    let refused = |faults: Vec<Diagnostic>| {
        let detail = format!("the policy has {} problem(s)", faults.len());
        Err(ApiError::unprocessable("POLICY_INVALID", &detail, faults))
    };
    let policy: Policy = match serde_json::from_value(policy.clone()) {
        Ok(policy) => policy,
        Err(error) => {
            return refused(vec![Diagnostic::new("/policy", "POLICY_INVALID", error.to_string())]);
        }
    };
    let mut faults = policy.faults();
    faults.extend(policy.egress.iter().flatten().enumerate().filter_map(|(at, rule)| {
        let error = rule.parse::<egress::Rule>().err()?;
        Some((format!("/egress/{at}"), format!("`{rule}`: {error}")))
    }));
    if faults.is_empty() {
        return Ok(policy);
    }
    let told = faults.into_iter().map(|(place, message)| {
        Diagnostic::new(format!("/policy{place}"), "POLICY_INVALID", message)
    });
    refused(told.collect())
}
