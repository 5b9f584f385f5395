//! `/api/secrets`: set, listed and deleted, never read.

use ::secrets::secret::{MAX_NAMESPACE_BYTES, MAX_SECRETS};
use ::secrets::{Keyring, Place, Sealed, SecretValue, check_name, check_rules};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Json;
use chrono::{DateTime, Utc};
use egress::Rule;
use engine::diagnostic::Diagnostic;
use engine::machine::MAX_PERSON_BYTES;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::audit::Entry;
use store::secrets::{SecretHead, SecretLimits, StoredSecret};
use utoipa::{IntoParams, ToSchema};

use crate::error::{ApiError, Problem};
use crate::extract::{JsonBody, QueryOf};
use crate::router::Shared;
use crate::state::ApiState;

/// Secrets that are sealed anew between two looks at the database.
const ROTATED_AT_ONCE: i64 = 100;

/// A secret without its value, which nobody gets back.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SecretView {
    name: String,
    /// Where it may be sent: rules such as `POST https://api.example.com/v1`.
    destinations: Vec<String>,
    /// Counts up whenever it is set.
    version: i32,
    /// Which of the operator's keys sealed it.
    key_id: String,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

/// All secrets, by name.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SecretList {
    items: Vec<SecretView>,
}

/// What a secret is set to. Read loosely, so that no message of a parser quotes the value.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "value": "the key, as the service gave it", "destinations": ["POST https://mail.example.com/send"],
}))]
pub(crate) struct SecretRequest {
    /// 8 bytes to 64 KiB of text.
    #[schema(value_type = String)]
    value: Option<Value>,
    /// Where it may be sent; nowhere, if none is listed.
    #[schema(value_type = Vec<String>)]
    destinations: Option<Value>,
}

/// What came of sealing all secrets anew.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RotationView {
    /// The key that all are sealed with now.
    key_id: String,
    /// How many were sealed with another.
    resealed: usize,
    /// What cannot be opened stays as it is, for these reasons.
    failed: Vec<String>,
}

/// Who does it, for the audit.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ActorQuery {
    /// Who says that they do it, up to 200 bytes; `api` if nobody does.
    by: Option<String>,
}

impl ActorQuery {
    fn actor(&self) -> Result<&str, ApiError> {
        let by = self.by.as_deref().unwrap_or("api");
        if !(1..=MAX_PERSON_BYTES).contains(&by.len()) || by.contains('\0') {
            let most = MAX_PERSON_BYTES;
            return Err(ApiError::bad_request(format!("`by` is a name of 1 to {most} bytes")));
        }
        Ok(by)
    }
}

/// Lists secrets, without their values.
#[utoipa::path(get, path = "/api/secrets", operation_id = "list_secrets",
    responses((status = 200, body = SecretList)))]
pub(crate) async fn list(State(state): Shared) -> Result<Json<SecretList>, ApiError> {
    let heads = state.store.secret_heads(state.namespace()).await?;
    Ok(Json(SecretList { items: heads.into_iter().map(view).collect() }))
}

/// Sets a secret: its value and its destinations, both anew.
#[utoipa::path(put, path = "/api/secrets/{name}", operation_id = "set_secret",
    params(("name" = String, Path), ActorQuery), request_body = SecretRequest,
    responses((status = 200, body = SecretView), (status = 201, body = SecretView),
        (status = 409, body = Problem), (status = 422, body = Problem)))]
pub(crate) async fn set(
    State(state): Shared,
    Path(name): Path<String>,
    QueryOf(query): QueryOf<ActorQuery>,
    JsonBody(request): JsonBody<SecretRequest>,
) -> Result<(StatusCode, Json<SecretView>), ApiError> {
    let keyring = keyring(&state)?;
    let actor = query.actor()?;
    let (value, rules) = read(&name, request)?;
    let place = Place { namespace_id: state.namespace(), name: &name, rules: &rules };
    let stored = stored(place, keyring.seal(place, &value));
    let limits = SecretLimits { count: MAX_SECRETS.into(), bytes: MAX_NAMESPACE_BYTES.into() };
    let (head, new) = state.store.set_secret(&stored, limits, actor).await?;
    tracing::info!(secret = name, version = head.version, "a secret was set");
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(view(head))))
}

/// Deletes a secret. Executions that use it fail from now on.
#[utoipa::path(delete, path = "/api/secrets/{name}", operation_id = "delete_secret",
    params(("name" = String, Path), ActorQuery), responses((status = 204), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub(crate) async fn delete(
    State(state): Shared,
    Path(name): Path<String>,
    QueryOf(query): QueryOf<ActorQuery>,
) -> Result<StatusCode, ApiError> {
    state.store.delete_secret(state.namespace(), &name, query.actor()?).await?;
    tracing::info!(secret = name, "a secret was deleted");
    Ok(StatusCode::NO_CONTENT)
}

/// Seals all secrets anew with the first of the operator's keys.
#[utoipa::path(post, path = "/api/secrets-rotation", operation_id = "rotate_secrets", params(ActorQuery),
    responses((status = 400, body = Problem), (status = 200, body = RotationView), (status = 409, body = Problem)))]
