//! From a request to the bytes of a plugin and what its uploader says of it: plain bytes with a query, or a form.

use axum::extract::multipart::MultipartError;
use axum::extract::{FromRequest, Multipart, Request};
use axum::http::{StatusCode, header};
use engine::capability::Requested;
use futures::StreamExt;
use sandbox::{Manifest, Said};
use serde::Deserialize;
use serde_json::Value;

use super::Identity;
use super::spool::{Spool, Spooled};
use crate::error::ApiError;
use crate::extract::Object;
use crate::state::ApiState;

/// The most bytes of a manifest.
const MAX_MANIFEST_BYTES: usize = 256 << 10;

/// What somebody uploads.
pub(super) struct Upload {
    pub(super) module: Spooled,
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
    pub(super) capabilities: Option<Requested>,
}

impl From<Identity> for Claims {
    fn from(it: Identity) -> Self {
        Self { name: it.name, version: it.version, ..Self::default() }
    }
}

impl Claims {
    /// For the receipt.
    pub(super) fn said(&self) -> Said<'_> {
        Said {
            name: self.name.as_deref(),
            version: self.version.as_deref(),
            description: self.description.as_deref(),
            config_schema: self.config_schema.as_ref(),
            output_schema: self.output_schema.as_ref(),
        }
    }

    /// These claims beside those of the query, which must not contradict them.
    fn beside(self, query: Self) -> Result<Self, ApiError> {
        Ok(Self {
            name: agreed("name", ("query", query.name), ("manifest", self.name))?,
            version: agreed("version", ("query", query.version), ("manifest", self.version))?,
            ..self
        })
    }

    /// Whether a stored version is what these claims are about, and in no other words.
    pub(super) fn fit(&self, stored: &Value) -> bool {
        let same = |field: &str, claim: &Option<String>| {
            claim.as_ref().is_none_or(|claim| stored[field].as_str() == Some(claim))
        };
        let schema = |field: &str, claim: &Option<Value>| {
            claim.as_ref().is_none_or(|claim| stored[field] == *claim)
        };
        let asked = serde_json::from_value(stored["capabilities"].clone()).unwrap_or_default();
        same("name", &self.name)
            && same("version", &self.version)
            && same("description", &self.description)
            && schema("configSchema", &self.config_schema)
            && schema("outputSchema", &self.output_schema)
            && self.capabilities.as_ref().is_none_or(|requested| requested.asks_for(&asked))
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
            capabilities: agreed(
                "capabilities",
                ("plugin", own.capabilities),
                ("upload", self.capabilities),
            )?,
        })
    }
}

/// What two parties say; a contradiction is refused.
fn agreed<T: PartialEq + serde::Serialize>(
    what: &str,
    (first, one): (&str, Option<T>),
    (second, other): (&str, Option<T>),
) -> Result<Option<T>, ApiError> {
    match (one, other) {
        (Some(one), Some(other)) if one != other => Err(ApiError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "PLUGIN_IDENTITY_MISMATCH",
            format!(
                "the {first} says that the {what} is `{}`, the {second} says `{}`",
                shown(&one),
                shown(&other)
            ),
        )),
        (one, other) => Ok(one.or(other)),
    }
}

/// As a person reads it: a text without its quotes, everything else as JSON.
fn shown(value: &impl serde::Serialize) -> String {
    match serde_json::json!(value) {
        Value::String(text) => text,
        other => other.to_string(),
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
        if kind.starts_with("multipart/form-data") {
            Self::read_form(state, query, request).await
        } else if kind.starts_with("application/wasm")
            || kind.starts_with("application/octet-stream")
        {
            let mut spool = Spool::new(state.max_upload_bytes)?;
            let mut body = request.into_body().into_data_stream();
            while let Some(chunk) = body.next().await {
                let cut = |error| {
                    ApiError::bad_request(format!(
                        "the upload was cut off: {error}; nothing was stored; send it again"
                    ))
                };
                spool.write(&chunk.map_err(cut)?).await?;
            }
            Ok(Self { module: spool.finish().await?, claims: query.into() })
        } else {
            let detail = format!(
                "a plugin is uploaded as `application/wasm` or `multipart/form-data`, not `{kind}`"
            );
            Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "CONTENT_TYPE", detail))
        }
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
        while let Some(mut field) = form.next_field().await.map_err(unreadable)? {
            let name = field.name().unwrap_or_default().to_owned();
            match name.as_str() {
                "module" => {
                    let mut spool = Spool::new(state.max_upload_bytes)?;
                    while let Some(chunk) = field.chunk().await.map_err(unreadable)? {
                        spool.write(&chunk).await?;
                    }
                    module = Some(spool.finish().await?);
                }
                "manifest" => {
                    let mut text = Vec::new();
                    while let Some(chunk) = field.chunk().await.map_err(unreadable)? {
                        text.extend_from_slice(&chunk);
                        if text.len() > MAX_MANIFEST_BYTES {
                            return Err(ApiError::too_large("a manifest", MAX_MANIFEST_BYTES));
                        }
                    }
                    manifest = read_manifest(&text)?;
                }
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
