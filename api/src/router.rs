//! All routes on one screen.

use ::secrets::secret::MAX_VALUE_BYTES;
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::Json;
use axum::routing::get;
use engine::definition::{MAX_DEFINITION_BYTES, MAX_PAYLOAD_BYTES};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::executions::bulk::MAX_MATCHED;
use crate::monitoring::{admin, metrics, probes};
use crate::state::ApiState;
use crate::{
    approvals, blobs, dead_letters, executions, idempotency, messages, namespaces, plugins,
    request_id, secrets, versions, workflows,
};

/// What a call's own fields may add to its payload.
const ENVELOPE_BYTES: usize = 64 << 10;
/// An id in a list, with its quotes, a comma and a blank.
const ID_BYTES: usize = 40;
/// The largest start, in bytes.
pub(crate) const MAX_START_BYTES: usize = MAX_PAYLOAD_BYTES + ENVELOPE_BYTES;
/// The largest batch, in bytes.
pub(crate) const MAX_BATCH_BYTES: usize = 32 << 20;

#[derive(OpenApi)]
#[openapi(info(
    title = "StateFlow",
    description = "Runs workflows written as JSON. Errors are RFC 9457 problem documents.",
))]
struct Document;

/// The whole API.
pub fn router(state: ApiState) -> Router {
    let (router, document) = OpenApiRouter::with_openapi(Document::openapi())
        .merge(definitions(&state))
        .merge(starts())
        .merge(decisions(&state))
        .merge(bulk(&state))
        .merge(executions(&state))
        .merge(plugins(&state))
        .merge(secrets_routes())
        .merge(system(&state))
        .split_for_parts();
    router
        .route("/api/openapi.json", get(async move || Json(document)))
        .layer(CatchPanicLayer::new())
        .layer(axum::middleware::from_fn_with_state(state.clone(), request_id::finish))
        .with_state(state)
}

/// Changes among them are carried out once for each `Idempotency-Key`.
fn once(routes: OpenApiRouter<ApiState>, state: &ApiState) -> OpenApiRouter<ApiState> {
    routes.layer(axum::middleware::from_fn_with_state(state.clone(), idempotency::once))
}

fn definitions(state: &ApiState) -> OpenApiRouter<ApiState> {
    let routes = OpenApiRouter::new()
        .routes(routes!(workflows::list, workflows::create))
        .routes(routes!(workflows::validate))
        .routes(routes!(workflows::get, workflows::update))
        .routes(routes!(workflows::versions_get))
        .routes(routes!(versions::set_live))
        .routes(routes!(versions::diff))
        .routes(routes!(versions::migrate));
    once(routes, state).layer(DefaultBodyLimit::max(MAX_DEFINITION_BYTES + ENVELOPE_BYTES))
}

/// What begins something or reaches something under way: these keep keys of their own.
fn starts() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(executions::start::execute))
        .routes(routes!(messages::event))
        .routes(routes!(messages::signal))
        .routes(routes!(messages::token))
        .layer(DefaultBodyLimit::max(MAX_START_BYTES))
}

fn decisions(state: &ApiState) -> OpenApiRouter<ApiState> {
    let routes = OpenApiRouter::new()
        .routes(routes!(executions::fork::fork))
        .routes(routes!(approvals::decide));
    let batch = OpenApiRouter::new().routes(routes!(executions::start::execute_batch));
    once(routes, state)
        .layer(DefaultBodyLimit::max(MAX_START_BYTES))
        .merge(once(batch, state).layer(DefaultBodyLimit::max(MAX_BATCH_BYTES)))
}

fn bulk(state: &ApiState) -> OpenApiRouter<ApiState> {
    let routes = OpenApiRouter::new()
        .routes(routes!(executions::bulk::begin))
        .routes(routes!(dead_letters::redrive))
        .routes(routes!(dead_letters::purge));
    once(routes, state).layer(DefaultBodyLimit::max(MAX_START_BYTES + MAX_MATCHED * ID_BYTES))
}

fn executions(state: &ApiState) -> OpenApiRouter<ApiState> {
    let routes = OpenApiRouter::new()
        .routes(routes!(executions::read::list))
        .routes(routes!(executions::read::get))
        .routes(routes!(dead_letters::list))
        .routes(routes!(executions::read::timeline))
        .routes(routes!(executions::children::children))
        .routes(routes!(executions::bulk::get))
        .routes(routes!(executions::bulk::incidents))
        .routes(routes!(approvals::list))
        .routes(routes!(approvals::get))
        .routes(routes!(executions::logs::logs))
        .routes(routes!(executions::why::why))
        .routes(routes!(executions::act::cancel))
        .routes(routes!(executions::act::pause))
        .routes(routes!(executions::act::resume))
        .routes(routes!(executions::act::retry))
        .routes(routes!(executions::act::retry_step));
    once(routes, state).layer(DefaultBodyLimit::max(ENVELOPE_BYTES))
}

fn system(state: &ApiState) -> OpenApiRouter<ApiState> {
    let policies = OpenApiRouter::new()
        .routes(routes!(namespaces::get_policy, namespaces::set_policy))
        .routes(routes!(namespaces::audit));
    OpenApiRouter::new()
        .merge(once(policies, state))
        .merge(monitoring())
        .routes(routes!(blobs::create))
        .routes(routes!(blobs::get, blobs::delete))
        .routes(routes!(workflows::schema))
}

/// How it is.
fn monitoring() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(probes::health))
        .routes(routes!(probes::live))
        .routes(routes!(probes::ready))
        .routes(routes!(probes::workers))
        .routes(routes!(admin::health))
        .routes(routes!(admin::detailed))
        .routes(routes!(metrics::json))
        .routes(routes!(metrics::prometheus))
        .routes(routes!(metrics::dead_letters))
}

/// What is uploaded, and what becomes of it. An upload is known by its bytes and needs no key.
fn plugins(state: &ApiState) -> OpenApiRouter<ApiState> {
    let life = OpenApiRouter::new()
        .routes(routes!(plugins::life::approve))
        .routes(routes!(plugins::life::yank))
        .routes(routes!(plugins::life::sign))
        .routes(routes!(plugins::life::collect));
    OpenApiRouter::new()
        .routes(routes!(plugins::list, plugins::upload))
        .routes(routes!(plugins::get))
        .routes(routes!(plugins::get_version))
        .routes(routes!(plugins::life::diff))
        .merge(once(life, state))
        .layer(DefaultBodyLimit::max(state.max_upload_bytes + ENVELOPE_BYTES))
}

/// Setting and deleting are the same however often they are done, and a key would keep a secret's digest.
fn secrets_routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new()
        .routes(routes!(secrets::list))
        .routes(routes!(secrets::set, secrets::delete))
        .routes(routes!(secrets::rotate))
        // In JSON, a character of a value may take six bytes.
        .layer(DefaultBodyLimit::max(6 * MAX_VALUE_BYTES + ENVELOPE_BYTES))
}

/// Handlers take the state like this.
pub(crate) type Shared = State<ApiState>;
