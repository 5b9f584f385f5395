//! From a request to the bytes of a plugin and what its uploader says of it: plain bytes with a query, or a form.

use axum::body::Bytes;
use axum::extract::multipart::MultipartError;
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::{StatusCode, header};
use sandbox::Manifest;
use serde::Deserialize;
use serde_json::Value;

use super::Identity;
use crate::error::ApiError;
use crate::extract::{Object, RawBody};
use crate::state::ApiState;

/// What somebody uploads.
pub(super) struct Upload {
    pub(super) module: Bytes,
    pub(super) claims: Claims,
}

/// What the uploader says of the plugin: the part `manifest` of a form, or name and version in the query.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Claims {
    pub(super) name: Option<String>,
    pub(super) version: Option<String>,
    pub(super) description: Option<String>,
    pub(super) config_schema: Option<Value>,
    pub(super) output_schema: Option<Value>,
}

impl From<Identity> for Claims {
    fn from(it: Identity) -> Self {
        Self { name: it.name, version: it.version, ..Self::default() }
    }
}

impl Claims {
    /// These claims beside those of the query, which must not contradict them.
    fn beside(self, query: Self) -> Result<Self, ApiError> {
        Ok(Self {
            name: agreed("name", ("query", query.name), ("manifest", self.name))?,
            version: agreed("version", ("query", query.version), ("manifest", self.version))?,
            ..self
        })
    }

    /// These claims beside what the plugin says of itself, which nobody can contradict.
    pub(super) fn about(self, own: Option<&Manifest>) -> Result<Self, ApiError> {
        let Some(own) = own.cloned() else { return Ok(self) };
        Ok(Self {
            name: agreed("name", ("plugin", Some(own.name)), ("upload", self.name))?,
            version: agreed("version", ("plugin", Some(own.version)), ("upload", self.version))?,
            description: agreed(
                "description",
                ("plugin", own.description),
                ("upload", self.description),
            )?,
            config_schema: agreed(
                "configSchema",
                ("plugin", own.config_schema),
                ("upload", self.config_schema),
            )?,
            output_schema: agreed(
                "outputSchema",
                ("plugin", own.output_schema),
                ("upload", self.output_schema),
            )?,
        })
    }
}

/// What two parties say; a contradiction is refused.
fn agreed<T: PartialEq + std::fmt::Display>(
    what: &str,
    (first, one): (&str, Option<T>),
    (second, other): (&str, Option<T>),
) -> Result<Option<T>, ApiError> {
    match (one, other) {
        (Some(one), Some(other)) if one != other => Err(ApiError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "PLUGIN_IDENTITY_MISMATCH",
            format!("the {first} says that the {what} is `{one}`, the {second} says `{other}`"),
        )),
        (one, other) => Ok(one.or(other)),
    }
}

impl Upload {
    /// Reads a request of a content type that plugins come as.
    pub(super) async fn read(
        state: &ApiState,
        query: Identity,
        request: Request,
    ) -> Result<Self, ApiError> {
        let kind = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|it| it.to_str().ok())
            .unwrap_or_default();
        let upload = if kind.starts_with("multipart/form-data") {
            Self::read_form(state, query, request).await?
        } else if kind.starts_with("application/wasm")
            || kind.starts_with("application/octet-stream")
        {
            let module = RawBody::from_request(request, state).await?.0;
            Self { module, claims: query.into() }
        } else {
            let detail = format!(
                "a plugin is uploaded as `application/wasm` or `multipart/form-data`, not `{kind}`"
            );
            return Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "CONTENT_TYPE", detail));
        };
        if upload.module.len() > state.max_upload_bytes {
            return Err(ApiError::too_large("a plugin", state.max_upload_bytes));
        }
        Ok(upload)
    }

    async fn read_form(
        state: &ApiState,
        query: Identity,
        request: Request,
    ) -> Result<Self, ApiError> {
        let unreadable = |error: MultipartError| {
            if error.status() == StatusCode::PAYLOAD_TOO_LARGE {
                return ApiError::too_large("a plugin", state.max_upload_bytes);
            }
            ApiError::bad_request(format!("the form cannot be read: {error}"))
        };
        let mut form = Multipart::from_request(request, state)
            .await
            .map_err(|error| ApiError::bad_request(format!("the form cannot be read: {error}")))?;
        let (mut module, mut manifest) = (None, Claims::default());
        while let Some(field) = form.next_field().await.map_err(unreadable)? {
            let name = field.name().unwrap_or_default().to_owned();
            let bytes = field.bytes().await.map_err(unreadable)?;
            match name.as_str() {
                "module" => module = Some(bytes),
                "manifest" => manifest = read_manifest(&bytes)?,
                other => {
                    let detail = format!(
                        "the form has a part `{other}`; it may have `module` and `manifest`"
                    );
                    return Err(ApiError::bad_request(detail));
                }
            }
        }
        let module =
            module.ok_or_else(|| ApiError::bad_request("the form has no part `module`"))?;
        Ok(Self { module, claims: manifest.beside(query.into())? })
    }
}

fn read_manifest(text: &[u8]) -> Result<Claims, ApiError> {
    let manifest = serde_json::from_slice(text).map(|Object(claims)| claims);
    manifest.map_err(|error| {
        ApiError::bad_request(format!("the manifest is not what this call takes: {error}"))
    })
}
