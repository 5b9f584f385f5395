//! `/api/plugins`: uploading and reading plugins. What becomes of them afterwards is in `life`.

pub(crate) mod life;
pub(crate) mod metrics;
mod spool;
pub(crate) mod standing;
mod upload;

use std::collections::BTreeSet;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::Json;
use engine::signature::{Statement, Vouch};
use engine::step_type::is_plugin_name;
use sandbox::Admitted;
use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::DEFAULT_NAMESPACE_NAME;
use store::plugins::{NewPlugin, Plugin, PluginStatus};
use utoipa::{IntoParams, ToSchema};

use crate::error::{ApiError, Problem};
use crate::extract::QueryOf;
use crate::router::Shared;
use crate::state::ApiState;
use upload::{Claims, Upload};

/// Plugins in one answer.
const MAX_LISTED: i64 = 1_000;

/// Plugins, all versions.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PluginPage {
    #[schema(value_type = Vec<Object>)]
    items: Vec<Value>,
    next_cursor: Option<String>,
}

#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Identity {
    /// `team/name`, for a module that carries no manifest.
    name: Option<String>,
    /// A semantic version, for a module that carries no manifest.
    version: Option<String>,
}

/// Lists plugins.
#[utoipa::path(get, path = "/api/plugins", operation_id = "list_plugins",
    responses((status = 200, body = PluginPage)))]
pub(crate) async fn list(State(state): Shared) -> Result<Json<PluginPage>, ApiError> {
    page(&state, None).await.map(Json)
}

/// Uploads a plugin: the bytes as `application/wasm`, or multipart with the parts `module` and `manifest`.
#[utoipa::path(post, path = "/api/plugins", operation_id = "upload_plugin", params(Identity),
    request_body(content = Vec<u8>, content_type = "application/wasm"),
    responses(
        (status = 201, body = Object),
        (status = 200, body = Object, description = "the same bytes again"),
        (status = 409, body = Problem, description = "the version exists with other bytes"),
        (status = 422, body = Problem, description = "not a plugin that can run here"),
))]
pub(crate) async fn upload(
    State(state): Shared,
    QueryOf(identity): QueryOf<Identity>,
    request: Request,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let Upload { module, claims } = Upload::read(&state, identity, request).await?;
    // The same bytes in the same words: nothing has to be compiled to say so.
    let known = state.store.plugins_of(state.namespace(), &module.digest).await?;
    if let Some(known) = known.into_iter().find(|it| claims.fit(&it.description)) {
        return Ok((StatusCode::OK, Json(view(&state, known).await?)));
    }
    // An upload waits here on disk; so many are in memory at a time.
    let _room = state.upload_room().await;
    let module = module.read().await?;
    let judged = state.sandbox.admit(DEFAULT_NAMESPACE_NAME, &module).await;
    let admitted = judged.inspect_err(|error| state.upload_metrics.refused(error))?;
    state.upload_metrics.compiled(&admitted.prepared.receipt());
    let (stored, fresh) = keep(&state, &module, &admitted, claims).await?;
    let status = if fresh { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(view(&state, stored).await?)))
}

/// Stores what was admitted, in the place in life that it begins in.
async fn keep(
    state: &ApiState,
    module: &[u8],
    admitted: &Admitted,
    claims: Claims,
) -> Result<(Plugin, bool), ApiError> {
    let claims = claims.about(admitted.manifest.as_ref())?;
    let (name, version) = identify(&claims)?;
    let policies = state.policies().await?;
    let asked =
        standing::asked(admitted, &claims.capabilities.clone().unwrap_or_default(), &policies)?;
    let earlier = state.store.plugins(state.namespace(), Some(&name), MAX_LISTED).await?;
    let about = Statement { name: &name, version: &version, digest: &admitted.digest };
    let missing = policies.missing_signatures(about, &[]);
    let waits = standing::waits_for(&asked, &standing::granted_before(&asked, &earlier), missing);
    let grants = waits.approval.is_empty().then_some(&asked);
    let limits = state.sandbox.default_limits();
    let description = admitted.describe(&claims.said(), &asked, module.len(), limits);
    let new = NewPlugin {
        namespace_id: state.namespace(),
        name: &name,
        version: &version,
        digest: &admitted.digest,
        component_digest: &admitted.component_digest,
        status: waits.status(),
        grants,
        description: &description,
        upload: module,
        component: &admitted.component,
    };
    let (stored, fresh) = state.store.add_plugin(&new).await?;
    if !fresh {
        check_unchanged(&stored.description, &description)?;
    }
    Ok((stored, fresh))
}

