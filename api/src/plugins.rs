//! `/api/plugins`: uploading and reading plugins.

use axum::body::Bytes;
use axum::extract::{FromRequest, Multipart, Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::Json;
use engine::step_type::is_plugin_name;
use sandbox::{Admitted, CallLimits};
use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::plugins::{NewPlugin, Plugin};
use utoipa::{IntoParams, ToSchema};

use crate::error::{ApiError, Problem};
use crate::extract::{QueryOf, RawBody};
use crate::router::Shared;
use crate::state::ApiState;

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
pub(crate) struct Identity {
    /// `team/name`, for a module that carries no manifest.
    name: Option<String>,
    /// A semantic version, for a module that carries no manifest.
    version: Option<String>,
}

/// Lists plugins.
#[utoipa::path(get, path = "/api/plugins", responses((status = 200, body = PluginPage)))]
pub(crate) async fn list(State(state): Shared) -> Result<Json<PluginPage>, ApiError> {
    page(&state, None).await.map(Json)
}

/// Uploads a plugin: the bytes as `application/wasm`, or multipart with the parts `module` and `manifest`.
#[utoipa::path(post, path = "/api/plugins", params(Identity),
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
    let (module, identity) = read_upload(&state, identity, request).await?;
    if module.len() > state.max_upload_bytes {
        return Err(ApiError::too_large("a plugin", state.max_upload_bytes));
    }
    let admitted = state.sandbox.admit(&module).await?;
    let (name, version) = identify(&admitted, &identity)?;
    let description = describe(&admitted, &name, &version, state.sandbox.default_limits());
    let new = NewPlugin {
        namespace_id: state.namespace(),
        name: &name,
        version: &version,
        digest: &admitted.digest,
        component_digest: &admitted.component_digest,
        description: &description,
        upload: &module,
        component: &admitted.component,
    };
    let (stored, fresh) = state.store.add_plugin(&new).await?;
    let status = if fresh { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(stored.description)))
}

/// All versions of one plugin. The name's slash is part of the path.
#[utoipa::path(get, path = "/api/plugins/{team}/{name}", params(("team" = String, Path), ("name" = String, Path)),
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
#[utoipa::path(get, path = "/api/plugins/{team}/{name}/{version}",
    params(("team" = String, Path), ("name" = String, Path), ("version" = String, Path)),
    responses((status = 200, body = Object), (status = 404, body = Problem)))]
pub(crate) async fn get_version(
    State(state): Shared,
    Path((team, name, version)): Path<(String, String, String)>,
) -> Result<Json<Value>, ApiError> {
    let name = format!("{team}/{name}");
    let stored = state.store.plugins(state.namespace(), Some(&name), MAX_LISTED).await?;
    let found = stored.into_iter().find(|plugin| plugin.version == version);
    found.map(|plugin| Json(view(plugin))).ok_or_else(|| not_found(&format!("{name}@{version}")))
}

async fn page(state: &ApiState, name: Option<&str>) -> Result<PluginPage, ApiError> {
    let stored = state.store.plugins(state.namespace(), name, MAX_LISTED).await?;
    Ok(PluginPage { items: stored.into_iter().map(view).collect(), next_cursor: None })
}

fn view(plugin: Plugin) -> Value {
    let mut view = plugin.description;
    view["createdAt"] = json!(plugin.created_at);
    view
}

fn not_found(what: &str) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "NOT_FOUND", format!("plugin `{what}` does not exist"))
}

async fn read_upload(
    state: &ApiState,
    query: Identity,
    request: Request,
) -> Result<(Bytes, Identity), ApiError> {
    let kind = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|it| it.to_str().ok())
        .unwrap_or_default();
    if kind.starts_with("multipart/form-data") {
        return read_multipart(state, query, request).await;
    }
    if kind.starts_with("application/wasm") || kind.starts_with("application/octet-stream") {
        return Ok((RawBody::from_request(request, state).await?.0, query));
    }
    Err(ApiError::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "CONTENT_TYPE",
        format!(
            "a plugin is uploaded as `application/wasm` or `multipart/form-data`, not `{kind}`"
        ),
    ))
}

async fn read_multipart(
    state: &ApiState,
    query: Identity,
    request: Request,
) -> Result<(Bytes, Identity), ApiError> {
    let unreadable = |error: &dyn std::fmt::Display| {
        ApiError::bad_request(format!("the form cannot be read: {error}"))
    };
    let mut form =
        Multipart::from_request(request, state).await.map_err(|error| unreadable(&error))?;
    let (mut module, mut identity) = (None, query);
    while let Some(field) = form.next_field().await.map_err(|error| unreadable(&error))? {
        let name = field.name().unwrap_or_default().to_owned();
        let bytes = field.bytes().await.map_err(|error| unreadable(&error))?;
        match name.as_str() {
            "module" => module = Some(bytes),
            "manifest" => {
                let manifest: Value = serde_json::from_slice(&bytes).map_err(|error| {
                    ApiError::bad_request(format!("the manifest is not JSON: {error}"))
                })?;
                let text =
                    |field: &str| manifest.get(field).and_then(Value::as_str).map(str::to_owned);
                identity = Identity { name: text("name"), version: text("version") };
            }
            other => {
                let detail =
                    format!("the form has a part `{other}`; it may have `module` and `manifest`");
                return Err(ApiError::bad_request(detail));
            }
        }
    }
    let module = module.ok_or_else(|| ApiError::bad_request("the form has no part `module`"))?;
    Ok((module, identity))
}

/// The name and version: what the plugin says of itself, which a caller cannot contradict.
fn identify(admitted: &Admitted, identity: &Identity) -> Result<(String, String), ApiError> {
    let own = admitted.manifest.as_ref();
    let name = one_of("name", own.map(|it| it.name.as_str()), identity.name.as_deref())?;
    let version =
        one_of("version", own.map(|it| it.version.as_str()), identity.version.as_deref())?;
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

fn one_of(what: &str, own: Option<&str>, given: Option<&str>) -> Result<String, ApiError> {
    match (own, given) {
        (Some(own), Some(given)) if own != given => Err(ApiError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "PLUGIN_IDENTITY_MISMATCH",
            format!("the plugin says that its {what} is `{own}`, the upload says `{given}`"),
        )),
        (Some(text), _) | (None, Some(text)) => Ok(text.to_owned()),
        (None, None) => Err(ApiError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "PLUGIN_UNNAMED",
            format!("the plugin carries no {what}: give `?name=team/name&version=1.2.0`"),
        )),
    }
}

/// What the upload answers, and what is kept of it.
fn describe(admitted: &Admitted, name: &str, version: &str, limits: CallLimits) -> Value {
    let own = admitted.manifest.as_ref();
    let receipt = admitted.prepared.receipt();
    json!({
        "name": name,
        "version": version,
        "digest": admitted.digest,
        "kind": admitted.kind,
        "description": own.and_then(|it| it.description.clone()),
        "imports": admitted.imports,
        "capabilities": admitted.capabilities,
        "limits": {
            "fuel": limits.fuel,
            "memoryMb": limits.memory_bytes >> 20,
            "timeoutMs": u64::try_from(limits.timeout.as_millis()).unwrap_or(u64::MAX),
        },
        "compile": { "ms": receipt.ms, "tier": receipt.tier, "bytes": receipt.bytes },
        "configSchema": own.and_then(|it| it.config_schema.clone()),
        "outputSchema": own.and_then(|it| it.output_schema.clone()),
    })
}
