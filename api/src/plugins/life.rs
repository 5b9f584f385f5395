//! What becomes of a plugin version after its upload: approved, signed, compared, yanked, collected. Each decision goes
//! on record with whoever says that they made it.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Json;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::{TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::audit::Entry;
use store::plugins::{PluginStatus, PluginVersion};
use utoipa::{IntoParams, ToSchema};

use super::{signers, standing, view};
use crate::error::{ApiError, Problem};
use crate::extract::{JsonBody, QueryOf};
use crate::router::Shared;
use crate::state::ApiState;

/// The longest name of somebody, and the longest reason, in bytes.
const MAX_WORDS_BYTES: usize = 1_000;

/// How long a yanked version stays, unless the caller says otherwise.
const DEFAULT_GRACE_MS: i64 = 7 * 24 * 3_600_000;

/// Who decides, and why.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "by": "ada", "reason": "it has to reach the mail service" }))]
pub(crate) struct Decision {
    /// Who.
    by: String,
    /// Why.
    reason: Option<String>,
    /// Of `yank`: takes it back.
    #[serde(default)]
    undo: bool,
}

/// Somebody vouches for a version.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({
    "keyId": "ada",
    "signature": "QoYj5DW9QVos7OvQZ0RPUuVjexL8UMhr9rpMC0/0gQqj84/xV2jG3RuxJcUsDQSOhKAnjYRaYvRddsKGfl/2BQ==",
}))]
pub(crate) struct SignatureRequest {
    /// Which of the policy's keys.
    key_id: String,
    /// 64 bytes in base64.
    signature: String,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DiffQuery {
    /// The version that is compared with.
    from: String,
    /// The version that is compared.
    to: String,
}

/// What garbage collection may take.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({ "by": "ada", "dryRun": true, "yankedForMs": 86_400_000 }))]
pub(crate) struct CollectRequest {
    /// Who asks for it.
    by: String,
    /// Only says what would go.
    #[serde(default)]
    dry_run: bool,
    /// Versions that were yanked within this time stay. A week, if not given.
    yanked_for_ms: Option<i64>,
}

/// What went, or would go.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CollectView {
    dry_run: bool,
    versions: Vec<String>,
    blobs: i64,
    bytes: i64,
}