/// All versions of one plugin. The name's slash is part of the path.
#[utoipa::path(get, path = "/api/plugins/{team}/{name}", operation_id = "get_plugin",
    params(("team" = String, Path), ("name" = String, Path)),
    responses((status = 200, body = PluginPage), (status = 404, body = Problem)))]
pub(crate) async fn get(
    State(state): Shared,
    Path((team, name)): Path<(String, String)>,
) -> Result<Json<PluginPage>, ApiError> {
    let name = format!("{team}/{name}");
    let page = page(&state, Some(&name)).await?;
    if page.items.is_empty() {
        return Err(not_found(&name));
    }
    Ok(Json(page))
}

/// One version of a plugin.
#[utoipa::path(get, path = "/api/plugins/{team}/{name}/{version}", operation_id = "get_plugin_version",
    params(("team" = String, Path), ("name" = String, Path), ("version" = String, Path)),
    responses((status = 200, body = Object), (status = 404, body = Problem)))]
pub(crate) async fn get_version(
    State(state): Shared,
    Path((team, name, version)): Path<(String, String, String)>,
) -> Result<Json<Value>, ApiError> {
    let name = format!("{team}/{name}");
    let found = state.store.plugin(life::version_of(&state, &name, &version)).await?;
    Ok(Json(view(&state, found).await?))
}

async fn page(state: &ApiState, name: Option<&str>) -> Result<PluginPage, ApiError> {
    let stored = state.store.plugins(state.namespace(), name, MAX_LISTED).await?;
    let mut items = Vec::with_capacity(stored.len());
    for plugin in stored {
        items.push(view(state, plugin).await?);
    }
    Ok(PluginPage { items, next_cursor: None })
}

/// A version as it is shown, with what it waits for.
async fn view(state: &ApiState, plugin: Plugin) -> Result<Value, ApiError> {
    let mut waits = None;
    if plugin.status == PluginStatus::Pending {
        let policies = state.policies().await?;
        let all = state.store.plugins(state.namespace(), Some(&plugin.name), MAX_LISTED).await?;
        let granted =
            plugin.grants.clone().unwrap_or_else(|| standing::granted_before(&plugin.asked, &all));
        waits = Some(standing::waits_still(&plugin, &granted, &policies));
    }
    let mut view = plugin.description;
    view["status"] = json!(plugin.status);
    if let Some(waits) = waits {
        view["waitsFor"] = json!(waits);
    }
    view["grants"] = json!(plugin.grants);
    view["signedBy"] = json!(signers(&plugin.vouches));
    view["createdAt"] = json!(plugin.created_at);
    view["changedAt"] = json!(plugin.changed_at);
    Ok(view)
}

/// The names of the keys.
fn signers(vouches: &[Vouch]) -> Vec<&str> {
    let names: BTreeSet<_> = vouches.iter().map(|it| it.key_id.as_str()).collect();
    names.into_iter().collect()
}

fn not_found(what: &str) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "NOT_FOUND", format!("plugin `{what}` does not exist"))
}

/// The name and version, both there and well-formed.
fn identify(claims: &Claims) -> Result<(String, String), ApiError> {
    let (name, version) =
        (given("name", claims.name.as_ref())?, given("version", claims.version.as_ref())?);
    if !is_plugin_name(&name) {
        let detail = format!(
            "`{name}` is not a plugin name: it is `team/name`, of lower-case letters, digits and dashes"
        );
        return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "PLUGIN_NAME_INVALID", detail));
    }
    Version::parse(&version).map_err(|error| {
        let detail = format!("`{version}` is not a semantic version such as 1.2.0: {error}");
        ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "PLUGIN_VERSION_INVALID", detail)
    })?;
    Ok((name, version))
}

fn given(what: &str, claimed: Option<&String>) -> Result<String, ApiError> {
    claimed.cloned().ok_or_else(|| {
        let detail = format!("the plugin carries no {what}: give `?name=team/name&version=1.2.0`");
        ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "PLUGIN_UNNAMED", detail)
    })
}

/// The same bytes with other schemas would be another version: what workflows were checked against never changes.
fn check_unchanged(stored: &Value, new: &Value) -> Result<(), ApiError> {
    let changed = ["description", "configSchema", "outputSchema", "capabilities"]
        .into_iter()
        .find(|field| !new[field].is_null() && new[field] != stored[field]);
    changed.map_or(Ok(()), |field| {
        let detail = format!(
            "plugin `{}` version {} exists with another {field}; publish it under a new version",
            stored["name"].as_str().unwrap_or_default(),
            stored["version"].as_str().unwrap_or_default(),
        );
        Err(ApiError::conflict("CONFLICT", detail))
    })
}