pub(crate) async fn rotate(
    State(state): Shared,
    QueryOf(query): QueryOf<ActorQuery>,
) -> Result<Json<RotationView>, ApiError> {
    let keyring = keyring(&state)?;
    let actor = query.actor()?;
    let key_id = keyring.sealing_key_id();
    let (mut after, mut resealed, mut failed) = (None, 0, Vec::new());
    loop {
        let batch =
            state.store.secrets_not_sealed_by(key_id, after.as_ref(), ROTATED_AT_ONCE).await?;
        let Some(last) = batch.last() else { break };
        after = Some((last.namespace_id, last.name.clone()));
        for old in &batch {
            match reseal(keyring, old) {
                Ok(new) => resealed += usize::from(state.store.reseal_secret(old, &new).await?),
                Err(why) => failed.push(why),
            }
        }
    }
    tracing::info!(key_id, resealed, failed = failed.len(), "secrets were sealed anew");
    let detail = json!({ "resealed": resealed, "failed": failed.len() });
    let entry = Entry { actor, action: "secrets.rotate", subject: key_id, detail: &detail };
    state.store.record(state.namespace(), &entry).await?;
    Ok(Json(RotationView { key_id: key_id.to_owned(), resealed, failed }))
}

fn keyring(state: &ApiState) -> Result<&Keyring, ApiError> {
    state.secrets.as_ref().ok_or_else(|| {
        ApiError::conflict(
            "SECRETS_KEY_MISSING",
            "this server has no key for secrets: start it, and its workers, with STATEFLOW_SECRETS_KEY or --secrets-key-file; `openssl rand -base64 32` makes a key",
        )
    })
}

/// All faults at once.
fn read(name: &str, request: SecretRequest) -> Result<(SecretValue, Vec<Rule>), ApiError> {
    let mut problems = Vec::new();
    let mut fault = |pointer: &str, message: String| {
        problems.push(Diagnostic::new(pointer, "SECRET_INVALID", message));
    };
    if let Err(error) = check_name(name) {
        fault("", error.to_string());
    }
    let value = match request.value {
        Some(Value::String(text)) => {
            SecretValue::new(text).map_err(|error| fault("/value", error.to_string())).ok()
        }
        _ => {
            fault("/value", "`value` is a string".to_owned());
            None
        }
    };
    let rules = match request.destinations {
        None => Vec::new(),
        Some(Value::Array(items)) => read_rules(&items, &mut fault),
        Some(_) => {
            fault("/destinations", "`destinations` is a list of rules".to_owned());
            Vec::new()
        }
    };
    match value {
        Some(value) if problems.is_empty() => Ok((value, rules)),
        _ => Err(ApiError::unprocessable(
            "SECRET_INVALID",
            "the secret cannot be stored like this",
            problems,
        )),
    }
}

fn read_rules(items: &[Value], fault: &mut impl FnMut(&str, String)) -> Vec<Rule> {
    let mut rules = Vec::new();
    for (at, item) in items.iter().enumerate() {
        let pointer = format!("/destinations/{at}");
        match item.as_str().map(str::parse::<Rule>) {
            Some(Ok(rule)) => rules.push(rule),
            Some(Err(error)) => fault(&pointer, error.to_string()),
            None => fault(&pointer, "a rule is a string".to_owned()),
        }
    }
    if let Err(error) = check_rules(&rules) {
        fault("/destinations", error.to_string());
    }
    rules
}

fn reseal(keyring: &Keyring, old: &StoredSecret) -> Result<StoredSecret, String> {
    let rules: Result<Vec<Rule>, _> = old.destinations.iter().map(|rule| rule.parse()).collect();
    let rules = rules.map_err(|error: egress::RuleError| error.to_string())?;
    let place = Place { namespace_id: old.namespace_id, name: &old.name, rules: &rules };
    let sealed =
        Sealed { key_id: old.key_id.clone(), nonce: old.nonce.clone(), bytes: old.sealed.clone() };
    let value = keyring.open(place, &sealed).map_err(|error| error.to_string())?;
    Ok(stored(place, keyring.seal(place, &value)))
}

fn stored(place: Place<'_>, sealed: Sealed) -> StoredSecret {
    StoredSecret {
        namespace_id: place.namespace_id,
        name: place.name.to_owned(),
        destinations: place.rules.iter().map(ToString::to_string).collect(),
        key_id: sealed.key_id,
        nonce: sealed.nonce,
        sealed: sealed.bytes,
    }
}

fn view(head: SecretHead) -> SecretView {
    let SecretHead { name, destinations, version, key_id, created_at, updated_at } = head;
    SecretView { name, destinations, version, key_id, created_at, updated_at }
}