/// Grants a waiting version what it asks for.
#[utoipa::path(post, path = "/api/plugins/{team}/{name}/{version}/approve", operation_id = "approve_plugin",
    params(("team" = String, Path), ("name" = String, Path), ("version" = String, Path)), request_body = Decision,
    responses((status = 200, body = Object), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn approve(
    State(state): Shared,
    Path((team, name, version)): Path<(String, String, String)>,
    JsonBody(decision): JsonBody<Decision>,
) -> Result<Json<Value>, ApiError> {
    let name = format!("{team}/{name}");
    let at = version_of(&state, &name, &version);
    let plugin = state.store.plugin(at).await?;
    let words = decision.checked()?;
    if plugin.grants.is_some() || plugin.status != PluginStatus::Pending {
        return Err(standing::not_now(format!(
            "plugin `{name}` version {version} waits for no approval"
        )));
    }
    let policies = state.policies().await?;
    let asked = plugin.asked.clone();
    if let Some((refused, owner)) = policies.refused(&asked).first() {
        let detail = format!(
            "{} does not allow plugins `{refused}`; change the policy first",
            owner.policy()
        );
        return Err(ApiError::conflict("CAPABILITY_NOT_ALLOWED", detail));
    }
    let status = standing::waits_still(&plugin, &asked, &policies).status();
    let detail = json!({ "granted": asked, "digest": plugin.digest, "reason": words });
    let subject = format!("{name}@{version}");
    let entry =
        Entry { actor: &decision.by, action: "plugin.approve", subject: &subject, detail: &detail };
    let changed = state.store.change_plugin(at, status, Some(&asked), &entry).await?;
    Ok(Json(view(&state, changed).await?))
}

/// Takes a version back: no new workflow version locks it, and executions that have it go on.
#[utoipa::path(post, path = "/api/plugins/{team}/{name}/{version}/yank", operation_id = "yank_plugin",
    params(("team" = String, Path), ("name" = String, Path), ("version" = String, Path)),
    request_body(content = Decision, example = json!({ "by": "ada", "reason": "it greets people twice" })),
    responses((status = 200, body = Object), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub(crate) async fn yank(
    State(state): Shared,
    Path((team, name, version)): Path<(String, String, String)>,
    JsonBody(decision): JsonBody<Decision>,
) -> Result<Json<Value>, ApiError> {
    let name = format!("{team}/{name}");
    let at = version_of(&state, &name, &version);
    let plugin = state.store.plugin(at).await?;
    let reason = decision.checked()?;
    let policies = state.policies().await?;
    let yanked = plugin.status == PluginStatus::Yanked;
    if yanked != decision.undo {
        let is = if yanked { "is yanked already" } else { "is not yanked" };
        return Err(standing::not_now(format!("plugin `{name}` version {version} {is}")));
    }
    let (status, action) = if decision.undo {
        let granted = plugin.grants.clone().unwrap_or_default();
        let waits = standing::waits_still(&plugin, &granted, &policies);
        (waits.status(), "plugin.unyank")
    } else {
        (PluginStatus::Yanked, "plugin.yank")
    };
    let detail = json!({ "digest": plugin.digest, "reason": reason });
    let subject = format!("{name}@{version}");
    let entry = Entry { actor: &decision.by, action, subject: &subject, detail: &detail };
    let changed = state.store.change_plugin(at, status, None, &entry).await?;
    Ok(Json(view(&state, changed).await?))
}

/// Adds a detached signature over name, version and digest, by a key that a policy names.
#[utoipa::path(post, path = "/api/plugins/{team}/{name}/{version}/signatures", operation_id = "sign_plugin",
    params(("team" = String, Path), ("name" = String, Path), ("version" = String, Path)),
    request_body = SignatureRequest,
    responses((status = 200, body = Object), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn sign(
    State(state): Shared,
    Path((team, name, version)): Path<(String, String, String)>,
    JsonBody(request): JsonBody<SignatureRequest>,
) -> Result<Json<Value>, ApiError> {
    let name = format!("{team}/{name}");
    let at = version_of(&state, &name, &version);
    let plugin = state.store.plugin(at).await?;
    let policies = state.policies().await?;
    let invalid = |detail: String| {
        ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "SIGNATURE_INVALID", detail)
    };
    let signature = BASE64_STANDARD
        .decode(&request.signature)
        .map_err(|_| invalid("the signature is not base64".to_owned()))?;
    let nobody = invalid(format!("no policy names a key `{}`", request.key_id));
    let mut verified = Err(nobody);
    for key in policies.keys(&request.key_id) {
        let good = standing::statement(&plugin).verify(&key.public_key, &signature);
        verified = good.map_err(|error| invalid(error.to_string()));
        if verified.is_ok() {
            break;
        }
    }
    verified?;
    state
        .store
        .add_plugin_signature(state.namespace(), &plugin.digest, &request.key_id, &signature)
        .await?;
    let signed = state.store.plugin(at).await?;
    let granted = signed.grants.clone().unwrap_or_default();
    let waits = standing::waits_still(&signed, &granted, &policies);
    let ready = signed.status == PluginStatus::Pending && waits.status() == PluginStatus::Active;
    if !ready {
        return Ok(Json(view(&state, signed).await?));
    }
    let detail = json!({ "digest": plugin.digest, "signedBy": signers(&signed.vouches) });
    let subject = format!("{name}@{version}");
    let entry =
        Entry { actor: &request.key_id, action: "plugin.sign", subject: &subject, detail: &detail };
    let changed = state.store.change_plugin(at, PluginStatus::Active, None, &entry).await?;
    Ok(Json(view(&state, changed).await?))
}

/// Compares two versions: what the second asks for beyond the first, what it no longer asks for, and what else differs.
#[utoipa::path(get, path = "/api/plugins/{team}/{name}/diff", operation_id = "diff_plugins",
    params(("team" = String, Path), ("name" = String, Path), DiffQuery),
    responses((status = 200, body = Object), (status = 404, body = Problem)))]
pub(crate) async fn diff(
    State(state): Shared,
    Path((team, name)): Path<(String, String)>,
    QueryOf(query): QueryOf<DiffQuery>,
) -> Result<Json<Value>, ApiError> {
    let name = format!("{team}/{name}");
    let from = state.store.plugin(version_of(&state, &name, &query.from)).await?;
    let to = state.store.plugin(version_of(&state, &name, &query.to)).await?;
    let (before, after) = (&from.asked, &to.asked);
    let changed = |field: &str| {
        let (one, other) = (&from.description[field], &to.description[field]);
        (one != other).then(|| json!({ "from": one, "to": other }))
    };
    let fields = ["kind", "imports", "sizes", "compile", "configSchema", "outputSchema"];
    let differences: serde_json::Map<String, Value> = fields
        .into_iter()
        .filter_map(|field| changed(field).map(|change| (field.to_owned(), change)))
        .collect();
    Ok(Json(json!({
        "name": name,
        "from": { "version": from.version, "digest": from.digest, "status": from.status },
        "to": { "version": to.version, "digest": to.digest, "status": to.status },
        "capabilities": {
            "added": after.beyond(before, standing::covers),
            "removed": before.beyond(after, standing::covers),
        },
        "changed": differences,
    })))
}

/// Removes yanked versions that no workflow version has locked, and bytes that belong to nothing.
#[utoipa::path(post, path = "/api/plugins/collect", operation_id = "collect_plugins", request_body = CollectRequest,
    responses((status = 200, body = CollectView)))]
pub(crate) async fn collect(
    State(state): Shared,
    JsonBody(request): JsonBody<CollectRequest>,
) -> Result<Json<CollectView>, ApiError> {
    check_words("by", &request.by)?;
    let kept = request.yanked_for_ms.unwrap_or(DEFAULT_GRACE_MS);
    let before = TimeDelta::try_milliseconds(kept)
        .filter(|kept| *kept >= TimeDelta::zero())
        .and_then(|kept| Utc::now().checked_sub_signed(kept))
        .ok_or_else(|| ApiError::bad_request("`yankedForMs` is no time that can have passed"))?;
    let detail = json!({ "yankedBefore": before });
    let entry =
        Entry { actor: &request.by, action: "plugin.collect", subject: "*", detail: &detail };
    let found =
        state.store.collect_plugins(state.namespace(), before, request.dry_run, &entry).await?;
    Ok(Json(CollectView {
        dry_run: request.dry_run,
        versions: found.versions,
        blobs: found.blobs,
        bytes: found.bytes,
    }))
}

impl Decision {
    /// The reason, once both texts are what they may be.
    fn checked(&self) -> Result<Option<&str>, ApiError> {
        check_words("by", &self.by)?;
        self.reason
            .as_deref()
            .map(|reason| check_words("reason", reason).map(|()| reason))
            .transpose()
    }
}

pub(super) fn version_of<'a>(
    state: &ApiState,
    name: &'a str,
    version: &'a str,
) -> PluginVersion<'a> {
    PluginVersion { namespace_id: state.namespace(), name, version }
}

pub(crate) fn check_words(what: &str, text: &str) -> Result<(), ApiError> {
    if text.trim().is_empty() {
        return Err(ApiError::bad_request(format!("`{what}` is empty")));
    }
    if text.len() > MAX_WORDS_BYTES || text.contains('\0') {
        let detail = format!("`{what}` has at most {MAX_WORDS_BYTES} bytes and no NUL character");
        return Err(ApiError::bad_request(detail));
    }
    Ok(())
}
